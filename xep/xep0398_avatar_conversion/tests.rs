use base64::Engine as _;
use iris_core::Stanza;
use iris_engine::testing::{Client, House};

use super::hash_of;
use crate::xep0163_pep::tests::*;

const IMAGE: &[u8] = b"\x89PNG\r\n\x1a\n not really a picture";

fn base64() -> String {
    base64::engine::general_purpose::STANDARD.encode(IMAGE)
}

fn publish_avatar(house: &mut House, who: &Client, access: &str) -> String {
    let hash = hash_of(IMAGE);
    let options = [("access_model", access)];
    let data = format!("<data xmlns='urn:xmpp:avatar:data'>{}</data>", base64());
    ok(&publish_with(house, who, None, "urn:xmpp:avatar:data", &hash, &data, &options));
    let info = format!(
        "<metadata xmlns='urn:xmpp:avatar:metadata'><info bytes='1' id='aaaa' type='image/gif' url='http://x/y'/>\
         <info bytes='{}' id='{hash}' type='image/png'/></metadata>",
        IMAGE.len()
    );
    ok(&publish_with(house, who, None, "urn:xmpp:avatar:metadata", &hash, &info, &options));
    hash
}

fn vcard(house: &mut House, who: &Client, of: &str) -> String {
    house.iq(who, "get", Some(of), "<vCard xmlns='vcard-temp'/>").as_str().to_owned()
}

