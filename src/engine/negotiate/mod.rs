//! Stream negotiation of a client, sans-IO (RFC 6120 4 to 7): headers and elements in, bytes and [`Action`]s out.
//!
//! One machine for all ways in. A way in is a *transport* (STARTTLS, direct TLS, plain in development) and a *profile* of
//! authentication (`sasl1.rs`, `sasl2.rs`) around one `attempt.rs`; what a stream offers stands in `features.rs`.

use std::sync::Arc;

use iris_core::effects::StreamError;
use iris_core::error::{Bounce, Condition};
use iris_core::jids::address;
use iris_core::limits::Limits;
use iris_core::mount::Doors;
use iris_core::registration;
use iris_core::xml::escape::escape_attr;
use iris_core::xml::limits::XmlLimits;
use iris_core::xml::scan::StreamHeader;
use iris_core::{BareJid, FullJid, Kind, SessionRef, Stanza, StanzaType, hex, ns};

use crate::account::reply;
use crate::router::Hosts;
use crate::shard::{Bind, ResumeError};
use iris_core::login::Census;
use iris_core::{Ask, AskAnswer};
use sasl::{ChannelBinding, Credentials, FakeSalt, Lookup, Offered, Step, TlsVersion};

mod attempt;
mod component;
mod fast;
mod features;
mod offering;
mod passwordless;
pub mod peer;
mod register;
pub mod sasl;
mod sasl1;
mod sasl2;
mod secret;
#[cfg(test)]
mod tests;
mod upgrade;

pub use component::Knock;
pub use secret::HouseSecret;

/// What the domain allows on its streams; the same for all of them.
pub struct Policy {
    pub plain_sasl: bool,
    pub fake_salt: FakeSalt,
    pub secret: HouseSecret,
}

/// Every mechanism that there is, offered or not: what attempts are counted by.
pub const MECHANISMS: [&str; 12] = [
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-1",
    "PLAIN",
    "HT-SHA-256-EXPR",
    "HT-SHA-256-ENDP",
    "HT-SHA-256-NONE",
    passwordless::EXTERNAL,
    passwordless::ANONYMOUS,
];

/// How the bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Clear, and TLS must begin before anything else.
    StartTls,
    /// Encrypted from the first byte (XEP-0368).
    DirectTls,
    /// Clear, and stays so: development only, loopback only.
    Plain,
    /// RFC 7395; TLS, if any, is that of the HTTP connection it began as.
    WebSocket,
    /// XEP-0206; TLS, if any, is that of each HTTP connection.
    Bosh,
}

/// What the handshake gave.
#[derive(Clone, Debug)]
pub struct Security {
    pub version: TlsVersion,
    pub bindings: Vec<ChannelBinding>,
    /// Whom the client's certificate speaks for, if it showed a valid one.
    pub addresses: Vec<BareJid>,
}

/// What the machine borrows for one step.
pub struct Env<'a> {
    pub hosts: &'a Hosts,
    pub limits: &'a Limits,
    pub policy: &'a Policy,
    pub census: &'a Census,
    pub random: &'a mut dyn FnMut(&mut [u8]),
    /// What is to be written to the client.
    pub out: &'a mut Vec<u8>,
}

/// What the pipe has to do next, in order.
#[derive(Debug)]
pub enum Action {
    /// `<proceed/>` is in `out`: write it, drop every byte that was read behind `<starttls/>`, shake hands.
    StartTls,
    /// A new stream header is expected.
    Restart,
    /// From here on stanzas may be as large as authenticated clients' are.
    Authenticated(BareJid),
    /// Go to the shard of this account and ask it for its login; give the answer to `looked_up`.
    LookUp(BareJid),
    /// The same with another question.
    LookUpFor(BareJid, Ask),
    /// Ask the account, which is here; give the answer to `answered`.
    Ask(BareJid, Ask),
    /// Tell the account, which is here; nobody waits for its answer.
    Keep(BareJid, Ask),
    /// Costs a whole PBKDF2, or some: run `lookup.verify(…)` on a side thread and give the outcome to `stepped`.
    Verify(Box<Lookup>, Option<Box<Credentials>>),
    /// An authentication failed.
    Failed(Option<BareJid>),
    /// Ask the domain's registrar; give its answer to `registered`.
    Register(Box<registration::Request>),
    Bind(BareJid, Option<String>),
    /// As `Bind`, with what XEP-0386 asks for.
    BindInline(BareJid, Box<Bind>),
    Resume(BareJid, String, u32),
    /// The session is there: from now on its pipe feeds it.
    Attached(SessionRef),
    /// Write what is in `out`, then close.
    Close,
}

