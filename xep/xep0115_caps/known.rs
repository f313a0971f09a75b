//! What clients can do: learned from their presence, asked once, verified, and shared by all with the same hash.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use iris_core::mount::GetOrSet;
use iris_core::xml::{Build, El};
use iris_core::{Flow, Interests, Jid, SessionRef, Stanza, StanzaType, StateSlot, Turn, ns};
use sha1::Digest;

use super::hash;
use crate::xep0030_disco::INFO;
use crate::xep0390_caps2;

/// Answers that are remembered; the oldest is forgotten first. One is a few hundred bytes.
const ANSWERS_MAX: usize = 4_096;
/// Nodes that one client may want news of, and their names together: anybody may say that they have such a client.
const INTERESTS_MAX: usize = 256;
const INTERESTS_SIZE_BYTES_MAX: usize = 16 * 1024;
/// How long a client has to say what it can do.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Longer ones are no hash.
const NAME_SIZE_BYTES_MAX: usize = 1_024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algo {
    Sha1,
    Sha256,
    Sha512,
}

impl Algo {
    /// By the IANA name of the hash, as XEP-0115 and XEP-0300 write it.
    pub fn parse(name: &str) -> Option<Algo> {
        match name {
            "sha-1" => Some(Algo::Sha1),
            "sha-256" => Some(Algo::Sha256),
            "sha-512" => Some(Algo::Sha512),
            _ => None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Algo::Sha1 => "sha-1",
            Algo::Sha256 => "sha-256",
            Algo::Sha512 => "sha-512",
        }
    }

    /// Base64.
    pub fn digest(self, text: &[u8]) -> String {
        let base64 = base64::engine::general_purpose::STANDARD;
        match self {
            Algo::Sha1 => base64.encode(sha1::Sha1::digest(text)),
            Algo::Sha256 => base64.encode(sha2::Sha256::digest(text)),
            Algo::Sha512 => base64.encode(sha2::Sha512::digest(text)),
        }
    }
}

/// Which specification says what is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Xep0115,
    Xep0390,
}

/// What a presence says about its client: true only when it has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub key: Key,
    /// The disco node to ask for.
    pub node: String,
}

/// The same for everybody who can do the same; who said it first does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub method: Method,
    pub algo: Algo,
    pub hash: String,
}

impl Claim {
    /// The strongest first.
    pub(super) fn all(stanza: &Stanza) -> Vec<Claim> {
        let mut claims = xep0390_caps2::claims(stanza);
        claims.extend(Claim::of_0115(stanza));
        claims.retain(|claim| claim.node.len() <= NAME_SIZE_BYTES_MAX);
        claims
    }

    /// 5.4: without `hash` it is the legacy format, which proves nothing.
    fn of_0115(stanza: &Stanza) -> Option<Claim> {
        let el = stanza.child_el(stanza.child_named(ns::CAPS, "c")?);
        let (node, ver) = (el.attr("node")?, el.attr("ver")?);
        let key = Key { method: Method::Xep0115, algo: Algo::parse(&el.attr("hash")?)?, hash: ver.clone().into_owned() };
        Some(Claim { key, node: format!("{node}#{ver}") })
    }

    /// Is this what the client claims?
    fn is_proved_by(&self, query: &El<'_>) -> bool {
        let input = match self.key.method {
            Method::Xep0115 => hash::text_of(query).map(String::into_bytes),
            Method::Xep0390 => xep0390_caps2::input(query),
        };
        input.is_some_and(|input| self.key.algo.digest(&input) == self.key.hash)
    }
}

/// Verified answers. The only thing that accounts of different threads share, and looked at once a presence: a lock is enough.
#[derive(Default)]
pub struct Known(Mutex<Answers>);

#[derive(Default)]
struct Answers {
    interests: HashMap<Key, Interests>,
    order: VecDeque<Key>,
}

