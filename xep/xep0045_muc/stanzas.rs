//! What a room says: `<x xmlns='…muc#user'/>` in presence and messages (7.2.2, 16.6), and which of a client's words it does not pass on.

use std::sync::Arc;

use iris_core::xml::{Build, Child, El, NameId, Stamps, Stanza, StanzaId, Strip};
use iris_core::{HostTurn, Jid, Mount, jids, ns};

use super::association::{Affiliation, Role};
use super::{ADDRESSES, HATS, MODERATE, MUC, OCCUPANT_ID, RETRACT, USER};

/// Who did it (8.2, 9.1).
#[derive(Clone, Debug)]
pub struct Actor {
    pub nick: Option<String>,
    /// Shown only to those who may see real addresses.
    pub jid: String,
}

/// The content of an `<item/>` and what stands beside it.
#[derive(Clone, Debug)]
pub struct Says<'a> {
    pub affiliation: Affiliation,
    pub role: Role,
    pub jid: Option<&'a str>,
    pub nick: Option<&'a str>,
    pub actor: Option<&'a Actor>,
    /// Who hears it may see the real address of the actor: not everybody who may see `jid`, since everybody may see their own.
    pub sees_actor: bool,
    pub reason: Option<&'a str>,
    pub codes: &'a [u16],
    /// XEP-0463: `<mav/>`, or nothing.
    pub mav: &'a str,
}

/// `<x/>` of a presence.
pub fn user_x(says: &Says<'_>, own_codes: &[u16]) -> String {
    let mut xml = Build::new();
    xml.open_ns("x", USER).raw(says.mav.as_bytes());
    write_item(says, &mut xml);
    let mut codes: Vec<u16> = own_codes.iter().chain(says.codes).copied().collect();
    codes.sort_unstable();
    codes.dedup();
    write_codes(&codes, &mut xml);
    xml.close();
    text(xml)
}

fn write_item(says: &Says<'_>, xml: &mut Build) {
    xml.open("item").attr("affiliation", says.affiliation.as_str()).attr("role", says.role.as_str());
    xml.attr_opt("jid", says.jid).attr_opt("nick", says.nick);
    if let Some(actor) = says.actor {
        let jid = says.sees_actor.then_some(actor.jid.as_str());
        if actor.nick.is_some() || jid.is_some() {
            xml.open("actor").attr_opt("nick", actor.nick.as_deref()).attr_opt("jid", jid).close();
        }
    }
    if let Some(reason) = says.reason {
        xml.leaf("reason", reason);
    }
    xml.close();
}

fn write_codes(codes: &[u16], xml: &mut Build) {
    for code in codes {
        xml.open("status").attr("code", &code.to_string()).close();
    }
}

/// `<x/>` of a message that tells of the room itself (10.2.1).
pub fn codes_x(codes: &[u16]) -> String {
    let mut xml = Build::new();
    xml.open_ns("x", USER);
    write_codes(codes, &mut xml);
    xml.close();
    text(xml)
}

pub fn occupant_id(id: &str) -> String {
    format!("<occupant-id xmlns='{OCCUPANT_ID}' id='{id}'/>")
}

pub fn delay(from: &str, at_us: u64) -> String {
    let from = iris_core::xml::escape_attr(from);
    format!("<delay xmlns='{}' from='{from}' stamp='{}'/>", ns::DELAY, iris_core::time::datetime(at_us))
}

pub fn text(xml: Build) -> String {
    String::from_utf8_lossy(&xml.finish()).into_owned()
}

/// A stanza of the room's own. What it is made of was escaped: it is XML.
pub fn made(turn: &HostTurn<'_>, xml: &str) -> Option<Arc<Stanza>> {
    let stanza = Stanza::parse(xml.as_bytes(), &turn.house.names);
    debug_assert!(stanza.is_ok(), "our own words are not XML: {xml}");
    stanza.ok().map(Arc::new)
}

/// Names that are looked for in each stanza.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    pub muc: NameId,
    pub user: NameId,
    pub occupant_id: NameId,
    pub stanza_id: NameId,
    pub delay: NameId,
    pub subject: NameId,
    pub body: NameId,
    pub thread: NameId,
    pub form: NameId,
    pub retract: NameId,
    pub replace: NameId,
    hats: NameId,
    retracted: NameId,
    moderated: NameId,
    addresses: NameId,
    encrypted: [NameId; 4],
}

