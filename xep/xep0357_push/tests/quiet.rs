//! What the user has said about being disturbed.

use super::*;

#[test]
fn f19_do_not_disturb_and_presenting_on_any_device_keep_quiet() {
    for quiet in ["<show>dnd</show>", "<presenting xmlns='urn:iris:presenting:0'/>"] {
        let (mut house, romeo) = house();
        let balcony = house.online("juliet@house/balcony");
        house.send(&balcony, &format!("<presence>{quiet}</presence>"));
        say(&mut house, &romeo, "one");
        house.send(
            &romeo,
            "<message to='juliet@house' type='chat' id='c'><propose xmlns='urn:xmpp:jingle-message:0' id='c'/></message>",
        );
        assert!(published(&mut house).is_empty(), "{quiet}");
        assert_eq!(house.hear(&balcony).iter().filter(|it| it.contains(">one<")).count(), 1, "it is kept and delivered");
        house.send(&balcony, "<presence><show>away</show></presence>");
        say(&mut house, &romeo, "two");
        assert_eq!(published(&mut house).len(), 1, "{quiet}");
    }
}

#[test]
fn xep0191_whoever_is_blocked_wakes_nobody() {
    let (mut house, romeo) = house();
    let balcony = house.online("juliet@house/balcony");
    ok(&mut house, &balcony, "<block xmlns='urn:xmpp:blocking'><item jid='romeo@house'/></block>");
    say(&mut house, &romeo, "one");
    assert!(published(&mut house).is_empty());
}

#[test]
fn xep0492_the_settings_of_a_chat_are_heard() {
    let (mut house, romeo) = house();
    let balcony = house.online("juliet@house/balcony");
    for (wish, told) in [("never", 0), ("on-mention", 0), ("always", 1)] {
        bookmark(&mut house, &balcony, "romeo@house", "", wish);
        say(&mut house, &romeo, &format!("hi {wish}"));
        assert_eq!(published(&mut house).len(), told, "{wish}");
    }
    bookmark(&mut house, &balcony, "romeo@house", "", "on-mention");
    house.advance(Duration::from_secs(31));
    say(&mut house, &romeo, "hi Juliet");
    assert_eq!(published(&mut house).len(), 1);
}

pub(super) fn bookmark(house: &mut House, client: &Client, chat: &str, nick: &str, wish: &str) {
    let nick = if nick.is_empty() { String::new() } else { format!("<nick>{nick}</nick>") };
    let conference = format!(
        "<conference xmlns='urn:xmpp:bookmarks:1'>{nick}<extensions><notify xmlns='urn:xmpp:notification-settings:1'><{wish}/></notify>\
         </extensions></conference>"
    );
    let publish = format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:bookmarks:1'><item id='{chat}'>{conference}</item>\
         </publish></pubsub>"
    );
    ok(house, client, &publish);
}
