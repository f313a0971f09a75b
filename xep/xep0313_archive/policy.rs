//! Which messages an archive keeps (section 6.1.1).

use iris_core::xml::names::NameId;
use iris_core::xml::{El, Stanza};
use iris_core::{Mount, StanzaType, ns};

/// What of a message is content, and what only says how things stand.
///
/// Section 6.1.1 has a server keep what carries a `<body/>` and lets it keep more. More is kept here of everything a device
/// that was away would otherwise never learn: what is encrypted beside the body, what changes an earlier message (corrections,
/// retractions - which 0424 section 5 says MUST be kept - and reactions), what says that it arrived or was seen, invitations.
/// Chat states are worthless a minute later (section 1 names them as the example of what is not kept).
const CONTENT: &[(&str, &str)] = &[
    (ns::CLIENT, "body"),
    (ns::CLIENT, "subject"),
    // XEP-0380, 0384 (both generations), 0373, 0027
    ("urn:xmpp:eme:0", "encryption"),
    ("urn:xmpp:omemo:2", "encrypted"),
    ("eu.siacs.conversations.axolotl", "encrypted"),
    ("urn:xmpp:openpgp:0", "openpgp"),
    ("jabber:x:encrypted", "x"),
    // XEP-0308, 0424 (this version and the one before), 0444
    ("urn:xmpp:message-correct:0", "replace"),
    ("urn:xmpp:message-retract:1", "retract"),
    ("urn:xmpp:fasten:0", "apply-to"),
    ("urn:xmpp:reactions:0", "reactions"),
    // XEP-0184; a request alone is no content.
    ("urn:xmpp:receipts", "received"),
    // XEP-0333
    ("urn:xmpp:chat-markers:0", "received"),
    ("urn:xmpp:chat-markers:0", "displayed"),
    ("urn:xmpp:chat-markers:0", "acknowledged"),
    // XEP-0249
    ("jabber:x:conference", "x"),
    // XEP-0452: from a room in which one is not.
    ("urn:xmpp:mmn:0", "mentions"),
];

const MUC_USER: &str = "http://jabber.org/protocol/muc#user";

fn is_of_invitation(x: &El<'_>) -> bool {
    x.children().any(|it| it.is(MUC_USER, "invite") || it.is(MUC_USER, "decline"))
}

/// Names that are looked for on each message: integers.
#[derive(Clone)]
pub struct Policy {
    content: Vec<NameId>,
    muc_user: NameId,
    store: NameId,
    no_store: NameId,
    no_permanent_store: NameId,
    retract: NameId,
}

impl Policy {
    pub fn intern(m: &mut Mount<'_>) -> Policy {
        Policy {
            content: CONTENT.iter().map(|(ns, local)| m.name(ns, local)).collect(),
            muc_user: m.name(MUC_USER, "x"),
            store: m.name(ns::HINTS, "store"),
            no_store: m.name(ns::HINTS, "no-store"),
            no_permanent_store: m.name(ns::HINTS, "no-permanent-store"),
            retract: m.name("urn:xmpp:message-retract:1", "retract"),
        }
    }

    /// What a room keeps (6.1.2): everything that somebody who was away would otherwise never learn.
    pub fn is_content(&self, stanza: &Stanza) -> bool {
        stanza.has(self.retract) || self.is_content_and_wanted(stanza).is_some_and(|(content, asked)| content || asked)
    }

    /// `None`: its sender wants nothing kept. Otherwise whether it has content, and whether it asks to be kept.
    fn is_content_and_wanted(&self, stanza: &Stanza) -> Option<(bool, bool)> {
        let (mut content, mut asked) = (false, false);
        for child in stanza.children() {
            // XEP-0334 4.1, 4.2: who asks that nothing is kept is heard before who asks that it is.
            if child.name == self.no_store || child.name == self.no_permanent_store {
                return None;
            }
            asked |= child.name == self.store;
            content |= child.name != NameId::UNKNOWN && self.content.contains(&child.name);
            // XEP-0045 7.8.2: an invitation, and what became of one. The same element without them only marks a private message.
            content |= child.name == self.muc_user && is_of_invitation(&stanza.child_el(child));
        }
        Some((content, asked))
    }

