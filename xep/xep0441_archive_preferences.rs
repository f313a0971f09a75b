//! XEP-0441: Message Archive Management Preferences - whose messages are kept is the user's own business.
//! Spec 0.2.0, https://xmpp.org/extensions/xep-0441.html. Not done: the command `urn:xmpp:mam#configure` (section 2.2, a MAY).

use std::borrow::Cow;

use iris_core::jids::address;
use iris_core::mount::{Doors, Settings};
use iris_core::store::{Item, Shelf};
use iris_core::turn::Account;
use iris_core::xml::{Build, El};
use iris_core::{
    At, Bounce, Card, Changed, Condition, GetOrSet, Jid, Mount, MountError, Relation, Reply, Room, StateSlot, Status, Turn,
};
use serde::Deserialize;

/// The namespace of XEP-0313, whose part this was.
const NS: &str = "urn:xmpp:mam:2";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(441),
        name: "Message Archive Management Preferences",
        version: "0.2.0",
        status: Status::Complete,
        needs: &[313],
    },
    mount,
};

/// One record: see [`Preferences::encode`].
pub const SHELF: Shelf = Shelf::record("archive_preferences");

/// `None`: what the configuration says.
static PREFERENCES: StateSlot<Option<Preferences>> = StateSlot::new();

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub default: Keep,
    pub listed_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { default: Keep::Always, listed_max: 1_000 }
    }
}

impl Settings for Config {
    const TABLE: &'static str = "archive_preferences";
    const REFERENCE: &'static str = "\
# Whose messages are kept for those who have not said what they want: \"always\", \"roster\" (contacts only) or \"never\".
default = \"always\"
# How many addresses one user may list.
listed_max = 1000
";
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let config = m.config::<Config>()?;
    m.shelf(SHELF)?;
    m.rules(config.clone());
    m.state(&PREFERENCES, &[SHELF], |items: &[Item]| Preferences::decode(std::str::from_utf8(&items.first()?.value).ok()?))?;
    m.iq_named(At::OwnAccount, GetOrSet::Get, NS, "prefs", |turn, _| tell(turn))?;
    m.iq_named(At::OwnAccount, GetOrSet::Set, NS, "prefs", move |turn, el| set(turn, &el, config.listed_max))
}

/// Does the user want messages with this address kept? `peer`: who a sent message is to, or a received one is from (section 2.3).
pub fn wants(doors: &Doors, account: &mut dyn Account, peer: &Jid) -> bool {
    match preferences(doors, account).map_or(Keep::Always, |preferences| preferences.of(peer)) {
        Keep::Always => true,
        Keep::Never => false,
        Keep::Roster => account.relation(&peer.to_bare()) != Relation::Stranger,
    }
}

/// The user's own, or those of whoever has none. `None` only where nobody can have any.
fn preferences<'a>(doors: &Doors, account: &'a mut dyn Account) -> Option<Cow<'a, Preferences>> {
    let default = doors.rules::<Config>()?.default;
    Some(match account.state(PREFERENCES.index())?.downcast_ref::<Option<Preferences>>()? {
        Some(own) => Cow::Borrowed(own),
        None => Cow::Owned(Preferences { default, always: Vec::new(), never: Vec::new() }),
    })
}

fn tell(turn: &mut Turn<'_>) -> Reply {
    match preferences(turn.doors, turn.account) {
        Some(preferences) => crate::result(preferences.to_xml()),
        None => Bounce::new(Condition::FeatureNotImplemented).into(),
    }
}

/// Section 2.1: the whole is replaced, and what holds now is told.
fn set(turn: &mut Turn<'_>, el: &El<'_>, listed_max: usize) -> Reply {
    let wanted = match Preferences::parse(el, listed_max) {
        Ok(wanted) => wanted,
        Err(bounce) => return bounce.into(),
    };
    turn.put(SHELF, "", wanted.encode());
    if let Some(preferences) = turn.state(&PREFERENCES) {
        *preferences = Some(wanted);
    }
    tell(turn)
}

/// Section 2.1.1.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    Always,
    Never,
    Roster,
}

