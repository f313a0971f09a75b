//! Other domains: which are connected, and which of them may be named because they publish the same of themselves (section 7).

use std::collections::BTreeMap;
use std::time::Duration;

use iris_core::mount::GetOrSet;
use iris_core::time::Mono;
use iris_core::xml::Build;
use iris_core::{Connections, HostTurn, Jid, Stanza, StanzaType, StateSlot};

use super::NS;
use crate::xep0030_disco::INFO;

/// So often the domain looks who is connected.
pub const LOOK: Duration = Duration::from_secs(10);
/// From one change of the item to the next. Section 6: "the server MAY choose to reduce the frequency of updates".
pub const PACE: Duration = Duration::from_secs(300);
/// What a domain has said of itself is asked again after that.
pub const ANSWER_HOLDS: Duration = Duration::from_secs(3_600);
/// How long it has to say so.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Domains that are asked in one look: the others' turn comes.
const QUESTIONS_PER_LOOK_MAX: usize = 32;
/// Of an item: more connections than these are not told. A channel's item may have 192 KiB, and goes to all who follow it.
const FEDERATION_SIZE_BYTES_MAX: usize = 64 * 1024;
/// Of one domain, each way: nobody fills the item by connecting often.
const CONNECTIONS_TOLD_MAX: usize = 16;

pub static OTHERS: StateSlot<Others> = StateSlot::new();

/// What one domain of this house knows of others.
#[derive(Default)]
pub struct Others {
    answers: BTreeMap<Box<str>, Answer>,
    /// What the last item says of them.
    said: Option<Vec<u8>>,
    /// When it said something new.
    changed: Option<Mono>,
}

struct Answer {
    asked: Mono,
    /// `None`: nobody has answered yet.
    may_be_named: Option<bool>,
}

/// Ask those who are connected and of whom nothing is known, or nothing new.
pub fn look(turn: &mut HostTurn<'_>) {
    let (now, connected) = (turn.now.mono, turn.house.connected.of(turn.host()));
    let asked = turn.with_state(&OTHERS, |_, others| {
        let is_old = |answer: &Answer| now.since(answer.asked) >= ANSWER_HOLDS;
        let is_connected = |domain: &str| connected.binary_search_by(|(other, _)| (**other).cmp(domain)).is_ok();
        others.answers.retain(|domain, answer| !is_old(answer) || is_connected(domain));
        let is_due = |domain: &str| others.answers.get(domain).is_none_or(is_old);
        let due = connected.iter().filter(|(domain, _)| is_due(domain)).take(QUESTIONS_PER_LOOK_MAX);
        let due: Vec<Box<str>> = due.map(|(domain, _)| domain.clone()).collect();
        for domain in &due {
            let answer = others.answers.entry(domain.clone()).or_insert(Answer { asked: now, may_be_named: None });
            answer.asked = now;
        }
        due
    });
    for domain in asked.unwrap_or_default() {
        let Ok(to) = Jid::new(&domain) else { continue };
        let question = format!("<query xmlns='{INFO}'/>");
        let name = domain.clone();
        let is_asked = turn.iq(to, GetOrSet::Get, &question, PATIENCE, move |turn, answer| {
            let may_be_named = answer.is_some_and(publishes);
            if let Some(known) = turn.state(&OTHERS).and_then(|others| others.answers.get_mut(&name)) {
                known.may_be_named = Some(may_be_named);
            }
        });
        if !is_asked && let Some(others) = turn.state(&OTHERS) {
            others.answers.remove(&domain);
        }
    }
}

/// Section 3: "Domains supporting the publication of Server Information data ... MUST advertise the fact".
fn publishes(answer: &Stanza) -> bool {
    let Some(query) = answer.child_named(INFO, "query").filter(|_| answer.stype() == StanzaType::Result) else { return false };
    let mut said = answer.child_el(query).children();
    said.any(|it| it.is(INFO, "feature") && it.attr("var").as_deref() == Some(NS))
}

impl Others {
    /// `<federation/>` (section 4), or nothing if there is nobody.
    pub fn federation(&self, connected: &[(Box<str>, Connections)]) -> Vec<u8> {
        // Whoever has not answered yet is told with the answer, or when it does not come.
        let answered = connected.iter().filter_map(|(domain, open)| {
            let may_be_named = self.answers.get(domain)?.may_be_named?;
            Some((may_be_named.then_some(domain), open))
        });
        let mut answered: Vec<_> = answered.collect();
        // Those who have a name first. The order of the others says nothing of theirs.
        answered.sort_unstable_by_key(|(name, open)| (name.is_none(), *name, **open));
        let mut all = Vec::new();
        for (domain, open) in answered {
            let mut xml = Build::new();
            xml.open("remote-domain").attr_opt("name", domain.map(|domain| &**domain));
            for (way, count) in [("incoming", open.incoming), ("outgoing", open.outgoing)] {
                for _ in 0..count.min(CONNECTIONS_TOLD_MAX) {
                    xml.open("connection").attr("type", way).close();
                }
            }
            let xml = xml.finish();
            if all.len() + xml.len() > FEDERATION_SIZE_BYTES_MAX {
                break;
            }
            all.extend(xml);
        }
        if all.is_empty() {
            return all;
        }
        let mut xml = Build::new();
        xml.open("federation").raw(&all);
        xml.finish()
    }

    /// Is it time to say this?
    pub fn is_news(&self, federation: &[u8], now: Mono) -> bool {
        self.said.as_ref().is_some_and(|said| said != federation) && self.changed.is_none_or(|at| now.since(at) >= PACE)
    }

    pub fn said(&mut self, federation: Vec<u8>, now: Mono) {
        if self.said.as_ref().is_some_and(|said| *said != federation) {
            self.changed = Some(now);
        }
        self.said = Some(federation);
    }
}
