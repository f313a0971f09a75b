//! `iris user import F.csv`: many accounts from a table (RFC 4180), all of them or none.
//!
//! The whole file is read and checked, also against the accounts that are there, before the first account is made. So a mistake in
//! line 9,000 is heard of at once, and nothing has to be undone. Every account is one write: kill -9 leaves it or not.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use iris_core::{BareJid, time};

use super::super::control::{Secret, UserImport, check_served, parse_account};
use super::super::first_run::new_password;
use super::super::{Failure, Place, say};
use super::{SHOWN_MAX, open_any, read_bulk, refused, scram};
use crate::config::wrap::wrap;

/// The columns of a file without a first line that names them.
const DEFAULT_COLUMNS: [Column; 2] = [Column::Jid, Column::Password];
/// Errors that a dry run shows: every one, so that a file is mended once.
const DRY_SHOWN_MAX: usize = usize::MAX;

#[derive(Args)]
pub(in crate::cli) struct ImportArguments {
    /// The table (RFC 4180, UTF-8); - for standard input
    ///
    /// The first line names the columns, in any order:
    ///   jid       the address, juliet@example.org (needed)
    ///   password  in clear
    ///   scram     instead of it: keys as `iris user export` writes them
    ///   enabled   true or false [default: true]
    ///   created   when the account was made, 2026-11-26T00:00:00Z
    /// A first line with an address is an account: the columns are jid,password.
    #[arg(value_name = "FILE", verbatim_doc_comment)]
    file: PathBuf,
    /// Check everything, name every bad line, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave bad lines out instead of importing nothing
    #[arg(long)]
    skip_bad: bool,
    /// Accounts that exist get the password and the state of the file (without: a bad line)
    #[arg(long)]
    update: bool,
    /// What a line with neither password nor scram means
    #[arg(long, value_enum, default_value_t = Missing::Error)]
    missing_password: Missing,
    /// With --missing-password generate: where the new passwords are written (mode 0600)
    #[arg(long, value_name = "FILE", required_if_eq("missing_password", "generate"))]
    passwords_to: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Missing {
    /// A bad line
    Error,
    /// An account that nobody can log in to before `iris user passwd`
    None,
    /// A random password
    Generate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Jid,
    Password,
    Scram,
    Enabled,
    Created,
}

impl Column {
    const ALL: [(&'static str, Column); 5] = [
        ("jid", Column::Jid),
        ("password", Column::Password),
        ("scram", Column::Scram),
        ("enabled", Column::Enabled),
        ("created", Column::Created),
    ];
}

/// What is wrong with one line: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Bad {
    pub line: u64,
    /// Empty: the whole line.
    pub column: &'static str,
    pub what: String,
    pub remedy: &'static str,
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let column = if self.column.is_empty() { String::new() } else { format!(", column {}", self.column) };
        let remedy = if self.remedy.is_empty() { String::new() } else { format!(". {}", self.remedy) };
        write!(f, "line {}{column}: {}{remedy}", self.line, self.what)
    }
}

