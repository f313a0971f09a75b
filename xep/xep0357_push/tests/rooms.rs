//! Rooms: who belongs to one and is away hears of it.

use super::*;
use crate::xep0357_push::tests::quiet::bookmark;
use iris_engine::shard_of;

const MUC: &str = "http://jabber.org/protocol/muc";

fn room_on(shard: u16) -> String {
    let named = |n: u32| format!("room{n}@conference.house");
    named((0..64).find(|n| shard_of(&named(*n), 2) == shard).expect("one of many"))
}

/// Romeo's room, of which these are members.
fn opened(house: &mut House, romeo: &Client, room: &str, members_only: bool, members: &[String]) {
    join(house, romeo, room, "romeo");
    let members_only = u8::from(members_only);
    let fields = format!(
        "<field var='muc#roomconfig_persistentroom'><value>1</value></field><field var='muc#roomconfig_membersonly'><value>{members_only}\
         </value></field>"
    );
    let form = format!("<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'>{fields}</x></query>");
    to_room(house, romeo, room, &form);
    if !members.is_empty() {
        let items: String = members.iter().map(|jid| format!("<item affiliation='member' jid='{jid}'/>")).collect();
        to_room(house, romeo, room, &format!("<query xmlns='{MUC}#admin'>{items}</query>"));
    }
    house.recv(romeo);
    // Of a new member's invitation the member is told as well; and of so many no more are made one in the same minute.
    house.advance(Duration::from_secs(60));
    published(house);
}

#[track_caller]
fn to_room(house: &mut House, romeo: &Client, room: &str, payload: &str) {
    let answer = house.iq(romeo, "set", Some(room), payload);
    assert_eq!(answer.attr("type").as_deref(), Some("result"), "{}", answer.as_str());
}

fn join(house: &mut House, client: &Client, room: &str, nick: &str) {
    house.send(client, &format!("<presence to='{room}/{nick}'><x xmlns='{MUC}'/></presence>"));
    house.recv(client);
}

fn say_there(house: &mut House, client: &Client, room: &str, inside: &str) {
    house.send(client, &format!("<message to='{room}' type='groupchat'>{inside}</message>"));
    house.recv(client);
    house.advance(Duration::from_secs(31));
}

#[test]
fn f36_a_member_who_is_away_is_told_of_a_private_room_and_of_a_public_one_when_mentioned() {
    for shard in [0, 1] {
        for private in [true, false] {
            let ((mut house, romeo), room) = (house(), room_on(shard));
            opened(&mut house, &romeo, &room, private, &["juliet@house".into(), "nurse@house".into()]);
            say_there(&mut house, &romeo, &room, "<body>hi</body>");
            assert_eq!(published(&mut house).len(), usize::from(private));
            say_there(&mut house, &romeo, &room, "<subject>it</subject>");
            assert!(published(&mut house).is_empty());
            let mention = "<body>you</body><reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:juliet@house'/>";
            for mention in [mention, "<body>Juliet: hi</body>"] {
                say_there(&mut house, &romeo, &room, mention);
                assert_eq!(published(&mut house).len(), 1, "{mention}");
            }
        }
    }
}

#[test]
fn xep0492_the_bookmark_of_a_room_decides() {
    for shard in [0, 1] {
        let ((mut house, romeo), room) = (house(), room_on(shard));
        opened(&mut house, &romeo, &room, true, &["juliet@house".into()]);
        let balcony = house.online("juliet@house/balcony");
        for (wish, told) in [("never", [0, 0]), ("on-mention", [0, 1]), ("always", [1, 1])] {
            bookmark(&mut house, &balcony, &room, "jule", wish);
            for (body, told) in ["hi", "jule, hi"].iter().zip(told) {
                say_there(&mut house, &romeo, &room, &format!("<body>{body}</body>"));
                assert_eq!(published(&mut house).len(), told, "{wish} {body}");
            }
        }
    }
}

#[test]
fn nobody_is_told_of_their_own_words() {
    for shard in [0, 1] {
        let ((mut house, romeo), room) = (house(), room_on(shard));
        opened(&mut house, &romeo, &room, true, &["juliet@house".into()]);
        let balcony = house.online("juliet@house/balcony");
        join(&mut house, &balcony, &room, "juliet");
        house.recv(&romeo);
        say_there(&mut house, &balcony, &room, "<body>mine</body>");
        assert!(published(&mut house).is_empty(), "said at the desk, and the phone is away");
        say_there(&mut house, &romeo, &room, "<body>his</body>");
        assert_eq!(published(&mut house).len(), 1);
    }
}

