//! HTTP of the house, on a thread and a runtime of its own: `/metrics` in the text format of Prometheus and `/healthz`.

use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::oneshot;

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

/// The running listeners. Dropped: closed.
pub struct Http {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    pub addresses: Vec<SocketAddr>,
}

/// Serve on sockets that are bound already.
pub fn serve(sockets: Vec<TcpListener>, health: Arc<dyn Health>) -> std::io::Result<Http> {
    let addresses = sockets.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    for socket in &sockets {
        socket.set_nonblocking(true)?;
    }
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(listen(sockets, health, stopped)),
            Err(error) => tracing::error!(%error, "HTTP cannot start"),
        }
    })?;
    Ok(Http { stop: Some(stop), thread: Some(thread), addresses })
}

async fn listen(sockets: Vec<TcpListener>, health: Arc<dyn Health>, stopped: oneshot::Receiver<()>) {
    for socket in sockets {
        let app = router(health.clone());
        match tokio::net::TcpListener::from_std(socket) {
            Ok(listener) => drop(tokio::spawn(async move {
                if let Err(error) = axum::serve(listener, app).await {
                    tracing::error!(%error, "HTTP has ended");
                }
            })),
            Err(error) => tracing::error!(%error, "HTTP cannot listen"),
        }
    }
    // Ends when the house drops its handle: the runtime goes, and with it every connection.
    let _ = stopped.await;
}

fn router(health: Arc<dyn Health>) -> Router {
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

impl Drop for Http {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
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
