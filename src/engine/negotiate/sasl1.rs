//! The SASL profile of RFC 6120 6: `<auth/>`, `<challenge/>`, `<response/>`, `<success/>`, `<failure/>`, `<abort/>`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use iris_core::effects::StreamError;
use iris_core::{BareJid, Stanza, ns};

use super::sasl::{self, Credentials, Lookup, Mechanism, NONCE_SIZE_BYTES, SaslError, Step};
use super::{Action, Env, Negotiator, State};
use iris_core::AskAnswer;
use iris_core::login::Login;

/// Where the exchange stands.
#[derive(Debug)]
pub(super) enum Exchange {
    /// The client's `<response/>` is awaited.
    Client(sasl::Exchange),
    /// The account's login is awaited.
    Login(Box<Lookup>, BareJid),
    /// A side thread works; whether the account is enabled is known already.
    Verifying { enabled: bool, account: BareJid },
    /// As `Client`, with what the account said.
    Final { exchange: sasl::Exchange, account: BareJid, enabled: bool },
}

pub(super) fn element(it: &mut Negotiator, exchange: Option<Exchange>, stanza: &Stanza, env: &mut Env<'_>) -> Vec<Action> {
    let (namespace, name) = stanza.name();
    if namespace != ns::SASL {
        // RFC 6120 4.9.3.12: a stanza before authentication. The stream ends; no stanza error tells anything.
        return it.fail(&StreamError::new("not-authorized").text("authenticate first"), env);
    }
    match (name, exchange) {
        ("auth", None) => auth(it, stanza, env),
        ("response", Some(Exchange::Client(exchange))) => match decode(&stanza.text()) {
            Some(message) => step(it, exchange.respond(&message), None, env),
            None => failure(it, SaslError::IncorrectEncoding, None, env),
        },
        ("response", Some(Exchange::Final { exchange, account, enabled })) => match decode(&stanza.text()) {
            Some(message) => step(it, exchange.respond(&message), Some((account, enabled)), env),
            None => failure(it, SaslError::IncorrectEncoding, None, env),
        },
        ("abort", Some(_) | None) => failure(it, SaslError::Aborted, None, env),
        ("response", None) => failure(it, SaslError::MalformedRequest, None, env),
        // Two exchanges at once, or an answer before its question.
        _ => it.fail(&StreamError::new("policy-violation").text("one authentication at a time"), env),
    }
}

fn auth(it: &mut Negotiator, stanza: &Stanza, env: &mut Env<'_>) -> Vec<Action> {
    let Some(offered) = &it.offered else {
        // RFC 6120 6.5.4: mechanisms were not offered because the stream is clear.
        return failure(it, SaslError::EncryptionRequired, None, env);
    };
    let Some(mechanism) = stanza.attr("mechanism").and_then(|name| Mechanism::from_name(&name)) else {
        return failure(it, SaslError::InvalidMechanism, None, env);
    };
    let text = stanza.text();
    let initial = match text.trim() {
        "" => None,
        // RFC 6120 6.4.2: an initial response that is empty.
        "=" => Some(Vec::new()),
        text => match decode(text) {
            Some(message) => Some(message),
            None => return failure(it, SaslError::IncorrectEncoding, None, env),
        },
    };
    let mut nonce = [0; NONCE_SIZE_BYTES];
    (env.random)(&mut nonce);
    let first = sasl::Exchange::start(mechanism, offered, nonce, initial.as_deref());
    step(it, first, None, env)
}