pub(super) fn import(arguments: &ImportArguments) -> Result<(), Failure> {
    let ImportArguments { file, dry_run, skip_bad, update, missing_password, passwords_to, place } = arguments;
    let shown = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let bytes = read_bulk(file).map_err(|error| Failure::new(format!("cannot read {shown}: {error}"), ""))?;
    let mut parsed = parse(&bytes);
    let jids: Vec<&BareJid> = parsed.users.iter().map(|(_, user)| &user.jid.0).collect();
    let admin = open_any(place, &jids)?;
    let existing: HashSet<String> =
        admin.user_list(None).map_err(|why| refused(why, "user list"))?.into_iter().map(|row| row.jid).collect();
    let domains = admin.domains().map_err(|why| refused(why, "user import"))?;
    parsed.check_against(&existing, &domains, *update);
    let generated = parsed.fill(*missing_password, *update, &existing).map_err(|why| Failure::new(why, ""))?;
    let Parsed { users, mut bad } = parsed;
    bad.sort_by_key(|bad| bad.line);
    let (new, changed) = (users.iter().filter(|(_, user)| !existing.contains(user.jid.0.as_str())).count(), users.len());
    let changed = changed - new;
    if *dry_run {
        let text = format!("{}{}", listed(&shown, &bad, DRY_SHOWN_MAX), summary("would be", new, changed, bad.len()));
        return if bad.is_empty() { say(&text) } else { Err(Failure::verbatim(&text)) };
    }
    if !bad.is_empty() && !skip_bad {
        let end = "Nothing was imported. Mend these lines, or leave them out: --skip-bad.";
        return Err(Failure::verbatim(&format!("{}{end}", listed(&shown, &bad, SHOWN_MAX))));
    }
    if let Some(to) = passwords_to {
        // Before the accounts: what was generated must not be lost.
        write_passwords(to, &generated)?;
    }
    let (lines, users): (Vec<u64>, Vec<UserImport>) = users.into_iter().unzip();
    let results = admin.user_import_many(&users);
    let failed: Vec<Bad> = lines
        .into_iter()
        .zip(results)
        .filter_map(|(line, result)| Some(Bad { line, column: "", what: result.err()?, remedy: "" }))
        .collect();
    let skipped = bad.len();
    bad.extend(failed);
    if bad.len() == skipped {
        let text = format!("{}{}", listed(&shown, &bad, SHOWN_MAX), summary("were", new, changed, skipped));
        return say(&text);
    }
    let done = users.len() + skipped - bad.len();
    let end = format!("{done} accounts were imported, {} not. To go on after that: the same with --update.", bad.len());
    Err(Failure::verbatim(&format!("{}{}", listed(&shown, &bad, SHOWN_MAX), wrap(&end, 0, 0))))
}

fn summary(verb: &str, new: usize, changed: usize, skipped: usize) -> String {
    let changed = if changed > 0 { format!(", {changed} {verb} updated") } else { String::new() };
    let skipped = if skipped > 0 { format!(", {skipped} bad lines") } else { String::new() };
    format!("{new} accounts {verb} added{changed}{skipped}.\n")
}

fn listed(file: &str, bad: &[Bad], max: usize) -> String {
    let mut text = String::new();
    for bad in bad.iter().take(max) {
        text += &wrap(&format!("{file}, {bad}"), 0, 2);
        text.push('\n');
    }
    if let Some(more @ 1..) = bad.len().checked_sub(max) {
        text += &format!("and {more} more; --dry-run names them all.\n");
    }
    text
}

fn write_passwords(to: &Path, generated: &[(BareJid, String)]) -> Result<(), Failure> {
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::new(format!("cannot write {}: {error}", to.display()), "Nothing was imported. Name a new file.")
    };
    let file = File::options().write(true).create_new(true).mode(0o600).open(to).map_err(|error| cannot(&error))?;
    let mut table = csv::Writer::from_writer(file);
    table.write_record(["jid", "password"]).map_err(|error| cannot(&error))?;
    for (jid, password) in generated {
        table.write_record([jid.as_str(), password]).map_err(|error| cannot(&error))?;
    }
    let mut file = table.into_inner().map_err(|error| cannot(&error))?;
    file.flush().and_then(|()| file.sync_all()).map_err(|error| cannot(&error))
}

/// A file as far as it was understood.
#[derive(Default)]
pub(in crate::cli) struct Parsed {
    pub users: Vec<(u64, UserImport)>,
    pub bad: Vec<Bad>,
}

/// Without looking at any house.
pub(in crate::cli) fn parse(bytes: &[u8]) -> Parsed {
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (mut parsed, mut columns, mut seen, mut lines_before) = (Parsed::default(), None, HashMap::new(), 0);
    // A quote that is not closed takes the lines behind it for its field; they are lines all the same.
    while let Some((line, end)) = records(rest, lines_before, &mut columns, &mut seen, &mut parsed) {
        let what = "a quote is not closed".to_owned();
        parsed.bad.push(Bad { line, column: "", what, remedy: "A quote inside of \"quotes\" is written twice." });
        rest = rest.get(end..).unwrap_or_default();
        lines_before = line;
    }
    parsed
}

