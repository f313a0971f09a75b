//! XEP-0202: Entity Time - what time is it there?
//! Spec 2.0, https://xmpp.org/extensions/xep-0202.html. Not done: nothing. The server lives in UTC.

use iris_core::time::datetime;
use iris_core::xml::Build;
use iris_core::{At, Card, GetOrSet, HostTurn, Mount, MountError, Reply, Room, Status};

use crate::result;

const NS: &str = "urn:xmpp:time";

pub const ROOM: Room = Room {
    card: Card { xep: Some(202), name: "Entity Time", version: "2.0", status: Status::Complete, needs: &[30, 82] },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Host, NS);
    m.host_iq_named(GetOrSet::Get, NS, "time", |turn, _| time(turn))
}

fn time(turn: &mut HostTurn<'_>) -> Reply {
    // Whole seconds: nobody can make use of more across a network, and it would only measure the server's load.
    let second_us = turn.now.wall_us / 1_000_000 * 1_000_000;
    let mut xml = Build::new();
    xml.open_ns("time", NS).leaf("tzo", "+00:00").leaf("utc", &datetime(second_us)).close();
    result(xml)
}

#[cfg(test)]
mod tests {
    use crate::ROOMS;
    use iris_engine::testing::House;
    use std::time::Duration;
    use xmpp_parsers::time::TimeResult;

    #[test]
    fn s3_the_server_says_what_time_it_is() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        house.advance(Duration::from_secs(86_399));
        let answer = house.iq(&romeo, "get", Some("house"), "<time xmlns='urn:xmpp:time'/>");
        assert!(answer.as_str().contains("<tzo>+00:00</tzo><utc>2026-01-01T23:59:59Z</utc>"), "{}", answer.as_str());
        answer.parse_child::<TimeResult>(&answer.children()[0]).expect("XEP-0082 times");
    }

    #[test]
    fn not_applicable_an_account_has_no_clock() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        let answer = house.iq(&romeo, "get", None, "<time xmlns='urn:xmpp:time'/>");
        assert!(answer.as_str().contains("service-unavailable"));
    }
}
