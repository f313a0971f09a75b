//! `[mail]`: the mail server that the house hands mails to, and what users may have sent.

use std::path::PathBuf;

use iris_connectors::smtp::{Address, Sender};
use iris_core::mailing::Domain;

use super::Config;
use super::error::Problem;
use super::keys::Key;
use super::reader::Reading;
use super::values::{self, Given};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// `None`: there is no mail.
    pub server: Option<Address>,
    pub username: Option<String>,
    pub password_file: Option<PathBuf>,
    /// Who issues the certificate of the server; `None`: whom the system believes.
    pub authorities: Option<PathBuf>,
    pub from: Option<Sender>,
    /// `None`: the domains of the house.
    pub recipients: Option<Vec<String>>,
    pub conversations_per_day_max: u32,
    pub size_bytes_max: u64,
}

impl Default for Mail {
    fn default() -> Mail {
        Mail {
            server: None,
            username: None,
            password_file: None,
            authorities: None,
            from: None,
            recipients: None,
            conversations_per_day_max: 20,
            size_bytes_max: 10 << 20,
        }
    }
}

pub(super) const ABOUT: &str = "The mail server that iris hands mails to. With it users have a conversation sent to themselves as a text file; \
                                without server there is no mail.";

pub(super) const KEYS: &[Key<Config>] = &[
    Key {
        name: "server",
        about: "smtps://HOST (port 465) or smtp://HOST (STARTTLS, port 587); :PORT behind it is another one. smtp-plain://localhost:25 for \
                one on this machine that has no TLS.",
        set: |config, given| {
            config.mail.server = Some(server(given)?);
            Ok(())
        },
        show: |_| None,
        example: "\"smtps://mail.example.org\"",
    },
    Key {
        name: "username",
        about: "How iris logs in there; without, it does not.",
        set: |config, given| {
            config.mail.username = Some(filled(given, "a name")?);
            Ok(())
        },
        show: |config| config.mail.username.as_deref().map(values::show_string),
        example: "\"iris\"",
    },
    Key {
        name: "password_file",
        about: "A file with the password of username and nothing else, read at the start and by SIGHUP. Nobody but the server should be \
                able to read it.",
        set: |config, given| {
            config.mail.password_file = Some(PathBuf::from(filled(given, "a file")?));
            Ok(())
        },
        show: |config| config.mail.password_file.as_ref().map(|path| values::show_string(&path.to_string_lossy())),
        example: "\"mail.password\"",
    },
    Key {
        name: "authorities",
        about: "A PEM file of those who issue the certificate of the mail server, instead of the system's.",
        set: |config, given| {
            config.mail.authorities = Some(PathBuf::from(filled(given, "a file")?));
            Ok(())
        },
        show: |config| config.mail.authorities.as_ref().map(|path| values::show_string(&path.to_string_lossy())),
        example: "\"mail-ca.crt\"",
    },
    Key {
        name: "from",
        about: "Whom the mails are from; what cannot be delivered comes back there.",
        set: |config, given| {
            config.mail.from = Some(sender(given)?);
            Ok(())
        },
        show: |_| None,
        example: "\"Iris <iris@example.org>\"",
    },
    Key {
        name: "recipients",
        about: "The domains that mails are sent to. Without this key: domains. Whoever has an account could write to everybody in a domain \
                that stands here.",
        set: |config, given| {
            config.mail.recipients = Some(values::list(given, "a list of domains", values::domain)?);
            Ok(())
        },
        show: |config| config.mail.recipients.as_ref().map(|domains| values::show_list(domains.iter().cloned())),
        example: "[\"example.org\"]",
    },
    Key {
        name: "conversations_per_day_max",
        about: "Conversations that one user may have sent in a day (UTC).",
        set: |config, given| {
            config.mail.conversations_per_day_max = u32::try_from(values::count(given, 1, 10_000)?).unwrap_or(u32::MAX);
            Ok(())
        },
        show: |config| Some(config.mail.conversations_per_day_max.to_string()),
        example: "",
    },
    Key {
        name: "size_bytes_max",
        about: "The largest text that is sent. In a mail it is a third larger; eight may be made at once, each in memory.",
        set: |config, given| {
            config.mail.size_bytes_max = values::size(given, 16 << 10, 100 << 20)?;
            Ok(())
        },
        show: |config| Some(values::show_size(config.mail.size_bytes_max)),
        example: "",
    },
];

impl Mail {
    /// Domains that mails are sent to, as people write them and in ASCII.
    pub fn recipients(&self, domains: &[String]) -> Vec<Domain> {
        let names = self.recipients.as_deref().unwrap_or(domains);
        names
            .iter()
            .map(|name| Domain { name: name.clone(), ascii: idna::domain_to_ascii(name).unwrap_or_else(|_| name.clone()) })
            .collect()
    }
}

fn filled(given: &Given<'_>, expected: &str) -> Result<String, Problem> {
    let text = values::string(given, expected)?;
    match text.is_empty() || text.chars().any(char::is_control) {
        true => Err(values::unexpected(given, expected)),
        false => Ok(text.to_owned()),
    }
}

fn server(given: &Given<'_>) -> Result<Address, Problem> {
    let expected = "an address like \"smtps://mail.example.org\"";
    // What is wrong may be a password in it, so it is not repeated.
    let text = values::string(given, expected)?;
    Address::parse(text).map_err(|why| Problem::new(Some(given.span()), format!("expected {expected}: {why}"), REMEDY))
}

const REMEDY: &str = "smtps://HOST is TLS from the beginning (port 465), smtp://HOST is STARTTLS (port 587).";

fn sender(given: &Given<'_>) -> Result<Sender, Problem> {
    let expected = "an address like \"Iris <iris@example.org>\"";
    Sender::parse(values::string(given, expected)?).ok_or_else(|| values::unexpected(given, expected))
}

pub(super) fn check(config: &Config, reading: &mut Reading) {
    let Mail { server, username, password_file, from, recipients, .. } = &config.mail;
    if server.is_some() && from.is_none() {
        let remedy = "Add from = \"Iris <iris@example.org>\" to [mail], an address that your mail server sends for.";
        reading.report(reading.place("mail.server"), "there is a mail server, and nobody whom mails are from", remedy);
    }
    if server.is_none() {
        let unused = ["username", "password_file", "authorities", "from", "recipients"].map(|key| format!("mail.{key}"));
        if let Some(place) = unused.iter().find_map(|key| reading.place(key)) {
            let remedy = "Add server = \"smtps://mail.example.org\" to [mail], or remove the table.";
            reading.report(Some(place), "[mail] has no server", remedy);
        }
    }
    if recipients.as_ref().is_some_and(Vec::is_empty) {
        let remedy = "Name at least one, or remove the key: then it is the domains served here.";
        reading.report(
            reading.place("mail.recipients"),
            "mail.recipients: there is none, so nobody could be written to",
            remedy,
        );
    }
    let half = match (username, password_file) {
        (Some(_), None) => Some(("mail.username", "there is no password_file beside it")),
        (None, Some(_)) => Some(("mail.password_file", "there is no username beside it")),
        _ => None,
    };
    if let Some((place, what)) = half {
        reading.report(reading.place(place), what, "Name both, or neither if the mail server wants no login.");
    }
}
