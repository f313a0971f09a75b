//! Security D3: names that break parsers, numbers that are none, hashes that lie.

use super::*;
use iris_engine::testing::House;

const X: &str = "<x xmlns='urn:x'/>";

#[test]
fn d3_node_and_item_names_with_everything_in_them() {
    let mut house = house();
    let juliet = house.login("juliet@house/balcony");
    for name in
        ["a' OR 1=1--", "%", ";DROP TABLE item;", "\"", "a\u{1f}b", "\u{202e}x", "../../etc/passwd", "&lt;x>", "0:n", "日本"]
    {
        if name.contains('\u{1f}') {
            continue; // No XML.
        }
        let escaped =
            name.replace("&lt;", "<").replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;").replace('"', "&quot;");
        ok(&publish(&mut house, &juliet, &escaped, &escaped, X));
        let answer = items(&mut house, &juliet, None, &escaped);
        assert_eq!(answer.matches("<item id=").count(), 1, "{name}: {answer}");
        let text = format!("<items node='{escaped}'><item id='{escaped}'/></items>");
        assert_eq!(ask(&mut house, &juliet, "get", None, &text).as_str().matches("<item id=").count(), 1, "{name}");
        ok(&ask(&mut house, &juliet, "set", None, &format!("<retract node='{escaped}'><item id='{escaped}'/></retract>")));
    }
    let long = "x".repeat(100_000);
    for answer in [
        publish(&mut house, &juliet, &long, "1", X),
        publish(&mut house, &juliet, "n", &long, X),
        ask(&mut house, &juliet, "get", None, &format!("<items node='{long}'/>")),
        ask(&mut house, &juliet, "set", None, &format!("<create node='{long}'/>")),
    ] {
        assert!(answer.as_str().contains("not-acceptable") && answer.as_str().len() < 1_000, "{}", answer.as_str());
    }
    let answer = ask(&mut house, &juliet, "set", None, &format!("<subscribe node='n' jid='{long}'/>"));
    error(&answer, "modify", "bad-request", "invalid-jid");
}

#[test]
fn d3_pages_that_are_none() {
    let mut house = house();
    let juliet = house.login("juliet@house/balcony");
    publish(&mut house, &juliet, "n", "1", X);
    let page = |inside: &str| format!("<items node='n'/><set xmlns='http://jabber.org/protocol/rsm'>{inside}</set>");
    for inside in ["<after>' OR 1=1--</after>", "<before>' OR 1=1--</before>", "<after>2</after>"] {
        error(&ask(&mut house, &juliet, "get", None, &page(inside)), "cancel", "item-not-found", "");
    }
    error(&ask(&mut house, &juliet, "get", None, &page("<max>-1</max>")), "modify", "bad-request", "");
    ok(&ask(&mut house, &juliet, "get", None, &page("<max>1000000000000</max>")));
    for bad in ["-1", "0", "1e12", "", "x"] {
        let answer = ask(&mut house, &juliet, "get", None, &format!("<items node='n' max_items='{bad}'/>"));
        error(&answer, "modify", "bad-request", "");
    }
    ok(&ask(&mut house, &juliet, "get", None, "<items node='n' max_items='1000000000000'/>"));
    for bad in ["-1", "0", "1000000000000", "1e12", ""] {
        error(&configure(&mut house, &juliet, "n", &[("max_items", bad)]), "modify", "not-acceptable", "");
    }
}

/// "send a wrong ver, then a matching one from another user -> cache keyed by verified hash only".
#[test]
fn d3_a_poisoned_hash_harms_nobody() {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    house.friends("mallory@house", "juliet@house");
    let juliet = house.login("juliet@house/balcony");
    publish(&mut house, &juliet, TUNE, "1", SONG);
    let (honest, ver) = features(&[TUNE]);
    let (other, _) = features(&["urn:something:else"]);
    // Mallory claims the hash of Romeo's client, and says that such clients want something else.
    let mallory = house.login("mallory@house/x");
    house.send(&mallory, &format!("<presence>{}</presence>", caps(&ver)));
    let heard = house.recv(&mallory);
    assert!(answer_disco(&mut house, &mallory, &heard, &other));
    assert!(events(&house.recv(&mallory)).is_empty());
    // Romeo's client is asked itself, and believed.
    let romeo = house.login("romeo@house/orchard");
    house.send(&romeo, &format!("<presence>{}</presence>", caps(&ver)));
    let heard = house.recv(&romeo);
    assert!(answer_disco(&mut house, &romeo, &heard, &honest), "the lie was not remembered");
    assert_eq!(events(&house.recv(&romeo)).len(), 1);
    // The other way round: a hash that is not known is not believed because somebody wants news.
    let liar = house.login("mallory@house/y");
    house.send(&liar, &format!("<presence>{}</presence>", caps("AAAAAAAAAAAAAAAAAAAAAAAAAAA=")));
    let heard = house.recv(&liar);
    assert!(answer_disco(&mut house, &liar, &heard, &honest));
    assert!(events(&house.recv(&liar)).is_empty(), "verified capabilities only");
}

