//! The log: to standard error, as text or JSON.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use super::Failure;
use crate::config::{Level, Log, LogFormat};

/// Overrides `log.level`, also for single modules: `IRIS_LOG=info,iris_net=debug`.
const VARIABLE: &str = "IRIS_LOG";

pub(super) fn start(log: Log) -> Result<(), Failure> {
    let filter = match std::env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => parse(&text)?,
        _ => Targets::new().with_default(level(log.level)),
    };
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(false);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    // A second start in one process (tests) keeps the first one's log.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    Ok(())
}

fn parse(text: &str) -> Result<Targets, Failure> {
    text.parse().map_err(|error| {
        Failure::new(
            format!("the environment variable {VARIABLE} is not understood: {error}"),
            format!("For example: {VARIABLE}=debug, or {VARIABLE}=info,iris_net=debug"),
        )
    })
}

fn level(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}
