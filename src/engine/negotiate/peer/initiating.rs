//! The side that connects: it shows whom it speaks for, or asks another server whether a key is theirs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use iris_core::Stanza;
use iris_core::xml::scan::StreamHeader;

use super::super::version_is_supported;
use super::receiving::what_went_wrong;
use super::*;

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To say what we have for them.
    Speak,
    /// To ask whether this key of the stream with this id is theirs (XEP-0220 2.1.2).
    Verify { id: String, key: String },
}

/// What an element is to the pipe.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Nothing,
    /// Begin TLS.
    StartTls,
    /// A new stream: ours is written.
    Restart,
    /// We may speak; whether they acknowledge what we say (XEP-0198).
    Open {
        acknowledges: bool,
    },
    /// What they say of the key.
    Verified(bool),
    /// It comes to nothing with this server, and why. `for_good`: nor will it in a minute. `condition`: for whoever wanted to say something.
    Failed {
        why: String,
        for_good: bool,
        condition: Condition,
    },
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Header,
    Features,
    StartTls,
    External,
    Dialback,
    Verify,
    Over,
}

pub struct Initiating {
    ours: String,
    theirs: String,
    purpose: Purpose,
    direct: bool,
    secured: bool,
    state: State,
    id: String,
    authenticated: bool,
    offers_dialback: bool,
    offers_acknowledgements: bool,
}

impl Initiating {
    pub fn new(ours: String, theirs: String, purpose: Purpose, direct: bool) -> Initiating {
        Initiating {
            ours,
            theirs,
            purpose,
            direct,
            secured: false,
            state: State::Header,
            id: String::new(),
            authenticated: false,
            offers_dialback: false,
            offers_acknowledgements: false,
        }
    }

    /// Our header: at the beginning (without direct TLS), after TLS, after SASL.
    pub fn open(&mut self, env: &mut PeerEnv<'_>) {
        env.header(None, Some(&self.ours), Some(&self.theirs));
        self.state = State::Header;
    }

    /// The handshake is over.
    pub fn secured(&mut self, env: &mut PeerEnv<'_>) {
        self.secured = true;
        self.open(env);
    }

    pub fn header(&mut self, header: &StreamHeader, env: &mut PeerEnv<'_>) -> Heard {
        if self.state != State::Header {
            return self.give_up("it says two headers", env);
        }
        if header.default_ns != "jabber:server" {
            return self.give_up("no server speaks there", env);
        }
        if !header.version.as_deref().is_some_and(version_is_supported) {
            return self.give_up("it does not speak XMPP 1.0, and so no TLS", env);
        }
        // RFC 6120 4.7.3; a key is made of it.
        let Some(id) = header.id.clone().filter(|id| !id.is_empty()) else {
            return self.give_up("its stream has no id", env);
        };
        self.id = id;
        self.state = State::Features;
        Heard::Nothing
    }

    pub fn element(&mut self, stanza: &Stanza, env: &mut PeerEnv<'_>) -> Heard {
        if stanza.is(ns::STREAMS, "error") {
            let why = format!("it says {}", what_went_wrong(stanza));
            let passing = ["system-shutdown", "connection-timeout", "resource-constraint", "internal-server-error", "reset"];
            let passing = passing.iter().any(|condition| stanza.child_named(ns::STREAM_ERRORS, condition).is_some());
            // XEP-0220 2.5.
            let unknown = ["host-unknown", "host-gone"].iter();
            let is_unknown = unknown.into_iter().any(|condition| stanza.child_named(ns::STREAM_ERRORS, condition).is_some());
            let condition = if is_unknown { Condition::RemoteServerNotFound } else { Condition::RemoteServerTimeout };
            return self.end(why, !passing, condition, env);
        }
        match (&self.state, stanza.name()) {
            (State::Features, (ns::STREAMS, "features")) => self.features(stanza, env),
            (State::StartTls, (ns::TLS, "proceed")) => Heard::StartTls,
            (State::StartTls, (ns::TLS, "failure")) => self.give_up("it cannot begin TLS", env),
            (State::External, (ns::SASL, "success")) => {
                self.authenticated = true;
                self.open(env);
                Heard::Restart
            }
            // XEP-0178 3, step 13: it may still believe a key.
            (State::External, (ns::SASL, "failure")) if self.offers_dialback => self.show_key(env),
            (State::External, (ns::SASL, "failure")) => {
                let why = format!("it does not take our certificate: {}", what_went_wrong(stanza));
                let passes = stanza.child_named(ns::SASL, "temporary-auth-failure").is_some();
                self.end(why, !passes, Condition::RemoteServerTimeout, env)
            }
            (State::Dialback, (DIALBACK, "result")) if self.is_about_us(stanza) => match stanza.attr("type").as_deref() {
                Some("valid") => self.done(),
                Some("error") => {
                    let error = stanza.child_named(ns::CLIENT, "error").map(|error| stanza.child_el(error));
                    let why =
                        error.as_ref().and_then(|error| error.children().next().map(|condition| condition.local().to_owned()));
                    let text =
                        error.and_then(|error| error.child(ns::STANZAS, "text")).map(|text| format!(" ({})", text.text()));
                    let (why, text) = (why.unwrap_or_default(), text.unwrap_or_default());
                    // XEP-0220 2.1.1: whatever kind of error it is, what waits goes back.
                    self.give_up(&format!("it does not take our key: {why}{text}"), env)
                }
                // There as well.
                _ => self.end("it does not take our key".to_owned(), true, Condition::InternalServerError, env),
            },
            (State::Verify, (DIALBACK, "verify")) if self.is_about_us(stanza) && self.is_about_key(stanza) => {
                let why = "it cannot say whether the key is theirs".to_owned();
                let failed = self.end(why, true, Condition::RemoteServerNotFound, env);
                match stanza.attr("type").as_deref() {
                    Some("valid") => Heard::Verified(true),
                    Some("invalid") => Heard::Verified(false),
                    _ => failed,
                }
            }
            // Security E2: what answers another question is no answer.
            _ => Heard::Nothing,
        }
    }

