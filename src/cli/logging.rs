//! The log: to standard error, as text or JSON.

use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use super::Failure;
use crate::config::{Level, Log, LogFormat};

/// Overrides `log.level`, also for single modules: `IRIS_LOG=info,iris_net=debug`.
const VARIABLE: &str = "IRIS_LOG";

/// The filter in force, and what it was at the start or the last reload.
struct Filter {
    handle: reload::Handle<Targets, Registry>,
    /// `None`: the environment variable says it, whatever the configuration says.
    configured: Mutex<Option<Level>>,
    first: Mutex<Targets>,
}

static FILTER: OnceLock<Filter> = OnceLock::new();

pub(super) fn start(log: Log) -> Result<(), Failure> {
    let (filter, configured) = match std::env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => (parse(&text)?, None),
        _ => (Targets::new().with_default(level(log.level)), Some(log.level)),
    };
    let first = Mutex::new(filter.clone());
    let (filter, handle) = reload::Layer::new(filter);
    let filter = filter.and(filter_fn(is_wanted));
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(false);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    // A second start in one process (tests) keeps the first one's log.
    if tracing_subscriber::registry().with(layer).try_init().is_ok() {
        let _ = FILTER.set(Filter { handle, configured: Mutex::new(configured), first });
    }
    Ok(())
}

/// `level` or `target=level`, several with commas, on top of what holds; `reset`: what the start said. `None`: no change. What holds
/// then. The filter decides which lines are written; what a line may say is decided where it is written, so no level shows secrets.
///
/// # Errors
/// That is no filter.
pub(crate) fn change(wanted: Option<&str>) -> Result<String, String> {
    let filter = FILTER.get().ok_or("this program writes no log")?;
    let current = filter.handle.clone_current().ok_or("the log is gone")?;
    let next = match wanted {
        None => return Ok(current.to_string()),
        Some("reset") => lock(&filter.first).clone(),
        Some(text) => merged(&current, text)?,
    };
    let shown = next.to_string();
    filter.handle.reload(next).map_err(|error| error.to_string())?;
    tracing::info!(filter = shown, "the log has another filter");
    Ok(shown)
}

/// After a reload of the configuration: its level counts if it has changed there.
pub(super) fn configured(log: Log) {
    let Some(filter) = FILTER.get() else { return };
    let mut configured = lock(&filter.configured);
    if configured.is_some_and(|before| before != log.level) {
        *configured = Some(log.level);
        let next = Targets::new().with_default(level(log.level));
        *lock(&filter.first) = next.clone();
        if let Err(error) = filter.handle.reload(next) {
            tracing::error!(%error, "the log keeps its level");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn merged(current: &Targets, text: &str) -> Result<Targets, String> {
    let mut next = current.clone();
    for part in text.split(',').map(str::trim) {
        let (target, name) = part.split_once('=').map_or((None, part), |(target, name)| (Some(target.trim()), name.trim()));
        let found = Level::ALL.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, it)| level(*it));
        let off = name.eq_ignore_ascii_case("off").then_some(LevelFilter::OFF);
        let level = found.or(off).ok_or_else(|| {
            format!(
                "{part:?} is no filter; expected error, warn, info, debug, trace or off, or TARGET=LEVEL such as iris_net=debug"
            )
        })?;
        next = match target {
            None => next.with_default(level),
            Some(target) if target.is_empty() || target.contains(|c: char| c.is_whitespace()) => {
                return Err(format!("{part:?}: there is no target before the ="));
            }
            Some(target) => next.with_target(target, level),
        };
    }
    Ok(next)
}

fn parse(text: &str) -> Result<Targets, Failure> {
    text.parse().map_err(|error| {
        Failure::new(
            format!("the environment variable {VARIABLE} is not understood: {error}"),
            format!("For example: {VARIABLE}=debug, or {VARIABLE}=info,iris_net=debug"),
        )
    })
}

/// The library that asks the DNS tells on its own of packets that strangers send: only whoever asks for its details hears of them.
fn is_wanted(of: &Metadata<'_>) -> bool {
    !of.target().starts_with("hickory") || *of.level() >= tracing::Level::DEBUG
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_laid_over_what_holds() {
        let base = Targets::new().with_default(LevelFilter::INFO);
        let one = merged(&base, "iris_net=debug").expect("a filter");
        assert!(one.would_enable("iris_net::pipe", &tracing::Level::DEBUG));
        assert!(!one.would_enable("iris_engine", &tracing::Level::DEBUG));
        let two = merged(&one, "warn, iris_store=TRACE").expect("a filter");
        assert!(two.would_enable("iris_net", &tracing::Level::DEBUG), "what was said before still holds");
        assert!(!two.would_enable("iris_engine", &tracing::Level::INFO));
        assert!(two.would_enable("iris_store", &tracing::Level::TRACE));
        assert!(!merged(&two, "off").expect("a filter").would_enable("other", &tracing::Level::ERROR));
        for bad in ["", "loud", "=debug", "iris_net=loud", "a b=debug", "debug,"] {
            assert!(merged(&base, bad).is_err(), "{bad}");
        }
    }
}
