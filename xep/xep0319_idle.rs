//! XEP-0319: Last User Interaction in Presence - a contact's device says since when nobody has touched it.
//! Spec 1.0.2, https://xmpp.org/extensions/xep-0319.html. Not done: nothing. Presence travels, and is shown to whoever comes later,
//! as it was sent, so the server's part is to leave it alone. "Offline since" is XEP-0012's room.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(319),
        name: "Last User Interaction in Presence",
        version: "1.0.2",
        status: Status::Complete,
        needs: &[],
    },
    mount: Room::no_door,
};

#[cfg(test)]
mod tests {
    use crate::ROOMS;
    use iris_engine::testing::House;

    #[test]
    fn s3_who_comes_later_sees_since_when_as_it_was_said() {
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        let juliet = house.online("juliet@house/balcony");
        let idle = "<idle xmlns='urn:xmpp:idle:1' since='2025-12-31T23:56:15Z'/>";
        house.send(&juliet, &format!("<presence><show>away</show>{idle}</presence>"));
        let romeo = house.login("romeo@house/orchard");
        house.send(&romeo, "<presence/>");
        let hers = house.hear(&romeo).into_iter().find(|xml| xml.contains("juliet@house/balcony")).expect("her presence");
        assert!(hers.contains(idle), "{hers}");
        house.send(&juliet, "<presence/>");
        assert!(!house.one(&romeo).as_str().contains("idle"));
    }
}
