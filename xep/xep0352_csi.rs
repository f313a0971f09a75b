//! XEP-0352: Client State Indication - a client whose user looks elsewhere is spared what may wait.
//! Spec 1.0.0, https://xmpp.org/extensions/xep-0352.html. Not done: settings per user (section 3.2, "MAY").
//!
//! What may wait says the stanza itself (`Hold` in `core/xml/wire.rs`): presence and news of nodes wait, and the latest of each goes out
//! when somebody looks; messages that hold nothing but a chat state are left out; everything else goes at once, and before it what
//! waits of the same sender, because order is between two (RFC 6120 10.1). What the house itself has to say takes along everything.

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

    /// Romeo makes it, Juliet comes in and has not looked yet.
    fn enter_a_room(house: &mut House, romeo: &Client, juliet: &Client) {
        let enter = |nick: &str| {
            format!("<presence to='hall@conference.house/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        };
        house.send(romeo, &enter("romeo"));
        let form = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>";
        house.iq(romeo, "set", Some("hall@conference.house"), form);
        house.send(juliet, &enter("juliet"));
    }

    fn in_a_room() -> (House, Client, Client) {
        let (mut house, romeo, juliet) = lovers();
        enter_a_room(&mut house, &romeo, &juliet);
        house.recv(&juliet);
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
    fn s3_2_a_message_takes_along_what_its_sender_has_sent_and_nothing_else() {
        let (mut house, romeo, juliet) = lovers();
        house.friends("nurse@house", "juliet@house");
        let nurse = house.online("nurse@house/kitchen");
        house.recv(&juliet);
        house.send(&nurse, "<presence><show>away</show></presence>");
        house.send(&romeo, "<presence><show>xa</show></presence>");
        house.send(&romeo, "<message to='juliet@house' type='chat'><body>now</body></message>");
        let heard = house.hear(&juliet);
        assert!(heard.len() == 2 && heard[0].contains("<show>xa</show>") && heard[1].contains("now"), "{heard:?}");
        house.send(&juliet, ACTIVE);
        assert!(house.one(&juliet).as_str().contains("<show>away</show>"));
    }

    /// XEP-0045 7.2: a client that comes into a room while nobody looks is told that it is in, and of all who are there before that.
    #[test]
    fn s3_2_who_enters_a_room_is_not_kept_waiting() {
        let (mut house, romeo, juliet) = lovers();
        enter_a_room(&mut house, &romeo, &juliet);
        let heard = house.hear(&juliet);
        assert!(heard[0].contains("/romeo'") && heard[1].contains("code='110'"), "{heard:?}");
        // One who speaks there takes along nobody else.
        house.send(&romeo, "<presence to='hall@conference.house/romeo'><show>away</show></presence>");
        house.send(&juliet, "<message to='hall@conference.house' type='groupchat'><body>hi</body></message>");
        let heard = [house.hear(&juliet), house.hear(&juliet)].concat().concat();
        assert!(heard.contains("<body>hi") && !heard.contains("<show>away"), "{heard}");
    }

    /// XEP-0045 7.6: under another nickname there is one more when nobody has heard that the old one is gone.
    #[test]
    fn s3_2_who_speaks_under_a_new_nickname_is_not_there_twice() {
        let (mut house, romeo, juliet) = in_a_room();
        house.send(&romeo, "<presence to='hall@conference.house/dove'/>");
        house.nothing(&juliet);
        house.send(&romeo, "<message to='hall@conference.house' type='groupchat'><body>hi</body></message>");
        let heard = house.hear(&juliet);
        assert_eq!(heard.len(), 3, "in their order: {heard:?}");
        assert!(heard[0].contains("/romeo'") && heard[0].contains("<status code='303'/>"), "{heard:?}");
        assert!(heard[1].contains("/dove'") && heard[2].contains("<body>hi"), "{heard:?}");
    }

    /// XEP-0045 11.2, 8.2: that it is no longer in a room a client hears at once: later there is no stream to tell it on.
    #[test]
    fn s3_2_who_is_taken_out_of_a_room_is_not_kept_waiting() {
        for (shuts, code) in [(true, "332"), (false, "307")] {
            let (mut house, romeo, juliet) = in_a_room();
            house.send(&romeo, "<presence to='hall@conference.house/romeo'><show>away</show></presence>");
            house.nothing(&juliet);
            if shuts {
                house.closing();
            } else {
                let kick = "<query xmlns='http://jabber.org/protocol/muc#admin'><item nick='juliet' role='none'/></query>";
                house.iq(&romeo, "set", Some("hall@conference.house"), kick);
            }
            let heard = house.hear(&juliet);
            assert_eq!(heard.len(), 2, "in their order: {heard:?}");
            assert!(heard[0].contains("<show>away") && heard[1].contains("type='unavailable'"), "{heard:?}");
            assert!(heard[1].contains(&format!("<status code='{code}'/>")), "{heard:?}");
        }
    }

    #[test]
    fn s3_2_of_news_the_newest_of_each_is_enough() {
        let (mut house, romeo, juliet) = lovers();
        for node in ["http://jabber.org/protocol/tune", "http://jabber.org/protocol/mood", "urn:xmpp:bookmarks:1"] {
            let subscribe = format!(
                "<pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='{node}'/><configure><x xmlns='jabber:x:data' \
                 type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#node_config</value></field><field \
                 var='pubsub#max_items'><value>{}</value></field></x></configure></pubsub>",
                if node.contains("bookmarks") { "max" } else { "1" }
            );
            house.iq(&romeo, "set", None, &subscribe);
            let subscribe = format!("<subscribe node='{node}' jid='juliet@house/balcony'/>");
            let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{subscribe}</pubsub>");
            house.iq(&juliet, "set", Some("romeo@house"), &pubsub);
        }
        house.recv(&juliet);
        let mut publish = |node: &str, id: &str, text: &str| {
            let item = format!("<item id='{id}'><x xmlns='urn:x'>{text}</x></item>");
            let pubsub =
                format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'>{item}</publish></pubsub>");
            house.iq(&romeo, "set", None, &pubsub);
        };
        for n in 0..5 {
            publish("http://jabber.org/protocol/tune", &format!("t{n}"), &format!("tune{n}"));
            publish("http://jabber.org/protocol/mood", "current", &format!("mood{n}"));
            publish("urn:xmpp:bookmarks:1", &format!("room{}@c", n % 2), &format!("room{n}"));
        }
        house.nothing(&juliet);
        house.send(&juliet, ACTIVE);
        let heard = house.hear(&juliet).concat();
        let texts: Vec<&str> = heard.split("<x xmlns='urn:x'>").skip(1).filter_map(|it| it.split('<').next()).collect();
        assert_eq!(texts, ["room3", "tune4", "mood4", "room4"]);
    }

    /// A minute of a roster of twenty: each of them is available, away and so on ten times (200 presences), types five times (100 chat
    /// states), hears another tune (20 news); ten messages come. What of that a phone gets, in stanzas.
    fn a_busy_minute(inactive: bool) -> (usize, usize) {
        use std::time::Duration;
        const TUNE: &str = "http://jabber.org/protocol/tune";
        let mut house = House::with(ROOMS);
        let names: Vec<String> = (0..20).map(|n| format!("friend{n}@house")).collect();
        names.iter().for_each(|name| house.friends(name, "juliet@house"));
        let phone = house.online("juliet@house/phone");
        let friends: Vec<Client> = names.iter().map(|name| house.online(&format!("{name}/desk"))).collect();
        let tune =
            |n: usize| format!("<publish node='{TUNE}'><item><tune xmlns='{TUNE}'><title>{n}</title></tune></item></publish>");
        let pubsub = |inside: &str| format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}</pubsub>");
        for (n, friend) in friends.iter().enumerate() {
            house.iq(friend, "set", None, &pubsub(&tune(n)));
            let subscribe = pubsub(&format!("<subscribe node='{TUNE}' jid='juliet@house/phone'/>"));
            house.iq(&phone, "set", Some(&names[n]), &subscribe);
        }
        if inactive {
            house.send(&phone, INACTIVE);
        }
        house.recv(&phone);
        let mut heard = 0;
        for step in 0..200 {
            let (at, friend) = (step % 20, &friends[step % 20]);
            let show = ["away", "xa", "dnd", "chat"][step / 20 % 4];
            house.send(friend, &format!("<presence><show>{show}</show></presence>"));
            if step % 2 == 0 {
                let state = if step % 4 == 0 { "composing" } else { "paused" };
                let state = format!("<{state} xmlns='http://jabber.org/protocol/chatstates'/>");
                house.send(&friends[(at + 7) % 20], &format!("<message to='juliet@house' type='chat'>{state}</message>"));
            }
            if step % 10 == 5 {
                house.iq(&friends[step / 10], "set", None, &pubsub(&tune(step)));
            }
            if step % 20 == 10 {
                let body = format!("<message to='juliet@house' type='chat'><body>{step}</body></message>");
                house.send(&friends[step / 20], &body);
            }
            heard += house.recv(&phone).len();
            house.advance(Duration::from_millis(300));
        }
        house.send(&phone, ACTIVE);
        (heard, house.recv(&phone).len())
    }

    #[test]
    fn a_minute_of_a_busy_roster_costs_a_sleeping_phone_its_messages_and_little_more() {
        let (awake, _) = a_busy_minute(false);
        let (asleep, later) = a_busy_minute(true);
        println!(
            "stanzas per minute to a phone: {awake} while somebody looks, {asleep} while it sleeps, {later} when it wakes"
        );
        assert_eq!(awake, 200 + 100 + 20 + 10);
        // Ten messages, and what their senders had sent before.
        assert!((10..=35).contains(&asleep), "{asleep}");
        // Of each contact the presence and the tune, at most.
        assert!(later <= 40, "{later}");
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
