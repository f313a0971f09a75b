//! The side that another server connects to: it hears whom they speak for, has that proved, and then takes stanzas from these.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use iris_core::xml::limits::XmlLimits;
use iris_core::xml::scan::StreamHeader;
use iris_core::{Jid, Kind, Stanza};

use super::super::{authenticated_limits, version_is_supported};
use super::*;

/// Pairs of domains that one stream may speak for: theirs, ours.
pub(super) const PAIRS_MAX: usize = 1_000;
/// Keys of one stream that are being verified at once.
pub(super) const VERIFIES_MAX: usize = 16;
/// Attempts to show something that came to nothing, of one stream (RFC 6120 6.4.5; security E6): each costs a look at a certificate, or a
/// connection to somebody else.
pub(super) const REFUSALS_MAX: u32 = 100;

/// Ask the server of `from` whether it knows this key (XEP-0220 2.1.2); the answer goes to [`Receiving::verified`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verify {
    /// Who the stream says that it speaks for.
    pub from: String,
    /// Ours, to which it wants to speak.
    pub to: String,
    /// Of the stream.
    pub id: String,
    pub key: String,
}

/// What an element is to the pipe.
#[derive(Debug)]
pub enum Said {
    /// Whatever there was to say to it is said.
    Nothing,
    /// `<proceed/>` is written: drop what was read behind `<starttls/>`, shake hands.
    StartTls,
    /// A new stream header is expected.
    Restart,
    /// It has shown that it speaks for this domain, by a certificate or by a key.
    Proved(String),
    Verify(Verify),
    /// Of somebody it speaks for, to somebody here.
    Stanza(Stanza, Jid, Jid),
    /// XEP-0198: for the session.
    Acknowledgement(Stanza),
    /// Everything is said: close.
    Close,
}

pub struct Receiving {
    /// Encrypted from the first byte (XEP-0368).
    direct: bool,
    secured: bool,
    id: String,
    opened: bool,
    /// Who it says it is, and whom it wants to speak to: of the header.
    from: Option<String>,
    to: Option<String>,
    /// EXTERNAL is done: the next header is the last.
    external: bool,
    /// Proved: theirs, ours.
    pairs: Vec<(String, String)>,
    verifying: Vec<Verify>,
    refusals: u32,
}

impl Receiving {
    pub fn new(direct: bool) -> Receiving {
        Receiving {
            direct,
            secured: false,
            id: String::new(),
            opened: false,
            from: None,
            to: None,
            external: false,
            pairs: Vec::new(),
            verifying: Vec::new(),
            refusals: 0,
        }
    }

    /// What the scanner lets through: little before anything is proved.
    pub fn limits(&self, limits: &Limits) -> XmlLimits {
        match self.pairs.is_empty() {
            false => XmlLimits { stanza_size_bytes_max: limits.peer_stanza_size_bytes_max, ..authenticated_limits(limits) },
            true => XmlLimits {
                stanza_size_bytes_max: limits.pre_auth_stanza_size_bytes_max,
                elements_max: limits.pre_auth_elements_max,
                depth_max: limits.stanza_depth_max,
                ..XmlLimits::PRE_AUTH
            },
        }
    }

    pub fn is_authenticated(&self) -> bool {
        !self.pairs.is_empty()
    }

    /// Whom it speaks for, and to whom of us: both were proved.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// For the log.
    pub fn domain(&self) -> Option<&str> {
        self.pairs.first().map(|(theirs, _)| theirs.as_str()).or(self.from.as_deref())
    }

    /// The handshake is over; a new header follows.
    pub fn secured(&mut self) {
        self.secured = true;
        self.opened = false;
    }

    pub fn is_secured(&self) -> bool {
        self.secured
    }

    /// A stream header. What is said to it is in `env.out`.
    pub fn header(&mut self, header: &StreamHeader, env: &mut PeerEnv<'_>) -> Said {
        let again = self.opened;
        // RFC 6120 4.7.1: who is meant; without, whoever this house is.
        let to = header.to.as_deref().map(|to| domain(Some(to)).filter(|to| env.hosts.get(to).is_some()));
        self.open(to.clone().flatten().as_deref(), header.from.as_deref(), env);
        let why = if again {
            StreamError::new("not-well-formed")
        } else if header.default_ns != "jabber:server" {
            StreamError::new("invalid-namespace").text("this port is for servers (jabber:server)")
        } else if !header.version.as_deref().is_some_and(version_is_supported) {
            StreamError::new("unsupported-version").text("this server speaks XMPP 1.0")
        } else if to == Some(None) {
            StreamError::new("host-unknown")
        } else if header.from.is_some() && domain(header.from.as_deref()).is_none() {
            StreamError::new("invalid-from")
        } else {
            self.to = to.flatten();
            self.from = domain(header.from.as_deref());
            return self.greet(env);
        };
        self.fail(&why, env)
    }

