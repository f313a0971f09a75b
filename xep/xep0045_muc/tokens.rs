//! Invitations to people whose address nobody knows (XEP-0488): a token is given where a password would be, and makes a member.
//!
//! One value of the map `muc-token` for each, by the token: who has asked for it, how often it may be used, until when.
//! ```text
//! by juliet@house
//! counter 5
//! until 1795641615000000
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use iris_core::store::{Item, Shelf};
use iris_core::xml::{Build, El};
use iris_core::{Bounce, Changed, Condition, HostTurn, Reply};

use super::affiliations::Affiliated;
use super::association::Affiliation;
use super::room::{Room, bare};
use super::{MUC, TOKENS};
use crate::result;

pub const SHELF: Shelf = Shelf::map("muc-token");
/// Tokens of one room.
const TOKENS_MAX: usize = 500;
/// Section 7: "A service SHOULD also enforce a reasonable maximum value": a year.
const LIFETIME_SECONDS_MAX: u64 = 365 * 24 * 3_600;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    by: String,
    counter: Option<u32>,
    until_us: Option<u64>,
}

impl Token {
    fn encode(&self) -> String {
        let mut text = format!("by {}\n", self.by);
        let (counter, until) = (self.counter.map(u64::from), self.until_us);
        for (name, value) in [("counter", counter), ("until", until)] {
            text.push_str(&value.map_or_else(String::new, |value| format!("{name} {value}\n")));
        }
        text
    }

    fn decode(text: &str) -> Option<Token> {
        let mut token = Token { by: String::new(), counter: None, until_us: None };
        for line in text.lines() {
            match line.split_once(' ')? {
                ("by", value) => token.by = value.to_owned(),
                ("counter", value) => token.counter = Some(value.parse().ok()?),
                ("until", value) => token.until_us = Some(value.parse().ok()?),
                _ => {}
            }
        }
        Some(token)
    }

    fn is_over(&self, now_us: u64) -> bool {
        self.counter == Some(0) || self.until_us.is_some_and(|until| until <= now_us)
    }

    fn write(&self, name: &str, now_us: u64, xml: &mut Build) {
        xml.open_ns("token", TOKENS).attr_opt("counter", self.counter.map(|it| it.to_string()).as_deref());
        let left = self.until_us.map(|until| (until.saturating_sub(now_us) / 1_000_000).to_string());
        xml.attr_opt("delay", left.as_deref()).text(name).close();
    }
}

pub fn load<'a>(items: impl Iterator<Item = &'a Item>) -> BTreeMap<Arc<str>, Token> {
    let read = |item: &Item| Some((item.key.clone(), Token::decode(std::str::from_utf8(&item.value).ok()?)?));
    items.filter_map(read).collect()
}

impl Room {
    /// Whoever may invite may make tokens (section 3.2).
    fn may_make_tokens(&self, turn: &HostTurn<'_>) -> Result<(), Bounce> {
        let affiliation = self.affiliation_of(turn.from);
        let may = affiliation >= Affiliation::Admin || (affiliation == Affiliation::Member && self.config.allow_invites);
        if may && self.is_kept() { Ok(()) } else { Err(Bounce::new(Condition::Forbidden)) }
    }

    pub fn token_request(&mut self, turn: &mut HostTurn<'_>, el: &El<'_>) -> Reply {
        if let Err(why) = self.may_make_tokens(turn) {
            return why.into();
        }
        let number = |name: &str| el.attr(name).map(|text| text.parse::<u32>()).transpose();
        let (Ok(counter), Ok(delay)) = (number("counter"), number("delay")) else {
            return Bounce::bad_request("counter and delay are numbers").into();
        };
        let now_us = turn.now.wall_us;
        if self.tokens.len() >= TOKENS_MAX {
            let over: Vec<Arc<str>> =
                self.tokens.iter().filter(|(_, it)| it.is_over(now_us)).map(|(token, _)| token.clone()).collect();
            over.iter().for_each(|token| self.drop_token(turn, token));
        }
        if self.tokens.len() >= TOKENS_MAX {
            let what = format!("a room has at most {TOKENS_MAX} tokens that are good");
            return Bounce::over(what, Changed::ByNobody("revoke one first")).into();
        }
        let seconds = delay.map_or(LIFETIME_SECONDS_MAX, |seconds| u64::from(seconds).min(LIFETIME_SECONDS_MAX));
        let until_us = Some(now_us + seconds * 1_000_000);
        let token = Token { by: bare(turn.from).to_owned(), counter, until_us };
        let name: Arc<str> = Arc::from(turn.house.ports.random_id());
        turn.put(SHELF, &name, token.encode());
        let mut xml = Build::new();
        token.write(&name, now_us, &mut xml);
        self.tokens.insert(name, token);
        result(xml)
    }

