//! Long lists come in pages (5.6, 5.7, 8.8.1, 8.9.1; XEP-0059, XEP-0465).

use iris_engine::testing::House;

use super::*;

fn set(inside: &str) -> String {
    format!("<set xmlns='http://jabber.org/protocol/rsm'>{inside}</set>")
}

#[test]
fn s8_8_1_subscriptions_of_a_node_page_by_page() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    for who in [&romeo, &juliet, &nurse] {
        ok(&subscribe(&mut house, who, "n"));
    }
    let list = |house: &mut House, page: &str| {
        own(house, &romeo, "get", &format!("<subscriptions node='n'/>{page}")).as_str().to_owned()
    };
    let all = list(&mut house, "");
    assert!(all.matches("<subscription ").count() == 3 && !all.contains("<set "), "{all}");
    let first = list(&mut house, &set("<max>2</max>"));
    assert!(first.contains("juliet@house") && first.contains("jid='nurse@house'") && !first.contains("jid='romeo"), "{first}");
    assert!(first.contains("<last>nurse@house</last><count>3</count>"), "{first}");
    let next = list(&mut house, &set("<max>2</max><after>nurse@house</after>"));
    assert!(next.contains("jid='romeo@house'") && next.matches("<subscription ").count() == 1, "{next}");
    assert!(list(&mut house, &set("<max>0</max>")).contains("<count>3</count>"));
    assert!(list(&mut house, &set("<after>nobody@house</after>")).contains("<item-not-found "));
    assert!(list(&mut house, &set("<max>-1</max>")).contains("<bad-request "));
}

#[test]
fn s8_9_1_s5_6_and_s5_7_too() {
    let (mut house, [romeo, juliet, _]) = scene(&[]);
    ok(&affiliate(&mut house, &romeo, "n", "juliet@house", "publisher"));
    let got = own(&mut house, &romeo, "get", &format!("<affiliations node='n'/>{}", set("<max>1</max>"))).as_str().to_owned();
    assert!(got.contains("jid='juliet@house'") && !got.contains("jid='romeo") && got.contains("<count>2</count>"), "{got}");
    ok(&create(&mut house, &romeo, "m", &[]));
    for node in ["m", "n"] {
        ok(&subscribe(&mut house, &juliet, node));
    }
    for what in ["subscriptions", "affiliations"] {
        let who = if what == "subscriptions" { &juliet } else { &romeo };
        let first = ask(&mut house, who, "get", &format!("<{what}/>{}", set("<max>1</max>"))).as_str().to_owned();
        assert!(first.contains("node='m'") != first.contains("node='n'") && first.contains("<count>2</count>"), "{first}");
        let last = first.split_once("<last>").and_then(|(_, it)| it.split_once("</last>")).map(|(it, _)| it).expect("an end");
        let next = ask(&mut house, who, "get", &format!("<{what}/>{}", set(&format!("<after>{last}</after>"))));
        assert!(next.as_str().contains("node='m'") != first.contains("node='m'"), "{}", next.as_str());
    }
}

/// XEP-0465 4.4: people, not addresses.
#[test]
fn who_follows_in_public_with_two_devices_is_one() {
    let (mut house, [_, juliet, nurse]) = scene(&[]);
    for (who, jid) in [(&juliet, "juliet@house/balcony"), (&juliet, "juliet@house/x"), (&nurse, "nurse@house")] {
        ok(&ask(
            &mut house,
            who,
            "set",
            &format!("<subscribe node='n' jid='{jid}'><public xmlns='urn:xmpp:pps:0'/></subscribe>"),
        ));
    }
    assert_eq!(items(&mut house, &nurse, "urn:xmpp:pps:subscribers:0/n"), ["juliet@house", "nurse@house"]);
    let page = format!("<items node='urn:xmpp:pps:subscribers:0/n'/>{}", set("<max>1</max>"));
    let page = ask(&mut house, &nurse, "get", &page);
    assert_eq!(ids(&page), ["juliet@house"]);
    assert!(page.as_str().contains("<count>2</count>"), "{}", page.as_str());
}
