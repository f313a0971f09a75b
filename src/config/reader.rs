//! Text to values: walks the file along the list of keys and remembers where each value stands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use super::error::{Problem, closest, remedy_for_unknown};
use super::keys::{self, Key, LISTEN_KEYS, ListenTable, SECTIONS, Section};
use super::values::{self, Given};
use super::{Config, Listener, Overrides, default_admins, parse_domain};

/// What was found, and where.
#[derive(Default)]
pub(super) struct Reading {
    pub problems: Vec<Problem>,
    /// `accounts.admins`, `domains[1]` -> its place in the file. A key is here if and only if the file has it.
    places: BTreeMap<String, Range<usize>>,
    /// Of each listener in `Config::listeners`, when they come from the file.
    pub listener_places: Vec<Option<Range<usize>>>,
}

impl Reading {
    pub fn place(&self, path: &str) -> Option<Range<usize>> {
        self.places.get(path).cloned()
    }

    pub fn report(&mut self, place: Option<Range<usize>>, message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem::new(place, message, remedy));
    }

    fn remember(&mut self, path: String, value: &Given<'_>) {
        for (i, element) in value.get_ref().as_array().into_iter().flatten().enumerate() {
            self.places.insert(format!("{path}[{i}]"), element.span());
        }
        self.places.insert(path, value.span());
    }

    /// Everything that depends on more than one key or on the command line.
    pub fn finish(&mut self, config: &mut Config, overrides: &Overrides) {
        let folder = config.source.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        if self.places.contains_key("data_dir") {
            config.data_dir = folder.join(&config.data_dir);
        } else if config.source.file.is_some() {
            config.data_dir = folder.join(super::DEFAULT_DATA_DIR);
        }
        if let Some(data_dir) = &overrides.data_dir {
            config.data_dir.clone_from(data_dir);
        }
        let (tls, s3, push) = (&mut config.tls, &mut config.files.s3.authorities, &mut config.web.push_authorities);
        let mail = &mut config.mail;
        for path in [
            &mut tls.certificates,
            &mut tls.client_ca,
            &mut tls.client_crl,
            s3,
            push,
            &mut mail.password_file,
            &mut mail.authorities,
            &mut config.federation.authorities,
        ] {
            *path = path.take().map(|path| folder.join(path));
        }
        config.dev |= overrides.dev;
        if !overrides.domains.is_empty() {
            self.places.retain(|path, _| !path.starts_with("domains"));
            config.domains.clear();
            for domain in &overrides.domains {
                match parse_domain(domain) {
                    Ok(domain) => config.domains.push(domain),
                    Err(why) => self.report(None, why, "A domain looks like `example.org`."),
                }
            }
        }
        if !overrides.listeners.is_empty() {
            config.listeners.clone_from(&overrides.listeners);
            self.listener_places.clear();
        }
        if !self.places.contains_key("accounts.admins") {
            config.accounts.admins = config.domains.first().map(|domain| default_admins(domain)).unwrap_or_default();
        }
    }
}

/// Reads `config.source.text` into `config`.
pub(super) fn read(config: &mut Config) -> Reading {
    let mut reading = Reading::default();
    let text = std::mem::take(&mut config.source.text);
    let (table, errors) = DeTable::parse_recoverable(&text);
    if errors.is_empty() {
        read_top(config, table.get_ref(), &mut reading);
    }
    for error in errors {
        let message = error.message().lines().map(str::trim).collect::<Vec<_>>().join(", ");
        reading.report(error.span(), format!("this is not TOML: {message}"), "");
    }
    config.source.text = text;
    reading
}

fn read_top(config: &mut Config, top: &DeTable<'_>, reading: &mut Reading) {
    let tables = || {
        SECTIONS.iter().map(|section| section.name).filter(|name| !name.is_empty()).chain([
            keys::LISTEN,
            keys::PLANS,
            keys::XEP,
        ])
    };
    let (mut plain, mut tables_given) = (Vec::new(), Vec::new());
    for (name, value) in top {
        match tables().any(|table| table == name.get_ref()) {
            true => tables_given.push((name, value)),
            false => plain.push((name, value)),
        }
    }
    for section in SECTIONS {
        if section.name.is_empty() {
            let known: Vec<&str> = section.keys.iter().map(|key| key.name).chain(tables()).collect();
            read_keys(config, section.keys, &plain, "", &known, reading);
        } else if let Some((_, value)) = tables_given.iter().find(|(name, _)| name.get_ref() == section.name) {
            read_section(config, section, value, reading);
        }
    }
    for (name, value) in tables_given {
        match name.get_ref().as_ref() {
            keys::LISTEN => read_listeners(config, value, reading),
            keys::XEP => check_rooms(value, reading),
            _ => {}
        }
    }
}

type Entry<'a, 'b> = (&'a Spanned<std::borrow::Cow<'b, str>>, &'a Given<'b>);

