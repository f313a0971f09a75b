//! Mail: what the connector is told, and the connector that is in force.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use iris_connectors::smtp::{Counters, Login, Security, Server, Setup, Smtp};
use iris_core::mailing::Mailing;
use iris_core::ports::{Mailed, Mailer};
use iris_fetch::Trust;

use crate::cli::operator_message;
use crate::config::Config;

/// A password is no longer; what is larger is another file.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// What rooms are told; `None`: there is no mail.
pub fn rules(config: &Config) -> Option<Arc<Mailing>> {
    let mail = &config.mail;
    mail.server.as_ref()?;
    let size_bytes_max = usize::try_from(mail.size_bytes_max).unwrap_or(usize::MAX);
    Some(Arc::new(Mailing::new(mail.recipients(&config.domains), mail.conversations_per_day_max, size_bytes_max)))
}

/// The mail server as the configuration and the files that it names say; `None`: there is none.
///
/// # Errors
/// A file that cannot be read, or holds something else.
pub fn server(config: &Config) -> Result<Option<Server>, String> {
    let mail = &config.mail;
    let Some(address) = mail.server.clone() else { return Ok(None) };
    let login = match (&mail.username, &mail.password_file) {
        (Some(username), Some(file)) => Some(Login { username: username.clone(), password: password(file)? }),
        _ => None,
    };
    let tls = match (address.security, &mail.authorities) {
        (Security::None, _) => None,
        (_, Some(path)) => Some(Trust::Authorities(path).tls().map_err(|why| {
            operator_message(
                format!("mail.authorities: {why}"),
                "It names a PEM file with certificates; without the key those of the system are believed.",
            )
        })?),
        (_, None) => Some(Trust::System.tls().map_err(|why| {
            operator_message(
                format!("mail.server: {why}"),
                "Install the system's (ca-certificates), or name a file: mail.authorities.",
            )
        })?),
    };
    Ok(Some(Server { address, login, tls: tls.map(Arc::new) }))
}

/// How the house calls itself to a mail server.
pub fn own_name(config: &Config) -> String {
    let name = config.domains.first().map(|domain| idna::domain_to_ascii(domain).unwrap_or_default());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// The file with the password, if it is not for this user alone.
pub fn readable_by_others(config: &Config) -> Option<&Path> {
    use std::os::unix::fs::PermissionsExt;
    let file = config.mail.password_file.as_deref()?;
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    (mode & 0o004 != 0).then_some(file)
}

fn password(file: &Path) -> Result<String, String> {
    let at = |why: &dyn std::fmt::Display| format!("mail.password_file: {}: {why}", file.display());
    let remedy = "It holds the password of mail.username and nothing else.";
    let bytes = std::fs::read(file).map_err(|why| operator_message(at(&why), remedy))?;
    let text = String::from_utf8(bytes).ok().map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
    // RFC 4616 2: no NUL; and a second line is a mistake.
    let good = text.filter(|text| !text.is_empty() && text.len() <= PASSWORD_BYTES_MAX && !text.chars().any(char::is_control));
    good.ok_or_else(|| operator_message(at(&"that is no password in one line"), remedy))
}

/// The connector in force, as ports and reloads see it.
#[derive(Default)]
pub struct Post {
    smtp: Mutex<Option<Smtp>>,
    counters: Arc<Counters>,
}

impl Post {
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// The connector for this configuration, if there is mail.
    ///
    /// # Errors
    /// As `server`; or the system has no thread.
    pub fn prepare(&self, config: &Config) -> Result<Option<Smtp>, String> {
        let (Some(server), Some(sender)) = (server(config)?, config.mail.from.clone()) else { return Ok(None) };
        let setup = Setup { server, sender, name: own_name(config), counters: self.counters.clone() };
        Smtp::start(setup).map(Some).map_err(|error| format!("cannot start a thread: {error}"))
    }

    /// It takes what comes from now on; what is underway ends as it began.
    pub fn install(&self, smtp: Option<Smtp>) {
        let old = std::mem::replace(&mut *self.smtp.lock().unwrap_or_else(PoisonError::into_inner), smtp);
        old.into_iter().for_each(Smtp::retire);
    }

    pub fn port(self: &Arc<Self>) -> Mailer {
        let post = self.clone();
        Arc::new(move |mail, reply| {
            let port = post.smtp.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Smtp::port);
            match port {
                Some(port) => port(mail, reply),
                None => reply(Mailed::Unreachable),
            }
        })
    }

    /// The house closes: of what is underway nobody knows.
    pub fn close(&self) {
        let smtp = self.smtp.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(smtp);
    }
}

/// In a house that is not open.
pub fn nobody_mails() -> Mailer {
    Arc::new(|_, reply| reply(Mailed::Unreachable))
}