#[test]
fn d3_ill_formed_answers_prove_nothing() {
    let mut house = house();
    let juliet = house.login("juliet@house/balcony");
    publish(&mut house, &juliet, TUNE, "1", SONG);
    let (honest, ver) = features(&[TUNE]);
    let twice = format!("{honest}<feature var='{TUNE}+notify'/>");
    for (n, wrong) in [twice, format!("{honest}<identity category='client' type='pc' name='play'/>")].into_iter().enumerate() {
        let client = house.login(&format!("juliet@house/{n}"));
        house.send(&client, &format!("<presence>{}</presence>", caps(&ver)));
        let heard = house.recv(&client);
        assert!(answer_disco(&mut house, &client, &heard, &wrong));
        assert!(events(&house.recv(&client)).is_empty());
    }
    // An error, and no answer at all.
    let client = house.login("juliet@house/error");
    house.send(&client, &format!("<presence>{}</presence>", caps(&ver)));
    let id =
        house.recv(&client).iter().find(|it| it.as_str().contains("disco#info")).and_then(|it| Some(it.id()?.into_owned()));
    house.send(&client, &format!("<iq type='error' id='{}' to='juliet@house'/>", id.expect("a question")));
    let silent = house.login("juliet@house/silent");
    house.send(&silent, &format!("<presence>{}</presence>", caps(&ver)));
    house.advance(std::time::Duration::from_secs(61));
    house.recv(&silent);
    // Its next presence is a new chance.
    house.send(&silent, &format!("<presence>{}</presence>", caps(&ver)));
    let heard = house.recv(&silent);
    assert!(answer_disco(&mut house, &silent, &heard, &honest));
    assert_eq!(events(&house.recv(&silent)).len(), 1);
}

#[test]
fn nobody_else_can_answer_for_a_client() {
    let mut house = house();
    house.friends("mallory@house", "juliet@house");
    let juliet = house.login("juliet@house/balcony");
    publish(&mut house, &juliet, TUNE, "1", SONG);
    let (honest, ver) = features(&[TUNE]);
    house.send(&juliet, &format!("<presence>{}</presence>", caps(&ver)));
    let question = house.recv(&juliet);
    let id = question
        .iter()
        .find(|it| it.as_str().contains("disco#info"))
        .and_then(|it| Some(it.id()?.into_owned()))
        .expect("a question");
    let mallory = house.online("mallory@house/x");
    let forged = format!(
        "<iq type='result' id='{id}' to='juliet@house' from='juliet@house/balcony'><query xmlns='http://jabber.org/protocol/disco#info'>{honest}</query></iq>"
    );
    house.send(&mallory, &forged);
    assert!(events(&house.recv(&juliet)).is_empty());
    assert!(answer_disco(&mut house, &juliet, &question, &honest));
    assert_eq!(events(&house.recv(&juliet)).len(), 1);
}

#[test]
fn the_0390_hash_is_verified_as_well() {
    use crate::xep0390_caps2::input;
    use iris_core::xml::El;
    let mut house = house();
    let juliet = house.login("juliet@house/balcony");
    publish(&mut house, &juliet, TUNE, "1", SONG);
    let (inside, _) = features(&[TUNE]);
    let query = format!("<query xmlns='http://jabber.org/protocol/disco#info'>{inside}</query>");
    let hash =
        crate::xep0115_caps::known::Algo::Sha256.digest(&input(&El::parse(query.as_bytes()).expect("XML")).expect("an input"));
    let claim = |hash: &str| {
        format!(
            "<presence><c xmlns='urn:xmpp:caps'><hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>{hash}</hash></c></presence>"
        )
    };
    let tell = |house: &mut House, hash: &str, resource: &str| {
        let client = house.login(&format!("juliet@house/{resource}"));
        house.send(&client, &claim(hash));
        let heard = house.recv(&client);
        assert!(heard.iter().any(|it| it.as_str().contains(&format!("node='urn:xmpp:caps#sha-256.{hash}'"))));
        answer_disco(house, &client, &heard, &inside);
        events(&house.recv(&client)).len()
    };
    assert_eq!(tell(&mut house, "AAAA", "liar"), 0);
    assert_eq!(tell(&mut house, &hash, "honest"), 1);
}

/// One of two devices is silent, and the account may ask no more than one.
#[test]
fn a_client_that_could_not_be_asked_is_asked_with_its_next_presence() {
    let limits = iris_core::limits::Limits { questions_per_account_max: 1, ..iris_core::limits::Limits::default() };
    let mut house = House::with_limits(crate::ROOMS, limits);
    let silent = house.login("juliet@house/silent");
    house.send(&silent, &format!("<presence>{}</presence>", caps("none")));
    let phone = house.login("juliet@house/phone");
    let is_asked = |heard: &[iris_core::Stanza]| heard.iter().any(|it| it.as_str().contains("disco#info"));
    assert!(!is_asked(&wants(&mut house, &phone, &[TUNE])));
    house.advance(std::time::Duration::from_secs(60));
    assert!(is_asked(&wants(&mut house, &phone, &[TUNE])));
}

/// What is remembered of a client has a size, whatever it says that it wants.
#[test]
fn d3_names_that_a_client_wants_have_a_size_together() {
    for (names, hears) in [(10, true), (20, false)] {
        let mut house = house();
        house.friends("romeo@house", "juliet@house");
        let (juliet, romeo) = (house.login("juliet@house/balcony"), house.login("romeo@house/orchard"));
        let long: Vec<String> = (0..names).map(|n| format!("{n:01000}")).collect();
        let nodes: Vec<&str> = long.iter().map(|name| &**name).chain([TUNE]).collect();
        wants(&mut house, &romeo, &nodes);
        publish(&mut house, &juliet, TUNE, "1", SONG);
        assert_eq!(!events(&house.recv(&romeo)).is_empty(), hears, "{names}");
        publish(&mut house, &juliet, nodes[0], "1", X);
        assert_eq!(events(&house.recv(&romeo)).len(), 1);
    }
}
