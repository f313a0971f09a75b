//! `/metrics` in the text format of Prometheus (version 0.0.4) and `/healthz`: only where the house shows its insides.

use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// What the house shows under one name. The name says its unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: MetricKind,
    pub samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: Vec<(&'static str, String)>,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(f64),
    /// Upper bounds, ascending, and how many fell there and not below; the last bound is infinite.
    Buckets {
        buckets: Vec<(f64, u64)>,
        sum: f64,
    },
}

/// What the house says of itself when it is asked.
pub trait Health: Send + Sync {
    fn metrics(&self) -> Pin<Box<dyn Future<Output = Vec<Family>> + Send>>;
    /// `Err`: what is wrong, in one line.
    fn healthy(&self) -> Result<(), String>;
}

/// Answers by the first digit of their code.
#[derive(Debug, Default)]
pub struct Requests([AtomicU64; 5]);

impl Requests {
    pub(crate) fn answered(&self, response: &Response) {
        let class = usize::from(response.status().as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.0.get(class) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// From `1xx` to `5xx`.
    pub fn seen(&self) -> [u64; 5] {
        self.0.each_ref().map(|count| count.load(Relaxed))
    }
}

pub(crate) fn routes(health: Arc<dyn Health>) -> Router {
    let (metrics, healthy) = (health.clone(), health);
    Router::new()
        .route(
            "/metrics",
            get(move || async move {
                let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
                (kind, prometheus(&metrics.metrics().await))
            }),
        )
        .route(
            "/healthz",
            get(move || async move {
                match healthy.healthy() {
                    Ok(()) => (StatusCode::OK, "ok\n".to_owned()).into_response(),
                    Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
                }
            }),
        )
}

/// The text exposition format.
fn prometheus(families: &[Family]) -> String {
    let mut text = String::new();
    for Family { name, help, kind, samples } in families {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for Sample { labels, value } in samples {
            match value {
                Value::Number(value) => line(&mut text, name, labels, None, *value),
                Value::Buckets { buckets, sum } => {
                    let mut below = 0;
                    for (bound, count) in buckets {
                        below += count;
                        line(&mut text, &format!("{name}_bucket"), labels, Some(*bound), below as f64);
                    }
                    line(&mut text, &format!("{name}_sum"), labels, None, *sum);
                    line(&mut text, &format!("{name}_count"), labels, None, below as f64);
                }
            }
        }
    }
    text
}

fn line(text: &mut String, name: &str, labels: &[(&str, String)], le: Option<f64>, value: f64) {
    let le = le.map(|bound| if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() });
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mut pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
    pairs.extend(le.map(|le| format!("le=\"{le}\"")));
    let labels = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
    let _ = writeln!(text, "{name}{labels} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_the_text_format_of_prometheus() {
        let of = |domain: &str, value| Sample { labels: vec![("domain", domain.to_owned())], value: Value::Number(value) };
        let family = Family {
            name: "iris_certificate_days_left",
            help: "Days \\ until\nthe certificate ends.",
            kind: MetricKind::Gauge,
            samples: vec![of("a", 3.0), of("b\"\\\n", -4.5)],
        };
        assert_eq!(
            prometheus(&[family]),
            "# HELP iris_certificate_days_left Days \\\\ until\\nthe certificate ends.\n\
             # TYPE iris_certificate_days_left gauge\n\
             iris_certificate_days_left{domain=\"a\"} 3\niris_certificate_days_left{domain=\"b\\\"\\\\\\n\"} -4.5\n"
        );
    }

    #[test]
    fn buckets_of_a_histogram_count_what_is_below_them_too() {
        let buckets = vec![(0.001, 2), (0.5, 0), (f64::INFINITY, 1)];
        let family = Family {
            name: "iris_x_seconds",
            help: "X.",
            kind: MetricKind::Histogram,
            samples: vec![Sample { labels: Vec::new(), value: Value::Buckets { buckets, sum: 7.25 } }],
        };
        assert_eq!(
            prometheus(&[family]),
            "# HELP iris_x_seconds X.\n# TYPE iris_x_seconds histogram\niris_x_seconds_bucket{le=\"0.001\"} 2\n\
             iris_x_seconds_bucket{le=\"0.5\"} 2\niris_x_seconds_bucket{le=\"+Inf\"} 3\niris_x_seconds_sum 7.25\n\
             iris_x_seconds_count 3\n"
        );
    }
}