#[derive(Debug)]
enum State {
    /// A header is expected.
    Header,
    /// Whom the header says it is from was asked what keys it has.
    Offering(BareJid),
    /// Offered STARTTLS, or SASL.
    Open,
    Sasl(Box<attempt::Attempt>),
    /// XEP-0388: the password was right, and a task is underway (XEP-0480).
    Upgrading(Box<upgrade::Upgrading>),
    /// XEP-0388: authenticated, and what was asked inline is being done.
    Arriving(Box<sasl2::Arriving>),
    /// The domain's registrar was asked.
    Registering(Box<register::Asked>),
    /// The header after authentication is expected.
    AuthenticatedHeader,
    /// Offered bind and resume.
    Authenticated,
    /// `<bind/>` was asked of the account.
    Binding(Box<Stanza>),
    Resuming(String),
    Over,
}

pub struct Negotiator {
    transport: Transport,
    state: State,
    security: Option<Security>,
    doors: Option<Arc<Doors>>,
    offered: Option<Offered>,
    /// XEP-0509: what the features were.
    config_version: String,
    identity: Option<BareJid>,
    /// The login that was proved (`Login::since_us`); a guest has proved none.
    login_us: Option<u64>,
    /// Who the client says it is, in its stream header; nothing is let in on that.
    from: Option<BareJid>,
    /// XEP-0494: as the account remembers the client.
    client: Option<Arc<str>>,
    by_certificate: bool,
    /// The mechanism of the latest attempt.
    mechanism: Option<&'static str>,
    failures: u32,
    /// Attempts that ended at their channel binding.
    bindings_refused: u32,
    registering: register::Registering,
    /// A header has been answered on the stream as it is now.
    opened: bool,
}

impl Negotiator {
    pub fn new(transport: Transport) -> Negotiator {
        Negotiator {
            transport,
            state: State::Header,
            security: None,
            doors: None,
            offered: None,
            config_version: String::new(),
            identity: None,
            login_us: None,
            from: None,
            client: None,
            by_certificate: false,
            mechanism: None,
            failures: 0,
            bindings_refused: 0,
            registering: register::Registering::default(),
            opened: false,
        }
    }

    pub fn limits(&self, limits: &Limits) -> XmlLimits {
        if self.identity.is_some() {
            return authenticated_limits(limits);
        }
        XmlLimits {
            stanza_size_bytes_max: limits.pre_auth_stanza_size_bytes_max,
            elements_max: limits.pre_auth_elements_max,
            depth_max: limits.stanza_depth_max,
            ..XmlLimits::PRE_AUTH
        }
    }