fn photo_of(heard: &[Stanza]) -> Vec<String> {
    let presences = heard.iter().map(Stanza::as_str).filter(|it| it.starts_with("<presence"));
    presences
        .map(|it| {
            it.split("<x xmlns='vcard-temp:x:update'>")
                .nth(1)
                .unwrap_or_default()
                .split("</x>")
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[test]
fn s4_1_an_avatar_of_pep_is_in_the_vcard_of_those_who_may_see_it() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let juliet = house.login("juliet@house/balcony");
    let romeo = house.online("romeo@house/orchard");
    let mallory = house.online("mallory@house/x");
    publish_avatar(&mut house, &juliet, "presence");
    let photo = format!("<PHOTO xmlns='vcard-temp'><TYPE>image/png</TYPE><BINVAL>{}</BINVAL></PHOTO>", base64());
    assert!(vcard(&mut house, &romeo, "juliet@house").contains(&photo));
    assert!(vcard(&mut house, &juliet, "juliet@house").contains(&photo));
    assert!(
        vcard(&mut house, &mallory, "juliet@house").contains("service-unavailable"),
        "no card, and no right to the picture"
    );
    house.iq(&juliet, "set", None, &format!("<vCard xmlns='vcard-temp'><FN>Juliet</FN>{}</vCard>", photo));
    let seen = vcard(&mut house, &mallory, "juliet@house");
    assert!(seen.contains("<FN>Juliet</FN>") && !seen.contains("PHOTO"), "{seen}");
    for node in ["urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata"] {
        ok(&configure(&mut house, &juliet, node, &[("access_model", "open")]));
    }
    let seen = vcard(&mut house, &mallory, "juliet@house");
    assert_eq!(seen.matches("<PHOTO").count(), 1, "{seen}");
    let answer = house.iq(&juliet, "get", None, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    assert!(answer.as_str().contains("<feature var='urn:xmpp:pep-vcard-conversion:0'/>"));
}

#[test]
fn s4_2_a_picture_in_a_vcard_is_published_at_pep() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let juliet = house.login("juliet@house/balcony");
    let romeo = house.login("romeo@house/orchard");
    wants(&mut house, &romeo, &["urn:xmpp:avatar:metadata"]);
    let (one, two) = (base64()[..20].to_owned(), base64()[20..].to_owned());
    let card = format!(
        "<vCard xmlns='vcard-temp'><FN>J</FN><PHOTO><TYPE>image/jpeg</TYPE><BINVAL>\n{one}\n  {two}\n</BINVAL></PHOTO><NICKNAME>j</NICKNAME></vCard>"
    );
    ok(&house.iq(&juliet, "set", None, &card));
    let hash = hash_of(IMAGE);
    let told = events(&house.recv(&romeo)).concat();
    assert!(told.contains(&format!("<info bytes='{}' id='{hash}' type='image/jpeg'/>", IMAGE.len())), "{told}");
    let data = ask(
        &mut house,
        &romeo,
        "get",
        Some("juliet@house"),
        &format!("<items node='urn:xmpp:avatar:data'><item id='{hash}'/></items>"),
    );
    assert!(data.as_str().contains(&base64()), "{}", data.as_str());
    let seen = vcard(&mut house, &romeo, "juliet@house");
    assert!(seen.contains("<FN>J</FN><NICKNAME>j</NICKNAME><PHOTO xmlns='vcard-temp'><TYPE>image/jpeg</TYPE>"), "{seen}");
    // A vCard without a picture: the avatar is gone, everywhere.
    ok(&house.iq(&juliet, "set", None, "<vCard xmlns='vcard-temp'><FN>J</FN></vCard>"));
    assert!(events(&house.recv(&romeo)).concat().contains("<metadata xmlns='urn:xmpp:avatar:metadata'/>"));
    assert!(!vcard(&mut house, &romeo, "juliet@house").contains("PHOTO"));
    // What is no picture stays what it is.
    let odd = "<vCard xmlns='vcard-temp'><PHOTO><EXTVAL>http://x/y.png</EXTVAL></PHOTO></vCard>";
    ok(&house.iq(&juliet, "set", None, odd));
    assert!(vcard(&mut house, &romeo, "juliet@house").contains(odd));
}

#[test]
fn s5_presence_carries_the_hash() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let romeo = house.online("romeo@house/orchard");
    let juliet = house.login("juliet@house/balcony");
    house.send(&juliet, "<presence><show>away</show></presence>");
    assert_eq!(photo_of(&house.recv(&romeo)), [""], "nothing is known, nothing is added");
    house.recv(&juliet);
    let hash = publish_avatar(&mut house, &juliet, "presence");
    let full = format!("<photo>{hash}</photo>");
    assert_eq!(photo_of(&house.recv(&romeo)), [full.as_str()], "shown anew when it changes");
    for (presence, seen) in [
        ("<presence/>", full.as_str()),
        ("<presence><x xmlns='vcard-temp:x:update'/></presence>", &full),
        (
            "<presence><x xmlns='vcard-temp:x:update'><photo>0000000000000000000000000000000000000000</photo></x></presence>",
            &full,
        ),
        ("<presence><x xmlns='vcard-temp:x:update'><photo/></x></presence>", "<photo/>"),
        ("<presence type='unavailable'/>", ""),
    ] {
        house.send(&juliet, presence);
        assert_eq!(photo_of(&house.recv(&romeo)), [seen], "{presence}");
    }
    // Directed presence (a room), and the answer to a probe.
    let room = house.online("room@house/x");
    house.send(&juliet, "<presence to='room@house/x'/>");
    assert_eq!(photo_of(&house.recv(&room)), [full.as_str()]);
    house.send(&juliet, "<presence/>");
    let phone = house.login("romeo@house/phone");
    house.recv(&romeo);
    house.send(&phone, "<presence/>");
    assert!(photo_of(&house.recv(&phone)).contains(&full));
    // It is disabled.
    house.recv(&romeo);
    ok(&publish(&mut house, &juliet, "urn:xmpp:avatar:metadata", "none", "<metadata xmlns='urn:xmpp:avatar:metadata'/>"));
    assert_eq!(photo_of(&house.recv(&romeo)), ["<photo/>"]);
    // And after a restart nobody has forgotten.
    let mut house = house.restart(crate::ROOMS, std::time::Duration::from_secs(1));
    let romeo = house.online("romeo@house/orchard");
    let juliet = house.login("juliet@house/balcony");
    house.send(&juliet, "<presence/>");
    assert_eq!(photo_of(&house.recv(&romeo)), ["<photo/>"]);
}

/// "The hash MUST also be injected into directed presences such as MUC joins": a room of the house showed what the client had sent.
#[test]
fn s5_those_in_a_room_of_the_house_see_the_hash_too() {
    for shard in [0, 1] {
        let mut house = house();
        let named = |n: &u32| iris_engine::shard_of(&format!("r{n}@conference.house"), 2) == shard;
        let room = format!("r{}@conference.house", (0..64).find(named).expect("one of many"));
        let (romeo, juliet) = (house.online("romeo@house/orchard"), house.online("juliet@house/balcony"));
        let come = "<x xmlns='http://jabber.org/protocol/muc'/>";
        house.send(&romeo, &format!("<presence to='{room}/romeo'>{come}</presence>"));
        let own = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>";
        ok(&house.iq(&romeo, "set", Some(&room), own));
        let full = format!("<photo>{}</photo>", publish_avatar(&mut house, &juliet, "open"));
        house.recv(&romeo);
        house.send(&juliet, &format!("<presence to='{room}/juliet'>{come}</presence>"));
        assert_eq!(photo_of(&house.recv(&romeo)), [full.as_str()]);
        // Section 6: "clients MAY resend directed available presence to all Multi-User Chats".
        house.send(&juliet, &format!("<presence to='{room}/juliet'><x xmlns='vcard-temp:x:update'/></presence>"));
        assert_eq!(photo_of(&house.recv(&romeo)), [full.as_str()]);
        assert!(vcard(&mut house, &romeo, &format!("{room}/juliet")).contains(&base64()));
    }
}

#[test]
fn s4_1_a_hash_that_is_not_that_of_the_picture_is_not_shown() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let romeo = house.online("romeo@house/orchard");
    let juliet = house.online("juliet@house/balcony");
    house.recv(&romeo);
    let wrong = "0".repeat(40);
    let data = format!("<data xmlns='urn:xmpp:avatar:data'>{}</data>", base64());
    ok(&publish(&mut house, &juliet, "urn:xmpp:avatar:data", &wrong, &data));
    for info in [
        format!("<info bytes='1' id='{wrong}' type='image/png'/>"),
        "<info bytes='1' id='nothex' type='image/png'/>".to_owned(),
        format!("<info bytes='1' id='{}' type='image/png'/>", "1".repeat(40)),
        "<stop/>".to_owned(),
    ] {
        let metadata = format!("<metadata xmlns='urn:xmpp:avatar:metadata'>{info}</metadata>");
        ok(&publish(&mut house, &juliet, "urn:xmpp:avatar:metadata", "1", &metadata));
        house.nothing(&romeo);
        assert!(vcard(&mut house, &romeo, "juliet@house").contains("service-unavailable"));
    }
}

#[test]
fn an_avatar_that_is_taken_back_is_gone() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    let romeo = house.online("romeo@house/orchard");
    let juliet = house.online("juliet@house/balcony");
    publish_avatar(&mut house, &juliet, "presence");
    house.recv(&romeo);
    ok(&own(&mut house, &juliet, "set", "<delete node='urn:xmpp:avatar:metadata'/>"));
    assert_eq!(photo_of(&house.recv(&romeo)).last().map(String::as_str), Some("<photo/>"));
}
