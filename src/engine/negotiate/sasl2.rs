//! The SASL profile of XEP-0388, with everything that comes inline: no stream restart, and what the client wants to have after
//! it is authenticated stands in the same `<authenticate/>`.
//!
//! What is inline is done in this order: the account remembers the client and gives it a token (XEP-0484, XEP-0494); resume
//! (XEP-0198); and if that fails or is not wanted, bind (XEP-0386).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use iris_core::clients::{Admission, Admitted, TokenRefused, Used, UserAgent, Ways};
use iris_core::effects::StreamError;
use iris_core::error::{Bounce, Condition};
use iris_core::mount::SaslInline;
use iris_core::xml::El;
use iris_core::xml::escape::{escape_attr, escape_text};
use iris_core::{Ask, AskAnswer, BareJid, FullJid, SessionRef, Stanza, hex, ns};
use jid::ResourcePart;
use zeroize::Zeroizing;

use super::attempt::{self, Attempt, By, Profile, Proved, encode};
use super::fast::{self, HtMechanism};
use super::sasl::{Hash, SaslError};
use super::{Action, Env, Negotiator, State, features, upgrade};
use crate::shard::{self, Bind, ResumeError};

/// `<authenticate/>`, understood.
#[derive(Debug)]
pub(super) struct Request {
    agent: UserAgent,
    /// `previd` and `h`.
    resume: Option<(String, u32)>,
    bind: Option<BindRequest>,
    fast: Option<Fast>,
    /// A token is wanted for this mechanism.
    token: Option<HtMechanism>,
    /// XEP-0480: keys that the client would help to make.
    pub upgrades: Vec<Hash>,
}

/// XEP-0484's `<fast/>`.
#[derive(Debug)]
struct Fast {
    count: Option<u32>,
    invalidate: bool,
}

/// XEP-0386's `<bind/>`.
#[derive(Debug)]
struct BindRequest {
    /// Perhaps empty.
    tag: String,
    /// The element as a document of its own.
    element: Vec<u8>,
}

/// Authenticated; what was asked inline is being done.
#[derive(Debug)]
pub(super) struct Arriving {
    account: BareJid,
    request: Request,
    additional: Option<Vec<u8>>,
    /// A token that may be issued, while the account is asked; then only if it was, and until when.
    token: Option<(Zeroizing<String>, Option<u64>)>,
    /// What proved it may be tried again when the account refuses after all.
    by_token: bool,
    /// XEP-0198's `<failed/>`.
    failed: Option<String>,
    /// What the account is still to be asked.
    admission: Option<Box<Admission>>,
}

pub(super) fn element(it: &mut Negotiator, attempt: Option<Attempt>, stanza: &Stanza, env: &mut Env<'_>) -> Vec<Action> {
    match (stanza.name().1, attempt) {
        ("authenticate", None) => authenticate(it, stanza, env),
        ("response", Some(attempt)) => attempt::respond(it, attempt, decode(&stanza.text()).as_deref(), env),
        ("abort", Some(_) | None) => refuse(it, SaslError::Aborted, env),
        ("response", None) => refuse(it, SaslError::MalformedRequest, env),
        _ => it.fail(&StreamError::new("policy-violation").text("one authentication at a time"), env),
    }
}

fn authenticate(it: &mut Negotiator, stanza: &Stanza, env: &mut Env<'_>) -> Vec<Action> {
    let mechanism = stanza.attr("mechanism").unwrap_or_default().into_owned();
    let el = stanza.el();
    let initial = match el.child(ns::SASL2, "initial-response").map(|el| decode(&el.text())) {
        None => None,
        Some(Some(message)) => Some(message),
        Some(None) => return refuse(it, SaslError::IncorrectEncoding, env),
    };
    let Some(request) = Request::read(it, &el) else {
        return refuse(it, SaslError::MalformedRequest, env);
    };
    // XEP-0509 2.2: the client has not seen the features yet, and they are not what it takes them for. No attempt was made.
    if let Some(version) = el.child(features::IAP, "config-version")
        && version.attr("value").as_deref() != Some(&it.config_version)
    {
        failure(SaslError::Aborted, &format!("<config-version-mismatch xmlns='{}'/>", features::IAP), env);
        it.state = State::Open;
        return Vec::new();
    }
    attempt::start(it, Profile::Sasl2(Box::new(request)), &mechanism, initial.as_deref(), env)
}

