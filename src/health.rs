//! What the house says of itself: `/metrics` and `/healthz`.

use std::sync::Arc;
use std::time::SystemTime;

use iris_core::store::Store;
use iris_net::Net;
use iris_net::certs::Certificates;
use iris_web::{Health, Metric, MetricKind};

pub struct HouseHealth {
    net: Arc<Net>,
    store: Arc<dyn Store>,
    certificates: Arc<Certificates>,
}

impl HouseHealth {
    pub fn new(net: Arc<Net>, store: Arc<dyn Store>, certificates: Arc<Certificates>) -> HouseHealth {
        HouseHealth { net, store, certificates }
    }
}

impl Health for HouseHealth {
    fn metrics(&self) -> Vec<Metric> {
        let counters = self.net.counters();
        let progress = self.store.progress();
        let number = |name, help, kind, value: u64| Metric { name, help, kind, labels: String::new(), value: value as f64 };
        let mut metrics = vec![
            number(
                "iris_stanzas_received_total",
                "Stanzas and nonzas received from bound clients.",
                MetricKind::Counter,
                counters.stanzas_received,
            ),
            number("iris_sessions", "Sessions, those that wait to be resumed included.", MetricKind::Gauge, counters.sessions),
            number("iris_accounts_awake", "Accounts in memory.", MetricKind::Gauge, counters.accounts_awake),
            number(
                "iris_store_tickets_resolved_total",
                "Sets of writes that are on disk or refused.",
                MetricKind::Counter,
                progress.resolved,
            ),
            number("iris_store_refusals_total", "Times that the store refused writes.", MetricKind::Counter, progress.epoch),
        ];
        metrics.extend(self.certificates.expiries(SystemTime::now()).into_iter().map(|expiry| Metric {
            name: "iris_certificate_days_left",
            help: "Whole days until the certificate of a domain ends.",
            kind: MetricKind::Gauge,
            labels: format!("domain=\"{}\"", expiry.domain),
            value: expiry.days_left as f64,
        }));
        metrics
    }

    fn healthy(&self) -> Result<(), String> {
        if self.net.is_alive() { Ok(()) } else { Err("a worker thread has ended".into()) }
    }
}
