//! The handshake of a component. What it says behind it is tested in its room (`xep0114_components`).

use std::time::Instant;

use iris_core::hex;

use super::*;
use crate::negotiate::Knock;
use crate::negotiate::sasl::Hash;
use crate::testing::constant_time::{alike, bent};

const BOT: Room = Room {
    card: Card { xep: None, name: "A bot", version: "1", status: Status::Complete, needs: &[] },
    mount: |m| {
        m.component("bot.test", "northnorthwest");
        Ok(())
    },
};

#[test]
fn b11_a_wrong_handshake_is_refused_as_slowly_wherever_it_is_wrong() {
    let mut client = Client::new(Transport::Plain);
    let config = RoomConfig::parse("").expect("no configuration");
    client.hosts = Hosts::new([Doors::open(A, &[BOT], &mut client.names, &config).expect("the room mounts")]);
    let names = client.names.clone();
    client.step(|_, env| {
        let mut knock = Knock::default();
        let hello = StreamHeader { default_ns: "jabber:component:accept".into(), ..header("bot.test") };
        knock.header(&hello, env).expect("a component");
        let said = String::from_utf8_lossy(env.out).into_owned();
        let (_, id) = said.split_once(" id='").expect("an id");
        let id = id.split_once('\'').expect("its end").0;
        let proof = hex::write(Hash::Sha1.digest(format!("{id}northnorthwest").as_bytes()).as_slice());
        let handshake = |proof: &str| {
            let xml = format!("<handshake xmlns='jabber:component:accept'>{proof}</handshake>");
            Stanza::parse(xml.as_bytes(), &names).expect("an element")
        };
        assert_eq!(knock.element(&handshake(&proof), env).as_deref(), Ok("bot.test"));
        let wrong = [handshake(&bent(&proof, 0)), handshake(&bent(&proof, 39))];
        alike("handshake", 5_000, |which| {
            let begun = Instant::now();
            let outcome = knock.element(&wrong[which], env);
            let took = begun.elapsed().as_nanos();
            assert!(outcome.is_err());
            took
        });
        Vec::new()
    });
}
