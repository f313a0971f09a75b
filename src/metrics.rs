//! What `/metrics` shows: one list (`metrics/list.rs`), from which the page and `METRICS.md` are made.

mod list;
mod process;
#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;

use iris_core::metrics::Distribution;
use iris_core::store::{Figures, Progress, Store};
use iris_engine::Census;
use iris_net::Net;
use iris_net::certs::{Certificates, Expiry};
use iris_web::{Family, MetricKind, Requests, Sample, Value};

use process::Process;

/// One name that operators see, and where its value comes from.
pub struct Metric {
    pub name: &'static str,
    pub kind: MetricKind,
    /// Each label and what it says.
    pub labels: &'static [(&'static str, &'static str)],
    pub help: &'static str,
    read: fn(&Seen, &mut Samples),
}

impl Metric {
    /// Names end with their unit (Prometheus' naming practices); what has none is counted.
    pub fn unit(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        match name.rsplit('_').next() {
            Some("seconds") => "seconds",
            Some("bytes") => "bytes",
            Some("left") if name.ends_with("_days_left") => "days",
            _ => "",
        }
    }
}

/// Where the numbers come from.
pub struct Sources {
    pub net: Arc<Net>,
    pub store: Arc<dyn Store>,
    pub certificates: Arc<Certificates>,
    pub requests: Arc<Requests>,
    pub mails: Arc<iris_connectors::smtp::Counters>,
}

/// All that one reading shows.
struct Seen {
    net: Arc<Net>,
    /// `None`: a shard did not answer, so nobody knows.
    census: Option<Census>,
    store: Figures,
    progress: Progress,
    requests: [u64; 5],
    mails: Arc<iris_connectors::smtp::Counters>,
    certificates: Vec<Expiry>,
    process: Process,
}

impl Sources {
    pub async fn read(&self) -> Vec<Family> {
        let seen = Seen {
            census: sum(self.net.census().await),
            net: self.net.clone(),
            store: self.store.figures(),
            progress: self.store.progress(),
            requests: self.requests.seen(),
            mails: self.mails.clone(),
            certificates: self.certificates.expiries(SystemTime::now()),
            process: Process::read(),
        };
        let family = |metric: &Metric| {
            let mut samples = Samples::default();
            (metric.read)(&seen, &mut samples);
            Family { name: metric.name, help: metric.help, kind: metric.kind, samples: samples.0 }
        };
        list::METRICS.iter().map(family).collect()
    }
}

/// Of all shards, if all have answered.
fn sum(shards: Vec<Option<Census>>) -> Option<Census> {
    shards.into_iter().try_fold(Census::default(), |sum, shard| shard.map(|shard| sum + shard))
}

/// Samples of one family.
#[derive(Default)]
struct Samples(Vec<Sample>);

impl Samples {
    fn number(&mut self, value: u64) {
        self.push(Vec::new(), Value::Number(value as f64));
    }

    /// What is not known is not shown.
    fn known(&mut self, value: Option<u64>) {
        value.into_iter().for_each(|value| self.number(value));
    }

    fn seconds(&mut self, value: Option<f64>) {
        value.into_iter().for_each(|value| self.push(Vec::new(), Value::Number(value)));
    }

    fn labelled(&mut self, labels: &[(&'static str, &str)], value: u64) {
        self.push(labels.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(), Value::Number(value as f64));
    }

    fn signed(&mut self, labels: &[(&'static str, &str)], value: i64) {
        let labels = labels.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        self.push(labels, Value::Number(value as f64));
    }

    /// One sample for each value of a label.
    fn by<const N: usize>(&mut self, label: &'static str, values: [(&str, u64); N]) {
        values.into_iter().for_each(|(name, value)| self.labelled(&[(label, name)], value));
    }

    /// `unit`: what the histogram counts in, in the unit that the name says.
    fn spread(&mut self, seen: &Distribution, per_unit: f64) {
        // A division rounds correctly: 2,500 / 1e6 is written as 0.0025.
        let bound = |bound: u64| if bound == u64::MAX { f64::INFINITY } else { bound as f64 / per_unit };
        let buckets = seen.buckets.iter().map(|(upper, count)| (bound(*upper), *count)).collect();
        self.push(Vec::new(), Value::Buckets { buckets, sum: seen.sum as f64 / per_unit });
    }

    fn push(&mut self, labels: Vec<(&'static str, String)>, value: Value) {
        self.0.push(Sample { labels, value });
    }
}

/// The table for operators.
pub fn table() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         Made of `src/metrics/list.rs`; a test writes it anew. `/metrics` on listeners of kind `http` answers in the text format of\n\
         Prometheus (0.0.4). Counters begin with 0 at each start. A histogram `x` is `x_bucket`, `x_sum` and `x_count`.\n\n\
         | name | type | unit | labels | what |\n| --- | --- | --- | --- | --- |\n",
    );
    for metric in list::METRICS {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|(key, values)| format!("`{key}`: {values}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{}` | {kind} | {} | {} | {} |", metric.name, metric.unit(), labels.join("; "), metric.help);
    }
    text
}