    /// Groupchat is its room's business (section 6.1.1 leaves that to the server); an error tells of a delivery, not of what
    /// people said; a headline is kept only when its sender asks for it (XEP-0334 4.4).
    pub fn keeps(&self, stanza: &Stanza) -> bool {
        let kind = stanza.stype().of_message();
        if matches!(kind, StanzaType::Groupchat | StanzaType::Error) {
            return false;
        }
        // XEP-0424 section 5: it MUST be kept, whatever its sender wishes for it.
        if stanza.has(self.retract) && kind != StanzaType::Headline {
            return true;
        }
        let Some((content, asked)) = self.is_content_and_wanted(stanza) else { return false };
        asked || (content && kind != StanzaType::Headline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iris_core::mount::{Doors, RoomConfig};
    use iris_core::xml::NameTable;
    use iris_core::{Card, Room, Status};
    use std::sync::OnceLock;

    fn policy() -> (&'static Policy, NameTable) {
        static POLICY: OnceLock<Policy> = OnceLock::new();
        let card = Card { xep: None, name: "test", version: "0", status: Status::Complete, needs: &[] };
        let room = Room {
            card,
            mount: |m| {
                let policy = Policy::intern(m);
                POLICY.get_or_init(|| policy);
                Ok(())
            },
        };
        let mut names = NameTable::new();
        Doors::open("house", &[room], &mut names, &RoomConfig::default()).expect("it mounts");
        (POLICY.get().expect("interned"), names)
    }

    fn keeps(kind: &str, inside: &str) -> bool {
        let (policy, names) = policy();
        let xml = format!("<message type='{kind}'>{inside}</message>");
        policy.keeps(&Stanza::parse(xml.as_bytes(), &names).expect("a stanza"))
    }

    #[test]
    fn s6_1_1_what_people_say_is_kept() {
        for inside in [
            "<body>hi</body>",
            "<subject>s</subject>",
            "<encrypted xmlns='urn:xmpp:omemo:2'/>",
            "<encrypted xmlns='eu.siacs.conversations.axolotl'/>",
            "<x xmlns='jabber:x:encrypted'>b</x>",
            "<encryption xmlns='urn:xmpp:eme:0' namespace='y'/>",
            "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>",
            "<retract xmlns='urn:xmpp:message-retract:1' id='1'/><no-store xmlns='urn:xmpp:hints'/>",
            "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>",
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            "<x xmlns='jabber:x:conference' jid='room@muc'/>",
            "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b'/></x>",
            "<x xmlns='http://jabber.org/protocol/muc#user'><decline from='a@b'/></x>",
            "<mentions xmlns='urn:xmpp:mmn:0'><forwarded xmlns='urn:xmpp:forward:0'/></mentions>",
            "<anything xmlns='urn:x'/><store xmlns='urn:xmpp:hints'/>",
            "<active xmlns='http://jabber.org/protocol/chatstates'/><body>hi</body>",
        ] {
            assert!(keeps("chat", inside) && keeps("normal", inside) && keeps("nonsense", inside), "{inside}");
        }
        assert!(keeps("headline", "<body>hi</body><store xmlns='urn:xmpp:hints'/>"));
    }

    #[test]
    fn s6_1_1_what_only_says_how_things_stand_is_not() {
        for inside in [
            "",
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
            "<paused xmlns='http://jabber.org/protocol/chatstates'/><x xmlns='http://jabber.org/protocol/muc#user'/>",
            "<request xmlns='urn:xmpp:receipts'/>",
            "<markable xmlns='urn:xmpp:chat-markers:0'/>",
            "<body xmlns='urn:other'>hi</body>",
            "<result xmlns='urn:xmpp:mam:2' id='1'/>",
            "<body>hi</body><no-store xmlns='urn:xmpp:hints'/>",
            "<no-permanent-store xmlns='urn:xmpp:hints'/><body>hi</body><store xmlns='urn:xmpp:hints'/>",
        ] {
            assert!(!keeps("chat", inside), "{inside}");
        }
        for kind in ["groupchat", "error", "headline"] {
            assert!(!keeps(kind, "<body>hi</body>"), "{kind}");
        }
        assert!(!keeps("error", "<body>hi</body><store xmlns='urn:xmpp:hints'/>"), "0334 5: hints in an error are not heard");
    }
}