/// `asked`: whose account was asked, and whether it is enabled; that counts only once the password is proved.
fn step(it: &mut Negotiator, step: Step, asked: Option<(BareJid, bool)>, env: &mut Env<'_>) -> Vec<Action> {
    let enabled = asked.as_ref().is_none_or(|(_, enabled)| *enabled);
    match step {
        Step::Challenge(message, exchange) => {
            env.out.extend_from_slice(format!("<challenge xmlns='{}'>{}</challenge>", ns::SASL, encode(&message)).as_bytes());
            it.state = State::Sasl(match asked {
                None => Exchange::Client(exchange),
                Some((account, enabled)) => Exchange::Final { exchange, account, enabled },
            });
            Vec::new()
        }
        Step::NeedCredentials { account, exchange, .. } => {
            it.state = State::Sasl(Exchange::Login(Box::new(exchange), account.clone()));
            vec![Action::LookUp(account)]
        }
        Step::Success { account, .. } if !enabled => failure(it, SaslError::AccountDisabled, Some(account), env),
        Step::Success { account, additional, .. } => {
            let data = additional.map_or(String::new(), |data| encode(&data));
            env.out.extend_from_slice(format!("<success xmlns='{}'>{data}</success>", ns::SASL).as_bytes());
            it.identity = Some(account.clone());
            it.state = State::AuthenticatedHeader;
            it.opened = false;
            vec![Action::Authenticated(account), Action::Restart]
        }
        // Who was guessed at matters: bans are of an address for one user (security B12).
        Step::Failure(error) => failure(it, error, asked.map(|(account, _)| account), env),
    }
}

pub(super) fn looked_up(it: &mut Negotiator, answer: AskAnswer, banned: bool, env: &mut Env<'_>) -> Vec<Action> {
    let State::Sasl(Exchange::Login(lookup, account)) = std::mem::replace(&mut it.state, State::Over) else {
        return Vec::new();
    };
    let login = match answer {
        AskAnswer::Credentials(login) => login,
        _ => return failure(it, SaslError::TemporaryAuthFailure, None, env),
    };
    let enabled = login.as_ref().is_none_or(|login: &Login| login.enabled);
    let found = match login.filter(|_| !banned).map(|login| Credentials::decode(&login.credentials)) {
        None => None,
        Some(Ok(found)) => Some(found),
        Some(Err(error)) => {
            tracing::error!(%error, "an account's login record is damaged");
            return failure(it, SaslError::TemporaryAuthFailure, None, env);
        }
    };
    if lookup.is_expensive() {
        it.state = State::Sasl(Exchange::Verifying { enabled, account });
        return vec![Action::Verify(lookup, found.map(Box::new))];
    }
    let next = lookup.credentials(found.as_ref(), &env.policy.fake_salt);
    step(it, next, Some((account, enabled)), env)
}

pub(super) fn stepped(it: &mut Negotiator, outcome: Step, env: &mut Env<'_>) -> Vec<Action> {
    match std::mem::replace(&mut it.state, State::Over) {
        State::Sasl(Exchange::Verifying { enabled, account }) => step(it, outcome, Some((account, enabled)), env),
        _ => Vec::new(),
    }
}

/// RFC 6120 6.4.5: the client may try again, a few times.
fn failure(it: &mut Negotiator, error: SaslError, account: Option<BareJid>, env: &mut Env<'_>) -> Vec<Action> {
    env.out.extend_from_slice(format!("<failure xmlns='{}'><{}/></failure>", ns::SASL, error.condition()).as_bytes());
    it.failures += 1;
    it.state = State::Open;
    let mut actions = Vec::new();
    // Changing one's mind or speaking the protocol wrongly is no guess at a password.
    if matches!(error, SaslError::NotAuthorized | SaslError::AccountDisabled) {
        actions.push(Action::Failed(account));
    }
    if it.failures >= env.limits.auth_failures_per_stream_max {
        actions.extend(it.fail(&StreamError::new("policy-violation").text("too many failed authentications"), env));
    }
    actions
}

fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// RFC 6120 6.4.3 and 13.9.1: canonical base64, nothing around it.
fn decode(text: &str) -> Option<Vec<u8>> {
    match text {
        "=" | "" => Some(Vec::new()),
        text => STANDARD.decode(text).ok(),
    }
}
