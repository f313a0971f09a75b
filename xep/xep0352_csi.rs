//! XEP-0352: Client State Indication - a client whose user looks elsewhere is spared what may wait.
//! Spec 1.0.0, https://xmpp.org/extensions/xep-0352.html. Not done: settings per user (section 3.2, "MAY").
//!
//! What may wait says the stanza itself (`Hold` in `core/xml/wire.rs`): presence waits and the latest of each sender goes out
//! later, messages that hold nothing but a chat state are left out, everything else goes at once and takes along what waited.

use iris_core::{Card, Mount, MountError, Reply, Room, Status, Turn, When};

const NS: &str = "urn:xmpp:csi:0";

pub const ROOM: Room = Room {
    card: Card { xep: Some(352), name: "Client State Indication", version: "1.0.0", status: Status::Complete, needs: &[] },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.stream_feature(When::Authenticated, |_| format!("<csi xmlns='{NS}'/>"));
    m.nonza(NS, "active", |turn, _| state(turn, false));
    m.nonza(NS, "inactive", |turn, _| state(turn, true));
    for (name, inactive) in [("active", false), ("inactive", true)] {
        m.bind_inline(NS, name, move |turn, _| {
            state(turn, inactive);
            Reply::empty()
        });
    }
    Ok(())
}

fn state(turn: &mut Turn<'_>, inactive: bool) {
    if let Some(session) = turn.session {
        turn.account.hold(session, inactive);
    }
}

#[cfg(test)]
mod tests {
    use crate::ROOMS;
    use iris_engine::testing::{Client, House};

    const INACTIVE: &str = "<inactive xmlns='urn:xmpp:csi:0'/>";
    const ACTIVE: &str = "<active xmlns='urn:xmpp:csi:0'/>";

    fn lovers() -> (House, Client, Client) {
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        let romeo = house.online("romeo@house/orchard");
        let juliet = house.online("juliet@house/balcony");
        house.recv(&romeo);
        house.send(&juliet, INACTIVE);
        (house, romeo, juliet)
    }

    #[test]
    fn s3_2_presence_waits_and_only_the_latest_is_sent() {
        let (mut house, romeo, juliet) = lovers();
        for show in ["away", "xa", "dnd"] {
            house.send(&romeo, &format!("<presence><show>{show}</show></presence>"));
        }
        house.nothing(&juliet);
        house.send(&juliet, ACTIVE);
        assert!(house.one(&juliet).as_str().contains("<show>dnd</show>"));
        house.send(&romeo, "<presence/>");
        house.one(&juliet);
    }

    #[test]
    fn s3_2_a_chat_state_alone_is_left_out() {
        let (mut house, romeo, juliet) = lovers();
        let composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
        house.send(&romeo, &format!("<message to='juliet@house' type='chat'>{composing}</message>"));
        house.send(&juliet, ACTIVE);
        house.nothing(&juliet);
        house.send(&romeo, &format!("<message to='juliet@house' type='chat'>{composing}</message>"));
        assert!(house.one(&juliet).as_str().contains("composing"), "while she looks it is shown");
    }

    #[test]
    fn a_message_goes_at_once_and_takes_along_what_waited() {
        let (mut house, romeo, juliet) = lovers();
        house.send(&romeo, "<presence><show>away</show></presence>");
        house.send(&romeo, "<message to='juliet@house' type='chat'><body>now</body></message>");
        let heard = house.hear(&juliet);
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert!(heard[0].contains("<show>away</show>") && heard[1].contains("now"), "in the order in which it came");
        // And she is inactive still.
        house.send(&romeo, "<presence/>");
        house.nothing(&juliet);
    }

    #[test]
    fn s5_1_what_waited_comes_before_the_answer_to_what_follows() {
        let (mut house, romeo, juliet) = lovers();
        house.send(&romeo, "<presence><show>away</show></presence>");
        house.feed(&juliet, ACTIVE);
        house.feed(&juliet, "<iq type='get' to='house' id='ping1'><ping xmlns='urn:xmpp:ping'/></iq>");
        house.run();
        let heard = house.hear(&juliet);
        assert!(heard[0].contains("away") && heard[1].contains("ping1"), "{heard:?}");
    }

    #[test]
    fn s5_2_a_resumed_stream_begins_active() {
        let (mut house, romeo, juliet) = lovers();
        house.send(&juliet, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        let id = house.recv(&juliet)[0].attr("id").expect("an id").into_owned();
        house.send(&romeo, "<presence><show>away</show></presence>");
        house.cut(&juliet);
        let (juliet, _) = house.resume(&juliet, &id, 0).expect("an answer").expect("resumed");
        assert!(house.hear(&juliet).iter().any(|it| it.contains("<show>away</show>")));
        house.send(&romeo, "<presence><show>xa</show></presence>");
        assert!(house.hear(&juliet).iter().any(|it| it.contains("<show>xa</show>")));
    }

    #[test]
    fn not_applicable_to_a_client_that_never_said_so() {
        let (mut house, romeo, _) = lovers();
        let chamber = house.online("juliet@house/chamber");
        house.recv(&chamber);
        house.send(&romeo, "<presence><show>away</show></presence>");
        assert!(house.one(&chamber).as_str().contains("away"));
    }
}