impl Keep {
    fn as_str(self) -> &'static str {
        match self {
            Keep::Always => "always",
            Keep::Never => "never",
            Keep::Roster => "roster",
        }
    }

    fn parse(text: &str) -> Option<Keep> {
        [Keep::Always, Keep::Never, Keep::Roster].into_iter().find(|it| it.as_str() == text)
    }
}

/// `<prefs/>` from elsewhere, as it is kept. `None`: they are no preferences.
pub fn move_in(prefs: &El<'_>) -> Option<bytes::Bytes> {
    Some(Preferences::parse(prefs, Config::default().listed_max).ok()?.encode().into())
}

/// What is kept, as `<prefs/>`.
pub fn move_out(kept: &[u8]) -> Option<String> {
    let mut xml = Preferences::decode(std::str::from_utf8(kept).ok()?)?.to_xml();
    xml.close();
    String::from_utf8(xml.finish()).ok()
}

#[derive(Clone, Debug, PartialEq)]
struct Preferences {
    default: Keep,
    always: Vec<Jid>,
    never: Vec<Jid>,
}

impl Preferences {
    fn parse(el: &El<'_>, listed_max: usize) -> Result<Preferences, Bounce> {
        let default = el.attr("default").ok_or_else(|| Bounce::bad_request("default is missing"))?;
        let default = Keep::parse(&default).ok_or_else(|| Bounce::bad_request("default is always, never or roster"))?;
        let list = |name: &str| -> Result<Vec<Jid>, Bounce> {
            let Some(list) = el.child(NS, name) else { return Ok(Vec::new()) };
            let mut jids = Vec::new();
            for jid in list.children().filter(|child| child.is(NS, "jid")) {
                let jid = address(jid.text().trim());
                jids.push(jid.map_err(|_| Bounce::bad_request(&format!("{name} lists what is not a JID")))?);
            }
            jids.sort_unstable();
            jids.dedup();
            Ok(jids)
        };
        let preferences = Preferences { default, always: list("always")?, never: list("never")? };
        if preferences.always.len() + preferences.never.len() > listed_max {
            return Err(Bounce::over(format!("at most {listed_max} addresses are listed"), Changed::ByOperator));
        }
        Ok(preferences)
    }

    fn to_xml(&self) -> Build {
        let mut xml = Build::new();
        xml.open_ns("prefs", NS).attr("default", self.default.as_str());
        for (name, jids) in [("always", &self.always), ("never", &self.never)] {
            xml.open(name);
            for jid in jids {
                xml.leaf("jid", jid.as_str());
            }
            xml.close();
        }
        xml
    }

    /// Section 2.3.1: a full JID in a list means itself, a bare one all its resources. What stands in both lists is not kept:
    /// what was not kept can be asked for again, what was kept is kept.
    fn of(&self, peer: &Jid) -> Keep {
        let lists = |jids: &[Jid]| {
            !jids.is_empty() && (jids.binary_search(peer).is_ok() || jids.binary_search(&Jid::from(peer.to_bare())).is_ok())
        };
        if lists(&self.never) {
            Keep::Never
        } else if lists(&self.always) {
            Keep::Always
        } else {
            self.default
        }
    }

    /// Lines: the version and the default, then `+` or `-` and a JID each (none can hold a line end).
    fn encode(&self) -> String {
        let mut text = format!("1 {}\n", self.default.as_str());
        for (sign, jids) in [('+', &self.always), ('-', &self.never)] {
            for jid in jids {
                text.push(sign);
                text.push_str(jid.as_str());
                text.push('\n');
            }
        }
        text
    }

    fn decode(text: &str) -> Option<Preferences> {
        let mut lines = text.lines();
        let default = Keep::parse(lines.next()?.strip_prefix("1 ")?)?;
        let mut preferences = Preferences { default, always: Vec::new(), never: Vec::new() };
        for line in lines {
            match line.split_at_checked(1)? {
                ("+", jid) => preferences.always.push(Jid::new(jid).ok()?),
                ("-", jid) => preferences.never.push(Jid::new(jid).ok()?),
                _ => return None,
            }
        }
        Some(preferences)
    }
}
