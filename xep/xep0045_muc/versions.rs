//! Affiliations as a client has seen them (XEP-0463): who comes in again is told only what has changed since.
//!
//! A version is the image of a moment of the house clock, so nobody guesses one. The last changes are remembered as long as the room is
//! awake; a client that knows an older version gets everything.

use std::collections::{BTreeMap, VecDeque};

use iris_core::xml::{Build, El};
use iris_core::{ErrorType, HostTurn, Jid};

use super::association::{Affiliation, Standing};
use super::room::Room;
use super::{MAV, MUC, USER, stanzas};

const CHANGES_MAX: usize = 1_000;
/// Items of one message.
const ITEMS_MAX: usize = 400;

#[derive(Debug, Default)]
pub struct Versions {
    /// Empty until somebody wants to know.
    current: String,
    /// The version before each change, who it was about, and what they are since.
    changes: VecDeque<(String, String, Affiliation)>,
}

fn mint(turn: &HostTurn<'_>) -> String {
    turn.house.ids.show(turn.owner, turn.mint())
}

fn mav(since: Option<&str>, until: &str) -> String {
    let mut xml = Build::new();
    xml.open_ns("mav", MAV).attr_opt("since", since).attr("until", until).close();
    stanzas::text(xml)
}

impl Versions {
    fn current(&mut self, turn: &HostTurn<'_>) -> String {
        if self.current.is_empty() {
            self.current = mint(turn);
        }
        self.current.clone()
    }

    /// Somebody is something else now. What is said with it.
    pub fn change(&mut self, turn: &HostTurn<'_>, address: &str, affiliation: Affiliation) -> String {
        let since = self.current(turn);
        self.current = mint(turn);
        let said = mav(Some(&since), &self.current);
        self.changes.push_back((since, address.to_owned(), affiliation));
        if self.changes.len() > CHANGES_MAX {
            self.changes.pop_front();
        }
        said
    }

    /// What each is now who is something else since that version. `None`: it is not known.
    fn since(&self, version: &str) -> Option<BTreeMap<&str, Affiliation>> {
        let at = self.changes.iter().position(|(before, ..)| before == version)?;
        Some(self.changes.iter().skip(at).map(|(_, address, affiliation)| (address.as_str(), *affiliation)).collect())
    }
}

impl Room {
    /// 4.2.1: before any presence. What the client's own presence says of it; empty for a client that did not ask.
    pub fn show_affiliations(&mut self, turn: &mut HostTurn<'_>, join: &El<'_>, standing: Standing) -> String {
        let Some(asked) = join.child(MAV, "mav").filter(|_| join.is(MUC, "x")) else { return String::new() };
        let lists: Vec<Affiliation> = Affiliation::ALL.into_iter().filter(|it| self.may_list(standing, *it)).collect();
        if !lists.contains(&Affiliation::Member) {
            let mut why = String::new();
            iris_core::Bounce::new(iris_core::Condition::Forbidden).kind(ErrorType::Auth).write(&mut why);
            if let Some(refused) = stanzas::made(turn, &format!("<message type='error'>{why}</message>")) {
                turn.send_stanza(turn.from.clone(), refused);
            }
            return String::new();
        }
        let current = self.versions.current(turn);
        let since = asked.attr("since").map(std::borrow::Cow::into_owned);
        if since.as_ref() != Some(&current) {
            let known = since.as_deref().and_then(|since| self.versions.since(since));
            let is_shown = |it: &Affiliation| *it == Affiliation::None || lists.contains(it);
            let (from, items): (Option<&str>, Vec<(String, Affiliation)>) = match &known {
                Some(changes) => {
                    // Whoever is now on a list that this one may not see is for them nobody.
                    let shown = |it: Affiliation| if is_shown(&it) { it } else { Affiliation::None };
                    (since.as_deref(), changes.iter().map(|(jid, it)| ((*jid).to_owned(), shown(*it))).collect())
                }
                None => {
                    let all = self.affiliations.iter().filter(|(_, it)| lists.contains(&it.affiliation));
                    (None, all.map(|(jid, it)| (jid.to_string(), it.affiliation)).collect())
                }
            };
            self.tell_affiliations(turn, from, &current, &items);
        }
        mav(None, &current)
    }

    /// "The response may be split into multiple messages, which must have their until and since attributes match".
    fn tell_affiliations(&self, turn: &mut HostTurn<'_>, since: Option<&str>, until: &str, items: &[(String, Affiliation)]) {
        let parts = items.len().div_ceil(ITEMS_MAX).max(1);
        let mut since = since.map(str::to_owned);
        for part in 0..parts {
            let mark = if part + 1 == parts { until.to_owned() } else { mint(turn) };
            let mut xml = Build::new();
            xml.open_ns("x", USER).raw(mav(since.as_deref(), &mark).as_bytes());
            for (jid, affiliation) in items.iter().skip(part * ITEMS_MAX).take(ITEMS_MAX) {
                xml.open("item").attr("jid", jid).attr("affiliation", affiliation.as_str()).close();
            }
            xml.close();
            self.tell_one(turn, turn.from.clone(), &stanzas::text(xml));
            since = Some(mark);
        }
    }

    /// 4.3: about somebody who is not here, to those who want to know and may.
    pub fn tell_change(&self, turn: &mut HostTurn<'_>, address: &str, old: Affiliation, new: Affiliation, said: &str) {
        let may = |standing: Standing| self.may_list(standing, old.max(new)) || self.may_list(standing, old.min(new));
        let sessions = self.occupants.iter().filter(|it| may(it.standing())).flat_map(|it| &it.sessions);
        let to: Vec<Jid> = sessions.filter(|session| session.wants_versions).map(|session| session.jid.clone()).collect();
        let mut xml = Build::new();
        xml.open_ns("x", USER).raw(said.as_bytes());
        xml.open("item").attr("jid", address).attr("affiliation", new.as_str()).attr("role", "none").close().close();
        if let Some(stanza) = stanzas::made(turn, &format!("<message>{}</message>", stanzas::text(xml))) {
            turn.fan_out(turn.jid.clone(), stanza, to.into());
        }
    }
}
