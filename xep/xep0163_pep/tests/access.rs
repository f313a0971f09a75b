//! XEP-0060 4.1 and 4.5: every access model, by each relation; every affiliation.

use super::*;
use iris_engine::testing::{Client, House};

const X: &str = "<x xmlns='urn:x'/>";

/// Juliet; Romeo, a friend in her group "loves"; the nurse, a friend; Mallory, a stranger.
fn scene() -> (House, Client, Client, Client, Client) {
    let mut house = house();
    house.friends("romeo@house", "juliet@house");
    house.friends("nurse@house", "juliet@house");
    let juliet = house.login("juliet@house/balcony");
    house.iq(
        &juliet,
        "set",
        None,
        "<query xmlns='jabber:iq:roster'><item jid='romeo@house'><group>loves</group></item></query>",
    );
    let romeo = house.login("romeo@house/orchard");
    let nurse = house.login("nurse@house/kitchen");
    let mallory = house.login("mallory@house/x");
    (house, juliet, romeo, nurse, mallory)
}

fn get(house: &mut House, who: &Client) -> iris_core::Stanza {
    ask(house, who, "get", Some("juliet@house"), "<items node='n'/>")
}

#[test]
fn d3_items_by_access_model_and_relation() {
    let (mut house, juliet, romeo, nurse, mallory) = scene();
    ok(&publish(&mut house, &juliet, "n", "1", X));
    let set = |house: &mut House, model: &str| {
        ok(&configure(house, &juliet, "n", &[("access_model", model), ("roster_groups_allowed", "loves")]))
    };

    for who in [&juliet, &romeo, &nurse] {
        ok(&get(&mut house, who));
    }
    error(&get(&mut house, &mallory), "auth", "not-authorized", "presence-subscription-required");

    set(&mut house, "open");
    for who in [&juliet, &romeo, &nurse, &mallory] {
        ok(&get(&mut house, who));
    }
    set(&mut house, "roster");
    for who in [&juliet, &romeo] {
        ok(&get(&mut house, who));
    }
    for who in [&nurse, &mallory] {
        error(&get(&mut house, who), "auth", "not-authorized", "not-in-roster-group");
    }
    set(&mut house, "whitelist");
    ok(&get(&mut house, &juliet));
    for who in [&romeo, &nurse, &mallory] {
        error(&get(&mut house, who), "cancel", "not-allowed", "closed-node");
    }
    set(&mut house, "authorize");
    ok(&get(&mut house, &juliet));
    for who in [&romeo, &nurse, &mallory] {
        error(&get(&mut house, who), "auth", "not-authorized", "not-subscribed");
    }
}

#[test]
fn d3_news_by_access_model() {
    let (mut house, juliet, romeo, nurse, mallory) = scene();
    for who in [&romeo, &nurse, &mallory] {
        wants(&mut house, who, &["n"]);
    }
    ok(&publish(&mut house, &juliet, "n", "1", X));
    for (model, hear) in [
        ("presence", [true, true, false]),
        ("open", [true, true, false]),
        ("roster", [true, false, false]),
        ("whitelist", [false, false, false]),
        ("authorize", [false, false, false]),
    ] {
        ok(&configure(&mut house, &juliet, "n", &[("access_model", model), ("roster_groups_allowed", "loves")]));
        for who in [&romeo, &nurse, &mallory] {
            house.recv(who);
        }
        ok(&publish(&mut house, &juliet, "n", "1", X));
        let heard = [&romeo, &nurse, &mallory].map(|who| !events(&house.recv(who)).is_empty());
        assert_eq!(heard, hear, "{model}");
    }
}

#[test]
fn d3_publish_to_somebody_elses_node() {
    let (mut house, juliet, romeo, _, mallory) = scene();
    ok(&publish_with(&mut house, &juliet, None, "n", "1", X, &[("access_model", "open")]));
    for who in [&romeo, &mallory] {
        let to = Some("juliet@house");
        error(&publish_with(&mut house, who, to, "n", "2", X, &[]), "auth", "forbidden", "");
        error(&ask(&mut house, who, "set", to, "<retract node='n'><item id='1'/></retract>"), "auth", "forbidden", "");
        error(&ask(&mut house, who, "set", to, "<retract node='n'><item id='none'/></retract>"), "auth", "forbidden", "");
        let owner = |inside: &str| format!("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>{inside}</pubsub>");
        for (kind, inside) in [
            ("get", "<configure node='n'/>".to_owned()),
            ("set", format!("<configure node='n'>{}</configure>", form("node_config", &[("publish_model", "open")]))),
            ("set", "<delete node='n'/>".to_owned()),
            ("set", "<purge node='n'/>".to_owned()),
            ("get", "<subscriptions node='n'/>".to_owned()),
            (
                "set",
                "<subscriptions node='n'><subscription jid='mallory@house' subscription='subscribed'/></subscriptions>"
                    .to_owned(),
            ),
            ("get", "<affiliations node='n'/>".to_owned()),
            ("set", "<affiliations node='n'><affiliation jid='mallory@house' affiliation='owner'/></affiliations>".to_owned()),
        ] {
            let answer = house.iq(who, kind, to, &owner(&inside));
            error(&answer, "auth", "forbidden", "");
        }
    }
    error(&ask(&mut house, &romeo, "set", Some("juliet@house"), "<create node='m'/>"), "auth", "forbidden", "");
    error(&publish_with(&mut house, &romeo, Some("juliet@house"), "m", "2", X, &[]), "auth", "forbidden", "");
    assert_eq!(ids(&items(&mut house, &juliet, None, "n")), ["1"]);
}

