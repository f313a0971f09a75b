//! `/metrics` in the text format of Prometheus and `/healthz`: only where the house shows its insides.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

/// One number that the house shows. The name says its unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: MetricKind,
    /// `key="value"` pairs, without braces; empty for none.
    pub labels: String,
    pub value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
}

/// What the house says of itself when it is asked.
pub trait Health: Send + Sync {
    fn metrics(&self) -> Vec<Metric>;
    /// `Err`: what is wrong, in one line.
    fn healthy(&self) -> Result<(), String>;
}

pub(crate) fn routes(health: Arc<dyn Health>) -> Router {
    let (metrics, healthy) = (health.clone(), health);
    Router::new()
        .route(
            "/metrics",
            get(move || async move {
                let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
                (kind, prometheus(&metrics.metrics()))
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

/// The text exposition format: HELP and TYPE once per name, however many label sets it has.
fn prometheus(metrics: &[Metric]) -> String {
    let mut text = String::new();
    let mut last = "";
    for metric in metrics {
        if metric.name != last {
            let kind = match metric.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
            };
            let _ = writeln!(text, "# HELP {} {}\n# TYPE {} {kind}", metric.name, metric.help, metric.name);
            last = metric.name;
        }
        let labels = if metric.labels.is_empty() { String::new() } else { format!("{{{}}}", metric.labels) };
        let _ = writeln!(text, "{}{labels} {}", metric.name, metric.value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_in_the_text_format_of_prometheus() {
        let of = |labels: &str, value| Metric {
            name: "iris_certificate_days_left",
            help: "Days until the certificate ends.",
            kind: MetricKind::Gauge,
            labels: labels.into(),
            value,
        };
        let text = prometheus(&[of("domain=\"a\"", 3.0), of("domain=\"b\"", 4.5)]);
        assert_eq!(
            text,
            "# HELP iris_certificate_days_left Days until the certificate ends.\n\
             # TYPE iris_certificate_days_left gauge\n\
             iris_certificate_days_left{domain=\"a\"} 3\niris_certificate_days_left{domain=\"b\"} 4.5\n"
        );
    }
}