impl Names {
    pub fn intern(m: &mut Mount<'_>) -> Names {
        Names {
            muc: m.name(MUC, "x"),
            user: m.name(USER, "x"),
            occupant_id: m.name(OCCUPANT_ID, "occupant-id"),
            stanza_id: m.name(ns::STANZA_ID, "stanza-id"),
            delay: m.name(ns::DELAY, "delay"),
            subject: m.name(ns::CLIENT, "subject"),
            body: m.name(ns::CLIENT, "body"),
            thread: m.name(ns::CLIENT, "thread"),
            form: m.name(ns::DATA_FORMS, "x"),
            retract: m.name(RETRACT, "retract"),
            replace: m.name("urn:xmpp:message-correct:0", "replace"),
            hats: m.name(HATS, "hats"),
            retracted: m.name(RETRACT, "retracted"),
            moderated: m.name(MODERATE, "moderated"),
            addresses: m.name(ADDRESSES, "addresses"),
            encrypted: [
                m.name("urn:xmpp:omemo:2", "encrypted"),
                m.name("eu.siacs.conversations.axolotl", "encrypted"),
                m.name("urn:xmpp:openpgp:0", "openpgp"),
                m.name("jabber:x:encrypted", "x"),
            ],
        }
    }

    /// XEP-0425 8: "only moderation messages … received from the MUC service itself are legitimate, all other such messages MUST be
    /// discarded".
    pub fn pretends_moderation(&self, stanza: &Stanza) -> bool {
        stanza.children().iter().any(|child| child.name == self.retract && is_moderation(stanza, child))
    }

    /// Whether something is said with it (XEP-0500 5): a body, or what hides one. OMEMO without a payload only carries keys.
    pub fn speaks(&self, stanza: &Stanza) -> bool {
        let [omemo, old_omemo, ..] = self.encrypted;
        let hides = |child: &Child| match child.name {
            name if name == omemo || name == old_omemo => stanza.child_el(child).children().any(|it| it.local() == "payload"),
            name => self.encrypted.contains(&name),
        };
        stanza.has(self.body) || stanza.children().iter().any(hides)
    }

    /// What only the room may say, and what only the room is to know (a password): never passed on. `is_ours`: an address in whose
    /// name nobody else may say when or under which id something was kept.
    pub fn forged(&self, stanza: &Stanza, is_ours: impl Fn(&Jid) -> bool) -> Strip {
        let mut strip = Strip::default();
        for (index, child) in stanza.children().iter().enumerate() {
            let claims = |attr: &str| {
                let claimed = stanza.child_el(child).attr(attr).and_then(|it| jids::address(&it).ok());
                claimed.is_some_and(|claimed| is_ours(&claimed))
            };
            let forged = [self.muc, self.user, self.occupant_id, self.hats, self.retracted, self.moderated].contains(&child.name)
                || (child.name == self.retract && is_moderation(stanza, child))
                // XEP-0033 4.6: who a message is from "originally" is for services to say: in a room that is a real address.
                || (child.name == self.addresses && names_an_origin(&stanza.child_el(child)))
                || (child.name == self.stanza_id && claims("by"))
                || (child.name == self.delay && claims("from"));
            if child.name != NameId::UNKNOWN && forged {
                strip.add(index);
            }
        }
        strip
    }
}

fn is_moderation(stanza: &Stanza, retract: &Child) -> bool {
    stanza.child_el(retract).child(MODERATE, "moderated").is_some()
}

fn names_an_origin(addresses: &El<'_>) -> bool {
    addresses.children().any(|it| it.attr("type").is_some_and(|kind| kind == "ofrom"))
}

/// Beside a stanza that an occupant has sent: who that is.
pub fn stamps(from: &Jid, strip: Strip, extra: String, stanza_id: Option<StanzaId>) -> Stamps {
    Stamps {
        from: Some(Arc::from(from.as_str())),
        stanza_id,
        strip,
        extra: (!extra.is_empty()).then(|| Arc::from(extra.into_bytes())),
    }
}
