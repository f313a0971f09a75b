//! `iris user export`: all accounts with their SCRAM keys, as `iris user import` reads them. Nobody's password is known, and
//! everybody keeps it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use iris_core::time;

use super::super::{Failure, Place, say};
use super::{open, refused};
use crate::cli::control::Admin;
use crate::config::parse_domain;

/// Accounts asked for at once: below a megabyte.
const PAGE: u32 = 500;

#[derive(Args)]
pub(in crate::cli) struct ExportArguments {
    /// Only the accounts of this domain
    domain: Option<String>,
    /// A new file, mode 0600 [without, or -: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

pub(super) fn export(arguments: &ExportArguments) -> Result<(), Failure> {
    let domain = arguments.domain.as_deref().map(parse_domain).transpose();
    let domain = domain.map_err(|why| Failure::new(why, "A domain looks like example.org."))?;
    let admin = open(&arguments.place, &[])?;
    match arguments.output.as_deref().filter(|path| *path != Path::new("-")) {
        None => match write(&*admin, domain.as_deref(), io::stdout().lock()) {
            Err(Stopped::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(why) => Err(why.failure("standard output")),
            Ok(_) => Ok(()),
        },
        Some(path) => {
            let shown = path.display().to_string();
            // Whoever reads it can guess at passwords.
            let file = File::options().write(true).create_new(true).mode(0o600).open(path);
            let file = file.map_err(|error| Stopped::Output(error).failure(&shown))?;
            let count = write(&*admin, domain.as_deref(), &file).map_err(|why| why.failure(&shown))?;
            file.sync_all().map_err(|error| Stopped::Output(error).failure(&shown))?;
            say(&format!("Wrote {count} accounts to {shown}. Whoever reads it can guess at passwords.\n"))
        }
    }
}

enum Stopped {
    Output(io::Error),
    House(String),
}

impl Stopped {
    fn failure(self, shown: &str) -> Failure {
        match self {
            Stopped::House(why) => refused(why, "user export"),
            Stopped::Output(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Failure::new(format!("{shown} is there already and was not touched"), "Name a new file.")
            }
            Stopped::Output(error) => Failure::new(format!("cannot write {shown}: {error}"), ""),
        }
    }
}

fn write(admin: &dyn Admin, domain: Option<&str>, out: impl Write) -> Result<usize, Stopped> {
    let failed = |error: csv::Error| Stopped::Output(io::Error::other(error));
    let mut table = csv::Writer::from_writer(out);
    table.write_record(["jid", "scram", "enabled", "created"]).map_err(failed)?;
    let (mut after, mut count) = (None, 0);
    loop {
        let page = admin.user_export(domain, after.as_deref(), PAGE).map_err(Stopped::House)?;
        let Some(last) = page.last() else { break };
        after = Some(last.jid.clone());
        count += page.len();
        for row in page {
            let created = time::datetime(row.created.saturating_mul(1_000_000));
            table.write_record([&row.jid, &row.scram, &row.enabled.to_string(), &created]).map_err(failed)?;
        }
    }
    table.flush().map_err(Stopped::Output)?;
    Ok(count)
}
