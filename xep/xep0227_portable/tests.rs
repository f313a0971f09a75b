use super::*;

const NOW: u64 = 1_795_641_615_000_000;

fn juliet() -> BareJid {
    BareJid::new("juliet@capulet.com").expect("a JID")
}

fn taken(children: &[&str]) -> Moving {
    let mut moving = Moving::default();
    for child in children {
        let el = El::parse(child.as_bytes()).expect("XML");
        assert!(moving.take(&el, &juliet(), NOW), "{child}");
    }
    moving.finish(&juliet(), NOW, &[]);
    moving
}

fn items(moving: &Moving) -> Vec<Item> {
    let all = moving.items.iter().cloned();
    all.map(|(shelf, key, value)| Item { shelf, key, value }).collect()
}

const VCARD_XML: &str = "<vCard xmlns='vcard-temp'><FN>Juliet Capulet</FN></vCard>";
const PRIVATE_XML: &str = "<query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'><defaultnick>J</defaultnick></exodus>\
    <storage xmlns='storage:bookmarks'><conference jid='a@b'/></storage></query>";

#[test]
fn vcard_and_private_storage_come_out_as_they_went_in() {
    let moving = taken(&[VCARD_XML, PRIVATE_XML]);
    assert!(moving.notes.is_empty(), "{:?}", moving.notes);
    let mut out = move_out(&items(&moving));
    out.sort();
    assert_eq!(out, [PRIVATE_XML, VCARD_XML]);
}

