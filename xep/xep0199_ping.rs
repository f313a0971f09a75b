//! XEP-0199: XMPP Ping - is the other end still there?
//! Spec 2.0.1, https://xmpp.org/extensions/xep-0199.html. Not done: nothing. (The engine itself asks silent clients.)

use iris_core::{At, Bounce, Card, GetOrSet, Mount, MountError, Reply, Room, Status, Turn};

const NS: &str = "urn:xmpp:ping";

pub const ROOM: Room =
    Room { card: Card { xep: Some(199), name: "XMPP Ping", version: "2.0.1", status: Status::Complete, needs: &[30] }, mount };

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Host, NS);
    m.feature(At::Account, NS);
    m.host_iq_named(GetOrSet::Get, NS, "ping", |_, _| Reply::empty())?;
    m.iq_named(At::Account, GetOrSet::Get, NS, "ping", |turn, _| ping(turn))
}

/// Section 4.2 has the server answer for the bare JID. Whoever may not know whether the account exists gets the answer that
/// nobody gets (security B10).
fn ping(turn: &mut Turn<'_>) -> Reply {
    if turn.caller().is_some_and(|caller| caller.relation.sees_us()) { Reply::empty() } else { Bounce::nobody().into() }
}

#[cfg(test)]
mod tests {
    use crate::ROOMS;
    use iris_engine::testing::House;

    const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";

    #[test]
    fn s4_1_and_4_2_the_server_and_the_account_answer() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        for to in [Some("house"), Some("romeo@house"), None] {
            let pong = house.iq(&romeo, "get", to, PING);
            assert_eq!(pong.attr("type").as_deref(), Some("result"), "{}", pong.as_str());
            assert_eq!(pong.from().as_deref(), to);
            assert!(pong.children().is_empty());
        }
    }

    #[test]
    fn b10_a_contact_gets_a_pong_and_a_stranger_hears_what_nobody_would_say() {
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        let romeo = house.online("romeo@house/orchard");
        assert_eq!(house.iq(&romeo, "get", Some("juliet@house"), PING).attr("type").as_deref(), Some("result"));
        house.user("tybalt@house");
        let stranger = house.iq(&romeo, "get", Some("tybalt@house"), PING);
        let nobody = house.iq(&romeo, "get", Some("nobody@house"), PING);
        let same = |it: &iris_core::Stanza| it.as_str().replace(&*it.id().expect("an id"), "").replace("tybalt", "nobody");
        assert_eq!(same(&stranger), same(&nobody));
        assert!(nobody.as_str().contains("service-unavailable"));
    }

    #[test]
    fn not_applicable_a_set_is_no_ping() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        assert!(house.iq(&romeo, "set", Some("house"), PING).as_str().contains("service-unavailable"));
    }
}