impl Request {
    /// `None`: it is not what its texts ask for. What is not offered is not looked at.
    fn read(it: &Negotiator, el: &El<'_>) -> Option<Request> {
        let offers = |what| it.doors.as_ref().is_some_and(|doors| shard::offers(doors, what));
        let agent = match el.child(ns::SASL2, "user-agent") {
            Some(agent) => UserAgent::read(&agent)?,
            None => UserAgent::default(),
        };
        let resume = match el.child(ns::SM, "resume").filter(|_| offers(SaslInline::StreamManagement)) {
            Some(resume) => Some((resume.attr("previd")?.into_owned(), resume.attr("h")?.parse().ok()?)),
            None => None,
        };
        let bind = el.child(ns::BIND2, "bind").filter(|_| offers(SaslInline::Bind));
        let bind = bind.map(|el| BindRequest {
            tag: el.child(ns::BIND2, "tag").map_or(String::new(), |tag| tag.text().trim().to_owned()),
            element: el.closed().into_owned(),
        });
        let fast = match el.child(ns::FAST, "fast").filter(|_| offers(SaslInline::Fast)) {
            Some(fast) => Some(Fast {
                count: fast.attr("count").map(|count| count.parse()).transpose().ok()?,
                invalidate: fast.attr("invalidate").is_some_and(|it| it == "true" || it == "1"),
            }),
            None => None,
        };
        let wanted = el.child(ns::FAST, "request-token").filter(|_| offers(SaslInline::Fast));
        let token = match (wanted.map(|el| el.attr("mechanism").unwrap_or_default()), &it.offered) {
            // XEP-0484 3.2: one of those that were advertised.
            (Some(mechanism), Some(offered)) => Some(fast::mechanism(&mechanism, offered)?),
            _ => None,
        };
        let upgrades = if offers(SaslInline::Upgrade) { upgrade::wanted(el) } else { Vec::new() };
        Some(Request { agent, resume, bind, fast, token, upgrades })
    }

    /// XEP-0484 3.4: with `<fast/>`, and with the id that the token is bound to.
    pub fn wants_in_with_a_token(&self) -> Option<u128> {
        self.agent.id.filter(|_| self.fast.is_some())
    }
}

/// The client is who it says; there may be something to do before that is told.
pub(super) fn proved(it: &mut Negotiator, request: Request, mut proved: Proved, env: &mut Env<'_>) -> Vec<Action> {
    match upgrade::due(&request, &mut proved) {
        Some(due) => upgrade::begin(it, due.of(request, proved), env),
        None => arrive(it, request, proved, None, env),
    }
}

/// All that was asked for is done. `upgraded`: the keys that took part, and those to keep instead.
pub(super) fn arrive(
    it: &mut Negotiator,
    request: Request,
    proved: Proved,
    upgraded: Option<(Bytes, Bytes)>,
    env: &mut Env<'_>,
) -> Vec<Action> {
    it.identity = Some(proved.account.clone());
    let Proved { account, login_us, additional, by } = proved;
    let admission = admission(&request, &account, login_us, &by, env);
    let by_token = matches!(by, By::Token { .. });
    let (admission, token) = admission.unzip();
    let mut arriving = Arriving {
        account: account.clone(),
        request,
        additional,
        token: token.flatten().map(|token| (token, None)),
        by_token,
        failed: None,
        admission: admission.map(Box::new),
    };
    match upgraded {
        Some((was, credentials)) => {
            it.state = State::Arriving(Box::new(arriving));
            vec![Action::Ask(account, Ask::Upgrade { was, credentials })]
        }
        None => match arriving.admission.take() {
            Some(admission) => {
                it.state = State::Arriving(Box::new(arriving));
                vec![Action::Ask(account, Ask::Admit(admission))]
            }
            // A client that does not say which one it is cannot be remembered, and gets no token.
            None => begin(it, arriving, env),
        },
    }
}