#[test]
fn who_is_blocked_travels_as_a_privacy_list_and_as_a_blocklist() {
    let privacy = "<query xmlns='jabber:iq:privacy'><default name='public'/><list name='public'>\
        <item type='jid' value='tybalt@example.com' action='deny' order='1'/><item action='allow' order='2'/></list>\
        <list name='private'><item type='subscription' value='both' action='allow' order='10'/>\
        <item action='deny' order='15'/></list></query>";
    let moving = taken(&[privacy, "<blocklist xmlns='urn:xmpp:blocking'><item jid='example.net'/><item jid='@'/></blocklist>"]);
    let blocked: Vec<&str> = moving.items.iter().map(|(_, key, _)| &**key).collect();
    assert_eq!(blocked, ["tybalt@example.com", "example.net"]);
    assert_eq!(moving.notes.len(), 2, "{:?}", moving.notes);
    let out = move_out(&items(&moving));
    assert_eq!(out.len(), 2);
    let again = taken(&out.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(again.notes.is_empty(), "{:?}", again.notes);
    assert_eq!(again.items.len(), 4, "each address twice, under one key");
}

#[test]
fn an_item_that_says_more_than_block_is_named_and_blocks_nobody() {
    let privacy = "<query xmlns='jabber:iq:privacy'><list name='x'>\
        <item type='jid' value='a@b' action='deny' order='1'><message/></item>\
        <item type='group' value='Foes' action='deny' order='2'/><item action='deny' order='3'/></list></query>";
    let moving = taken(&[privacy]);
    assert_eq!((moving.items.len(), moving.notes.len()), (0, 3), "{:?}", moving.notes);
}

const OFFLINE: &str = "<offline-messages xmlns='urn:xmpp:pie:0'><message xmlns='jabber:client' \
    from='romeo@montague.net/orchard' to='juliet@capulet.com/balcony' type='chat'><body>Neither &lt;3</body>\
    <delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='2010-07-21T00:32:29Z'>Offline Storage</delay></message>\
    </offline-messages>";

#[test]
fn offline_messages_keep_their_time_sender_and_order() {
    let moving = taken(&[OFFLINE]);
    let [entry] = &moving.entries[..] else { panic!("one") };
    assert_eq!(Some(entry.id.0), time::parse_datetime("2010-07-21T00:32:29Z"));
    let out = entry_out(entry.shelf, &juliet(), &Entry { id: entry.id, entry: entry.entry.clone() }).expect("ours");
    for said in ["<message xmlns='jabber:client' to='juliet@capulet.com'", "from='romeo@montague.net/orchard'", "Neither &lt;3"]
    {
        assert!(out.contains(said), "{said}: {out}");
    }
    assert!(El::parse(out.as_bytes()).is_some_and(|el| el.child(ns::DELAY, "delay").is_some()), "{out}");
}

fn result(stamp: &str, from: &str, to: &str, body: &str) -> String {
    format!(
        "<result xmlns='urn:xmpp:mam:2' id='x'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' \
         stamp='{stamp}'/><message xmlns='jabber:client' from='{from}' to='{to}' type='chat'><body>{body}</body></message>\
         </forwarded></result>"
    )
}

#[test]
fn an_archive_keeps_its_times_and_the_order_within_a_second() {
    let (me, he) = ("juliet@capulet.com/balcony", "romeo@montague.net/orchard");
    let stamp = "2010-07-10T23:08:25Z";
    let results = [result(stamp, he, me, "one"), result(stamp, me, he, "two"), result("2010-07-10T23:09:00Z", he, me, "3")];
    let archive = format!("<archive xmlns='urn:xmpp:pie:0#mam'>{}</archive>", results.concat());
    let moving = taken(&[&archive]);
    let first = time::parse_datetime(stamp).expect("a time");
    assert_eq!(moving.entries.iter().map(|entry| entry.id.0 - first).collect::<Vec<_>>(), [0, 1, 35_000_000]);
    assert!(moving.entries.iter().all(|entry| entry.peer == xep0313_archive::peer_hash("romeo@montague.net")));
    // What goes out comes in again at the very same place.
    let out: Vec<String> = moving
        .entries
        .iter()
        .filter_map(|entry| entry_out(entry.shelf, &juliet(), &Entry { id: entry.id, entry: entry.entry.clone() }))
        .collect();
    assert_eq!(out.len(), 3);
    assert!(out[1].contains("<body>two</body>") && out[1].contains("stamp='2010-07-10T23:08:25.000001Z'"), "{}", out[1]);
    let again = taken(&out.iter().map(String::as_str).collect::<Vec<_>>());
    let entries = |moving: &Moving| moving.entries.iter().map(|it| (it.id, it.entry.clone())).collect::<Vec<_>>();
    assert_eq!(entries(&again), entries(&moving));
}

#[test]
fn what_is_no_message_and_what_is_no_ours_is_named_and_left_out() {
    let moving = taken(&[
        "<archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2'/></archive>",
        "<offline-messages xmlns='urn:xmpp:pie:0'><presence xmlns='jabber:client'/></offline-messages>",
    ]);
    assert_eq!((moving.entries.len(), moving.notes.len()), (0, 2), "{:?}", moving.notes);
    let foreign = El::parse(b"<x xmlns='y'/>").expect("XML");
    assert!(!Moving::default().take(&foreign, &juliet(), NOW));
    // Nothing is later than now.
    let future = result("2099-01-01T00:00:00Z", "a@b", "juliet@capulet.com", "x");
    assert_eq!(taken(&[&future]).entries[0].id, EntryId(NOW));
}

/// The example of the text, with an option that nobody knows.
const OWNED: &str = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:xmpp:bookmarks:1'>\
    <x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE' type='hidden'>\
    <value>http://jabber.org/protocol/pubsub#node_config</value></field><field var='pubsub#access_model'><value>whitelist</value></field>\
    <field var='pubsub#max_items'><value>max</value></field><field var='other#option'><value>1</value></field></x></configure>\
    <affiliations node='urn:xmpp:bookmarks:1'><affiliation jid='mercutio@example.net' affiliation='member'/></affiliations>\
    <subscriptions node='urn:xmpp:bookmarks:1'><subscription jid='mercutio@example.net' subscription='subscribed' subid='1'/></subscriptions>\
    <configure node='http://jabber.org/protocol/nick'><x xmlns='jabber:x:data' type='form'>\
    <field var='pubsub#access_model'><value>open</value></field></x></configure></pubsub>";
const PUBLISHED: &str = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:bookmarks:1'>\
    <item id='theplay@conference.shakespeare.lit'><conference xmlns='urn:xmpp:bookmarks:1' name='The Play&apos;s the Thing'/></item>\
    <item id='orchard@conference.shakespeare.lit'><conference xmlns='urn:xmpp:bookmarks:1'><nick>Romeo</nick></conference></item></items>\
    <items node='http://jabber.org/protocol/nick'><item id='current'><nick xmlns='http://jabber.org/protocol/nick'>Romy</nick></item>\
    </items></pubsub>";

#[test]
fn pep_nodes_come_out_as_they_went_in_whichever_stands_first() {
    for children in [[OWNED, PUBLISHED], [PUBLISHED, OWNED]] {
        let moving = taken(&children);
        assert!(moving.notes.is_empty(), "{:?}", moving.notes);
        let out = move_out(&items(&moving));
        let [owned, published] = &out[..] else { panic!("{out:?}") };
        for part in [
            "<configure node='urn:xmpp:bookmarks:1'>",
            "<field var='pubsub#access_model'><value>whitelist</value>",
            "<field var='pubsub#access_model'><value>open</value>",
            "<affiliation jid='mercutio@example.net' affiliation='member'/>",
            "<subscription jid='mercutio@example.net' subscription='subscribed'/>",
        ] {
            assert!(owned.contains(part), "{part}: {owned}");
        }
        let (play, orchard) = (published.find("theplay@"), published.find("orchard@"));
        assert!(play.zip(orchard).is_some_and(|(play, orchard)| play < orchard), "{published}");
        assert!(published.contains(">Romy</nick>") && published.contains("<nick>Romeo</nick>"), "{published}");
        let again = taken(&[owned, published]);
        assert!(again.notes.is_empty());
        assert_eq!(move_out(&items(&again)), out, "what moves out moves in");
    }
}

#[test]
fn a_node_of_which_nobody_says_who_may_read_it_shows_nothing_to_anybody() {
    let alone = taken(&[PUBLISHED]);
    assert!(alone.items.is_empty() && alone.notes.len() == 2, "{:?}", alone.notes);
    let strange = OWNED.replace("<value>open</value>", "<value>everybody-but-tybalt</value>");
    let moving = taken(&[&strange, PUBLISHED]);
    assert_eq!(moving.notes.len(), 1, "{:?}", moving.notes);
    let owned = &move_out(&items(&moving))[0];
    assert_eq!(owned.matches("<field var='pubsub#access_model'><value>whitelist</value>").count(), 2, "{owned}");
}

#[test]
fn the_newest_items_are_kept_where_not_all_are_and_an_id_counts_once() {
    let published =
        PUBLISHED.replace("<item id='current'>", "<item id='current'><nick xmlns='x'>old</nick></item><item id='current'>");
    let moving = taken(&[OWNED, &published]);
    let out = move_out(&items(&moving)).concat();
    assert!(out.contains("Romy") && !out.contains(">old<"), "{out}");
    let published =
        PUBLISHED.replace("<item id='current'>", "<item id='before'><nick xmlns='x'>old</nick></item><item id='current'>");
    let out = move_out(&items(&taken(&[OWNED, &published]))).concat();
    assert!(out.contains("Romy") && !out.contains(">old<"), "max_items of a node that says nothing is 1: {out}");
}

#[test]
fn archive_preferences_travel() {
    let prefs =
        "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>romeo@montague.net</jid></always><never></never></prefs>";
    let moving = taken(&[prefs]);
    assert_eq!(moving.items.len(), 1);
    let out = move_out(&items(&moving));
    assert!(
        out[0].contains("default='roster'") && out[0].contains("<always><jid>romeo@montague.net</jid></always>"),
        "{out:?}"
    );
    assert_eq!(taken(&["<prefs xmlns='urn:xmpp:mam:2' default='perhaps'/>"]).notes.len(), 1);
}

#[test]
fn an_item_that_moves_in_again_is_there_once() {
    let before = items(&taken(&[OWNED, PUBLISHED]));
    let mut again = Moving::default();
    for child in [OWNED, PUBLISHED] {
        again.take(&El::parse(child.as_bytes()).expect("XML"), &juliet(), NOW + 1_000_000);
    }
    again.finish(&juliet(), NOW + 1_000_000, &before);
    let keys = |items: &[Item]| {
        let mut keys: Vec<_> = items.iter().map(|item| (item.shelf.name, item.key.clone())).collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&items(&again)), keys(&before));
}
