//! XEP-0248 6.2: the items of what is in a collection.

use iris_core::Stanza;
use iris_engine::testing::{Client, House};

use super::*;

/// shelf > a, box > b, c (whitelist); items 1 to 6, in turn.
fn shelf() -> (House, [Client; 3]) {
    let (mut house, people) = scene(&[]);
    let romeo = &people[0];
    ok(&create(&mut house, romeo, "shelf", &[("node_type", "collection")]));
    ok(&create(&mut house, romeo, "box", &[("node_type", "collection"), ("collection", "shelf")]));
    for (node, parent, access) in [("a", "shelf", "open"), ("b", "box|shelf", "open"), ("c", "shelf", "whitelist")] {
        ok(&create(&mut house, romeo, node, &[("collection", parent), ("access_model", access)]));
    }
    for (id, node) in [("1", "a"), ("2", "b"), ("3", "c"), ("4", "a"), ("5", "c"), ("6", "b")] {
        ok(&publish(&mut house, romeo, node, id, X));
    }
    (house, people)
}

fn page(house: &mut House, who: &Client, inside: &str) -> Stanza {
    let set = format!("<set xmlns='http://jabber.org/protocol/rsm'>{inside}</set>");
    ask(house, who, "get", &format!("<items node='shelf'/>{set}"))
}

fn end(answer: &Stanza, name: &str) -> String {
    let after = answer.as_str().split_once(&format!("<{name}")).and_then(|(_, it)| it.split_once('>'));
    after.and_then(|(_, it)| it.split_once('<')).map(|(it, _)| it.to_owned()).unwrap_or_default()
}

#[test]
fn s6_2_one_list_for_each_node() {
    let (mut house, [romeo, juliet, _]) = shelf();
    let all = ask(&mut house, &juliet, "get", "<items node='shelf'/>");
    ok(&all);
    assert_eq!(all.as_str().matches("<items ").count(), 2, "{}", all.as_str());
    assert_eq!(ids(&all), ["1", "4", "2", "6"]);
    assert!(!all.as_str().contains("<set "), "all of it: {}", all.as_str());
    assert_eq!(ids(&ask(&mut house, &romeo, "get", "<items node='shelf'/>")).len(), 6, "its owner reads the closed one");
    assert_eq!(ids(&ask(&mut house, &juliet, "get", "<items node='shelf' max_items='3'/>")), ["2", "6", "4"]);
    assert_eq!(ids(&ask(&mut house, &juliet, "get", "<items node='box'/>")), ["2", "6"]);
    ok(&create(&mut house, &romeo, "empty", &[("node_type", "collection")]));
    let empty = ask(&mut house, &juliet, "get", "<items node='empty'/>");
    assert!(empty.as_str().contains("<items node='empty'/>"), "{}", empty.as_str());
}

#[test]
fn s6_2_pages_go_through_all_of_them_in_their_order() {
    let (mut house, [_, juliet, _]) = shelf();
    let first = page(&mut house, &juliet, "<max>3</max>");
    assert_eq!(ids(&first), ["1", "4", "2"]);
    assert!(first.as_str().contains("<count>4</count>") && first.as_str().contains("<first index='0'>"), "{}", first.as_str());
    let second = page(&mut house, &juliet, &format!("<max>3</max><after>{}</after>", end(&first, "last")));
    assert_eq!(ids(&second), ["6"]);
    assert!(second.as_str().contains("<first index='3'>"), "{}", second.as_str());
    let last = page(&mut house, &juliet, "<max>2</max><before/>");
    assert_eq!(ids(&last), ["4", "6"]);
    let before = page(&mut house, &juliet, &format!("<max>1</max><before>{}</before>", end(&last, "first")));
    assert_eq!(ids(&before), ["2"]);
    assert!(page(&mut house, &juliet, "<max>0</max>").as_str().contains("<count>4</count>"));
}

/// Security D3: garbage, and ids that are somebody else's.
#[test]
fn d3_pages_of_a_collection_with_bad_ids() {
    let (mut house, [romeo, juliet, _]) = shelf();
    let hidden = end(&page(&mut house, &romeo, "<max>5</max>"), "last");
    for id in ["1", "' OR 1=1--", "ffffffffffffffff", "-1", hidden.as_str()] {
        for way in ["after", "before"] {
            error(&page(&mut house, &juliet, &format!("<{way}>{id}</{way}>")), "cancel", "item-not-found", "");
        }
    }
    let both = "<items node='shelf' max_items='2'/><set xmlns='http://jabber.org/protocol/rsm'><max>1</max></set>";
    error(&ask(&mut house, &juliet, "get", both), "modify", "not-acceptable", "");
    let named = "<items node='shelf'><item id='1'/></items>";
    error(&ask(&mut house, &juliet, "get", named), "cancel", "feature-not-implemented", "unsupported");
    assert_eq!(ids(&ask(&mut house, &juliet, "get", "<items node='shelf' max_items='99999999999999999999'/>")).len(), 4);
}

/// 4.5: whom the owner of a collection lets in is not let in by those who own what is in it.
#[test]
fn d3_a_roster_opens_its_own_nodes_alone() {
    let (mut house, [romeo, juliet, nurse]) = scene(&[]);
    house.friends("romeo@house", "juliet@house");
    ok(&create(
        &mut house,
        &romeo,
        "shelf",
        &[("node_type", "collection"), ("access_model", "presence"), ("children_association_policy", "all")],
    ));
    ok(&create(&mut house, &nurse, "hers", &[("access_model", "presence")]));
    ok(&own(&mut house, &nurse, "set", "<collection node='shelf'><associate node='hers'/></collection>"));
    ok(&publish(&mut house, &nurse, "hers", "1", X));
    assert!(!items_of(&mut house, &juliet, "shelf").contains("hers"));
    let got = ask(&mut house, &juliet, "get", "<items node='shelf'/>");
    ok(&got);
    assert!(ids(&got).is_empty(), "{}", got.as_str());
}