fn admission(
    request: &Request,
    account: &BareJid,
    login_us: Option<u64>,
    by: &By,
    env: &mut Env<'_>,
) -> Option<(Admission, Option<Zeroizing<String>>)> {
    request.agent.id?;
    let (way, used, rotated) = match by {
        By::Nothing => return None,
        By::Password(_) => (Ways::PASSWORD, None, None),
        By::Certificate => (Ways::CERTIFICATE, None, None),
        By::Token { mask, mechanism } => {
            let fast = request.fast.as_ref();
            let invalidate = fast.is_some_and(|fast| fast.invalidate);
            let used = Used { mask: *mask, count: fast.and_then(|fast| fast.count), invalidate };
            (Ways::TOKEN, Some(used), Some(*mechanism))
        }
    };
    // Minted whether or not the account will issue it: it alone knows what is due.
    let minted = request.token.or(rotated).map(|mechanism| fast::mint(mechanism, account, env));
    let (text, token) = minted.unzip();
    let mut id = [0; 12];
    (env.random)(&mut id);
    let (agent, asked) = (request.agent.clone(), request.token.is_some());
    Some((Admission { agent, login_us, way, used, token, asked, id: resource_of(&id) }, text))
}

/// The account has remembered the client, or will not have its token any more.
pub(super) fn admitted(it: &mut Negotiator, mut arriving: Arriving, answer: AskAnswer, env: &mut Env<'_>) -> Vec<Action> {
    if let Some(admission) = arriving.admission.take() {
        // The keys are kept, or could not be: whoever has the password comes in either way.
        let account = arriving.account.clone();
        it.state = State::Arriving(Box::new(arriving));
        return vec![Action::Ask(account, Ask::Admit(admission))];
    }
    if matches!(answer, AskAnswer::Done) {
        return begin(it, arriving, env);
    }
    // Keys were to be upgraded and have changed meanwhile; whether the password has, the account knows when a session begins.
    if matches!(answer, AskAnswer::NotFound) && arriving.request.agent.id.is_none() {
        return begin(it, arriving, env);
    }
    let token = arriving.token.take();
    let refused = match answer {
        AskAnswer::Admitted(Admitted { client, token_until_us }) => {
            it.client = Some(client);
            arriving.token = token.filter(|_| token_until_us.is_some()).map(|(token, _)| (token, token_until_us));
            return begin(it, arriving, env);
        }
        // The disk is full: whoever has the password comes in all the same, without a token.
        AskAnswer::Failed(_) if !arriving.by_token => return begin(it, arriving, env),
        AskAnswer::TokenRefused(TokenRefused::Expired) => SaslError::CredentialsExpired,
        AskAnswer::TokenRefused(TokenRefused::Unknown) => SaslError::NotAuthorized,
        AskAnswer::NotFound => SaslError::AccountDisabled,
        _ => SaslError::TemporaryAuthFailure,
    };
    it.identity = None;
    failure(refused, "", env);
    attempt::failed(it, refused, Some(arriving.account), env)
}

fn begin(it: &mut Negotiator, arriving: Arriving, env: &mut Env<'_>) -> Vec<Action> {
    let mut actions = vec![Action::Authenticated(arriving.account.clone())];
    actions.extend(next(it, arriving, env));
    actions
}

/// What is still to be done before the success is told. XEP-0386 4.2: resume first and, when it succeeds, alone.
fn next(it: &mut Negotiator, mut arriving: Arriving, env: &mut Env<'_>) -> Vec<Action> {
    let account = arriving.account.clone();
    let action = if let Some((previd, h)) = arriving.request.resume.clone() {
        Action::Resume(account, previd, h)
    } else if let Some(asked) = arriving.request.bind.take() {
        let bind = it.begins(bind(asked, arriving.request.agent.id, &account, env));
        Action::BindInline(account, Box::new(bind))
    } else {
        success(&arriving, arriving.account.as_str(), "", env);
        it.state = State::Authenticated;
        if let Some(host) = &it.doors {
            features::authenticated(host, &features::Done::default(), env);
        }
        return Vec::new();
    };
    it.state = State::Arriving(Box::new(arriving));
    vec![action]
}

fn bind(asked: BindRequest, agent: Option<u128>, account: &BareJid, env: &mut Env<'_>) -> Bind {
    let tag = asked.tag.as_str();
    let [random, sm_id, once] = [(); 3].map(|()| {
        let mut bytes = [0; 16];
        (env.random)(&mut bytes);
        bytes
    });
    let own = match agent {
        // XEP-0386 4.2.1: the same client gets the same resource; what the agent's id is cannot be seen from it.
        Some(agent) => {
            let parts: [&[u8]; 3] = [account.as_str().as_bytes(), &agent.to_be_bytes(), tag.as_bytes()];
            let stable = env.policy.secret.derive("resource", &parts);
            resource_of(&stable)
        }
        None => resource_of(&once),
    };
    let tagged = format!("{tag}/{own}");
    // A tag that can be no part of a resource is left out.
    let wanted = if tag.is_empty() || ResourcePart::new(&tagged).is_err() { own } else { tagged };
    let inline = Some(shard::Inline { request: asked.element, sm_id: hex::write(&sm_id) });
    Bind { wanted: Some(wanted), agent, inline, ..Bind::resource(None, hex::write(&random)) }
}

