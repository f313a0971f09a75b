//! XEP-0186: Invisible Command - to be there, and to be seen by nobody.
//! Spec 0.14.0, https://xmpp.org/extensions/xep-0186.html. Not done: nothing. What it does stands in `engine/account/invisible.rs` and
//! `presence.rs`, where everything is that decides who sees whom.

use iris_core::{At, Card, Mount, MountError, Room, Status, ns};

pub const ROOM: Room = Room {
    card: Card { xep: Some(186), name: "Invisible Command", version: "0.14.0", status: Status::Complete, needs: &[30] },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Host, ns::INVISIBLE);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::ROOMS;
    use iris_engine::testing::{Client, House};

    const HIDE: &str = "<invisible xmlns='urn:xmpp:invisible:1' probe='false'/>";
    const ASK: &str = "<invisible xmlns='urn:xmpp:invisible:1' probe='true'/>";
    const SHOW: &str = "<visible xmlns='urn:xmpp:invisible:1'/>";

    fn verona() -> (House, Client, Client) {
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        let romeo = house.online("romeo@house/orchard");
        let juliet = house.online("juliet@house/balcony");
        house.recv(&romeo);
        (house, romeo, juliet)
    }

    #[track_caller]
    fn command(house: &mut House, who: &Client, payload: &str) {
        let answer = house.iq(who, "set", None, payload);
        assert_eq!(answer.attr("type").as_deref(), Some("result"), "{}", answer.as_str());
    }

    #[test]
    fn s3_1_contacts_see_it_go_and_nothing_after_that() {
        let (mut house, romeo, juliet) = verona();
        let chamber = house.online("juliet@house/chamber");
        house.recv(&romeo);
        command(&mut house, &juliet, HIDE);
        let gone = house.one(&romeo);
        assert_eq!((gone.attr("type").as_deref(), gone.from().as_deref()), (Some("unavailable"), Some("juliet@house/balcony")));
        assert!(house.hear(&chamber).iter().any(|xml| xml.contains("type='unavailable'")));
        // 3.1.2: no broadcast of what it says then, and none of its end.
        house.send(&juliet, "<presence><show>dnd</show></presence>");
        command(&mut house, &juliet, HIDE);
        house.send(&juliet, "<presence type='unavailable'/>");
        house.send(&juliet, "<presence/>");
        house.close(&juliet);
        house.nothing(&romeo);
    }

    #[test]
    fn s3_1_2_it_takes_part_in_everything() {
        let (mut house, romeo, juliet) = verona();
        command(&mut house, &juliet, HIDE);
        house.recv(&romeo);
        house.send(&romeo, "<message to='juliet@house' type='chat'><body>to the bare JID</body></message>");
        assert!(house.one(&juliet).as_str().contains("to the bare JID"));
        house.send(&romeo, "<message to='juliet@house/balcony' type='chat'><body>to the full one</body></message>");
        assert!(house.one(&juliet).as_str().contains("to the full one"));
        house.send(&romeo, "<iq type='get' id='v' to='juliet@house/balcony'><query xmlns='jabber:iq:version'/></iq>");
        assert!(house.one(&juliet).as_str().contains("jabber:iq:version"));
        house.send(&romeo, "<presence><status>pacing</status></presence>");
        assert!(house.one(&juliet).as_str().contains("pacing"));
        house.send(&juliet, "<message to='romeo@house' type='chat'><body>wherefore</body></message>");
        assert!(house.hear(&romeo).iter().any(|xml| xml.contains("wherefore")));
    }

    #[test]
    fn s3_1_2_who_hides_before_being_seen_gets_messages_too_and_probes_only_when_asked() {
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        let romeo = house.online("romeo@house/orchard");
        for (payload, probes) in [(HIDE, false), (ASK, true)] {
            let juliet = house.login("juliet@house/balcony");
            house.send(&juliet, &format!("<iq type='set' id='hide'>{payload}</iq>"));
            let sees = house.hear(&juliet).iter().any(|xml| xml.contains("from='romeo@house/orchard'"));
            house.send(&juliet, "<presence/>");
            let then = house.hear(&juliet).iter().any(|xml| xml.contains("from='romeo@house/orchard'"));
            assert_eq!((sees, then), (probes, false), "{payload}");
            house.send(&romeo, "<message to='juliet@house' type='chat'><body>hi</body></message>");
            assert!(house.one(&juliet).as_str().contains("hi"));
            house.close(&juliet);
            house.nothing(&romeo);
        }
    }

    #[test]
    fn s3_1_2_to_others_the_account_is_offline_since_it_hid() {
        let (mut house, romeo, juliet) = verona();
        command(&mut house, &juliet, HIDE);
        house.recv(&romeo);
        house.advance(Duration::from_secs(40));
        let last = house.iq(&romeo, "get", Some("juliet@house"), "<query xmlns='jabber:iq:last'/>");
        assert!(last.as_str().contains("seconds='40'"), "{}", last.as_str());
        let items = house.iq(&romeo, "get", Some("juliet@house"), "<query xmlns='http://jabber.org/protocol/disco#items'/>");
        assert!(!items.as_str().contains("balcony"), "{}", items.as_str());
        house.send(&romeo, "<presence type='probe' to='juliet@house'/>");
        let told = house.one(&romeo);
        assert!(told.as_str().contains("type='unavailable'") && told.as_str().contains("<delay "), "{}", told.as_str());
        assert!(!told.as_str().contains("balcony"), "{}", told.as_str());
        // Somebody who comes now sees nobody.
        let garden = house.online("romeo@house/garden");
        house.nothing(&garden);
    }

    #[test]
    fn s3_1_2_directed_presence_is_shown_and_its_end_to_those_only() {
        let (mut house, romeo, juliet) = verona();
        house.user("nurse@house");
        let nurse = house.online("nurse@house/kitchen");
        command(&mut house, &juliet, HIDE);
        house.recv(&romeo);
        house.send(&juliet, "<presence to='nurse@house/kitchen'/>");
        assert!(house.one(&nurse).as_str().contains("juliet@house/balcony"));
        house.nothing(&romeo);
        house.close(&juliet);
        assert_eq!(house.one(&nurse).attr("type").as_deref(), Some("unavailable"));
        house.nothing(&romeo);
    }

    #[test]
    fn s3_2_visible_again_is_as_before_initial_presence() {
        let (mut house, romeo, juliet) = verona();
        command(&mut house, &juliet, HIDE);
        house.send(&juliet, "<presence to='romeo@house'/>");
        house.recv(&romeo);
        command(&mut house, &juliet, SHOW);
        house.nothing(&romeo);
        house.send(&juliet, "<presence/>");
        assert!(house.one(&romeo).as_str().contains("juliet@house/balcony"));
        house.close(&juliet);
        assert_eq!(house.one(&romeo).attr("type").as_deref(), Some("unavailable"));
    }

    #[test]
    fn s2_the_mode_ends_with_the_session() {
        let (mut house, romeo, juliet) = verona();
        command(&mut house, &juliet, HIDE);
        house.close(&juliet);
        house.recv(&romeo);
        house.online("juliet@house/balcony");
        assert!(house.one(&romeo).as_str().contains("juliet@house/balcony"));
    }

    #[test]
    fn not_applicable_what_is_malformed_and_what_is_no_command() {
        let (mut house, romeo, juliet) = verona();
        let wrong = house.iq(&juliet, "set", None, "<invisible xmlns='urn:xmpp:invisible:1' probe='perhaps'/>");
        assert!(wrong.as_str().contains("<bad-request"), "{}", wrong.as_str());
        let get = house.iq(&juliet, "get", None, HIDE);
        assert!(get.as_str().contains("type='error'"), "{}", get.as_str());
        // Who is visible already stays as they are.
        command(&mut house, &juliet, SHOW);
        house.nothing(&romeo);
        house.send(&romeo, "<message to='juliet@house' type='chat'><body>still here</body></message>");
        assert!(house.one(&juliet).as_str().contains("still here"));
    }
}
