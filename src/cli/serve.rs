//! `iris serve`: runs until SIGINT or SIGTERM; SIGHUP reads configuration and certificates again.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::users::{DOMAINS_FILE, remembered_domains};
use super::{Failure, Place, first_run, logging, operator_message, say};
use iris_core::ports::Stop;

use crate::closing::Closing;
use crate::config::{Config, DEFAULT_DATA_DIR, ListenKind, Listener, Overrides};

#[derive(Args, Clone, Debug, Default)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    pub place: Place,
    /// A domain to serve, instead of the configuration's; repeatable [without one: those of the data, or localhost]
    #[arg(long = "domain", value_name = "DOMAIN")]
    pub domains: Vec<String>,
    /// Listen here instead of where the configuration says; repeatable (c2s=127.0.0.1:5222)
    #[arg(long = "listen", value_name = "KIND=ADDRESS", value_parser = parse_listener)]
    pub listeners: Vec<Listener>,
    /// Development: allow clients without TLS on loopback, and the test CA everywhere
    #[arg(long)]
    pub dev: bool,
}

impl ServeArguments {
    fn load(&self) -> Result<Config, Failure> {
        let overrides =
            Overrides { domains: self.domains(), dev: self.dev, listeners: self.listeners.clone(), ..Overrides::default() };
        Ok(self.place.load(overrides)?)
    }
}

impl ServeArguments {
    /// Without a configuration it is the data that say whose they are: a backup is not a house of `localhost`.
    fn domains(&self) -> Vec<String> {
        if !self.domains.is_empty() || self.place.config.is_some() {
            return self.domains.clone();
        }
        let data_dir = self.place.data_dir.as_deref().unwrap_or(Path::new(DEFAULT_DATA_DIR));
        remembered_domains(data_dir).unwrap_or_default()
    }
}

fn parse_listener(text: &str) -> Result<Listener, String> {
    let kinds: Vec<&str> = ListenKind::ALL.iter().map(|(name, _)| *name).collect();
    let expected = format!("expected KIND=ADDRESS:PORT, KIND one of {}; for example c2s=127.0.0.1:5222", kinds.join(", "));
    let (kind, address) = text.split_once('=').ok_or_else(|| expected.clone())?;
    let kind = ListenKind::ALL.iter().find(|(name, _)| *name == kind).ok_or_else(|| expected.clone())?.1;
    let address: SocketAddr = address.parse().map_err(|_| expected)?;
    Ok(Listener { kind, address, unlimited: false, optional: false, web: false, proxy_protocol: false })
}

/// Passwords, keys and messages are in memory, and a core dump is a file that others may come to (security B17). So it holds no
/// memory (core(5)). Who hunts a bug of this process writes 33 to the same file of it.
fn keep_memory_out_of_core_dumps() {
    if let Err(error) = std::fs::write("/proc/self/coredump_filter", "0") {
        tracing::debug!(%error, "/proc/self/coredump_filter cannot be written: a core dump would hold what is in memory");
    }
}

pub(super) fn serve(arguments: &ServeArguments) -> Result<(), Failure> {
    let config = arguments.load()?;
    logging::start(config.log)?;
    keep_memory_out_of_core_dumps();
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let (data_dir, domains) = (config.data_dir.clone(), config.domains.clone());
    let before = remembered_domains(&data_dir).unwrap_or_default();
    for domain in before.iter().filter(|domain| !domains.contains(domain)) {
        tracing::warn!("{domain} was served at the last start and is not now: nobody of that domain can log in");
    }
    // Before anybody can know that the server is there.
    let mut signals = Signals::listen()?;
    let running = crate::start(config).map_err(|why| Failure::verbatim(&why))?;
    remember_domains(&data_dir, &domains);
    let started = running.started();
    say(&match started.first_admin {
        Some(_) => first_run::first_run_text(&started, &arguments.place.as_arguments()),
        None => first_run::start_text(&started),
    })?;
    let closing = running.closing();
    signals.wait(&closing, || reload(arguments, &running));
    tracing::info!("stopping");
    // Somebody who asks twice does not want to wait for farewells.
    std::thread::spawn(move || {
        signals.wait(&Closing::default(), || {});
        std::process::exit(1);
    });
    running.stop();
    match closing.ordered() {
        Some(Stop::Restart) => Err(begin_anew()),
        Some(Stop::ShutDown) | None => Ok(()),
    }
}

/// The same program with the same arguments takes the place of this one, which has closed everything. Returns only when that fails.
fn begin_anew() -> Failure {
    use std::os::unix::process::CommandExt;
    let mut arguments = std::env::args_os();
    let by_name = arguments.next().unwrap_or_else(|| "iris".into());
    let program = std::env::current_exe().unwrap_or_else(|_| by_name.into());
    let error = std::process::Command::new(&program).args(arguments).exec();
    Failure::new(format!("cannot start {} again: {error}", program.display()), "Start the server by hand.")
}

struct Signals {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, Failure> {
        let listen = || -> io::Result<Signals> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            let entered = runtime.enter();
            let interrupt = signal(SignalKind::interrupt())?;
            let terminate = signal(SignalKind::terminate())?;
            let hang_up = signal(SignalKind::hangup())?;
            drop(entered);
            Ok(Signals { runtime, interrupt, terminate, hang_up })
        };
        listen().map_err(|error| Failure::new(format!("cannot listen to signals: {error}"), ""))
    }

    /// Returns when the server has to stop.
    fn wait(&mut self, closing: &Closing, hung_up: impl Fn()) {
        let Signals { runtime, interrupt, terminate, hang_up } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => break,
                    _ = terminate.recv() => break,
                    () = closing.due() => break,
                    _ = hang_up.recv() => hung_up(),
                }
            }
        });
    }
}

/// A configuration with mistakes changes nothing.
fn reload(arguments: &ServeArguments, running: &crate::Running) {
    let loaded = arguments.load().map_err(|failure| failure.to_string());
    let reloaded = loaded.and_then(|config| {
        let log = config.log;
        running.reload(config).inspect(|_| logging::configured(log))
    });
    match reloaded {
        Ok(changed) if changed.is_empty() => tracing::info!("reloaded, nothing has changed"),
        Ok(changed) => tracing::info!("reloaded: {}", changed.join("; ")),
        Err(why) => tracing::error!("not reloaded, everything stays as it was: {why}"),
    }
}

/// Which domains this data belongs to, for whoever comes without a configuration: a typing error in a domain is then noticed also
/// while the server does not run, and a backup knows whose it is. No more than a convenience, so a failure is not one.
fn remember_domains(data_dir: &Path, domains: &[String]) {
    let _ = std::fs::write(data_dir.join(DOMAINS_FILE), domains.join("\n") + "\n");
}

/// Why a listener could not be opened, with what to do about it.
pub fn bind_error(listener: &Listener, error: &io::Error) -> String {
    let Listener { kind, address, .. } = listener;
    let kind = kind.name();
    let (why, remedy) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "another program has that port".to_owned(),
            "Stop it (is iris running already?), or listen elsewhere: --listen KIND=ADDRESS, or [[listen]] in the configuration.",
        ),
        io::ErrorKind::AddrNotAvailable => (
            "this machine does not have that address".to_owned(),
            "Correct the address, or write optional = true below its [[listen]].",
        ),
        io::ErrorKind::PermissionDenied => (
            "permission denied".to_owned(),
            "Ports below 1024 need the capability CAP_NET_BIND_SERVICE; ports above are free to all.",
        ),
        _ => (error.to_string(), ""),
    };
    operator_message(format!("cannot listen on {address} ({kind}): {why}"), remedy)
}