    /// 3.6: those that the asker may revoke.
    pub fn token_list(&self, turn: &HostTurn<'_>) -> Reply {
        if let Err(why) = self.may_make_tokens(turn) {
            return why.into();
        }
        let mut xml = Build::new();
        xml.open_ns("tokens", TOKENS);
        for (name, token) in self.tokens.iter().filter(|(_, it)| self.may_revoke(turn, it)) {
            if !token.is_over(turn.now.wall_us) {
                token.write(name, turn.now.wall_us, &mut xml);
            }
        }
        xml.close();
        result(xml)
    }

    fn may_revoke(&self, turn: &HostTurn<'_>, token: &Token) -> bool {
        token.by == bare(turn.from) || self.affiliation_of(turn.from) >= Affiliation::Admin
    }

    pub fn token_revoke(&mut self, turn: &mut HostTurn<'_>, el: &El<'_>) -> Reply {
        if let Err(why) = self.may_make_tokens(turn) {
            return why.into();
        }
        let name = el.text();
        match self.tokens.get(&*name) {
            Some(token) if self.may_revoke(turn, token) => {
                self.drop_token(turn, &name);
                Reply::empty()
            }
            _ => Bounce::new(Condition::ItemNotFound).into(),
        }
    }

    /// Somebody does not belong to the room any more: nor do those whom they would still let in.
    pub fn drop_tokens_of(&mut self, turn: &mut HostTurn<'_>, person: &str) {
        let theirs: Vec<Arc<str>> =
            self.tokens.iter().filter(|(_, it)| it.by == person).map(|(token, _)| token.clone()).collect();
        theirs.iter().for_each(|token| self.drop_token(turn, token));
    }

    fn drop_token(&mut self, turn: &mut HostTurn<'_>, name: &str) {
        self.tokens.remove(name);
        turn.delete(SHELF, name);
    }

    /// 3.5: the token of somebody who wants to come in and is nobody here yet, if it may make them a member.
    pub fn token_of(&self, turn: &HostTurn<'_>, person: &str, join: &El<'_>) -> Result<Option<Arc<str>>, Bounce> {
        if self.affiliations.of(person) != Affiliation::None || !self.is_kept() || self.config.archived {
            return Ok(None);
        }
        let Some(given) = join.child(MUC, "password").map(|it| it.text().into_owned()) else { return Ok(None) };
        let Some((name, token)) = self.tokens.get_key_value(&*given) else { return Ok(None) };
        if token.is_over(turn.now.wall_us) {
            let expired = format!("<expired-token xmlns='{TOKENS}'/>");
            return Err(Bounce::new(Condition::NotAuthorized).extra(expired));
        }
        self.has_place(1)?;
        self.has_place_for_members(1)?;
        Ok(Some(name.clone()))
    }

    /// They come in with it.
    pub fn redeem(&mut self, turn: &mut HostTurn<'_>, person: &str, name: &Arc<str>) {
        if let Some(token) = self.tokens.get_mut(name)
            && let Some(counter) = &mut token.counter
        {
            *counter = counter.saturating_sub(1);
            let kept = token.encode();
            turn.put(SHELF, name, kept);
        }
        let member = Affiliated { by_token: true, passing: turn.guest, ..Affiliated::new(Affiliation::Member) };
        self.set_affiliation(turn, person, member, None);
    }
}