#[test]
fn b10_a_stranger_who_asks_for_what_is_not_there_learns_nothing() {
    use crate::testing::anonymous;
    let (mut house, _juliet, _, _, mallory) = scene();
    let of = |house: &mut House, who: &str, kind: &str, inside: &str| anonymous(&ask(house, &mallory, kind, Some(who), inside));
    for (kind, inside) in [
        ("get", "<items node='n'/>"),
        ("get", "<subscriptions/>"),
        ("get", "<affiliations/>"),
        ("get", "<nonsense/>"),
        ("set", "<create node='n'/>"),
        ("set", "<publish node='n'><item><x xmlns='urn:x'/></item></publish>"),
        ("set", "<subscribe node='n' jid='mallory@house'/>"),
    ] {
        let known = of(&mut house, "juliet@house", kind, inside);
        assert!(known.contains("service-unavailable"), "{known}");
        assert_eq!(known, of(&mut house, "nobody@house", kind, inside));
    }
}

#[test]
fn s4_1_what_each_affiliation_may_do() {
    let (mut house, juliet, _, _, mallory) = scene();
    ok(&publish_with(&mut house, &juliet, None, "n", "1", X, &[("access_model", "whitelist"), ("max_items", "10")]));
    let make = |house: &mut House, affiliation: &str| {
        // Nothing leads from an owner to an outcast in one step.
        for affiliation in ["none", affiliation] {
            let change =
                format!("<affiliations node='n'><affiliation jid='mallory@house' affiliation='{affiliation}'/></affiliations>");
            ok(&own(house, &juliet, "set", &change));
        }
    };
    let to = Some("juliet@house");
    house.send(&mallory, "<presence/>");
    house.recv(&mallory);
    for (affiliation, reads, publishes, owns) in [
        ("member", true, false, false),
        ("publisher", true, true, false),
        ("publish-only", false, true, false),
        ("owner", true, true, true),
        ("outcast", false, false, false),
    ] {
        make(&mut house, affiliation);
        let told = house.recv(&mallory).pop().expect("news").as_str().to_owned();
        assert!(told.contains(&format!("<affiliation jid='mallory@house' affiliation='{affiliation}'/>")), "{told}");
        let answer = get(&mut house, &mallory).as_str().to_owned();
        assert_eq!(answer.contains("type='result'"), reads, "{affiliation}: {answer}");
        let answer = publish_with(&mut house, &mallory, to, "n", affiliation, X, &[]).as_str().to_owned();
        assert_eq!(answer.contains("type='result'"), publishes, "{affiliation}: {answer}");
        let inside = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='n'/></pubsub>";
        let answer = house.iq(&mallory, "get", to, inside).as_str().to_owned();
        assert_eq!(answer.contains("type='result'"), owns, "{affiliation}: {answer}");
        let mine = ask(&mut house, &mallory, "get", to, "<affiliations/>").as_str().to_owned();
        assert!(mine.contains(&format!("<affiliation node='n' affiliation='{affiliation}'/>")), "{mine}");
    }
    error(&get(&mut house, &mallory), "auth", "forbidden", "");
    let list = own(&mut house, &juliet, "get", "<affiliations node='n'/>").as_str().to_owned();
    assert!(
        list.contains("jid='juliet@house' affiliation='owner'") && list.contains("jid='mallory@house' affiliation='outcast'")
    );
    let resign = "<affiliations node='n'><affiliation jid='juliet@house' affiliation='none'/></affiliations>";
    error(&own(&mut house, &juliet, "set", resign), "modify", "not-acceptable", "");
    // A publish-only one takes back its own items and no others.
    make(&mut house, "publish-only");
    error(&ask(&mut house, &mallory, "set", to, "<retract node='n'><item id='1'/></retract>"), "auth", "forbidden", "");
    ok(&ask(&mut house, &mallory, "set", to, "<retract node='n'><item id='publish-only'/></retract>"));
    // Not even overwrites.
    error(&publish_with(&mut house, &mallory, to, "n", "1", X, &[]), "auth", "forbidden", "");
    make(&mut house, "none");
    error(&get(&mut house, &mallory), "cancel", "not-allowed", "closed-node");
}

#[test]
fn publish_models() {
    let (mut house, juliet, romeo, _, mallory) = scene();
    let to = Some("juliet@house");
    ok(&publish_with(&mut house, &juliet, None, "n", "1", X, &[("publish_model", "open"), ("max_items", "10")]));
    ok(&publish_with(&mut house, &romeo, to, "n", "r", X, &[]));
    error(&publish_with(&mut house, &mallory, to, "n", "m", X, &[]), "auth", "forbidden", "");
    ok(&configure(&mut house, &juliet, "n", &[("publish_model", "subscribers")]));
    error(&publish_with(&mut house, &romeo, to, "n", "r", X, &[]), "auth", "forbidden", "");
    ok(&ask(&mut house, &romeo, "set", to, "<subscribe node='n' jid='romeo@house'/>"));
    ok(&publish_with(&mut house, &romeo, to, "n", "r", X, &[]));
}
