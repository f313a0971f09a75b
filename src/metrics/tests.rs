use std::collections::HashSet;
use std::path::Path;

use iris_web::MetricKind;

use super::list::METRICS;

/// Set to write the generated file anew instead of comparing it.
const REWRITE: &str = "IRIS_REWRITE_GENERATED";

#[test]
fn the_table_is_what_the_list_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/METRICS.md");
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&path, super::table()).expect("the file can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == super::table(), "{} is not what the list says; {REWRITE}=1 writes it", path.display());
}

#[test]
fn names_are_after_prometheus_and_there_is_one_of_each() {
    let mut names = HashSet::new();
    for metric in METRICS {
        let name = metric.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_'), "{name}");
        assert!(name.starts_with("iris_") || name.starts_with("process_"), "{name}");
        assert_eq!(metric.kind == MetricKind::Counter, name.ends_with("_total"), "{name}");
        assert!(!["_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)), "{name}");
        assert!(metric.help.ends_with('.') && !metric.help.contains('|'), "{name}: {}", metric.help);
        for (label, values) in metric.labels {
            assert!(label.bytes().all(|c| c.is_ascii_lowercase()) && *label != "le" && !values.is_empty(), "{name}: {label}");
        }
    }
}
