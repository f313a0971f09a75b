//! Which stanzas are worth waking somebody for.

use iris_core::xml::NameId;
use iris_core::{Mount, Stanza, StanzaType, ns};

/// Content that is there in place of a readable body: XEP-0384 (both generations), 0373, 0027; 0380 says so for all.
const ENCRYPTED: &[(&str, &str)] = &[
    ("urn:xmpp:omemo:2", "encrypted"),
    ("eu.siacs.conversations.axolotl", "encrypted"),
    ("urn:xmpp:openpgp:0", "openpgp"),
    ("jabber:x:encrypted", "x"),
    ("urn:xmpp:eme:0", "encryption"),
];

/// Somebody calls: XEP-0353 and 0482.
const CALLS: &[(&str, &str)] = &[("urn:xmpp:jingle-message:0", "propose"), ("urn:xmpp:call-invites:0", "invite")];

/// What changes or remarks on something said before has a body only for old clients: XEP-0424 (this version and the one before), 0444.
const REMARKS: &[(&str, &str)] =
    &[("urn:xmpp:message-retract:1", "retract"), ("urn:xmpp:fasten:0", "apply-to"), ("urn:xmpp:reactions:0", "reactions")];

const MUC_USER: &str = "http://jabber.org/protocol/muc#user";

/// Names that are looked for on each message: integers.
#[derive(Clone, Copy)]
pub struct Names {
    pub body: NameId,
    pub reference: NameId,
    pub pubsub: NameId,
    encrypted: [NameId; 5],
    calls: [NameId; 2],
    remarks: [NameId; 3],
    delay: NameId,
    no_store: NameId,
    muc_user: NameId,
    direct_invitation: NameId,
}

impl Names {
    pub fn intern(m: &mut Mount<'_>) -> Names {
        fn all<const N: usize>(m: &mut Mount<'_>, names: &[(&str, &str)]) -> [NameId; N] {
            std::array::from_fn(|at| names.get(at).map_or(NameId::UNKNOWN, |(ns, local)| m.name(ns, local)))
        }
        Names {
            body: m.name(ns::CLIENT, "body"),
            reference: m.name("urn:xmpp:reference:0", "reference"),
            pubsub: m.name(super::PUBSUB, "pubsub"),
            encrypted: all(m, ENCRYPTED),
            calls: all(m, CALLS),
            remarks: all(m, REMARKS),
            delay: m.name(ns::DELAY, "delay"),
            no_store: m.name(ns::HINTS, "no-store"),
            muc_user: m.name(MUC_USER, "x"),
            direct_invitation: m.name("jabber:x:conference", "x"),
        }
    }

    pub fn is_encrypted(&self, stanza: &Stanza) -> bool {
        stanza.children().iter().any(|child| child.name != NameId::UNKNOWN && self.encrypted.contains(&child.name))
    }

    /// `None`: nobody is woken for it. What people say to somebody is worth it, and what says that somebody calls; chat states, receipts,
    /// markers, copies, pages of an archive, what is late, and what nobody will find when they look (XEP-0334) are not.
    pub fn importance(&self, stanza: &Stanza) -> Option<Importance> {
        let kind = stanza.stype().of_message();
        if matches!(kind, StanzaType::Error | StanzaType::Headline) || stanza.has(self.delay) {
            return None;
        }
        let has = |names: &[NameId]| {
            stanza.children().iter().any(|child| child.name != NameId::UNKNOWN && names.contains(&child.name))
        };
        if kind != StanzaType::Groupchat && has(&self.calls) {
            return Some(Importance::Call);
        }
        if stanza.has(self.no_store) || has(&self.remarks) {
            return None;
        }
        let is_body = |child: &&iris_core::xml::Child| child.name == self.body && !stanza.child_el(child).text().is_empty();
        let invites = || {
            let invited = stanza.child(self.muc_user).is_some_and(|x| stanza.child_el(x).child(MUC_USER, "invite").is_some());
            kind != StanzaType::Groupchat && (invited || stanza.has(self.direct_invitation))
        };
        let worth = stanza.children().iter().any(|child| is_body(&child)) || has(&self.encrypted) || invites();
        worth.then_some(Importance::Said)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    Said,
    /// Nobody waits for long who calls.
    Call,
}

#[cfg(test)]
mod tests {
    use super::*;
    use iris_core::mount::{Doors, RoomConfig};
    use iris_core::xml::NameTable;
    use iris_core::{Card, Room, Status};
    use std::sync::OnceLock;

    fn importance(kind: &str, inside: &str) -> Option<Importance> {
        static NAMES: OnceLock<Names> = OnceLock::new();
        let card = Card { xep: None, name: "test", version: "0", status: Status::Complete, needs: &[] };
        let room = Room {
            card,
            mount: |m| {
                let names = Names::intern(m);
                NAMES.get_or_init(|| names);
                Ok(())
            },
        };
        let mut table = NameTable::new();
        Doors::open("house", &[room], &mut table, &RoomConfig::default()).expect("it mounts");
        let xml = format!("<message type='{kind}'>{inside}</message>");
        NAMES.get().expect("names").importance(&Stanza::parse(xml.as_bytes(), &table).expect("a stanza"))
    }

    #[test]
    fn what_people_say_and_calls_are_worth_it() {
        for said in [
            "<body>hi</body>",
            "<body>hi</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>",
            "<body xml:lang='de'/><body xml:lang='en'>hi</body>",
            "<encrypted xmlns='urn:xmpp:omemo:2'/>",
            "<encrypted xmlns='eu.siacs.conversations.axolotl'/>",
            "<active xmlns='http://jabber.org/protocol/chatstates'/><body>hi</body>",
        ] {
            for kind in ["chat", "normal", "groupchat"] {
                assert_eq!(importance(kind, said), Some(Importance::Said), "{kind} {said}");
            }
        }
        for invitation in [
            "<x xmlns='jabber:x:conference' jid='r@c'/>",
            "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b'/></x>",
        ] {
            assert_eq!(importance("normal", invitation), Some(Importance::Said), "{invitation}");
        }
        for call in [
            "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/><store xmlns='urn:xmpp:hints'/>",
            "<invite xmlns='urn:xmpp:call-invites:0'/>",
        ] {
            assert_eq!(importance("chat", call), Some(Importance::Call), "{call}");
        }
    }

    #[test]
    fn what_only_says_how_things_stand_is_not() {
        for inside in [
            "",
            "<body/>",
            "<subject>s</subject>",
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            "<body>late</body><delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>",
            "<body>&gt; hi</body><reactions xmlns='urn:xmpp:reactions:0' id='1'/>",
            "<body>taken back</body><retract xmlns='urn:xmpp:message-retract:1' id='1'/>",
            "<body>hi</body><no-store xmlns='urn:xmpp:hints'/>",
            "<proceed xmlns='urn:xmpp:jingle-message:0' id='1'/>",
            "<result xmlns='urn:xmpp:mam:2'><forwarded xmlns='urn:xmpp:forward:0'><message><body>x</body></message></forwarded></result>",
            "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message><body>x</body></message></forwarded></received>",
            "<x xmlns='http://jabber.org/protocol/muc#user'/>",
        ] {
            for kind in ["chat", "normal", "groupchat"] {
                assert_eq!(importance(kind, inside), None, "{kind} {inside}");
            }
        }
        for kind in ["error", "headline"] {
            assert_eq!(importance(kind, "<body>hi</body>"), None);
        }
    }
}