/// Until the end, or to a record of more than one line: its first line, and where that ends.
fn records(
    bytes: &[u8],
    lines_before: u64,
    columns: &mut Option<Vec<Column>>,
    seen: &mut HashMap<BareJid, u64>,
    parsed: &mut Parsed,
) -> Option<(u64, usize)> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => return None,
            Ok(true) => {}
            Err(error) => {
                let line = lines_before + error.position().map_or(0, csv::Position::line);
                parsed.bad.push(Bad { line, column: "", what: error.to_string(), remedy: "" });
                return None;
            }
        }
        let (begins, line) = record.position().map_or((0, 0), |at| line_of(at, bytes));
        let line = lines_before + line;
        if record.iter().any(has_swallowed) {
            let length = bytes.get(begins..).unwrap_or_default().iter().position(|byte| *byte == b'\n').unwrap_or(0);
            return Some((line, begins + length + 1));
        }
        // Programs leave a line of white space at the end.
        if record.len() == 1 && record.get(0).is_some_and(|field| field.trim_ascii().is_empty()) {
            continue;
        }
        if columns.is_none() {
            match header(&record, line) {
                Some(Ok(named)) => {
                    *columns = Some(named);
                    continue;
                }
                Some(Err(bad)) => {
                    parsed.bad.push(bad);
                    return None;
                }
                None => *columns = Some(DEFAULT_COLUMNS.to_vec()),
            }
        }
        match account(&record, line, columns.as_deref().unwrap_or(&DEFAULT_COLUMNS)) {
            Err(bad) => parsed.bad.push(bad),
            Ok(user) => match seen.insert(user.jid.0.clone(), line) {
                None => parsed.users.push((line, user)),
                Some(earlier) => {
                    seen.insert(user.jid.0.clone(), earlier);
                    let what = format!("{} is in line {earlier} already", user.jid.0);
                    parsed.bad.push(Bad { line, column: "jid", what, remedy: "Keep one of the two." });
                }
            },
        }
    }
}

/// A field may have several lines; accounts are not among them.
fn has_swallowed(field: &[u8]) -> bool {
    field.split(|byte| *byte == b'\n').skip(1).any(|line| line.contains(&b'@'))
}

/// Where a record begins, and in which line. The reader stands before line ends that it has yet to skip: blank lines, and the second
/// half of CR LF.
fn line_of(at: &csv::Position, bytes: &[u8]) -> (usize, u64) {
    let from = usize::try_from(at.byte()).unwrap_or(usize::MAX);
    let skipped = bytes.get(from..).unwrap_or_default().iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let (bytes, lines) = skipped.fold((0, 0), |(bytes, lines), byte| (bytes + 1, lines + u64::from(*byte == b'\n')));
    (from + bytes, at.line() + lines)
}

/// `None`: the first line is an account.
fn header(record: &csv::ByteRecord, line: u64) -> Option<Result<Vec<Column>, Bad>> {
    let names: Vec<String> = record.iter().map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase()).collect();
    if names.first().is_some_and(|first| first.contains('@')) {
        return None;
    }
    let known: Vec<&str> = Column::ALL.iter().map(|(name, _)| *name).collect();
    let bad = |what: String| Bad { line, column: "", what, remedy: "The first line names the columns: jid,password." };
    let mut columns = Vec::new();
    for name in &names {
        match Column::ALL.iter().find(|(known, _)| known == name) {
            Some((_, column)) if columns.contains(column) => return Some(Err(bad(format!("column {name} is there twice")))),
            Some((_, column)) => columns.push(*column),
            None => return Some(Err(bad(format!("{name:?} is no column; columns are {}", known.join(", "))))),
        }
    }
    if columns.contains(&Column::Jid) { Some(Ok(columns)) } else { Some(Err(bad("there is no column jid".to_owned()))) }
}

