//! The state machine by itself, without an account.

use std::collections::HashMap;

use iris_core::xml::El;
use iris_core::{Bounce, Jid};

use super::*;

const QUOTAS: Quotas = Quotas { items_per_node_max: 10_000, item_size_bytes_max: 1_000, page_items_max: 1_000, ..Quotas::NONE };

struct Stage {
    service: Service,
    clock: std::cell::Cell<u64>,
}

impl Stage {
    fn new() -> Stage {
        Stage { service: Service::default(), clock: std::cell::Cell::new(1_000_000) }
    }

    fn ask(&mut self, jid: &str, standing: Standing, inside: &str) -> Result<Outcome, Bounce> {
        let ns = if inside.starts_with("<configure") { OWNER } else { NS };
        let xml = format!("<pubsub xmlns='{ns}'>{inside}</pubsub>");
        let set = !inside.starts_with("<items");
        let request = Request::parse(&El::parse(xml.as_bytes()).expect("XML"), set)?;
        let jid = Jid::new(jid).expect("a JID");
        let who = Asker { bare: jid.to_bare(), jid, standing };
        let clock = &self.clock;
        let mint = || {
            clock.set(clock.get() + 1);
            clock.get()
        };
        let default = Config::base(1_000);
        let may_create = if who.is_host() { Ok(()) } else { Err(Bounce::new(iris_core::Condition::Forbidden)) };
        let (host, service) = (Some("juliet@house"), "juliet@house");
        let cx = Context {
            quotas: &QUOTAS,
            default: &default,
            who: &who,
            others: &HashMap::new(),
            may_create,
            host,
            sees: &|_| false,
            now_us: 1_000_000,
            service,
            mint: &mint,
        };
        self.service.ask(&cx, request)
    }

    fn publish(&mut self, node: &str, id: usize) -> Outcome {
        let item = format!("<publish node='{node}'><item id='{id}'><x xmlns='urn:x'/></item></publish>");
        self.ask("juliet@house/balcony", Standing::Host, &item).expect("a publication")
    }
}