    /// The mechanism of the latest attempt; `None`: no attempt, or no mechanism of ours.
    pub fn mechanism(&self) -> Option<&'static str> {
        self.mechanism
    }

    /// The domain of the stream, once it is known.
    pub fn domain(&self) -> Option<&str> {
        self.doors.as_ref().map(|doors| doors.domain.as_str())
    }

    /// The handshake is over. A new header follows.
    pub fn secured(&mut self, security: Security) {
        self.security = Some(security);
        self.state = State::Header;
        self.opened = false;
    }

    pub fn is_secured(&self) -> bool {
        self.security.is_some()
    }

    /// A stream header.
    pub fn header(&mut self, header: &StreamHeader, env: &mut Env<'_>) -> Vec<Action> {
        let host = header.to.as_deref().and_then(|to| address(to).ok()).and_then(|to| {
            let is_domain = to.node().is_none() && to.resource().is_none();
            is_domain.then(|| env.hosts.domain(to.domain().as_str()).cloned()).flatten()
        });
        let from = host.as_ref().or(self.doors.as_ref()).map(|doors| doors.domain.clone());
        let from = from.or_else(|| env.hosts.own_domain().map(str::to_owned));
        // RFC 6120 4.9.1.2: an error follows a header, also when the client's header was the mistake.
        self.answer_header(from.as_deref(), header.from.as_deref(), env);
        if header.default_ns != ns::CLIENT {
            return self.fail(&StreamError::new("invalid-namespace"), env);
        }
        match &header.version {
            Some(version) if version_is_supported(version) => {}
            _ => return self.fail(&StreamError::new("unsupported-version").text("this server speaks XMPP 1.0"), env),
        }
        let Some(host) = host else {
            return self.fail(&StreamError::new("host-unknown"), env);
        };
        if let (Some(identity), true) = (&self.identity, matches!(self.state, State::AuthenticatedHeader)) {
            // One authenticates for one domain (security B14, CVE-2018-10847).
            if identity.domain().as_str() != host.domain {
                return self.fail(&StreamError::new("not-authorized").text("you are authenticated for another domain"), env);
            }
            self.state = State::Authenticated;
            features::authenticated(&host, &features::Done::default(), env);
            self.doors = Some(host);
            return Vec::new();
        }
        if !matches!(self.state, State::Header) {
            return self.fail(&StreamError::new("not-well-formed"), env);
        }
        // XEP-0388 2.1, RFC 6120 4.9.3.9: whoever says who it is says it of the domain it speaks to.
        self.from = header.from.as_deref().and_then(|from| address(from).ok()).map(|from| from.to_bare());
        if self.from.as_ref().is_some_and(|from| from.domain().as_str() != host.domain) {
            return self.fail(&StreamError::new("invalid-from"), env);
        }
        self.doors = Some(host);
        offering::begin(self, env)
    }

    /// Nothing may be authenticated before TLS.
    fn is_clear(&self) -> bool {
        self.transport == Transport::StartTls && self.security.is_none()
    }

    /// A first-level element, before there is a session.
    pub fn element(&mut self, stanza: Stanza, env: &mut Env<'_>) -> Vec<Action> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Open if stanza.is(ns::TLS, "starttls") => self.start_tls(env),
            State::Open if register::is_meant(self, &stanza) => register::element(self, &stanza, env),
            State::Open => self.sasl(None, stanza, env),
            State::Sasl(attempt) => self.sasl(Some(*attempt), stanza, env),
            State::Upgrading(upgrading) => upgrade::element(self, *upgrading, &stanza, env),
            State::Authenticated => self.authenticated(stanza, env),
            // A second request while one is being worked on, or anything out of order.
            State::Header
            | State::AuthenticatedHeader
            | State::Offering(_)
            | State::Arriving(_)
            | State::Registering(_)
            | State::Binding(_)
            | State::Resuming(_)
            | State::Over => self.fail(&StreamError::new("not-authorized").text("that comes too early"), env),
        }
    }

    /// `</stream:stream>`, or the end of the bytes.
    pub fn closed(&mut self, env: &mut Env<'_>) -> Vec<Action> {
        self.state = State::Over;
        if self.opened {
            env.out.extend_from_slice(b"</stream:stream>");
        }
        vec![Action::Close]
    }

    /// What the scanner, a limit or a deadline refused.
    pub fn fail(&mut self, error: &StreamError, env: &mut Env<'_>) -> Vec<Action> {
        if !self.opened {
            let from = self.domain().or_else(|| env.hosts.own_domain()).map(str::to_owned);
            self.answer_header(from.as_deref(), None, env);
        }
        env.out.extend_from_slice(error.to_xml().as_bytes());
        self.closed(env)
    }

    /// Is a header expected, so that anything else that comes is not XML of ours?
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn answer_header(&mut self, from: Option<&str>, to: Option<&str>, env: &mut Env<'_>) {
        let mut id = [0u8; 16];
        (env.random)(&mut id);
        let mut header = String::from("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='");
        header.push_str(ns::STREAMS);
        header.push_str(&format!("' id='{}'", hex::write(&id)));
        for (name, value) in [("from", from), ("to", to)] {
            if let Some(value) = value {
                header.push_str(&format!(" {name}='{}'", escape_attr(value)));
            }
        }
        header.push_str(" version='1.0' xml:lang='en'>");
        env.out.extend_from_slice(header.as_bytes());
        self.opened = true;
    }

    fn start_tls(&mut self, env: &mut Env<'_>) -> Vec<Action> {
        if self.transport != Transport::StartTls || self.security.is_some() {
            // RFC 6120 5.4.2.2: the failure, then the end of the stream.
            env.out.extend_from_slice(format!("<failure xmlns='{}'/>", ns::TLS).as_bytes());
            return self.closed(env);
        }
        env.out.extend_from_slice(format!("<proceed xmlns='{}'/>", ns::TLS).as_bytes());
        self.state = State::Header;
        vec![Action::StartTls]
    }

    fn authenticated(&mut self, stanza: Stanza, env: &mut Env<'_>) -> Vec<Action> {
        let Some(identity) = self.identity.clone() else {
            return self.fail(&StreamError::new("not-authorized"), env);
        };
        if stanza.is(ns::SM, "resume") {
            let (Some(previd), Some(h)) = (stanza.attr("previd"), stanza.attr("h").and_then(|h| h.parse().ok())) else {
                return self.fail(&StreamError::new("bad-format").text("<resume/> needs previd and h"), env);
            };
            self.state = State::Resuming(previd.to_string());
            return vec![Action::Resume(identity, previd.into_owned(), h)];
        }
        if stanza.is(ns::SM, "enable") {
            // XEP-0198 3: only after a resource is bound.
            env.out.extend_from_slice(sm_failed("unexpected-request").as_bytes());
            self.state = State::Authenticated;
            return Vec::new();
        }
        let child = stanza.children().first();
        let bind = child.filter(|child| stanza.child_ns(child) == ns::BIND && stanza.child_local(child) == "bind");
        let (Kind::Iq, StanzaType::Set, Some(bind)) = (stanza.kind(), stanza.stype(), bind) else {
            // RFC 6120 7.1: nothing else before a resource is bound.
            return self.fail(&StreamError::new("not-authorized").text("bind a resource first"), env);
        };
        let wanted = stanza.child_el(bind).child(ns::BIND, "resource").map(|el| el.text().into_owned());
        self.state = State::Binding(Box::new(stanza));
        vec![Action::Bind(identity, wanted)]
    }

    /// The account's answer to `Action::Bind` and `Action::BindInline`: the session, its address and what `<bound/>` holds.
    pub fn bound(&mut self, outcome: Result<(SessionRef, FullJid, String), Bounce>, env: &mut Env<'_>) -> Vec<Action> {
        let asked = match std::mem::replace(&mut self.state, State::Over) {
            State::Binding(asked) => asked,
            State::Arriving(arriving) => return sasl2::bound(self, &arriving, outcome, env),
            _ => return Vec::new(),
        };
        match outcome {
            Ok((session, jid, _)) => {
                let payload = format!("<bind xmlns='{}'><jid>{}</jid></bind>", ns::BIND, escape_attr(jid.as_str()));
                env.out.extend_from_slice(reply::result_xml(&asked, None, &payload).as_bytes());
                vec![Action::Attached(session)]
            }
            Err(why) => {
                let disabled = why.condition == Condition::NotAllowed;
                env.out.extend_from_slice(reply::error_xml(&asked, None, &why).as_bytes());
                if disabled {
                    return self.closed(env);
                }
                self.state = State::Authenticated;
                Vec::new()
            }
        }
    }

    /// The account's answer to `Action::Resume`.
    pub fn resumed(&mut self, outcome: Result<(SessionRef, u32, FullJid), ResumeError>, env: &mut Env<'_>) -> Vec<Action> {
        let previd = match std::mem::replace(&mut self.state, State::Over) {
            State::Resuming(previd) => previd,
            State::Arriving(arriving) => return sasl2::resumed(self, *arriving, outcome, env),
            _ => return Vec::new(),
        };
        match outcome {
            Ok((session, h, _)) => {
                let resumed = format!("<resumed xmlns='{}' previd='{}' h='{h}'/>", ns::SM, escape_attr(&previd));
                env.out.extend_from_slice(resumed.as_bytes());
                vec![Action::Attached(session)]
            }
            Err(ResumeError::NotFound) => {
                env.out.extend_from_slice(sm_failed("item-not-found").as_bytes());
                self.state = State::Authenticated;
                Vec::new()
            }
            Err(ResumeError::Superseded) => self.fail(&superseded(), env),
            Err(ResumeError::TooMany(error)) => self.fail(&error, env),
        }
    }

    /// The account's answer to `Action::Ask`.
    pub fn answered(&mut self, answer: AskAnswer, env: &mut Env<'_>) -> Vec<Action> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Arriving(arriving) => sasl2::admitted(self, *arriving, answer, env),
            _ => Vec::new(),
        }
    }

    /// A session that begins on this stream, with what is known of the client.
    pub fn begins(&self, bind: Bind) -> Bind {
        Bind { login_us: self.login_us, client: self.client.clone(), by_certificate: self.by_certificate, ..bind }
    }

    /// What goes with a resumption as it goes with a bind.
    pub fn login_us(&self) -> Option<u64> {
        self.login_us
    }

    /// The account's answer to `Action::LookUp` and `Action::LookUpFor`. `banned`: it is treated as if the password were wrong, whatever it is.
    pub fn looked_up(&mut self, answer: AskAnswer, banned: bool, env: &mut Env<'_>) -> Vec<Action> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Offering(account) => offering::answered(self, &account, &answer, env),
            State::Sasl(attempt) => attempt::looked_up(self, *attempt, answer, banned, env),
            _ => Vec::new(),
        }
    }

    /// The domain's answer to `Action::Register`.
    pub fn registered(&mut self, answer: registration::Answer, env: &mut Env<'_>) -> Vec<Action> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Registering(asked) => register::answered(self, &asked, answer, env),
            _ => Vec::new(),
        }
    }

    /// A person fills in a form: that takes longer than a machine's negotiation.
    pub fn awaits_person(&self) -> bool {
        self.registering.asking && self.identity.is_none()
    }

    /// The outcome of `Action::Verify`.
    pub fn stepped(&mut self, step: Step, better: Option<Credentials>, env: &mut Env<'_>) -> Vec<Action> {
        attempt::stepped(self, step, better, env)
    }

    fn sasl(&mut self, attempt: Option<attempt::Attempt>, stanza: Stanza, env: &mut Env<'_>) -> Vec<Action> {
        use attempt::Profile;
        match (stanza.name().0, attempt.as_ref().map(|attempt| &attempt.profile)) {
            (ns::SASL, None | Some(Profile::Sasl1)) => sasl1::element(self, attempt, &stanza, env),
            (ns::SASL2, None | Some(Profile::Sasl2(_))) => sasl2::element(self, attempt, &stanza, env),
            (ns::SASL | ns::SASL2, Some(_)) => {
                self.fail(&StreamError::new("policy-violation").text("one authentication at a time"), env)
            }
            // RFC 6120 4.9.3.12: a stanza before authentication. The stream ends; no stanza error tells anything.
            _ => self.fail(&StreamError::new("not-authorized").text("authenticate first"), env),
        }
    }
}

