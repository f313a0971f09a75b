//! XEP-0480: a client that knows the password helps to make keys that the account lacks, inside SASL2.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use iris_core::effects::StreamError;
use iris_core::xml::El;
use iris_core::{Stanza, ns};
use zeroize::Zeroizing;

use super::attempt::{By, Proved, encode};
use super::sasl::{Credentials, Hash, SALT_SIZE_BYTES, SaslError};
use super::sasl2::{self, Request, decode};
use super::{Action, Env, Negotiator, State};

pub(super) const NS: &str = "urn:xmpp:sasl:upgrade:0";
const SCRAM: &str = "urn:xmpp:scram-upgrade:0";

/// What an upgrade is offered to. Not SHA-1: nothing gets better by it.
pub(super) const HASHES: [Hash; 2] = [Hash::Sha256, Hash::Sha512];

pub(super) fn task(hash: Hash) -> String {
    format!("UPGR-SCRAM-{}", hash.name())
}

/// The tasks that a client selects, each once.
pub(super) fn wanted(authenticate: &El<'_>) -> Vec<Hash> {
    let mut wanted = Vec::new();
    for upgrade in authenticate.children().filter(|child| child.is(NS, "upgrade")) {
        let named = HASHES.into_iter().find(|hash| task(*hash) == upgrade.text().trim());
        wanted.extend(named.filter(|hash| !wanted.contains(hash)));
    }
    wanted
}

/// What is to be done, one task after the other.
#[derive(Debug)]
pub(super) struct Due {
    /// As the account has it now.
    record: Bytes,
    credentials: Credentials,
    tasks: VecDeque<Hash>,
}

/// Authenticated by the password; nobody is in before the tasks are done.
#[derive(Debug)]
pub(super) struct Upgrading {
    request: Request,
    proved: Proved,
    due: Due,
    /// The salt of the task that was begun.
    salt: Option<[u8; SALT_SIZE_BYTES]>,
}

/// Is there anything to upgrade? What a client selects and the account has already is skipped.
pub(super) fn due(request: &Request, proved: &mut Proved) -> Option<Due> {
    let By::Password(found) = &mut proved.by else { return None };
    let found = found.take()?;
    let tasks: VecDeque<Hash> = request.upgrades.iter().filter(|hash| !found.credentials.has(**hash)).copied().collect();
    (!tasks.is_empty()).then(|| Due { record: found.record, credentials: found.credentials, tasks })
}

impl Due {
    pub(super) fn of(self, request: Request, proved: Proved) -> Upgrading {
        Upgrading { request, proved, due: self, salt: None }
    }
}

/// `<continue/>` with the next task, or the end of them.
pub(super) fn begin(it: &mut Negotiator, mut upgrading: Upgrading, env: &mut Env<'_>) -> Vec<Action> {
    // Nobody is in before the tasks are done.
    it.identity = None;
    let Some(hash) = upgrading.due.tasks.front() else {
        let upgraded = (upgrading.due.record, upgrading.due.credentials.encode().into());
        return sasl2::arrive(it, upgrading.request, upgrading.proved, Some(upgraded), env);
    };
    let mut xml = format!("<continue xmlns='{}'>", ns::SASL2);
    if let Some(data) = upgrading.proved.additional.take() {
        xml.push_str(&format!("<additional-data>{}</additional-data>", encode(&data)));
    }
    xml.push_str(&format!("<tasks><task>{}</task></tasks></continue>", task(*hash)));
    env.out.extend_from_slice(xml.as_bytes());
    it.state = State::Upgrading(Box::new(upgrading));
    Vec::new()
}

pub(super) fn element(it: &mut Negotiator, mut upgrading: Upgrading, stanza: &Stanza, env: &mut Env<'_>) -> Vec<Action> {
    let (space, name) = stanza.name();
    let Some(hash) = upgrading.due.tasks.front().copied().filter(|_| space == ns::SASL2) else {
        return it.fail(&StreamError::new("not-authorized").text("authenticate first"), env);
    };
    match (name, upgrading.salt) {
        ("abort", _) => sasl2::refuse(it, SaslError::Aborted, env),
        ("next", None) if stanza.attr("task").is_some_and(|name| *name == *task(hash)) => {
            let mut salt = [0; SALT_SIZE_BYTES];
            (env.random)(&mut salt);
            let (iterations, text) = (env.policy.fake_salt.iterations(), STANDARD.encode(salt));
            let salted = format!("<salt xmlns='{SCRAM}' iterations='{iterations}'>{text}</salt>");
            env.out.extend_from_slice(format!("<task-data xmlns='{}'>{salted}</task-data>", ns::SASL2).as_bytes());
            upgrading.salt = Some(salt);
            it.state = State::Upgrading(Box::new(upgrading));
            Vec::new()
        }
        ("task-data", Some(salt)) => {
            let salted = stanza.el().child(SCRAM, "hash").and_then(|hash| decode(&hash.text())).map(Zeroizing::new);
            let iterations = env.policy.fake_salt.iterations();
            let all = salted.and_then(|salted| upgrading.due.credentials.with_salted(hash, &salt, iterations, &salted));
            let Some(all) = all else { return sasl2::refuse(it, SaslError::MalformedRequest, env) };
            upgrading.due.credentials = all;
            upgrading.due.tasks.pop_front();
            upgrading.salt = None;
            begin(it, upgrading, env)
        }
        ("next" | "task-data", _) => sasl2::refuse(it, SaslError::MalformedRequest, env),
        // XEP-0388 5.8: no second authentication once <continue/> was sent.
        _ => it.fail(&StreamError::new("policy-violation").text("one authentication at a time"), env),
    }
}