/// What was written is what is read: through shelves, nothing is lost.
#[test]
fn a_service_is_restored_from_its_changes() {
    let mut stage = Stage::new();
    let form = "<x xmlns='jabber:x:data' type='submit'><field var='pubsub#max_items'><value>max</value></field>\
        <field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#node_config</value></field>\
        <field var='pubsub#title'><value>A &lt;title&gt;</value></field>\
        <field var='pubsub#access_model'><value>roster</value></field>\
        <field var='pubsub#roster_groups_allowed'><value>a</value><value>b</value></field></x>";
    let create = format!("<create node='n'/><configure>{form}</configure>");
    let mut changes = stage.ask("juliet@house/x", Standing::Host, &create).expect("a node").changes;
    for id in 0..20 {
        changes.extend(stage.publish("n", id % 15).changes);
    }
    let who = || Standing::Watcher { groups: vec!["b".into()] };
    changes
        .extend(stage.ask("romeo@house/x", who(), "<subscribe node='n' jid='romeo@house'/>").expect("a subscription").changes);
    let (mut nodes, mut entries) = (std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
    let mut subscriptions = std::collections::BTreeMap::new();
    for change in changes {
        match change {
            Change::PutNode(name, value) => drop(nodes.insert(name, value)),
            Change::DeleteNode(name) => drop(nodes.remove(&name)),
            Change::PutSubscription(key, value) => drop(subscriptions.insert(key, value)),
            Change::DeleteSubscription(key) => drop(subscriptions.remove(&key)),
            Change::PutItem(kept) => {
                drop(entries.insert(serial_key(kept.entry.serial), encode_entry(&kept.node, &kept.entry)));
            }
            Change::DeleteItem(serial) => drop(entries.remove(&serial_key(serial))),
            Change::PutMoved(..) | Change::DeleteMoved(_) => {}
        }
    }
    let default = Config::base(1_000);
    let nodes = nodes.into_iter().map(|(name, value)| (name, decode_node(&value, &default).expect("a node"))).collect();
    let entries = entries.into_iter().map(|(key, value)| decode_entry(&key, &value).expect("an entry")).collect();
    let subscriptions = subscriptions.iter().map(|(key, value)| decode_subscription(key, value).expect("one")).collect();
    let restored = Service::restore(nodes, subscriptions, entries, Vec::new());
    let (before, after) = (stage.service.node("n").expect("it"), restored.node("n").expect("it"));
    assert_eq!(before.config, after.config);
    assert_eq!(before.entries, after.entries);
    assert_eq!(before.subscriptions, after.subscriptions);
    assert_eq!(after.entries.len(), 15);
    assert_eq!((before.created_us, &before.creator), (after.created_us, &after.creator));
}

#[test]
fn what_is_damaged_on_disk_is_left_out() {
    let default = Config::base(1_000);
    for bad in [&b""[..], b"\xff\xfe", b"<node", b"<node/>", b"<node created='x' creator='juliet@house'/>", b"not XML at all"] {
        assert!(decode_node(bad, &default).is_none());
        assert!(decode_entry("0000000000000001", bad).is_none());
        assert!(decode_subscription("0000000000000001 romeo@house", bad).is_none());
    }
    assert!(decode_entry("not a key", b"<item node='n' id='1' size='1' publisher='a@b'/>").is_none());
}

/// Subscriptions once lay with their node: the first change of one gives each a place of its own, and nothing is lost.
#[test]
fn subscriptions_that_were_kept_with_the_node_move_out_of_it() {
    let old = b"<node created='7' creator='juliet@house'><subscription jid='romeo@house' is='subscribed'/>        <subscription jid='nurse@house' is='pending'/></node>";
    let node = decode_node(old, &Config::base(1_000)).expect("a node");
    assert_eq!(node.subscriptions.len(), 2);
    let mut stage = Stage { service: Service::restore(vec![("n".into(), node)], vec![], vec![], vec![]), ..Stage::new() };
    let changes = stage
        .ask("romeo@house/x", Standing::Watcher { groups: vec![] }, "<unsubscribe node='n' jid='romeo@house'/>")
        .expect("the end")
        .changes;
    let kept: Vec<&str> = changes
        .iter()
        .filter_map(|change| match change {
            Change::PutSubscription(key, _) => Some(key.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(kept, ["0000000000000007 nurse@house"]);
    let written = changes.iter().find_map(|change| match change {
        Change::PutNode(_, value) => Some(String::from_utf8_lossy(value).into_owned()),
        _ => None,
    });
    assert!(written.is_some_and(|node| !node.contains("<subscription")), "a restart would bring romeo back");
}

/// A request that is refused changes nothing.
#[test]
fn an_error_leaves_the_service_as_it_was() {
    let mut stage = Stage::new();
    stage.publish("n", 1);
    let before = format!("{:?}", stage.service);
    let long = format!("<publish node='m'><item id='1'><x xmlns='urn:x'>{}</x></item></publish>", "x".repeat(2_000));
    for (jid, standing, inside) in [
        ("juliet@house/x", Standing::Host, long.as_str()),
        ("juliet@house/x", Standing::Host, "<publish node='m'/>"),
        ("juliet@house/x", Standing::Host, "<create node='n'/>"),
        ("juliet@house/x", Standing::Host, "<retract node='n'><item id='1'/><item id='2'/></retract>"),
        ("romeo@house/x", Standing::Stranger, "<subscribe node='n' jid='romeo@house'/>"),
        ("romeo@house/x", Standing::Stranger, "<publish node='n'><item id='1'><x xmlns='urn:x'/></item></publish>"),
    ] {
        assert!(stage.ask(jid, standing, inside).is_err(), "{inside}");
        assert_eq!(format!("{:?}", stage.service), before, "{inside}");
    }
}

/// D3: a node with everything that an account may have.
#[test]
fn ten_thousand_items_in_one_node() {
    let mut stage = Stage::new();
    let form = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#node_config</value></field>\
        <field var='pubsub#max_items'><value>max</value></field></x>";
    stage.ask("juliet@house/x", Standing::Host, &format!("<create node='n'/><configure>{form}</configure>")).expect("a node");
    for id in 0..10_050 {
        let changes = stage.publish("n", id).changes;
        assert!(changes.len() <= 2, "what a publication writes does not grow with the node");
    }
    let node = stage.service.node("n").expect("it");
    assert_eq!(node.entries.len(), 10_000);
    assert_eq!(node.entries.first().map(|it| it.id.to_string()), Some("50".to_owned()));
    let Answer::Items(fetch) = stage.ask("juliet@house/x", Standing::Host, "<items node='n'/>").expect("items").answer else {
        panic!("items")
    };
    assert_eq!(fetch.entries().count(), 1_000, "a page");
    assert_eq!(fetch.page.and_then(|page| page.count), Some(10_000));
}
