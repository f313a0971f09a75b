//! XEP-0359: Unique and Stable Stanza IDs - what a message is called in an archive.
//! Spec 0.7.0, https://xmpp.org/extensions/xep-0359.html. Not done: nothing.
//!
//! The engine mints nothing and believes nobody: it strips ids that claim to be the recipient's and stamps the one under which
//! the archive keeps the message. Here is the other half: ids that claim to be the sender's own.

use iris_core::xml::{Child, NameId, Stanza};
use iris_core::{At, Card, Flow, Kind, Mount, MountError, Room, Status, Step, Turn, hash, ns};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(359),
        name: "Unique and Stable Stanza IDs",
        version: "0.7.0",
        status: Status::Complete,
        needs: &[30],
    },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Account, ns::STANZA_ID);
    let stanza_id = m.name(ns::STANZA_ID, "stanza-id");
    m.on(Step::SentGuard, move |turn| {
        strip_own(turn, stanza_id);
        Flow::Go
    });
    Ok(())
}

/// Section 3 rule 2: an account deletes ids in its own name even where it adds none. Before the archive keeps the message, so
/// that no copy of it anywhere has one.
fn strip_own(turn: &mut Turn<'_>, stanza_id: NameId) {
    let me = turn.me().clone();
    let Some(envelope) = turn.envelope.as_deref_mut() else { return };
    let stanza = envelope.stanza.clone();
    if stanza.kind() != Kind::Message || !stanza.has(stanza_id) {
        return;
    }
    for (index, child) in stanza.children().iter().enumerate() {
        let by = || stanza.child_el(child).attr("by").and_then(|by| iris_core::Jid::new(&by).ok());
        if child.name == stanza_id && by().is_some_and(|by| by.to_bare() == me) {
            envelope.stamps.strip.add(index);
        }
    }
}

/// Tells a message that is sent again after a restart, because its sender never got the answer (section 2.2 is how a client
/// says that it is the same). For logs that `recognise_resent`.
#[derive(Clone, Copy)]
pub struct SentAgain {
    origin_id: NameId,
    delay: NameId,
}

/// So much of each child goes into the tag: enough to tell two messages apart, little enough for the longest.
const TAG_CHILD_BYTES_MAX: usize = 1024;

impl SentAgain {
    pub fn intern(m: &mut Mount<'_>) -> SentAgain {
        SentAgain { origin_id: m.name(ns::STANZA_ID, "origin-id"), delay: m.name(ns::DELAY, "delay") }
    }

    /// The same sender (a bare JID), id and content. 0: without an id it is nobody's copy.
    ///
    /// The content is part of it because some clients count their ids from 1; what only says that it was sent late is not.
    pub fn tag(&self, stanza: &Stanza, sender: &str) -> u64 {
        let origin = stanza.child(self.origin_id).and_then(|child| stanza.child_el(child).attr("id"));
        let Some(id) = origin.or_else(|| stanza.id()).filter(|id| !id.is_empty()) else { return 0 };
        let is_content = |child: &&Child| child.name != self.delay;
        let children = stanza.children().iter().filter(is_content).map(|child| stanza.child_bytes(child));
        let children = children.map(|bytes| bytes.get(..TAG_CHILD_BYTES_MAX).unwrap_or(bytes));
        hash::content([sender.as_bytes(), id.as_bytes()].into_iter().chain(children))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ROOMS;
    use iris_core::xml::NameTable;
    use iris_engine::testing::House;

    #[test]
    fn s2_2_a_message_sent_again_has_the_same_tag_and_no_other_message_has() {
        let mut names = NameTable::new();
        let origin_id = names.intern(ns::STANZA_ID, "origin-id");
        let delay = names.intern(ns::DELAY, "delay");
        let again = SentAgain { origin_id, delay };
        let tag = |sender: &str, xml: &str| again.tag(&Stanza::parse(xml.as_bytes(), &names).expect("a stanza"), sender);
        let first = tag("romeo@house", "<message to='juliet@house' id='1'><body>hi</body></message>");
        let late = "<message id='1' to='juliet@house'><body>hi</body><delay xmlns='urn:xmpp:delay' stamp='x'/></message>";
        assert_eq!(first, tag("romeo@house", late));
        assert_ne!(first, tag("mallory@house", late));
        assert_ne!(first, tag("romeo@house", "<message id='1'><body>ho</body></message>"));
        assert_ne!(first, tag("romeo@house", "<message id='2'><body>hi</body></message>"));
        assert_eq!(tag("romeo@house", "<message><body>hi</body></message>"), 0);
        let origin = "<message id='9'><origin-id xmlns='urn:xmpp:sid:0' id='o'/><body>hi</body></message>";
        assert_eq!(tag("romeo@house", origin), tag("romeo@house", &origin.replace("'9'", "'10'")));
    }

    fn ids(xml: &str) -> usize {
        xml.matches("<stanza-id").count()
    }

    #[test]
    fn s3_rule_2_ids_in_the_name_of_sender_and_recipient_are_replaced_and_others_pass() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        let juliet = house.online("juliet@house/balcony");
        house.send(
            &romeo,
            "<message to='juliet@house' type='chat'><stanza-id xmlns='urn:xmpp:sid:0' by='juliet@house' id='forged-1'/>\
             <body>hi</body><stanza-id xmlns='urn:xmpp:sid:0' by='JULIET@house/x' id='forged-2'/>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='romeo@house' id='forged-3'/>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='room@elsewhere' id='theirs'/>\
             <origin-id xmlns='urn:xmpp:sid:0' id='o1'/></message>",
        );
        let heard = house.one(&juliet);
        let xml = heard.as_str();
        assert!(!xml.contains("forged"), "{xml}");
        assert!(xml.contains("id='theirs'") && xml.contains("id='o1'"), "rule 3: what is not ours passes: {xml}");
        // Rule 4: at most one of each `by`.
        assert_eq!((ids(xml), xml.matches("by='juliet@house'").count()), (2, 1), "{xml}");
    }

    #[test]
    fn s3_rule_2_also_where_none_is_added() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        let juliet = house.online("juliet@house/balcony");
        house.send(
            &romeo,
            "<message to='juliet@house' type='chat'><body>hi</body><no-store xmlns='urn:xmpp:hints'/>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='juliet@house' id='forged'/></message>",
        );
        assert_eq!(ids(house.one(&juliet).as_str()), 0);
    }

    #[test]
    fn s5_the_account_says_that_it_keeps_the_rules() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        let info = house.iq(&romeo, "get", Some("romeo@house"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert!(info.as_str().contains("<feature var='urn:xmpp:sid:0'/>"), "{}", info.as_str());
    }
}
