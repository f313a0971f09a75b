//! One attempt to authenticate: the same whichever profile carries it, RFC 6120 6 (`sasl1.rs`) or XEP-0388 (`sasl2.rs`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use iris_core::effects::StreamError;
use iris_core::login::Login;
use iris_core::xml::escape_text;
use iris_core::{Ask, AskAnswer, BareJid};

use super::fast::{self, HtMechanism};
use super::sasl::{self, Credentials, Lookup, Mechanism, NONCE_SIZE_BYTES, SaslError, Step};
use super::{Action, Env, MECHANISMS, Negotiator, State, passwordless, sasl1, sasl2};

/// An attempt that waits for something.
#[derive(Debug)]
pub(super) struct Attempt {
    pub profile: Profile,
    stage: Stage,
}

/// Whose elements carry it.
#[derive(Debug)]
pub(super) enum Profile {
    Sasl1,
    Sasl2(Box<sasl2::Request>),
}

#[derive(Debug)]
enum Stage {
    /// The client's `<response/>` is awaited.
    Client { exchange: sasl::Exchange, asked: Option<Asked> },
    /// EXTERNAL: whom it wants to be, in a `<response/>`.
    Authzid,
    /// EXTERNAL: the certificate speaks for this account; its login is awaited.
    Certified(BareJid),
    /// ANONYMOUS: the guest is being made.
    Guest(BareJid),
    /// The account's login is awaited.
    Login(Box<Lookup>, BareJid),
    /// The tokens of the client are awaited.
    Tokens(Box<fast::Proof>),
    /// A side thread works; what the account said is known already.
    Verifying(Asked),
}

/// Whose account was asked, and what it said; that counts only once the password is proved.
#[derive(Debug)]
struct Asked {
    account: BareJid,
    enabled: bool,
    login_us: Option<u64>,
    found: Option<Box<Found>>,
}

/// The keys that the account has.
#[derive(Debug)]
pub(super) struct Found {
    pub record: Bytes,
    pub credentials: Credentials,
}

/// The client has proved who it is.
#[derive(Debug)]
pub(super) struct Proved {
    pub account: BareJid,
    /// Of which login (`Login::since_us`); a guest has none.
    pub login_us: Option<u64>,
    /// Data of the mechanism that goes with the success.
    pub additional: Option<Vec<u8>>,
    pub by: By,
}

/// What proved it.
#[derive(Debug)]
pub(super) enum By {
    Password(Option<Box<Found>>),
    Certificate,
    Nothing,
    Token { mask: [u8; 16], mechanism: HtMechanism },
}

/// `initial`: the initial response, decoded; `None` if there is none.
pub(super) fn start(
    it: &mut Negotiator,
    profile: Profile,
    mechanism: &str,
    initial: Option<&[u8]>,
    env: &mut Env<'_>,
) -> Vec<Action> {
    it.mechanism = MECHANISMS.into_iter().find(|known| *known == mechanism);
    let Some(offered) = &it.offered else {
        // RFC 6120 6.5.4: mechanisms were not offered because the stream is clear.
        return failure(it, &profile, SaslError::EncryptionRequired, None, env);
    };
    if let Profile::Sasl2(request) = &profile
        && let Some(agent) = request.wants_in_with_a_token()
        && let Some(mechanism) = fast::mechanism(mechanism, offered)
    {
        return match initial.map(|message| fast::Proof::read(mechanism, offered, message)) {
            Some(Ok(proof)) => {
                let account = proof.account.clone();
                wait(it, profile, Stage::Tokens(Box::new(proof)));
                vec![Action::LookUpFor(account, Ask::Tokens { agent })]
            }
            Some(Err(error)) => failure(it, &profile, error, None, env),
            // XEP-0484 3.1: one round trip, no more.
            None => failure(it, &profile, SaslError::MalformedRequest, None, env),
        };
    }
    if offered.offers_other(mechanism) {
        return passwordless::start(it, profile, mechanism, initial, env);
    }
    let Some(mechanism) = Mechanism::from_name(mechanism) else {
        return failure(it, &profile, SaslError::InvalidMechanism, None, env);
    };
    let mut nonce = [0; NONCE_SIZE_BYTES];
    (env.random)(&mut nonce);
    let offered = match &profile {
        Profile::Sasl1 => offered.clone(),
        Profile::Sasl2(_) => offered.clone().with_stream_from(it.from.clone()),
    };
    let first = sasl::Exchange::start(mechanism, &offered, nonce, initial);
    step(it, profile, first, None, env)
}