fn read_section(config: &mut Config, section: &Section, value: &Given<'_>, reading: &mut Reading) {
    let Some(table) = value.get_ref().as_table() else {
        return reading.problems.push(expected_table(value, &format!("[{}]", section.name)));
    };
    let entries: Vec<Entry<'_, '_>> = table.iter().collect();
    let known: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
    read_keys(config, section.keys, &entries, section.name, &known, reading);
}

fn expected_table(value: &Given<'_>, header: &str) -> Problem {
    let mut problem = values::unexpected(value, &format!("a table {header}"));
    problem.remedy = format!("Write {header} on a line of its own and the keys below it.");
    problem
}

fn read_keys<T>(
    target: &mut T,
    keys: &[Key<T>],
    entries: &[Entry<'_, '_>],
    section: &str,
    known: &[&str],
    reading: &mut Reading,
) {
    for (name, value) in entries {
        let text = name.get_ref().as_ref();
        match keys.iter().find(|key| key.name == text) {
            None => reading.problems.push(unknown_key(name, section, known)),
            Some(key) => {
                let dot = if section.is_empty() { "" } else { "." };
                reading.remember(format!("{section}{dot}{text}"), value);
                if let Err(mut problem) = (key.set)(target, value) {
                    problem.message = format!("{}: {}", key.name, problem.message);
                    reading.problems.push(problem);
                }
            }
        }
    }
}

fn unknown_key(name: &Spanned<std::borrow::Cow<'_, str>>, section: &str, known: &[&str]) -> Problem {
    let text = name.get_ref().as_ref();
    let message = match section {
        "" => format!("unknown key or table {text:?}"),
        _ if section.starts_with(keys::LISTEN) => format!("unknown key {text:?} in [[listen]]"),
        _ => format!("unknown key {text:?} in [{section}]"),
    };
    // A right key in the wrong table is the commonest mistake after a typing error.
    let elsewhere = SECTIONS.iter().find(|other| other.name != section && other.keys.iter().any(|key| key.name == text));
    let remedy = match elsewhere {
        _ if closest(text, known).is_some() => remedy_for_unknown(text, known),
        Some(Section { name: "", .. }) => format!("{text:?} belongs to the top of the file, before the first [table]."),
        Some(other) => format!("{text:?} belongs to the table [{}].", other.name),
        None => remedy_for_unknown(text, known),
    };
    Problem::new(Some(name.span()), message, remedy)
}

fn read_listeners(config: &mut Config, value: &Given<'_>, reading: &mut Reading) {
    let Some(tables) = value.get_ref().as_array() else {
        let mut problem = values::unexpected(value, "a list of tables [[listen]]");
        "Write [[listen]] with two brackets on each side: there may be several.".clone_into(&mut problem.remedy);
        return reading.problems.push(problem);
    };
    config.listeners.clear();
    let known: Vec<&str> = LISTEN_KEYS.iter().map(|key| key.name).collect();
    for (i, element) in tables.iter().enumerate() {
        let Some(table) = element.get_ref().as_table() else {
            reading.problems.push(expected_table(element, "[[listen]]"));
            continue;
        };
        let section = format!("{}[{i}]", keys::LISTEN);
        let mut listen = ListenTable::default();
        let entries: Vec<Entry<'_, '_>> = table.iter().collect();
        let problems_before = reading.problems.len();
        read_keys(&mut listen, LISTEN_KEYS, &entries, &section, &known, reading);
        if reading.problems.len() > problems_before {
            continue;
        }
        let place = Some(element.span());
        let Some(kind) = listen.kind else {
            reading.report(place, "this [[listen]] has no kind", "Add kind = \"c2s\", \"c2s-tls\" or \"https\".");
            continue;
        };
        if listen.addresses.is_empty() {
            reading.report(place, "this [[listen]] has no address", "Add address = \"127.0.0.1:5222\", for example.");
        }
        let many = listen.addresses.len() > 1;
        for (j, address) in listen.addresses.into_iter().enumerate() {
            let ListenTable { unlimited, optional, web, proxy_protocol, .. } = listen;
            config.listeners.push(Listener { kind, address, unlimited, optional, web, proxy_protocol });
            let path = if many { format!("{section}.address[{j}]") } else { format!("{section}.address") };
            let place = reading.place(&path);
            reading.listener_places.push(place);
        }
    }
}

/// The rooms read their tables themselves; here only what no room could say.
fn check_rooms(value: &Given<'_>, reading: &mut Reading) {
    let Some(tables) = value.get_ref().as_table() else {
        return reading.problems.push(expected_table(value, "[xep.NAME]"));
    };
    for (name, table) in tables.iter().filter(|(_, table)| !table.get_ref().is_table()) {
        let mut problem = values::unexpected(table, "a table");
        problem.message = format!("xep.{}: {}", name.get_ref(), problem.message);
        "Settings of an extension stand in a table [xep.NAME]; see `iris config-reference`.".clone_into(&mut problem.remedy);
        reading.problems.push(problem);
    }
}
