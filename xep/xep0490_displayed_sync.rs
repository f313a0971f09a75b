//! XEP-0490: Message Displayed Synchronization - what one device has shown, the others need not.
//! Spec 1.0.0, https://xmpp.org/extensions/xep-0490.html. Not done: nothing.
//!
//! The node is an ordinary one of the account; server assist (section 3.5) publishes there what a message says beside what it is.

use iris_core::xml::NameId;
use iris_core::{At, Card, Flow, Kind, Mount, MountError, Room, Status, Step, Turn};

use crate::xep0163_pep as pep;

const NS: &str = "urn:xmpp:mds:displayed:0";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(490),
        name: "Message Displayed Synchronization",
        version: "1.0.0",
        status: Status::Complete,
        needs: &[163, 223, 359],
    },
    mount,
};

/// Section 3.2.
const OPTIONS: &[(&str, &str)] =
    &[("persist_items", "true"), ("max_items", "max"), ("send_last_published_item", "never"), ("access_model", "whitelist")];

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Account, "urn:xmpp:mds:server-assist:0");
    let displayed = m.name(NS, "displayed");
    // Section 4.2: before the message is archived or copied.
    m.on(Step::SentGuard, move |turn| assist(turn, displayed));
    Ok(())
}

/// Section 3.5.2: taken out of the message in any case, so that nobody else learns it, and published.
fn assist(turn: &mut Turn<'_>, displayed: NameId) -> Flow {
    if turn.session.is_none() {
        return Flow::Go;
    }
    let Some(envelope) = turn.envelope.as_deref_mut() else { return Flow::Go };
    let stanza = envelope.stanza.clone();
    if stanza.kind() != Kind::Message || !stanza.has(displayed) {
        return Flow::Go;
    }
    let mut payload = None;
    for (at, child) in stanza.children().iter().enumerate().filter(|(_, child)| child.name == displayed) {
        envelope.stamps.strip.add(at);
        payload.get_or_insert_with(|| stanza.child_el(child).closed().into_owned());
    }
    // "The server will use the verbatim 'to' attribute as the item ID."
    if let (Some(to), Some(payload)) = (stanza.to().filter(|to| !to.is_empty()), payload) {
        // An account that is full loses the mark, not the message.
        let _ = pep::publish(turn, NS, &to, payload, OPTIONS, true);
    }
    Flow::Go
}

#[cfg(test)]
mod tests {
    use crate::xep0163_pep::tests::*;

    const NODE: &str = "urn:xmpp:mds:displayed:0";
    const DISPLAYED: &str = "<displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='juliet@house' id='0423e3a9'/></displayed>";

    #[test]
    fn s3_5_server_assist_publishes_and_strips() {
        let mut house = house();
        let romeo = house.online("romeo@house/orchard");
        let juliet = house.login("juliet@house/balcony");
        let tablet = house.online("juliet@house/tablet");
        house.iq(&tablet, "set", None, "<enable xmlns='urn:xmpp:carbons:2'/>");
        wants(&mut house, &juliet, &[NODE]);
        house.recv(&tablet);
        house.send(
            &juliet,
            &format!("<message to='romeo@house' type='chat'><displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/><store xmlns='urn:xmpp:hints'/>{DISPLAYED}</message>"),
        );
        let got = house.one(&romeo).as_str().to_owned();
        assert!(got.contains("urn:xmpp:chat-markers:0") && !got.contains("mds"), "{got}");
        let told = events(&house.recv(&juliet)).concat();
        assert!(told.contains("<item id='romeo@house'>") && told.contains(DISPLAYED), "{told}");
        // Neither in the copy nor in the archive.
        let copies = house.hear(&tablet).concat();
        assert!(copies.contains("carbons") && !copies.contains("mds"), "{copies}");
        house.send(&juliet, "<iq type='set' id='a'><query xmlns='urn:xmpp:mam:2'/></iq>");
        let archive = house.hear(&juliet).concat();
        assert!(archive.contains("chat-markers") && !archive.contains("mds"), "{archive}");
        // Section 7: on a whitelisted node, which clients then find as they want it.
        let options = [
            ("persist_items", "true"),
            ("max_items", "max"),
            ("send_last_published_item", "never"),
            ("access_model", "whitelist"),
        ];
        ok(&publish_with(&mut house, &juliet, None, NODE, "nurse@house", DISPLAYED, &options));
        assert_eq!(ids(&items(&mut house, &juliet, None, NODE)), ["romeo@house", "nurse@house"]);
    }

    /// Section 4.2: "before it is reflected back to the sender": a room of the house passed it on to everybody.
    #[test]
    fn s4_2_nobody_in_a_room_learns_of_it() {
        let mut house = house();
        let room = "r@conference.house";
        let (juliet, romeo) = (house.online("juliet@house/balcony"), house.online("romeo@house/orchard"));
        house.send(&juliet, &format!("<presence to='{room}/juliet'><x xmlns='http://jabber.org/protocol/muc'/></presence>"));
        let own = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>";
        ok(&house.iq(&juliet, "set", Some(room), own));
        house.send(&romeo, &format!("<presence to='{room}/romeo'><x xmlns='http://jabber.org/protocol/muc'/></presence>"));
        house.recv(&romeo);
        let marker = "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>";
        house.send(&juliet, &format!("<message to='{room}' type='groupchat' id='g'>{marker}{DISPLAYED}</message>"));
        house.send(&juliet, &format!("<message to='{room}/romeo' type='chat' id='p'>{marker}{DISPLAYED}</message>"));
        let heard = house.hear(&romeo).concat();
        assert!(heard.contains("id='g'") && heard.contains("id='p'") && !heard.contains("mds"), "{heard}");
        assert_eq!(ids(&items(&mut house, &juliet, None, NODE)), [room, "r@conference.house/romeo"]);
    }

    #[test]
    fn not_applicable_to_what_others_send() {
        let mut house = house();
        let romeo = house.online("romeo@house/orchard");
        let juliet = house.online("juliet@house/balcony");
        house.send(&romeo, &format!("<message to='juliet@house' type='chat'><body>x</body>{DISPLAYED}</message>"));
        assert!(!house.one(&juliet).as_str().contains("mds"), "romeo's own server took it");
        error(&ask(&mut house, &juliet, "get", None, &format!("<items node='{NODE}'/>")), "cancel", "item-not-found", "");
        assert_eq!(ids(&items(&mut house, &romeo, None, NODE)), ["juliet@house"]);
    }
}