    fn greet(&mut self, env: &mut PeerEnv<'_>) -> Said {
        if self.from.as_deref().is_some_and(|from| !env.hosts.speaks_with(from)) {
            return self.fail(&refused_by_rule(), env);
        }
        let mut xml = String::from("<stream:features>");
        if !self.secured {
            xml.push_str(&format!("<starttls xmlns='{}'><required/></starttls>", ns::TLS));
        } else {
            let certified = self.from.as_deref().is_some_and(|from| (env.judge)(from).is_ok());
            if certified && self.to.is_some() && !self.external {
                xml.push_str(&format!("<mechanisms xmlns='{}'><mechanism>EXTERNAL</mechanism></mechanisms>", ns::SASL));
            }
            xml.push_str(&format!("<dialback xmlns='{DIALBACK_FEATURE}'><errors/></dialback><sm xmlns='{}'/>", ns::SM));
        }
        let (bytes, idle) = (self.limits(env.limits).stanza_size_bytes_max, env.limits.peer_idle_timeout.as_secs());
        xml.push_str(&format!(
            "<limits xmlns='{}'><max-bytes>{bytes}</max-bytes><idle-seconds>{idle}</idle-seconds></limits></stream:features>",
            ns::STREAM_LIMITS
        ));
        env.say(&xml);
        Said::Nothing
    }

    fn open(&mut self, from: Option<&str>, to: Option<&str>, env: &mut PeerEnv<'_>) {
        let mut id = [0; 16];
        (env.random)(&mut id);
        self.id = hex::write(&id);
        let from = from.or_else(|| env.hosts.own_domain()).map(str::to_owned);
        env.header(Some(&self.id), from.as_deref(), to);
        self.opened = true;
    }

    /// A first-level element.
    pub fn element(&mut self, stanza: Stanza, env: &mut PeerEnv<'_>) -> Said {
        if stanza.kind() != Kind::Other {
            return self.stanza(stanza, env);
        }
        if stanza.is(ns::STREAMS, "error") {
            tracing::info!(
                peer = self.domain(),
                why = what_went_wrong(&stanza),
                "another server has ended its stream with an error"
            );
            return self.closed(env);
        }
        if !self.secured {
            if self.direct || !stanza.is(ns::TLS, "starttls") {
                return self
                    .fail(&StreamError::new("policy-violation").text("this server speaks with others in TLS only"), env);
            }
            env.say(&format!("<proceed xmlns='{}'/>", ns::TLS));
            return Said::StartTls;
        }
        match stanza.name() {
            (ns::SASL, "auth") => self.auth(&stanza, env),
            // RFC 6120 6.4.4.
            (ns::SASL, "abort") => self.refuse_external("aborted", "", env),
            (DIALBACK, "result") => self.result(&stanza, env),
            (DIALBACK, "verify") => self.verify(&stanza, env),
            (ns::SM, "enable" | "r" | "a") if self.is_authenticated() => Said::Acknowledgement(stanza),
            _ => self.fail(&StreamError::new("unsupported-stanza-type"), env),
        }
    }

    // --- SASL EXTERNAL ------------------------------------------------------------------------------------------------

    /// XEP-0178 3, steps 11 to 13: the header says who it is, the certificate proves it, the authorization identity may say it again.
    fn auth(&mut self, stanza: &Stanza, env: &mut PeerEnv<'_>) -> Said {
        if stanza.attr("mechanism").as_deref() != Some("EXTERNAL") {
            return self.refuse_external("invalid-mechanism", "", env);
        }
        let (Some(from), Some(to)) = (self.from.clone(), self.to.clone()) else {
            return self.refuse_external("not-authorized", "the stream header says who speaks to whom", env);
        };
        let text = stanza.text();
        let named = match text.trim() {
            "" | "=" => Some(Vec::new()),
            text => STANDARD.decode(text).ok(),
        };
        let Some(named) = named.and_then(|named| String::from_utf8(named).ok()) else {
            return self.refuse_external("incorrect-encoding", "", env);
        };
        if !named.is_empty() && domain(Some(&named)).as_deref() != Some(&*from) {
            return self.refuse_external("invalid-authzid", "you are another one by your stream header", env);
        }
        if self.external || self.pairs.len() >= PAIRS_MAX {
            return self.refuse_external("not-authorized", "", env);
        }
        if let Err(why) = (env.judge)(&from) {
            return self.refuse_external("not-authorized", &why, env);
        }
        env.say(&format!("<success xmlns='{}'/>", ns::SASL));
        self.external = true;
        self.opened = false;
        self.add(from, to);
        Said::Restart
    }

