//! Web Push: the key of the house, and the connector that speaks to push services.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use iris_connectors::push::{Policy, Push, Setup, Vapid};
use iris_core::ports::{WebPushed, WebPusher};
use iris_fetch::Trust;

use crate::cli::operator_message;
use crate::config::Config;

/// In the data folder: browsers have subscribed with it, so it lives as long as the data.
pub const KEY_FILE: &str = "vapid.key";

fn file(config: &Config) -> PathBuf {
    config.data_dir.join(KEY_FILE)
}

/// The key, if it was made and Web Push is on.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub fn existing(config: &Config) -> Result<Option<Vapid>, String> {
    if !config.web.push {
        return Ok(None);
    }
    let path = file(config);
    match std::fs::read(&path) {
        Ok(bytes) => match Vapid::of(&bytes) {
            Some(vapid) => Ok(Some(vapid)),
            None => Err(operator_message(
                format!("{}: that is no key", path.display()),
                "Restore it from a backup, or remove it: a new one is made, and browsers have to subscribe anew.",
            )),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(operator_message(format!("{}: {error}", path.display()), "")),
    }
}

/// The key of this house.
pub struct Key {
    pub vapid: Vapid,
    /// It was just made, and has to be kept (`keep`).
    pub new: Option<Vec<u8>>,
}

/// The key of this house, made if there is none.
///
/// # Errors
/// As `existing`; or there is no randomness.
pub fn key(config: &Config) -> Result<Option<Key>, String> {
    if !config.web.push {
        return Ok(None);
    }
    if let Some(vapid) = existing(config)? {
        return Ok(Some(Key { vapid, new: None }));
    }
    let bytes = Vapid::generate().ok_or("the system has no randomness")?;
    let vapid = Vapid::of(&bytes).ok_or("a key that was just made cannot be read")?;
    Ok(Some(Key { vapid, new: Some(bytes) }))
}

/// # Errors
/// The file cannot be written.
pub fn keep(config: &Config, bytes: &[u8]) -> Result<(), String> {
    let path = file(config);
    let kept = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    kept.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|error| operator_message(format!("{}: {error}", path.display()), ""))
}

/// Begin to speak to push services. `None`: this system has nobody whose certificates are believed.
///
/// # Errors
/// The authorities cannot be read, or the system has no thread.
pub fn start(config: &Config, vapid: Vapid) -> Result<Option<Push>, String> {
    let tls = match &config.web.push_authorities {
        Some(path) => Trust::Authorities(path).tls().map_err(|why| {
            operator_message(
                format!("web.push_authorities: {why}"),
                "It names a PEM file with certificates; without the key those of the system are believed.",
            )
        })?,
        None => match Trust::System.tls() {
            Ok(tls) => tls,
            Err(why) => {
                tracing::warn!(
                    why,
                    "browsers are not pushed to; web.push_authorities names authorities, web.push = false ends this"
                );
                return Ok(None);
            }
        },
    };
    let policy = Policy { hosts: config.web.push_hosts.clone(), addresses: config.web.push_addresses.clone() };
    Push::start(Setup { vapid, policy, tls }).map(Some).map_err(|error| format!("cannot start a thread: {error}"))
}

/// Where there is no connector.
pub fn nobody_pushes() -> WebPusher {
    Arc::new(|_, reply| reply(WebPushed::Later))
}
