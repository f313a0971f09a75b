//! `iris certs dev` and `iris certs show`.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use iris_net::certs::{CertError, Certificates, Leaf, Source, dev};

use super::{Failure, Place, say};
use crate::config::{Config, Overrides};

#[derive(Subcommand)]
pub(super) enum CertsCommand {
    /// Make a test CA and a certificate for each domain (never for production)
    Dev(DevArguments),
    /// Show the certificates in use: names and how long they are good
    Show(ShowArguments),
}

#[derive(Args)]
pub(super) struct DevArguments {
    #[command(flatten)]
    place: Place,
    /// A domain, instead of the configuration's; repeatable [without one: localhost]
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<String>,
}

#[derive(Args)]
pub(super) struct ShowArguments {
    #[command(flatten)]
    place: Place,
    /// A domain, instead of the configuration's; repeatable [without one: localhost]
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<String>,
}

pub(super) fn run(command: CertsCommand) -> Result<(), Failure> {
    match command {
        CertsCommand::Dev(arguments) => make(&load(&arguments.place, arguments.domains)?),
        CertsCommand::Show(arguments) => show(&load(&arguments.place, arguments.domains)?),
    }
}

fn load(place: &Place, domains: Vec<String>) -> Result<Config, Failure> {
    let mut config = place.load(Overrides { domains: domains.clone(), ..Overrides::default() })?;
    if place.config.is_none() && domains.is_empty() {
        // A house that has run knows its domains.
        if let Some(domains) = super::users::remembered_domains(&config.data_dir) {
            config.domains = domains;
        }
    }
    Ok(config)
}

fn make(config: &Config) -> Result<(), Failure> {
    let folder = config.test_certs_dir();
    let domains: Vec<&str> = config.domains.iter().map(String::as_str).collect();
    let created = dev::create(&folder, &domains).map_err(|error| {
        Failure::new(error, "Nothing was written. Certificates are never replaced: move the old folder away first.")
    })?;
    let mut text = format!("Test CA      {} (clients have to trust it)\n", created.ca.display());
    for source in &created.sources {
        text += &format!("Certificate  {}\n", source.chain.display());
    }
    say(&text)
}

fn folder(config: &Config) -> PathBuf {
    config.tls.certificates.clone().unwrap_or_else(|| config.test_certs_dir())
}

fn show(config: &Config) -> Result<(), Failure> {
    let folder = folder(config);
    let found: Result<Vec<Source>, CertError> = config.domains.iter().map(|domain| Source::find(&folder, domain)).collect();
    let missing = "Put a certificate there; for tests: iris certs dev.";
    let sources = found.map_err(|error| Failure::new(error, missing))?;
    let now = SystemTime::now();
    let (certificates, warnings) = Certificates::load(&sources, now).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(all.join("\n"), "")
    })?;
    let mut text = String::new();
    for leaf in certificates.leaves() {
        text += &describe(&leaf, now);
    }
    for warning in warnings {
        text += &format!("\n{}\n", crate::config::wrap::wrap(&format!("Warning: {warning}"), 0, 2));
    }
    say(&text)
}

fn describe(leaf: &Leaf, now: SystemTime) -> String {
    let days = leaf.days_left(now);
    let end = iris_core::time::datetime(u64::try_from(leaf.not_after).unwrap_or(0).saturating_mul(1_000_000));
    let date = end.get(..10).unwrap_or(&end);
    let left = match days {
        ..0 => format!("EXPIRED {} days ago", -days),
        0 => "ends today".to_owned(),
        1 => "1 day left".to_owned(),
        _ => format!("{days} days left"),
    };
    let names = crate::config::wrap::wrap(&leaf.names.join(", "), 0, 11);
    format!("{}\n  file     {}\n  names    {names}\n  expires  {date} ({left})\n", leaf.domain, leaf.file.display())
}