    fn refuse_external(&mut self, condition: &str, text: &str, env: &mut PeerEnv<'_>) -> Said {
        let text = match text {
            "" => String::new(),
            text => format!("<text xml:lang='en'>{}</text>", iris_core::xml::escape::escape_text(text)),
        };
        // It may still go on with a key.
        self.refuse(&format!("<failure xmlns='{}'><{condition}/>{text}</failure>", ns::SASL), env)
    }

    /// That is not shown. It may try something else, but not for ever.
    fn refuse(&mut self, answer: &str, env: &mut PeerEnv<'_>) -> Said {
        if self.refusals >= REFUSALS_MAX {
            return self.fail(&StreamError::new("policy-violation").text("too many attempts"), env);
        }
        self.refusals += 1;
        env.say(answer);
        Said::Nothing
    }

    fn add(&mut self, theirs: String, ours: String) {
        let pair = (theirs, ours);
        if !self.pairs.contains(&pair) {
            self.pairs.push(pair);
        }
    }

    // --- dialback -----------------------------------------------------------------------------------------------------

    /// XEP-0220 2.2.1: a key that is to be verified.
    fn result(&mut self, stanza: &Stanza, env: &mut PeerEnv<'_>) -> Said {
        let Some((theirs, ours)) = pair_of(stanza) else {
            return self.fail(&StreamError::new("improper-addressing"), env);
        };
        if stanza.attr("type").is_some() {
            // Security E2: nobody has asked (CVE-2012-3525).
            return self.fail(&StreamError::new("policy-violation").text("that answers no question of this server"), env);
        }
        let refusal =
            |condition, text: &str| dialback("result", &ours, &theirs, None, Some("error"), &dialback_error(condition, text));
        if env.hosts.get(&ours).is_none() {
            return self.refuse(&refusal(Condition::ItemNotFound, "that domain is not served here"), env);
        }
        if !env.hosts.speaks_with(&theirs) {
            let why = "this server does not speak with that domain; its administrator decides";
            return self.refuse(&refusal(Condition::PolicyViolation, why), env);
        }
        if self.pairs.len() + self.verifying.len() >= PAIRS_MAX || self.verifying.len() >= VERIFIES_MAX {
            let why = "as many keys are being verified as may be at once";
            return self.refuse(&refusal(Condition::ResourceConstraint, why), env);
        }
        // What a certificate proves needs no key. It is the certificate of this very connection, and for this very domain.
        match (env.judge)(&theirs) {
            Ok(()) => {
                env.say(&dialback("result", &ours, &theirs, None, Some("valid"), ""));
                self.add(theirs.clone(), ours);
                Said::Proved(theirs)
            }
            Err(why) if env.rules.certificate_required => self.refuse(&refusal(Condition::NotAuthorized, &why), env),
            Err(_) => {
                let verify = Verify { from: theirs, to: ours, id: self.id.clone(), key: stanza.text().trim().to_owned() };
                if self.verifying.iter().any(|other| (&other.from, &other.to) == (&verify.from, &verify.to)) {
                    return Said::Nothing;
                }
                self.verifying.push(verify.clone());
                Said::Verify(verify)
            }
        }
    }

