//! `iris export`: one user after the other, a part at a time.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use iris_core::xml::escape_attr;
use iris_xep::xep0227_portable::{NS, NS_MAM};

use crate::cli::control::{Admin, parse_account};
use crate::cli::users::{open, refused};
use crate::cli::{Failure, Place, say};
use crate::config::parse_domain;

const PAGE: u32 = 500;

#[derive(Args)]
pub(in crate::cli) struct ExportArguments {
    /// A new file, mode 0600; - for standard output
    file: PathBuf,
    /// The domain
    #[arg(long, value_name = "DOMAIN")]
    domain: String,
    #[command(flatten)]
    place: Place,
}

pub(in crate::cli) fn export(arguments: &ExportArguments) -> Result<(), Failure> {
    let ExportArguments { file, domain, place } = arguments;
    let domain = parse_domain(domain).map_err(|why| Failure::new(why, "A domain looks like example.org."))?;
    let admin = open(place, &[])?;
    if file == Path::new("-") {
        let mut out = BufWriter::new(io::stdout().lock());
        return match write(&*admin, &domain, &mut out) {
            Err(Stopped::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(why) => Err(why.failure("standard output")),
            Ok(_) => Ok(()),
        };
    }
    let shown = file.display().to_string();
    // The text's "Security Considerations": not for everybody.
    let new = File::options().write(true).create_new(true).mode(0o600).open(file);
    let mut out = BufWriter::new(new.map_err(|error| Stopped::Output(error).failure(&shown))?);
    let written = write(&*admin, &domain, &mut out).and_then(|count| {
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(Stopped::Output)?;
        Ok(count)
    });
    let counted = written.map_err(|why| {
        // Half an export looks like a whole one.
        let _ = fs::remove_file(file);
        why.failure(&shown)
    })?;
    let mut text = format!("Wrote {} accounts of {domain} to {shown}.\n", counted.users);
    text += "It holds messages, and keys to guess passwords with: keep it secret.\n";
    // The format has no place for them.
    text += "Files that they uploaded are not in it; copy those with: iris backup FOLDER\n";
    if counted.disabled > 0 {
        text += &format!("{} are disabled: their keys were left out, so nobody can log in.\n", counted.disabled);
    }
    say(&text)
}

#[derive(Default)]
struct Counted {
    users: usize,
    disabled: usize,
}

enum Stopped {
    Output(io::Error),
    House(String),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        Stopped::Output(error)
    }
}

impl Stopped {
    fn failure(self, shown: &str) -> Failure {
        match self {
            Stopped::House(why) => refused(why, "export"),
            Stopped::Output(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Failure::new(format!("{shown} is there already and was not touched"), "Name a new file.")
            }
            Stopped::Output(error) => Failure::new(format!("cannot write {shown}: {error}"), "Nothing was left there."),
        }
    }
}

fn write(admin: &dyn Admin, domain: &str, out: &mut impl Write) -> Result<Counted, Stopped> {
    write!(out, "<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='{NS}'>\n")?;
    writeln!(out, "<host jid='{}'>", escape_attr(domain))?;
    let (mut counted, mut after) = (Counted::default(), None);
    loop {
        let page = admin.user_export(Some(domain), after.as_deref(), PAGE).map_err(Stopped::House)?;
        let Some(last) = page.last() else { break };
        after = Some(last.jid.clone());
        for row in &page {
            counted.users += 1;
            counted.disabled += usize::from(!row.enabled);
            user(admin, &row.jid, row.enabled, out)?;
        }
    }
    writeln!(out, "</host>\n</server-data>")?;
    Ok(counted)
}

/// What the children of a `<user/>` stand in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    User,
    Offline,
    Archive,
}

fn user(admin: &dyn Admin, jid: &str, enabled: bool, out: &mut impl Write) -> Result<(), Stopped> {
    let jid = parse_account(jid).map_err(Stopped::House)?;
    let name = jid.node().map_or("", |node| node.as_str());
    writeln!(out, "<user name='{}'>", escape_attr(name))?;
    let (mut at, mut around) = (0, Around::User);
    loop {
        let piece = match admin.account_export(&jid, at) {
            Ok(piece) => piece,
            // Removed since the page was read.
            Err(why) if at == 0 && why.contains("there is no account") => break,
            Err(why) => return Err(Stopped::House(why)),
        };
        for child in &piece.children {
            if !enabled && child.starts_with("<scram-credentials") {
                continue;
            }
            let wanted = match child {
                child if child.starts_with("<message") => Around::Offline,
                child if child.starts_with("<result") => Around::Archive,
                _ => Around::User,
            };
            if wanted != around {
                close(around, out)?;
                match wanted {
                    Around::User => {}
                    Around::Offline => writeln!(out, "<offline-messages>")?,
                    Around::Archive => writeln!(out, "<archive xmlns='{NS_MAM}'>")?,
                }
                around = wanted;
            }
            writeln!(out, "{child}")?;
        }
        match piece.next {
            Some(next) => at = next,
            None => break,
        }
    }
    close(around, out)?;
    writeln!(out, "</user>")?;
    Ok(())
}

fn close(around: Around, out: &mut impl Write) -> io::Result<()> {
    match around {
        Around::User => Ok(()),
        Around::Offline => writeln!(out, "</offline-messages>"),
        Around::Archive => writeln!(out, "</archive>"),
    }
}
