//! The command line: one file for each command. Errors of the operator end in one message and exit code 2.

mod backup;
mod certs;
mod configuration;
pub mod control;
mod doctor;
pub mod first_run;
mod invite;
mod log;
mod logging;
mod migration;
mod password;
mod reports;
mod serve;
#[cfg(test)]
mod tests;
mod users;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::wrap::wrap;
use crate::config::{Config, ConfigError, DEFAULT_DATA_DIR, Overrides};

pub(crate) use logging::change as log_filter;
pub use serve::bind_error;
pub(crate) use users::scram;

/// Something only the operator can put right.
const OPERATOR_ERROR: u8 = 2;

#[derive(Parser)]
#[command(
    name = "iris",
    version,
    about = "Iris, an XMPP server",
    long_about = "Iris, an XMPP server.\n\nWithout a command: iris serve, for the domain localhost, on loopback, with its data in \
                  ./data.",
    args_conflicts_with_subcommands = true,
    max_term_width = 80
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server (this is also what iris does without a command)
    Serve(serve::ServeArguments),
    /// Write a commented configuration for production
    Init(configuration::InitArguments),
    /// Read a configuration and say what is wrong with it
    CheckConfig(configuration::CheckArguments),
    /// Print all settings with their defaults
    ConfigReference,
    /// Add, list, change and remove accounts, whether the server runs or not
    #[command(subcommand)]
    User(users::UserCommand),
    /// Show what people have reported as spam and abuse
    Reports(reports::ReportsArguments),
    /// Invite somebody: a link, and a QR code of it; list and revoke
    Invite(invite::InviteArguments),
    /// Look at ports, DNS, certificates, disk, clock, limits; say what to do
    Doctor(doctor::DoctorArguments),
    /// Copy everything to a new folder, while the server runs or not
    Backup(backup::BackupArguments),
    /// Put a backup into a new data folder
    Restore(backup::RestoreArguments),
    /// Write a domain in the portable format (XEP-0227): accounts, rosters, messages
    Export(migration::ExportArguments),
    /// Take in a domain from another server, in the portable format (XEP-0227)
    Import(migration::ImportArguments),
    /// Certificates: make some for tests, show those in use
    #[command(subcommand)]
    Certs(certs::CertsCommand),
    /// Show or change what the running server logs, until it is restarted
    Log(log::LogArguments),
    /// Print the description of this program as DOAP (XML)
    Doap,
    /// Print the table of supported XEPs (Markdown)
    XepTable,
}

/// Which house is meant.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Place {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data folder, instead of the configuration's [without one: data]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
}

impl Place {
    /// The configuration file with the command line's wishes on top; without a file, the defaults.
    pub fn load(&self, mut overrides: Overrides) -> Result<Config, ConfigError> {
        overrides.data_dir.clone_from(&self.data_dir);
        match &self.config {
            Some(file) => Config::load_with(file, &overrides),
            None => Config::without_file(&overrides),
        }
    }

    /// What a command needs to mean the same house again: for text that suggests one.
    pub fn as_arguments(&self) -> String {
        let mut text = String::new();
        if let Some(file) = &self.config {
            text += &format!(" --config {}", file.display());
        }
        if let Some(folder) = self.data_dir.as_ref().filter(|folder| **folder != *DEFAULT_DATA_DIR) {
            text += &format!(" --data-dir {}", folder.display());
        }
        text
    }
}

/// Why a command ends without having done its work.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
}

impl Failure {
    /// What is wrong, and what to do about it (may be empty).
    pub fn new(what: impl Display, remedy: impl Display) -> Failure {
        Failure { message: operator_message(what, remedy) }
    }

    /// A message that is complete already.
    pub fn verbatim(message: &str) -> Failure {
        Failure { message: message.trim_end().to_owned() }
    }
}

/// A message for the operator, as every command ends with when it cannot do its work: what is wrong, and what to do about it
/// (may be empty), in lines of 80 columns.
pub fn operator_message(what: impl Display, remedy: impl Display) -> String {
    let (what, remedy) = (wrap(&format!("iris: {what}"), 0, 2), remedy.to_string());
    if remedy.is_empty() { what } else { format!("{what}\n{}", wrap(&remedy, 2, 2)) }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        let prefix = if error.has_file() { "" } else { "iris: " };
        Failure { message: format!("{prefix}{error}") }
    }
}

/// `--config` and `--data-dir` say which house is meant, before a command as well as behind it. clap knows them there only: before a
/// command stand the options of `iris serve`, which no other command takes.
fn place_behind(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let mut at = 1;
    loop {
        match arguments.get(at).and_then(|argument| argument.to_str()) {
            Some("--config" | "--data-dir") => at += 2,
            Some(argument) if argument.starts_with("--config=") || argument.starts_with("--data-dir=") => at += 1,
            _ => break,
        }
    }
    if arguments.get(at).is_some_and(|command| Arguments::command().find_subcommand(command).is_some()) {
        let place: Vec<OsString> = arguments.drain(1..at).collect();
        let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
        arguments.splice(end..end, place);
    }
    arguments
}

/// Runs the command that the arguments name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(place_behind(arguments.into_iter().collect())) {
        Ok(arguments) => arguments,
        Err(error) => {
            // The exit code of clap for misuse is 2 as well.
            let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let _ = error.print();
            return if help { ExitCode::SUCCESS } else { ExitCode::from(OPERATOR_ERROR) };
        }
    };
    let done = match arguments.command {
        None => serve::serve(&arguments.serve),
        Some(Command::Serve(arguments)) => serve::serve(&arguments),
        Some(Command::Init(arguments)) => configuration::init(&arguments),
        Some(Command::CheckConfig(arguments)) => configuration::check(&arguments),
        Some(Command::ConfigReference) => say(&crate::config::reference::reference(&crate::references())),
        Some(Command::User(command)) => users::run(command),
        Some(Command::Reports(arguments)) => reports::reports(&arguments),
        Some(Command::Invite(arguments)) => invite::run(arguments),
        Some(Command::Certs(command)) => certs::run(command),
        Some(Command::Doctor(arguments)) => doctor::doctor(&arguments),
        Some(Command::Backup(arguments)) => backup::backup(&arguments),
        Some(Command::Restore(arguments)) => backup::restore(&arguments),
        Some(Command::Export(arguments)) => migration::export(&arguments),
        Some(Command::Import(arguments)) => migration::import(&arguments),
        Some(Command::Log(arguments)) => log::log(&arguments),
        Some(Command::Doap) => say(&crate::doap()),
        Some(Command::XepTable) => say(&crate::xep_table()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::from(OPERATOR_ERROR)
        }
    }
}

/// To standard output, at once; a reader that went away (`iris doap | head`) is no error.
fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    match write!(out, "{text}{end}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to standard output: {error}"), ""))
        }
        _ => Ok(()),
    }
}