/// 96 bits are enough to be nobody else's.
fn resource_of(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes.get(..12).unwrap_or(bytes))
}

pub(super) fn resumed(
    it: &mut Negotiator,
    mut arriving: Arriving,
    outcome: Result<(SessionRef, u32, FullJid), ResumeError>,
    env: &mut Env<'_>,
) -> Vec<Action> {
    let Some((previd, _)) = arriving.request.resume.take() else { return Vec::new() };
    match outcome {
        Ok((session, h, jid)) => {
            let resumed = format!("<resumed xmlns='{}' previd='{}' h='{h}'/>", ns::SM, escape_attr(&previd));
            // XEP-0198 9.2: the stream is as it was, no features follow.
            success(&arriving, jid.as_str(), &resumed, env);
            vec![Action::Attached(session)]
        }
        Err(ResumeError::NotFound) => {
            arriving.failed = Some(super::sm_failed("item-not-found"));
            next(it, arriving, env)
        }
        Err(ResumeError::Superseded) => it.fail(&super::superseded(), env),
        Err(ResumeError::TooMany(error)) => it.fail(&error, env),
    }
}

pub(super) fn bound(
    it: &mut Negotiator,
    arriving: &Arriving,
    outcome: Result<(SessionRef, FullJid, String), Bounce>,
    env: &mut Env<'_>,
) -> Vec<Action> {
    match outcome {
        Ok((session, jid, inline)) => {
            let bound = format!("<bound xmlns='{}'>{inline}</bound>", ns::BIND2);
            success(arriving, jid.as_str(), &bound, env);
            if let Some(host) = &it.doors {
                let stream_management = inline.contains(&format!("<enabled xmlns='{}'", ns::SM));
                features::authenticated(host, &features::Done { bound: true, stream_management }, env);
            }
            vec![Action::Attached(session)]
        }
        // Authenticated and not let in: no element of this profile says that, and there is nothing to try again.
        Err(why) => {
            let condition = match why.condition {
                Condition::NotAllowed => "not-authorized",
                Condition::ResourceConstraint => "resource-constraint",
                _ => "internal-server-error",
            };
            it.fail(&StreamError { text: why.text, ..StreamError::new(condition) }, env)
        }
    }
}

/// XEP-0388 2.6.1.
fn success(arriving: &Arriving, identity: &str, inline: &str, env: &mut Env<'_>) {
    let mut xml = format!("<success xmlns='{}'>", ns::SASL2);
    if let Some(data) = &arriving.additional {
        xml.push_str(&format!("<additional-data>{}</additional-data>", encode(data)));
    }
    xml.push_str(&format!("<authorization-identifier>{}</authorization-identifier>", escape_text(identity)));
    xml.push_str(arriving.failed.as_deref().unwrap_or_default());
    xml.push_str(inline);
    if let Some((token, Some(until))) = &arriving.token {
        // XEP-0484 3.3.
        let expiry = iris_core::time::datetime(until - until % 1_000_000);
        xml.push_str(&format!("<token xmlns='{}' expiry='{expiry}' token='{}'/>", ns::FAST, token.as_str()));
    }
    xml.push_str("</success>");
    env.out.extend_from_slice(xml.as_bytes());
}

/// XEP-0388 2.6.2. `more`: an application-specific condition.
pub(super) fn failure(error: SaslError, more: &str, env: &mut Env<'_>) {
    let condition = error.condition();
    let xml = format!("<failure xmlns='{}'><{condition} xmlns='{}'/>{more}</failure>", ns::SASL2, ns::SASL);
    env.out.extend_from_slice(xml.as_bytes());
}

/// Before there is a mechanism to run.
pub(super) fn refuse(it: &mut Negotiator, error: SaslError, env: &mut Env<'_>) -> Vec<Action> {
    // RFC 6120 6.5.4, as for the other profile.
    let error = if it.offered.is_none() { SaslError::EncryptionRequired } else { error };
    failure(error, "", env);
    attempt::failed(it, error, None, env)
}

/// XEP-0388 2.3: base64; white space around it is forgiven, none inside.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim()).ok()
}
