//! A connection that is dead and does not say so: what is written to it is not acknowledged (XEP-0198).

use super::*;

/// Juliet's phone, connected, with stream management.
fn connected() -> (House, Client, Client) {
    let (mut house, romeo) = house();
    let phone = house.online("juliet@house/phone");
    house.send(&phone, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    house.recv(&phone);
    (house, romeo, phone)
}

fn ack(house: &mut House, client: &Client, h: u32) {
    house.send(client, &format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
}

const A_WHILE: Duration = Duration::from_secs(31);

#[test]
fn a_device_that_does_not_acknowledge_is_told_once_and_of_what_comes_then() {
    let (mut house, romeo, phone) = connected();
    say(&mut house, &romeo, "one");
    house.recv(&phone);
    house.advance(Duration::from_secs(29));
    assert!(published(&mut house).is_empty(), "it may answer still");
    house.advance(Duration::from_secs(2));
    let told = published(&mut house);
    assert_eq!(told.len(), 1, "{told:?}");
    has(&told[0], &[&field("message-count", "1")]);
    // Of what comes now at once, and of nothing twice: neither later nor when the connection is found to be dead.
    let nurse = house.online("nurse@house/kitchen");
    say(&mut house, &nurse, "two");
    let told = published(&mut house);
    assert_eq!(told.len(), 1, "{told:?}");
    has(&told[0], &[&field("message-count", "2")]);
    house.recv(&phone);
    house.advance(Duration::from_secs(120));
    house.cut(&phone);
    assert!(published(&mut house).is_empty());
}

#[test]
fn a_device_that_acknowledges_is_not_told_however_late_the_messages_come() {
    let (mut house, romeo, phone) = connected();
    for h in 1..6 {
        say(&mut house, &romeo, &format!("m{h}"));
        house.recv(&phone);
        house.advance(Duration::from_secs(20));
        ack(&mut house, &phone, h);
        house.advance(Duration::from_secs(20));
    }
    assert!(published(&mut house).is_empty());
    // Whoever says something is there, and answers a little later.
    say(&mut house, &romeo, "six");
    house.recv(&phone);
    house.advance(Duration::from_secs(20));
    house.send(&phone, "<presence><show>away</show></presence>");
    house.recv(&phone);
    house.advance(Duration::from_secs(20));
    assert!(published(&mut house).is_empty());
    house.advance(A_WHILE);
    assert_eq!(published(&mut house).len(), 1, "and yet it did not");
}

#[test]
fn a_device_that_was_silent_and_is_back_is_told_nothing_and_anew_when_it_is_silent_again() {
    let (mut house, romeo, phone) = connected();
    say(&mut house, &romeo, "one");
    house.recv(&phone);
    house.advance(A_WHILE);
    assert_eq!(published(&mut house).len(), 1);
    ack(&mut house, &phone, 1);
    say(&mut house, &romeo, "two");
    assert!(published(&mut house).is_empty(), "it is back");
    house.recv(&phone);
    house.advance(A_WHILE);
    let told = published(&mut house);
    assert_eq!(told.len(), 1, "{told:?}");
    has(&told[0], &[&field("message-count", "1")]);
}

#[test]
fn without_stream_management_nobody_owes_anything() {
    let (mut house, romeo) = house();
    let phone = house.online("juliet@house/phone");
    say(&mut house, &romeo, "one");
    house.recv(&phone);
    house.advance(A_WHILE);
    assert!(published(&mut house).is_empty());
}
