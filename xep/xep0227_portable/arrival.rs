//! What has moved in lies on the shelves as another server kept it. Rooms that keep one thing twice (the two cards, the picture of a
//! card) or know it by heart (the hash in presence, the directory) make of it what they would have made of the same requests.

use iris_core::store::{Read, Rows};
use iris_core::{BareJid, Bounce, Cx};

use crate::xep0060_pubsub::serial_key;
use crate::xep0163_pep as pep;
use crate::{xep0054_vcard_temp as vcard_temp, xep0055_search as search};
use crate::{xep0292_vcard4 as vcard4, xep0398_avatar_conversion as avatar};

/// A part of an account has moved in. What was seen to before stays as it is, so each part of it may be followed by this.
///
/// # Errors
/// The store, the account or the domain does not answer.
pub async fn settle_in(account: BareJid, cx: Cx) -> Result<(), Bounce> {
    let found = cx.account(account.clone(), |turn| (turn.account.owner(), pep::last_serial(turn, vcard4::NODE)));
    let Some((owner, serial)) = found.await? else { return Ok(()) };
    let card = vcard_temp::read(&cx, owner).await?;
    let other = match serial.map(|serial| Read::Value { owner, shelf: pep::ITEMS, key: serial_key(serial).into() }) {
        Some(read) => match cx.read(read).await? {
            Rows::Value(other) => other,
            _ => None,
        },
        None => None,
    };
    let adopted = cx.account(account.clone(), move |turn| match (card, other) {
        (Some(card), _) => vcard_temp::adopt(turn, card),
        (None, Some(other)) => vcard4::published(turn, &other),
        (None, None) => {}
    });
    adopted.await?;
    avatar::look_at(&account, &cx).await?;
    search::look_at(&account, &cx).await
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use base64::Engine as _;
    use iris_core::ask::{Ask, AskAnswer, MovingIn};
    use iris_core::store::Item;
    use iris_core::task::Finish;
    use iris_core::xml::El;
    use iris_core::{BareJid, Stanza, login};
    use iris_engine::testing::{Client, House};

    use super::super::{Moving, move_out};
    use super::{avatar, vcard_temp};
    use crate::ROOMS;

    const NOW: u64 = 1_795_641_615_000_000;
    const IMAGE: &[u8] = b"\x89PNG\r\n\x1a\n not really a picture";
    const ON: &str = "[xep.search]\nvisible_to = \"local\"\n";

    fn photo() -> String {
        let image = base64::engine::general_purpose::STANDARD.encode(IMAGE);
        format!("<PHOTO xmlns='vcard-temp'><TYPE>image/png</TYPE><BINVAL>{image}</BINVAL></PHOTO>")
    }

    /// The nodes of XEP-0084 and XEP-0292, as `iris export` and Prosody write them.
    fn nodes(access: &str, more: &str) -> [String; 2] {
        let (hash, image) = (avatar::hash_of(IMAGE), base64::engine::general_purpose::STANDARD.encode(IMAGE));
        let options = |node: &str| {
            format!(
                "<configure node='{node}'><x xmlns='jabber:x:data' type='form'><field var='pubsub#access_model'>\
                 <value>{access}</value></field></x></configure>"
            )
        };
        let names = ["urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata", "urn:xmpp:vcard4"];
        [
            format!("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>{}</pubsub>", names.map(options).concat()),
            format!(
                "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'><item id='{hash}'>\
                 <data xmlns='urn:xmpp:avatar:data'>{image}</data></item></items><items node='urn:xmpp:avatar:metadata'>\
                 <item id='{hash}'><metadata xmlns='urn:xmpp:avatar:metadata'><info bytes='{}' id='{hash}' type='image/png'/>\
                 </metadata></item></items>{more}</pubsub>",
                IMAGE.len()
            ),
        ]
    }

    const VCARD4: &str = "<items node='urn:xmpp:vcard4'><item id='current'><vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'>\
        <fn><text>Juliet</text></fn><n><given>Juliet</given></n></vcard></item></items>";

    /// As the administrator's command does it.
    fn move_in(house: &mut House, children: &[String]) {
        let juliet = BareJid::new("juliet@house").expect("a JID");
        let mut moving = Moving::default();
        for child in children {
            assert!(moving.take(&El::parse(child.as_bytes()).expect("XML"), &juliet, NOW), "{child}");
        }
        moving.finish(&juliet, NOW, &[]);
        assert!(moving.notes.is_empty(), "{:?}", moving.notes);
        let login = login::Login { enabled: true, created_us: 1, since_us: 0, credentials: bytes::Bytes::from_static(b"keys") };
        let moving = MovingIn { login: Some(login), items: moving.items, ..MovingIn::default() };
        assert_eq!(house.ask("juliet@house", Ask::MoveIn(Box::new(moving))), Some(AskAnswer::Done));
        let settled = Arc::new(Mutex::new(None));
        let slot = settled.clone();
        let begun = house.host("house", move |turn| {
            turn.spawn(move |cx| {
                Box::pin(async move {
                    *slot.lock().expect("the outcome") = Some(super::settle_in(juliet, cx).await);
                    Finish::Done
                })
            });
        });
        assert_eq!(begun, Some(Ok(())));
        assert_eq!(*settled.lock().expect("the outcome"), Some(Ok(())));
    }

    fn vcard(house: &mut House, who: &Client) -> String {
        house.iq(who, "get", Some("juliet@house"), "<vCard xmlns='vcard-temp'/>").as_str().to_owned()
    }

    fn finds(house: &mut House, who: &Client) -> bool {
        let query = "<query xmlns='jabber:iq:search'><first>juliet</first></query>";
        house.iq(who, "set", Some("house"), query).as_str().contains("<item jid='juliet@house'>")
    }

    /// What her own session is shown of her, when it comes online.
    fn shown(house: &mut House) -> String {
        let juliet = house.try_login("juliet@house/balcony").expect("she lives here now");
        house.send(&juliet, "<presence/>");
        house.recv(&juliet).iter().map(Stanza::as_str).collect()
    }

    #[test]
    fn cards_and_picture_of_the_nodes_are_what_everybody_sees() {
        let mut house = House::with_config(ROOMS, ON);
        let nurse = house.online("nurse@house/x");
        move_in(&mut house, &nodes("open", VCARD4));
        let seen = vcard(&mut house, &nurse);
        assert!(seen.contains("<FN>Juliet</FN>") && seen.contains(&photo()), "{seen}");
        assert!(finds(&mut house, &nurse));
        // XEP-0398 5: in every available presence.
        let presence = shown(&mut house);
        assert!(presence.contains(&format!("<photo>{}</photo>", avatar::hash_of(IMAGE))), "{presence}");
    }

    #[test]
    fn what_is_for_contacts_stays_for_contacts() {
        let mut house = House::with_config(ROOMS, ON);
        let nurse = house.online("nurse@house/x");
        move_in(&mut house, &nodes("presence", VCARD4));
        assert!(vcard(&mut house, &nurse).contains("service-unavailable"));
        assert!(!finds(&mut house, &nurse));
        assert!(shown(&mut house).contains("<photo>"), "those who may see her presence may see the hash");
    }

    #[test]
    fn a_card_with_a_picture_is_both_cards_and_an_avatar() {
        let mut house = House::with_config(ROOMS, ON);
        let nurse = house.online("nurse@house/x");
        let old = format!("<vCard xmlns='vcard-temp'><FN>Juliet</FN><N><GIVEN>Juliet</GIVEN></N>{}</vCard>", photo());
        move_in(&mut house, &[old]);
        let seen = vcard(&mut house, &nurse);
        assert!(seen.contains("<FN>Juliet</FN>") && seen.matches("<PHOTO").count() == 1 && seen.contains(&photo()), "{seen}");
        assert!(finds(&mut house, &nurse));
        let items = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:vcard4'/></pubsub>";
        let new = house.iq(&nurse, "get", Some("juliet@house"), items).as_str().to_owned();
        assert!(new.contains("<given>Juliet</given>"), "{new}");
        let hash = avatar::hash_of(IMAGE);
        let items = items.replace("urn:xmpp:vcard4", "urn:xmpp:avatar:metadata");
        assert!(house.iq(&nurse, "get", Some("juliet@house"), &items).as_str().contains(&hash));
        assert!(shown(&mut house).contains(&format!("<photo>{hash}</photo>")));
    }

    #[test]
    fn a_picture_of_the_nodes_goes_before_the_one_in_the_card() {
        let mut house = House::with_config(ROOMS, "");
        let nurse = house.online("nurse@house/x");
        let old = "<vCard xmlns='vcard-temp'><FN>J</FN><PHOTO><TYPE>image/gif</TYPE><BINVAL>R0lGODlh</BINVAL></PHOTO></vCard>";
        let [owner, published] = nodes("open", "");
        move_in(&mut house, &[old.to_owned(), owner, published]);
        let seen = vcard(&mut house, &nurse);
        assert!(seen.contains("<FN>J</FN>") && seen.contains(&photo()) && !seen.contains("R0lGODlh"), "{seen}");
    }

    #[test]
    fn the_card_that_moves_out_has_the_picture_if_everybody_may_see_it() {
        let juliet = BareJid::new("juliet@house").expect("a JID");
        for (access, card, has) in [("open", true, true), ("open", false, true), ("presence", true, false)] {
            let mut moving = Moving::default();
            for child in nodes(access, VCARD4) {
                moving.take(&El::parse(child.as_bytes()).expect("XML"), &juliet, NOW);
            }
            moving.finish(&juliet, NOW, &[]);
            if card {
                moving.items.push((
                    vcard_temp::SHELF,
                    "".into(),
                    bytes::Bytes::from_static(b"<vCard xmlns='vcard-temp'><FN>J</FN></vCard>"),
                ));
            }
            let shown = format!("{} image/png", avatar::hash_of(IMAGE));
            moving.items.push((avatar::SHELF, "".into(), shown.into()));
            let items: Vec<Item> = moving.items.into_iter().map(|(shelf, key, value)| Item { shelf, key, value }).collect();
            let out = move_out(&items);
            let vcard = out.iter().find(|child| child.starts_with("<vCard")).map(String::as_str).unwrap_or_default();
            assert_eq!(vcard.contains(&photo()), has, "{access} {card}: {vcard}");
            assert_eq!(vcard.contains("<FN>J</FN>"), card, "{access} {card}: {vcard}");
        }
    }
}
