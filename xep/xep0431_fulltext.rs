//! XEP-0431: Full Text Search in MAM - what was said is found by its words.
//! Spec 0.2.0, https://xmpp.org/extensions/xep-0431.html. Not done: nothing (encrypted messages cannot be read here, so they are not found).
//!
//! A field of the archive's form (see `xep0313_archive/query.rs`), beside all the others. Section 4 leaves the meaning to us: a message
//! is found that has all the words, in body or subject, in any order, each whole or begun, whatever case and accents. There are no
//! operators. What a word is, `iris_core::store::words` says.

use iris_core::{At, Card, Mount, MountError, Room, Status};

const NS: &str = "urn:xmpp:fulltext:0";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(431),
        name: "Full Text Search in MAM",
        version: "0.2.0",
        status: Status::Complete,
        needs: &[4, 313],
    },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Account, NS);
    // Where clients look that look for the archive there.
    m.feature(At::Host, NS);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::ROOMS;
    use iris_engine::testing::{Client, House};

    fn house() -> (House, Client) {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        for user in ["juliet@house", "nurse@house"] {
            house.user(user);
        }
        for (to, inside) in [
            ("juliet@house", "<body>Call me but love, and I&apos;ll be new baptized</body>"),
            ("nurse@house", "<body>Élan &amp; love</body><subject>Errand</subject>"),
            ("juliet@house", "<body>you cannot read this: love</body><encrypted xmlns='eu.siacs.conversations.axolotl'/>"),
            ("juliet@house", "<subject>Lovers' quarrel</subject>"),
        ] {
            house.send(&romeo, &format!("<message to='{to}' type='chat'>{inside}</message>"));
        }
        (house, romeo)
    }

    fn ask(house: &mut House, who: &Client, fields: &[(&str, &str)]) -> Vec<String> {
        let fields: String =
            fields.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>")).collect();
        house.recv(who);
        let form = format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
        house.send(who, &format!("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'>{form}</query></iq>"));
        house.hear(who)
    }

    const FIELD: &str = "{urn:xmpp:fulltext:0}fulltext";

    #[test]
    fn s4_a_message_is_found_by_all_its_words_in_body_and_subject() {
        let (mut house, romeo) = house();
        for (text, count) in [
            ("love", 3),
            ("LOVE baptized", 1),
            ("elan", 1),
            ("errand élan", 1),
            ("love nowhere", 0),
            ("axolotl", 0),
            ("read", 0),
            ("lovers", 1),
            ("!!!", 0),
            ("", 4),
        ] {
            let heard = ask(&mut house, &romeo, &[(FIELD, text)]);
            assert_eq!(heard.len() - 1, count, "{text}: {heard:?}");
            assert!(heard.last().is_some_and(|fin| fin.contains("complete='true'")), "{heard:?}");
        }
    }

    #[test]
    fn s4_with_every_other_field_and_only_in_ones_own_archive() {
        let (mut house, romeo) = house();
        assert_eq!(ask(&mut house, &romeo, &[(FIELD, "love"), ("with", "juliet@house")]).len() - 1, 2);
        assert_eq!(ask(&mut house, &romeo, &[(FIELD, "love"), ("end", "2000-01-01T00:00:00Z")]).len() - 1, 0);
        let nurse = house.online("nurse@house/kitchen");
        assert_eq!(ask(&mut house, &nurse, &[(FIELD, "love")]).len() - 1, 1);
    }

    #[test]
    fn d4_a_search_cannot_be_made_to_mean_anything_else() {
        let (mut house, romeo) = house();
        for text in
            ["&quot;love&quot; OR &quot;", "&apos;; DROP TABLE log; --", "*", "NEAR(love baptized)", "{words}: love", "a:z"]
        {
            let heard = ask(&mut house, &romeo, &[(FIELD, text)]);
            assert!(heard.len() == 1 && heard[0].contains("<fin "), "{text}: {heard:?}");
        }
        let heard = ask(&mut house, &romeo, &[(FIELD, &"x".repeat(1_025))]);
        assert!(heard[0].contains("<bad-request") && heard[0].contains("fulltext"), "{heard:?}");
        // What went before has harmed nothing.
        assert_eq!(ask(&mut house, &romeo, &[(FIELD, "love")]).len() - 1, 3);
    }

    #[test]
    fn s2_the_account_says_so_and_the_form_has_the_field() {
        let (mut house, romeo) = house();
        let info = house.iq(&romeo, "get", Some("romeo@house"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert!(info.as_str().contains("<feature var='urn:xmpp:fulltext:0'/>"), "{}", info.as_str());
        let form = house.iq(&romeo, "get", None, "<query xmlns='urn:xmpp:mam:2'/>");
        assert!(form.as_str().contains("var='{urn:xmpp:fulltext:0}fulltext'"), "{}", form.as_str());
    }
}