fn account(record: &csv::ByteRecord, line: u64, columns: &[Column]) -> Result<UserImport, Bad> {
    if record.len() != columns.len() {
        let what = format!("{} fields, but there are {} columns", record.len(), columns.len());
        return Err(Bad { line, column: "", what, remedy: "A field with a comma in it needs \"quotes\"." });
    }
    let field = |column: Column| -> Result<&str, Bad> {
        let name = Column::ALL.iter().find(|(_, it)| *it == column).map_or("", |(name, _)| *name);
        let bytes = columns.iter().position(|it| *it == column).and_then(|at| record.get(at)).unwrap_or_default();
        let not_text = |_| Bad { line, column: name, what: "not UTF-8".to_owned(), remedy: "Save the file as UTF-8." };
        std::str::from_utf8(bytes).map_err(not_text)
    };
    let bad = |column, what: String, remedy| Bad { line, column, what, remedy };
    let jid = parse_account(field(Column::Jid)?.trim())
        .map_err(|why| bad("jid", why, "An address looks like juliet@example.org."))?;
    let (password, keys) = (field(Column::Password)?, field(Column::Scram)?.trim());
    let secret = match (password.is_empty(), keys.is_empty()) {
        (true, true) => Secret::Nobody,
        (false, true) => Secret::Password(password.to_owned()),
        (true, false) => {
            use iris_engine::negotiate::sasl::Credentials;
            let checked = scram::parse(keys)
                .and_then(|records| Credentials::from_records(&records).map(drop).map_err(|why| why.to_string()));
            checked.map_err(|why| bad("scram", why, "Take what iris user export has written."))?;
            Secret::Scram(keys.to_owned())
        }
        (false, false) => {
            let remedy = "Keep one of the two; the other field is empty.";
            return Err(bad("scram", "there is a password as well".to_owned(), remedy));
        }
    };
    if let Secret::Password(password) = &secret {
        iris_engine::negotiate::sasl::check_password(password)
            .map_err(|why| bad("password", why.to_string(), "Choose another one."))?;
    }
    let enabled = match field(Column::Enabled)?.trim().to_ascii_lowercase().as_str() {
        "" | "true" | "1" | "yes" => true,
        "false" | "0" | "no" => false,
        other => return Err(bad("enabled", format!("{other:?} is neither true nor false"), "")),
    };
    let created = match field(Column::Created)?.trim() {
        "" => None,
        text => {
            let us = time::parse_datetime(text);
            let remedy = "A time looks like 2026-11-26T00:00:00Z.";
            Some(us.ok_or_else(|| bad("created", format!("{text:?} is no time"), remedy))? / 1_000_000)
        }
    };
    let jid = jid.into();
    Ok(UserImport { jid, secret, enabled, created, replace: false })
}

impl Parsed {
    fn check_against(&mut self, existing: &HashSet<String>, domains: &[String], update: bool) {
        let bad = &mut self.bad;
        self.users.retain_mut(|(line, user)| {
            let (jid, line) = (&user.jid.0, *line);
            if let Err(what) = check_served(jid, domains) {
                bad.push(Bad { line, column: "jid", what, remedy: "Add the domain to the configuration first." });
                return false;
            }
            let there = existing.contains(jid.as_str());
            user.replace = there;
            if there && !update {
                let what = format!("the account {jid} exists already");
                bad.push(Bad { line, column: "jid", what, remedy: "To change it: --update." });
                return false;
            }
            true
        });
    }

    /// What a line without a password means. The passwords that were made up.
    fn fill(&mut self, missing: Missing, update: bool, existing: &HashSet<String>) -> Result<Vec<(BareJid, String)>, String> {
        let (mut bad, mut generated, mut why) = (Vec::new(), Vec::new(), None);
        self.users.retain_mut(|(line, user)| {
            if user.secret != Secret::Nobody {
                return true;
            }
            if update && existing.contains(user.jid.0.as_str()) {
                user.secret = Secret::Keep;
                return true;
            }
            match missing {
                Missing::None => true,
                Missing::Error => {
                    let remedy = "Fill it in, or say what is meant: --missing-password none (or generate).";
                    bad.push(Bad { line: *line, column: "password", what: "there is no password".to_owned(), remedy });
                    false
                }
                Missing::Generate => match new_password() {
                    Ok(password) => {
                        generated.push((user.jid.0.clone(), password.clone()));
                        user.secret = Secret::Generated(password);
                        true
                    }
                    Err(error) => {
                        why = Some(error);
                        false
                    }
                },
            }
        });
        self.bad.append(&mut bad);
        why.map_or(Ok(generated), Err)
    }
}
