//! The SASL profile of RFC 6120 6: `<auth/>`, `<challenge/>`, `<response/>`, `<success/>`, `<failure/>`, `<abort/>`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use iris_core::effects::StreamError;
use iris_core::{Stanza, ns};

use super::attempt::{self, Attempt, Profile, Proved, encode};
use super::sasl::SaslError;
use super::{Action, Env, Negotiator, State};

pub(super) fn element(it: &mut Negotiator, attempt: Option<Attempt>, stanza: &Stanza, env: &mut Env<'_>) -> Vec<Action> {
    match (stanza.name().1, attempt) {
        ("auth", None) => auth(it, stanza, env),
        ("response", Some(attempt)) => attempt::respond(it, attempt, decode(&stanza.text()).as_deref(), env),
        ("abort", Some(_) | None) => attempt::failure(it, &Profile::Sasl1, SaslError::Aborted, None, env),
        ("response", None) => attempt::failure(it, &Profile::Sasl1, SaslError::MalformedRequest, None, env),
        // Two exchanges at once.
        _ => it.fail(&StreamError::new("policy-violation").text("one authentication at a time"), env),
    }
}

fn auth(it: &mut Negotiator, stanza: &Stanza, env: &mut Env<'_>) -> Vec<Action> {
    let text = stanza.text();
    let initial = match text.trim() {
        "" => None,
        // RFC 6120 6.4.2: an initial response that is empty.
        "=" => Some(Vec::new()),
        text => match decode(text) {
            Some(message) => Some(message),
            None => return attempt::failure(it, &Profile::Sasl1, SaslError::IncorrectEncoding, None, env),
        },
    };
    let mechanism = stanza.attr("mechanism").unwrap_or_default();
    attempt::start(it, Profile::Sasl1, &mechanism, initial.as_deref(), env)
}

/// RFC 6120 6.4.6: the stream begins anew.
pub(super) fn success(it: &mut Negotiator, proved: &Proved, env: &mut Env<'_>) -> Vec<Action> {
    let data = proved.additional.as_deref().map_or(String::new(), encode);
    env.out.extend_from_slice(format!("<success xmlns='{}'>{data}</success>", ns::SASL).as_bytes());
    it.state = State::AuthenticatedHeader;
    it.opened = false;
    vec![Action::Authenticated(proved.account.clone()), Action::Restart]
}

pub(super) fn failure(error: SaslError, more: &str, env: &mut Env<'_>) {
    env.out.extend_from_slice(format!("<failure xmlns='{}'><{}/>{more}</failure>", ns::SASL, error.condition()).as_bytes());
}

/// RFC 6120 6.4.3 and 13.9.1: canonical base64, nothing around it.
fn decode(text: &str) -> Option<Vec<u8>> {
    match text {
        "=" | "" => Some(Vec::new()),
        text => STANDARD.decode(text).ok(),
    }
}
