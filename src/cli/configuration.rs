//! `iris init` and `iris check-config`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, say};
use crate::config::{Config, parse_domain, reference};

const FILE: &str = "iris.toml";

#[derive(Args)]
pub(super) struct InitArguments {
    /// The domain to serve: the part after the @ in juliet@example.org
    pub domain: String,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = FILE)]
    pub output: PathBuf,
}

/// Writes the file and says what comes next.
pub(super) fn init(arguments: &InitArguments) -> Result<(), Failure> {
    let domain = parse_domain(&arguments.domain)
        .map_err(|why| Failure::new(why, "A domain looks like `example.org`: iris init example.org"))?;
    let file = &arguments.output;
    write_new(file, &reference::production(&domain))?;
    say(&written_text(file, &domain))
}

fn written_text(file: &Path, domain: &str) -> String {
    let shown = file.display();
    let certs = file.parent().unwrap_or(Path::new("")).join("certs");
    let certs = certs.display();
    format!(
        "Wrote {shown}: {domain} on the ports 5222 (STARTTLS) and 5223 (TLS).\n\n\
         What to do next\n  \
         1. Put certificate and key there:\n       {certs}/{domain}.crt\n       {certs}/{domain}.key\n  \
         2. Check it:         iris check-config --config {shown}\n  \
         3. Make an account:  iris user add admin@{domain} --config {shown}\n  \
         4. Start:            iris serve --config {shown}\n"
    )
}

/// Never over a file that is there, not even one that appears at this moment.
fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    let shown = file.display();
    let written = OpenOptions::new().write(true).create_new(true).open(file).and_then(|mut f| f.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(
            format!("{shown} is there already and was not touched"),
            "Move it away, or write to another file with --output FILE.",
        ),
        _ => Failure::new(format!("cannot write {shown}: {error}"), "Choose another file with --output FILE."),
    })
}

#[derive(Args)]
pub(super) struct CheckArguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = FILE)]
    config: PathBuf,
}

pub(super) fn check(arguments: &CheckArguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config)?;
    let mut warnings = config.warnings();
    warnings.extend(crate::check(&config).map_err(|why| Failure::verbatim(&why))?);
    let listeners = config.listeners.len();
    let plural = if listeners == 1 { "" } else { "s" };
    let domains = config.domains.join(", ");
    let mut text = format!("{}: good. {listeners} listener{plural}, {domains}.\n", arguments.config.display());
    for warning in warnings {
        text += &crate::config::wrap::wrap(&format!("Warning: {warning}\n"), 0, 2);
        text.push('\n');
    }
    say(&text)
}