impl Known {
    pub(super) fn get(&self, key: &Key) -> Option<Interests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).interests.get(key).cloned()
    }

    /// What follows from an answer, if it proves the claim. 5.4: otherwise it is never remembered, nor believed of this client alone.
    pub(super) fn learn(&self, claim: &Claim, answer: Option<&Stanza>) -> Option<Interests> {
        let query = described(answer).filter(|query| claim.is_proved_by(query))?;
        let features: Vec<String> =
            query.children().filter(|it| it.is(INFO, "feature")).filter_map(|it| Some(it.attr("var")?.into_owned())).collect();
        let wanted = features.iter().filter_map(|feature| feature.strip_suffix("+notify")).filter(|node| !node.is_empty());
        let mut size_bytes = 0;
        let fit = wanted.take(INTERESTS_MAX).take_while(|node| {
            size_bytes += node.len();
            size_bytes <= INTERESTS_SIZE_BYTES_MAX
        });
        let interests: Interests = fit.collect();
        self.add(claim.key.clone(), interests.clone());
        Some(interests)
    }

    fn add(&self, key: Key, interests: Interests) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.interests.insert(key.clone(), interests).is_none() {
            answers.order.push_back(key);
        }
        while answers.order.len() > ANSWERS_MAX {
            if let Some(oldest) = answers.order.pop_front() {
                answers.interests.remove(&oldest);
            }
        }
    }
}

/// The last claim of each session.
pub static CLAIMS: StateSlot<Vec<(SessionRef, Claim)>> = StateSlot::new();

/// One of our clients has sent its presence.
pub fn heard(turn: &mut Turn<'_>, known: &std::sync::Arc<Known>) -> Flow {
    let (Some(session), Some(stanza)) = (turn.session, turn.stanza().cloned()) else { return Flow::Go };
    if stanza.stype() != StanzaType::Available {
        return Flow::Go;
    }
    let claims = Claim::all(&stanza);
    // 8.4: a presence without says that nothing has changed.
    let Some(claim) = claims.first().cloned() else { return Flow::Go };
    if let Some((claim, interests)) = claims.iter().find_map(|claim| Some((claim, known.get(&claim.key)?))) {
        note(turn, session, Some(claim.clone()));
        if let Some(card) = turn.account.card_mut(session) {
            card.interests = interests;
        }
        return Flow::Go;
    }
    let Some(full) = turn.account.card(session).map(|card| Jid::from(card.jid.clone())) else { return Flow::Go };
    let asked = turn.state(&CLAIMS).is_some_and(|all| all.contains(&(session, claim.clone())));
    if asked {
        return Flow::Go;
    }
    note(turn, session, Some(claim.clone()));
    let query = question(&claim);
    let known = known.clone();
    let is_asked =
        turn.iq(full, GetOrSet::Get, &query, PATIENCE, move |turn, answer| learn(turn, session, claim, answer, &known));
    if !is_asked {
        note(turn, session, None);
    }
    Flow::Go
}

fn learn(turn: &mut Turn<'_>, session: SessionRef, claim: Claim, answer: Option<&Stanza>, known: &Known) {
    // It says something else of itself by now, or is gone.
    if !turn.state(&CLAIMS).is_some_and(|all| all.contains(&(session, claim.clone()))) {
        return;
    }
    if described(answer).is_none() {
        // No answer, or an error: its next presence asks again.
        return note(turn, session, None);
    }
    if let (Some(interests), Some(card)) = (known.learn(&claim, answer), turn.account.card_mut(session)) {
        card.interests = interests;
    }
}

/// What a client says that it can do.
fn described(answer: Option<&Stanza>) -> Option<El<'_>> {
    let answer = answer.filter(|answer| answer.stype() == StanzaType::Result)?;
    Some(answer.child_el(answer.child_named(INFO, "query")?))
}

/// What is asked to have a claim proved.
pub(super) fn question(claim: &Claim) -> String {
    let mut query = Build::new();
    query.open_ns("query", INFO).attr("node", &claim.node);
    String::from_utf8_lossy(&query.finish()).into_owned()
}

fn note(turn: &mut Turn<'_>, session: SessionRef, claim: Option<Claim>) {
    if let Some(all) = turn.state(&CLAIMS) {
        all.retain(|(at, _)| *at != session);
        all.extend(claim.map(|claim| (session, claim)));
    }
}

pub fn forget(turn: &mut Turn<'_>) {
    if let Some(session) = turn.session {
        note(turn, session, None);
    }
}