#[test]
fn xep0191_s3_4_a_room_or_an_occupant_that_is_blocked_wakes_nobody() {
    for blocked in ["", "/romeo"] {
        let ((mut house, romeo), room) = (house(), room_on(1));
        opened(&mut house, &romeo, &room, true, &["juliet@house".into()]);
        let balcony = house.online("juliet@house/balcony");
        ok(&mut house, &balcony, &format!("<block xmlns='urn:xmpp:blocking'><item jid='{room}{blocked}'/></block>"));
        say_there(&mut house, &romeo, &room, "<body>hi</body>");
        assert!(published(&mut house).is_empty(), "{blocked}");
    }
}

#[test]
fn what_is_said_in_a_chat_that_is_muted_is_not_counted() {
    let ((mut house, romeo), room) = (house(), room_on(0));
    opened(&mut house, &romeo, &room, true, &["juliet@house".into()]);
    let balcony = house.online("juliet@house/balcony");
    bookmark(&mut house, &balcony, &room, "jule", "on-mention");
    let count = |told: &str| told.split_once("message-count'").map(|(_, it)| it.chars().take(24).collect::<String>());
    say_there(&mut house, &romeo, &room, "<body>jule, one</body>");
    let before = count(&published(&mut house)[0]).expect("a count");
    for n in 0..3 {
        say_there(&mut house, &romeo, &room, &format!("<body>others {n}</body>"));
    }
    say_there(&mut house, &romeo, &room, "<body>jule, two</body>");
    let after = count(&published(&mut house)[0]).expect("a count");
    let number = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>().parse::<u32>().expect("a number");
    assert_eq!(number(&after), number(&before) + 1, "{before} {after}");
}

#[test]
fn xep0198_a_device_in_the_room_that_lost_its_connection_is_told_and_the_one_that_is_there_is_not() {
    for shard in [0, 1] {
        let ((mut house, romeo), room) = (house(), room_on(shard));
        opened(&mut house, &romeo, &room, true, &["juliet@house".into()]);
        let phone = house.online("juliet@house/phone");
        house.send(&phone, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        join(&mut house, &phone, &room, "juliet");
        house.send(&phone, "<a xmlns='urn:xmpp:sm:3' h='3'/>");
        say_there(&mut house, &romeo, &room, "<body>one</body>");
        house.recv(&phone);
        house.send(&phone, "<a xmlns='urn:xmpp:sm:3' h='4'/>");
        assert!(published(&mut house).is_empty());
        house.cut(&phone);
        published(&mut house);
        house.advance(Duration::from_secs(31));
        say_there(&mut house, &romeo, &room, "<body>two</body>");
        assert_eq!(published(&mut house).len(), 1);
    }
}

/// Before, a message in a room woke the account of each member who was away: a read from disk for every one of them.
#[test]
fn one_message_for_a_thousand_absent_members_wakes_those_who_have_something_to_be_told_with() {
    for shard in [0, 1] {
        let ((mut house, romeo), room) = (house(), room_on(shard));
        let members: Vec<String> = (0..1_000).map(|n| format!("member{n}@house")).collect();
        members.iter().for_each(|member| house.user(member));
        opened(&mut house, &romeo, &room, true, &members);
        house.iq(
            &romeo,
            "set",
            Some(&room),
            &format!("<query xmlns='{MUC}#admin'><item affiliation='member' jid='juliet@house'/></query>"),
        );
        // Everybody sleeps, but for who speaks.
        house.advance(Duration::from_secs(120));
        house.advance(Duration::from_secs(120));
        house.recv(&romeo);
        published(&mut house);
        assert_eq!(house.accounts_awake(), 1);
        house.send(&romeo, &format!("<message to='{room}' type='groupchat'><body>hi</body></message>"));
        let awake = house.accounts_awake();
        println!("a message in a room with 1001 members who are away: {} of their accounts woken", awake - 1);
        assert_eq!(awake, 2);
        assert_eq!(published(&mut house).len(), 1);
    }
}