    fn features(&mut self, stanza: &Stanza, env: &mut PeerEnv<'_>) -> Heard {
        if !self.secured {
            if self.direct || stanza.child_named(ns::TLS, "starttls").is_none() {
                return self.give_up("it offers no TLS", env);
            }
            env.say(&format!("<starttls xmlns='{}'/>", ns::TLS));
            self.state = State::StartTls;
            return Heard::Nothing;
        }
        self.offers_acknowledgements = stanza.child_named(ns::SM, "sm").is_some();
        if self.authenticated {
            return self.done();
        }
        let proved = (env.judge)(&self.theirs);
        if let (Err(why), true) = (&proved, env.rules.certificate_required) {
            // RFC 6120 13.7.2: it is not whom we mean, and hears nothing of what we have for them.
            let why = why.clone();
            return self.give_up(&why, env);
        }
        self.offers_dialback = stanza.child_named(DIALBACK_FEATURE, "dialback").is_some();
        if let Purpose::Verify { id, key } = &self.purpose {
            let key = iris_core::xml::escape::escape_text(key);
            env.say(&dialback("verify", &self.ours, &self.theirs, Some(id), None, &key));
            self.state = State::Verify;
            return Heard::Nothing;
        }
        let mechanisms = stanza.child_named(ns::SASL, "mechanisms").map(|child| stanza.child_el(child));
        let external = mechanisms.is_some_and(|it| it.children().any(|mechanism| mechanism.text().trim() == "EXTERNAL"));
        if external {
            let name = STANDARD.encode(&self.ours);
            env.say(&format!("<auth xmlns='{}' mechanism='EXTERNAL'>{name}</auth>", ns::SASL));
            self.state = State::External;
            return Heard::Nothing;
        }
        // Servers older than the feature know dialback all the same (XEP-0220 2.4.1).
        self.show_key(env)
    }

    fn show_key(&mut self, env: &mut PeerEnv<'_>) -> Heard {
        let key = key(env.secret, &self.theirs, &self.ours, &self.id);
        env.say(&dialback("result", &self.ours, &self.theirs, None, None, &key));
        self.state = State::Dialback;
        Heard::Nothing
    }

    fn is_about_us(&self, stanza: &Stanza) -> bool {
        let (from, to) = (domain(stanza.from().as_deref()), domain(stanza.to().as_deref()));
        (from.as_deref(), to.as_deref()) == (Some(&*self.theirs), Some(&*self.ours))
    }

    fn is_about_key(&self, stanza: &Stanza) -> bool {
        matches!(&self.purpose, Purpose::Verify { id, .. } if stanza.attr("id").as_deref() == Some(id))
    }

    fn done(&mut self) -> Heard {
        self.state = State::Over;
        Heard::Open { acknowledges: self.offers_acknowledgements }
    }

    fn give_up(&mut self, why: &str, env: &mut PeerEnv<'_>) -> Heard {
        self.end(why.to_owned(), true, Condition::RemoteServerTimeout, env)
    }

    fn end(&mut self, why: String, for_good: bool, condition: Condition, env: &mut PeerEnv<'_>) -> Heard {
        self.state = State::Over;
        env.end(None);
        Heard::Failed { why, for_good, condition }
    }
}
