//! Mechanisms that no password record answers: EXTERNAL (RFC 4422 A, XEP-0178) and ANONYMOUS (RFC 4505, XEP-0175).

use iris_core::{AskAnswer, BareJid, hex};

use super::attempt::{self, By, Profile, Proved};
use super::sasl::SaslError;
use super::{Action, Env, Negotiator};

pub(super) const EXTERNAL: &str = "EXTERNAL";
pub(super) const ANONYMOUS: &str = "ANONYMOUS";

/// One of the two, and it was offered.
pub(super) fn start(
    it: &mut Negotiator,
    profile: Profile,
    mechanism: &str,
    initial: Option<&[u8]>,
    env: &mut Env<'_>,
) -> Vec<Action> {
    if mechanism == EXTERNAL {
        return match initial {
            Some(authzid) => external(it, profile, authzid, env),
            None => attempt::ask_whom(it, profile, env),
        };
    }
    // RFC 4505: the client may say something that tells who it is; nobody wants to know.
    let mut node = [0; 16];
    (env.random)(&mut node);
    let guest = it.domain().and_then(|domain| BareJid::new(&format!("{}@{domain}", hex::write(&node))).ok());
    match guest {
        Some(guest) => attempt::make_guest(it, profile, guest),
        None => attempt::failure(it, &profile, SaslError::TemporaryAuthFailure, None, env),
    }
}

/// XEP-0178 2, steps 10 and 11. The certificate was judged in the handshake; here is looked whom it speaks for.
pub(super) fn external(it: &mut Negotiator, profile: Profile, authzid: &[u8], env: &mut Env<'_>) -> Vec<Action> {
    let Some(domain) = it.domain().map(str::to_owned) else { return Vec::new() };
    let addresses = it.security.iter().flat_map(|security| &security.addresses);
    let mut here: Vec<BareJid> = addresses.filter(|address| address.domain().as_str() == domain).cloned().collect();
    here.sort_unstable();
    here.dedup();
    let Ok(authzid) = std::str::from_utf8(authzid) else {
        return attempt::failure(it, &profile, SaslError::MalformedRequest, None, env);
    };
    // XEP-0388 5.4: under SASL2 the stream says the same as the authorization identity.
    let from = it.from.clone().filter(|_| matches!(profile, Profile::Sasl2(_)));
    let account = match (authzid, &here[..]) {
        ("", [only]) => Some(only.clone()),
        // Step 11.2: it has to say which one.
        ("", _) => None,
        (named, _) => BareJid::new(named)
            .ok()
            .filter(|named| here.contains(named) && from.is_none_or(|from| from == *named) && !authzid.contains('/')),
    };
    match account {
        Some(account) => attempt::look_up_certified(it, profile, account),
        None => attempt::failure(it, &profile, SaslError::InvalidAuthzid, None, env),
    }
}

/// The account that the certificate speaks for has answered.
pub(super) fn certified(
    it: &mut Negotiator,
    profile: Profile,
    account: BareJid,
    answer: AskAnswer,
    env: &mut Env<'_>,
) -> Vec<Action> {
    match answer {
        AskAnswer::Credentials(Some(login)) if login.enabled => {
            let login_us = Some(login.since_us);
            attempt::proved(it, profile, Proved { account, login_us, additional: None, by: By::Certificate }, env)
        }
        AskAnswer::Credentials(Some(_)) => attempt::failure(it, &profile, SaslError::AccountDisabled, Some(account), env),
        AskAnswer::Credentials(None) => attempt::failure(it, &profile, SaslError::NotAuthorized, Some(account), env),
        _ => attempt::failure(it, &profile, SaslError::TemporaryAuthFailure, None, env),
    }
}

/// The guest is there.
pub(super) fn guest(
    it: &mut Negotiator,
    profile: Profile,
    account: BareJid,
    answer: &AskAnswer,
    env: &mut Env<'_>,
) -> Vec<Action> {
    match answer {
        AskAnswer::Done => {
            attempt::proved(it, profile, Proved { account, login_us: None, additional: None, by: By::Nothing }, env)
        }
        // RFC 6120 6.5.10: "it is advisable for the initiating entity to try again later".
        AskAnswer::Full => {
            let text = "as many guests are here as there may be, of this network or in all; come again later";
            attempt::failure_saying(it, &profile, SaslError::TemporaryAuthFailure, text, env)
        }
        _ => attempt::failure(it, &profile, SaslError::TemporaryAuthFailure, None, env),
    }
}