/// The client's `<response/>`, decoded; `None`: it was no base64.
pub(super) fn respond(it: &mut Negotiator, attempt: Attempt, message: Option<&[u8]>, env: &mut Env<'_>) -> Vec<Action> {
    let Attempt { profile, stage } = attempt;
    match (stage, message) {
        (Stage::Client { .. } | Stage::Authzid, None) => failure(it, &profile, SaslError::IncorrectEncoding, None, env),
        (Stage::Client { exchange, asked }, Some(message)) => step(it, profile, exchange.respond(message), asked, env),
        (Stage::Authzid, Some(message)) => passwordless::external(it, profile, message, env),
        // An answer before its question.
        _ => it.fail(&StreamError::new("policy-violation").text("one authentication at a time"), env),
    }
}

fn step(it: &mut Negotiator, profile: Profile, step: Step, asked: Option<Asked>, env: &mut Env<'_>) -> Vec<Action> {
    let enabled = asked.as_ref().is_none_or(|asked| asked.enabled);
    match step {
        Step::Challenge(message, exchange) => {
            let ns = profile.ns();
            env.out.extend_from_slice(format!("<challenge xmlns='{ns}'>{}</challenge>", encode(&message)).as_bytes());
            wait(it, profile, Stage::Client { exchange, asked });
            Vec::new()
        }
        Step::NeedCredentials { account, exchange, .. } => {
            wait(it, profile, Stage::Login(Box::new(exchange), account.clone()));
            vec![Action::LookUp(account)]
        }
        Step::Success { account, .. } if !enabled => failure(it, &profile, SaslError::AccountDisabled, Some(account), env),
        Step::Success { account, additional, .. } => {
            let (login_us, found) = asked.map(|asked| (asked.login_us, asked.found)).unwrap_or_default();
            proved(it, profile, Proved { account, login_us, additional, by: By::Password(found) }, env)
        }
        // Who was guessed at matters: bans are of an address for one user (security B12).
        Step::Failure(error) => failure(it, &profile, error, asked.map(|asked| asked.account), env),
    }
}

fn wait(it: &mut Negotiator, profile: Profile, stage: Stage) {
    it.state = State::Sasl(Box::new(Attempt { profile, stage }));
}

/// EXTERNAL without an initial response: RFC 4422 3.3.
pub(super) fn ask_whom(it: &mut Negotiator, profile: Profile, env: &mut Env<'_>) -> Vec<Action> {
    env.out.extend_from_slice(format!("<challenge xmlns='{}'/>", profile.ns()).as_bytes());
    wait(it, profile, Stage::Authzid);
    Vec::new()
}

pub(super) fn look_up_certified(it: &mut Negotiator, profile: Profile, account: BareJid) -> Vec<Action> {
    wait(it, profile, Stage::Certified(account.clone()));
    vec![Action::LookUp(account)]
}

pub(super) fn make_guest(it: &mut Negotiator, profile: Profile, account: BareJid) -> Vec<Action> {
    wait(it, profile, Stage::Guest(account.clone()));
    vec![Action::LookUpFor(account, Ask::Guest(None))]
}

pub(super) fn proved(it: &mut Negotiator, profile: Profile, proved: Proved, env: &mut Env<'_>) -> Vec<Action> {
    it.by_certificate = matches!(proved.by, By::Certificate);
    it.identity = Some(proved.account.clone());
    it.login_us = proved.login_us;
    match profile {
        Profile::Sasl1 => sasl1::success(it, &proved, env),
        Profile::Sasl2(request) => sasl2::proved(it, *request, proved, env),
    }
}

pub(super) fn looked_up(
    it: &mut Negotiator,
    attempt: Attempt,
    answer: AskAnswer,
    banned: bool,
    env: &mut Env<'_>,
) -> Vec<Action> {
    let Attempt { profile, stage } = attempt;
    let (lookup, account) = match stage {
        Stage::Login(lookup, account) => (lookup, account),
        Stage::Tokens(proof) => return token(it, profile, *proof, answer, banned, env),
        Stage::Certified(account) => return passwordless::certified(it, profile, account, answer, env),
        Stage::Guest(account) => return passwordless::guest(it, profile, account, &answer, env),
        Stage::Client { .. } | Stage::Authzid | Stage::Verifying { .. } => return Vec::new(),
    };
    let AskAnswer::Credentials(login) = answer else {
        return failure(it, &profile, SaslError::TemporaryAuthFailure, None, env);
    };
    let enabled = login.as_ref().is_none_or(|login: &Login| login.enabled);
    let login_us = login.as_ref().map(|login| login.since_us);
    let record = login.filter(|_| !banned).map(|login| login.credentials);
    let found = match record.map(|record| Credentials::decode(&record).map(|credentials| Found { record, credentials })) {
        None => None,
        Some(Ok(found)) => Some(Box::new(found)),
        Some(Err(error)) => {
            tracing::error!(%error, "an account's login record is damaged");
            return failure(it, &profile, SaslError::TemporaryAuthFailure, None, env);
        }
    };
    if lookup.is_expensive() {
        let credentials = found.as_ref().map(|found| Box::new(found.credentials.clone()));
        wait(it, profile, Stage::Verifying(Asked { account, enabled, login_us, found }));
        return vec![Action::Verify(lookup, credentials)];
    }
    let next = lookup.credentials(found.as_ref().map(|found| &found.credentials), &env.policy.fake_salt);
    step(it, profile, next, Some(Asked { account, enabled, login_us, found }), env)
}