    /// What the server of that domain has said of the key. `Err`: it could not be asked.
    pub fn verified(&mut self, verify: &Verify, outcome: Result<bool, Condition>, env: &mut PeerEnv<'_>) -> Said {
        let Some(at) = self.verifying.iter().position(|it| it == verify) else { return Said::Nothing };
        let Verify { from, to, .. } = self.verifying.swap_remove(at);
        match outcome {
            Ok(true) => {
                env.say(&dialback("result", &to, &from, None, Some("valid"), ""));
                self.add(from.clone(), to);
                Said::Proved(from)
            }
            Ok(false) => {
                tracing::warn!(domain = from, "a stream claims to speak for a domain whose server does not know it");
                if self.pairs.is_empty() {
                    // 2.2.1: and the stream has to end.
                    env.say(&dialback("result", &to, &from, None, Some("invalid"), ""));
                    return self.closed(env);
                }
                // 2.1.2: this way the others that it speaks for may go on.
                let why = dialback_error(Condition::Forbidden, "the server of that domain does not know the key");
                self.refuse(&dialback("result", &to, &from, None, Some("error"), &why), env)
            }
            Err(condition) => {
                let why = dialback_error(condition, "the server of that domain could not be asked");
                self.refuse(&dialback("result", &to, &from, None, Some("error"), &why), env)
            }
        }
    }

    /// XEP-0220 2.2.2: somebody asks whether a key is ours. It is answered by arithmetic.
    fn verify(&mut self, stanza: &Stanza, env: &mut PeerEnv<'_>) -> Said {
        let (Some((theirs, ours)), Some(id)) = (pair_of(stanza), stanza.attr("id")) else {
            return self.fail(&StreamError::new("improper-addressing"), env);
        };
        if stanza.attr("type").is_some() {
            return self.fail(&StreamError::new("policy-violation").text("that answers no question of this server"), env);
        }
        let answer = if env.hosts.get(&ours).is_none() {
            let why = dialback_error(Condition::ItemNotFound, "that domain is not served here");
            dialback("verify", &ours, &theirs, Some(&id), Some("error"), &why)
        } else {
            let valid = is_key(env.secret, &theirs, &ours, &id, &stanza.text());
            dialback("verify", &ours, &theirs, Some(&id), Some(if valid { "valid" } else { "invalid" }), "")
        };
        env.say(&answer);
        Said::Nothing
    }

    // --- stanzas ------------------------------------------------------------------------------------------------------

    /// RFC 6120 8.1.1.2, 8.1.2.2; security E1, E7.
    fn stanza(&mut self, stanza: Stanza, env: &mut PeerEnv<'_>) -> Said {
        if self.pairs.is_empty() {
            return self.fail(&StreamError::new("not-authorized").text("show whom you speak for first"), env);
        }
        let (Ok(Some(from)), Ok(Some(to))) = (stanza.from_jid(), stanza.to_jid()) else {
            return self.fail(&StreamError::new("improper-addressing").text("a stanza has a \"from\" and a \"to\""), env);
        };
        let (theirs, ours) = (from.domain().as_str(), to.domain().as_str());
        if self.pairs.iter().any(|(from, to)| from == theirs && to == ours) {
            // The configuration may have been read anew since.
            return match env.hosts.speaks_with(theirs) {
                true => Said::Stanza(stanza, from, to),
                false => self.fail(&refused_by_rule(), env),
            };
        }
        if !self.pairs.iter().any(|(from, _)| from == theirs) {
            return self.fail(&StreamError::new("invalid-from").text("you have not shown that you speak for that domain"), env);
        }
        let condition = if env.hosts.get(ours).is_some() { "not-authorized" } else { "host-unknown" };
        self.fail(&StreamError::new(condition).text("you have shown that you may speak to another domain of this server"), env)
    }

    // --- the end ------------------------------------------------------------------------------------------------------

    /// `</stream:stream>`, or the end of the bytes.
    pub fn closed(&mut self, env: &mut PeerEnv<'_>) -> Said {
        if self.opened {
            env.end(None);
        }
        Said::Close
    }

    /// What the scanner, a limit or a deadline refused.
    pub fn fail(&mut self, error: &StreamError, env: &mut PeerEnv<'_>) -> Said {
        if !self.opened {
            self.open(None, None, env);
        }
        env.end(Some(error));
        Said::Close
    }
}

/// Theirs, ours.
fn pair_of(stanza: &Stanza) -> Option<(String, String)> {
    Some((domain(stanza.from().as_deref())?, domain(stanza.to().as_deref())?))
}

fn refused_by_rule() -> StreamError {
    StreamError::new("policy-violation").text("this server does not speak with that domain; its administrator decides")
}

/// For the log: the condition of a stream error and what was said beside it.
pub fn what_went_wrong(error: &Stanza) -> String {
    let children = error.children();
    let texts = children.iter().map(|child| match error.child_local(child) {
        "text" => format!("({})", error.child_el(child).text()),
        condition => condition.to_owned(),
    });
    texts.collect::<Vec<_>>().join(" ")
}