/// RFC 6120 6.4.5: one failure more on this stream; after some it ends.
fn failed_once(it: &mut Negotiator, env: &mut Env<'_>) -> Vec<Action> {
    it.failures += 1;
    if it.failures >= env.limits.auth_failures_per_stream_max {
        return it.fail(&StreamError::new("policy-violation").text("too many failed attempts"), env);
    }
    Vec::new()
}

/// RFC 6120 4.7.5: the major version must be ours; a higher minor one is understood as ours.
fn version_is_supported(version: &str) -> bool {
    let mut parts = version.split('.');
    parts.next() == Some("1")
        && parts.next().is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()))
}

/// XEP-0198 5.
fn sm_failed(condition: &str) -> String {
    format!("<failed xmlns='{}'><{condition} xmlns='{}'/></failed>", ns::SM, ns::STANZAS)
}

/// How large stanzas may be of somebody who is known.
pub fn authenticated_limits(limits: &Limits) -> XmlLimits {
    XmlLimits {
        stanza_size_bytes_max: limits.stanza_size_bytes_max,
        elements_max: limits.stanza_elements_max,
        depth_max: limits.stanza_depth_max,
        ..XmlLimits::PRE_AUTH
    }
}

/// Two connections of a client resume the same session: the later one has it.
fn superseded() -> StreamError {
    StreamError::new("conflict").text("another connection resumes this session")
}
