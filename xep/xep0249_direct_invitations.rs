//! XEP-0249: Direct MUC Invitations - come into this room, says somebody without asking the room.
//! Spec 1.2, https://xmpp.org/extensions/xep-0249.html. Not done: nothing. Between clients; the archive keeps it (XEP-0313).

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(249), name: "Direct MUC Invitations", version: "1.2", status: Status::Complete, needs: &[45] },
    mount: Room::no_door,
};

#[cfg(test)]
mod tests {
    use crate::ROOMS;
    use iris_engine::testing::House;

    #[test]
    fn s2_an_invitation_passes_and_is_kept() {
        let mut house = House::with(ROOMS);
        let (romeo, juliet) = (house.online("romeo@house/orchard"), house.online("juliet@house/balcony"));
        let x = "<x xmlns='jabber:x:conference' jid='room@conference.house' password='moon' reason='come'/>";
        house.send(&romeo, &format!("<message to='juliet@house'>{x}</message>"));
        let heard = house.one(&juliet);
        assert!(heard.as_str().contains(x) && heard.as_str().contains("<stanza-id"), "{}", heard.as_str());
    }
}