/// XEP-0484 3.4. Nobody, and a client without tokens, are the same as a wrong token.
fn token(
    it: &mut Negotiator,
    profile: Profile,
    proof: fast::Proof,
    answer: AskAnswer,
    banned: bool,
    env: &mut Env<'_>,
) -> Vec<Action> {
    let (login, tokens) = match answer {
        AskAnswer::Tokens(login, tokens) => (login, tokens),
        AskAnswer::NotFound => (None, Vec::new()),
        _ => return failure(it, &profile, SaslError::TemporaryAuthFailure, None, env),
    };
    let found = proof.check(&tokens, &env.policy.secret).filter(|_| !banned);
    match (found, login.filter(|login| login.enabled)) {
        (Some((mask, additional)), Some(login)) => {
            let by = By::Token { mask, mechanism: proof.mechanism() };
            let (login_us, additional) = (Some(login.since_us), Some(additional));
            proved(it, profile, Proved { account: proof.account, login_us, additional, by }, env)
        }
        (Some(_), None) => failure(it, &profile, SaslError::AccountDisabled, Some(proof.account), env),
        (None, _) => failure(it, &profile, SaslError::NotAuthorized, Some(proof.account), env),
    }
}

pub(super) fn stepped(it: &mut Negotiator, outcome: Step, better: Option<Credentials>, env: &mut Env<'_>) -> Vec<Action> {
    let Attempt { profile, stage } = match std::mem::replace(&mut it.state, State::Over) {
        State::Sasl(attempt) => *attempt,
        _ => return Vec::new(),
    };
    let Stage::Verifying(mut asked) = stage else { return Vec::new() };
    let keep = asked.found.as_mut().filter(|_| asked.enabled).zip(better).map(|(found, better)| {
        let credentials: Bytes = better.encode().into();
        let was = std::mem::replace(&mut found.record, credentials.clone());
        found.credentials = better;
        Action::Keep(asked.account.clone(), Ask::Upgrade { was, credentials })
    });
    let mut actions: Vec<Action> = keep.into_iter().collect();
    actions.extend(step(it, profile, outcome, Some(asked), env));
    actions
}

/// RFC 6120 6.4.5: the client may try again, a few times.
pub(super) fn failure(
    it: &mut Negotiator,
    profile: &Profile,
    error: SaslError,
    account: Option<BareJid>,
    env: &mut Env<'_>,
) -> Vec<Action> {
    told(profile, error, "", env);
    failed(it, error, account, env)
}

/// As `failure`, with a reason for people (RFC 6120 6.4.5, XEP-0388 2.6.4). Of a password nothing is ever said.
pub(super) fn failure_saying(
    it: &mut Negotiator,
    profile: &Profile,
    error: SaslError,
    text: &str,
    env: &mut Env<'_>,
) -> Vec<Action> {
    told(profile, error, &format!("<text xml:lang='en'>{}</text>", escape_text(text)), env);
    failed(it, error, None, env)
}

fn told(profile: &Profile, error: SaslError, more: &str, env: &mut Env<'_>) {
    match profile {
        Profile::Sasl1 => sasl1::failure(error, more, env),
        Profile::Sasl2(_) => sasl2::failure(error, more, env),
    }
}

/// Every mechanism with a binding, and without: twice the list.
const BINDINGS_REFUSED_PER_STREAM_MAX: u32 = 16;

/// What follows from a failure that has been told.
pub(super) fn failed(it: &mut Negotiator, error: SaslError, account: Option<BareJid>, env: &mut Env<'_>) -> Vec<Action> {
    // A client that knows `tls-unique` alone tries every mechanism for its binding and then without (poezio): it works its way
    // down a list that is ours, so it may take a few more steps than somebody who guesses.
    match error {
        SaslError::ChannelBinding => it.bindings_refused += 1,
        _ => it.failures += 1,
    }
    it.state = State::Open;
    let mut actions = Vec::new();
    // Changing one's mind or speaking the protocol wrongly is no guess at a password.
    if matches!(error, SaslError::NotAuthorized | SaslError::AccountDisabled) {
        actions.push(Action::Failed(account));
    }
    if it.failures >= env.limits.auth_failures_per_stream_max || it.bindings_refused >= BINDINGS_REFUSED_PER_STREAM_MAX {
        actions.extend(it.fail(&StreamError::new("policy-violation").text("too many failed authentications"), env));
    }
    actions
}

impl Profile {
    fn ns(&self) -> &'static str {
        match self {
            Profile::Sasl1 => iris_core::ns::SASL,
            Profile::Sasl2(_) => iris_core::ns::SASL2,
        }
    }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
