//! XEP-0472: a node that is a social feed.

use super::*;

const FEED: (&str, &str) = ("type", "urn:xmpp:pubsub-social-feed:1");
const POST: &str = "<entry xmlns='http://www.w3.org/2005/Atom'><title type='text'>hanging out at the Caf\u{e9}</title>\
    <id>tag:house,2026:1</id><published>2026-05-08T18:30:02Z</published><updated>2026-05-08T18:30:02Z</updated></entry>";

#[test]
fn s5_1_the_profile_of_its_options() {
    let (mut house, [romeo, juliet, _]) = scene(&[FEED]);
    let config = own(&mut house, &romeo, "get", "<configure node='n'/>").as_str().to_owned();
    let value = |var: &str| {
        let field = config.split_once(&format!("var='pubsub#{var}'")).and_then(|(_, it)| it.split_once("</field>"));
        let values = field.map(|(field, _)| field.rsplit_once("<value>").map(|(_, it)| it.trim_end_matches("</value>")));
        values.flatten().unwrap_or_default().to_owned()
    };
    for (var, wanted) in [
        ("notify_retract", "1"),
        ("max_items", "max"),
        ("persist_items", "1"),
        ("send_last_published_item", "never"),
        ("deliver_payloads", "0"),
    ] {
        assert_eq!(value(var), wanted, "{var}");
    }
    for wrong in [("notify_retract", "0"), ("max_items", "10"), ("persist_items", "0")] {
        error(&configure(&mut house, &romeo, "n", &[wrong]), "modify", "not-acceptable", "");
        error(&create(&mut house, &romeo, "m", &[FEED, wrong]), "modify", "not-acceptable", "");
    }
    // A SHOULD is the owner's to decide.
    ok(&configure(&mut house, &romeo, "n", &[("deliver_payloads", "1")]));
    ok(&configure(&mut house, &romeo, "n", &[("title", "Cafés")]));
    ok(&subscribe_with(&mut house, &juliet, "n", &[("include_body", "1")]));
    ok(&publish(&mut house, &romeo, "n", "1", POST));
    let heard = house.one(&juliet);
    let told = POST.trim_end_matches("</entry>");
    assert!(heard.as_str().contains("<body>hanging out at the Caf\u{e9}</body>") && heard.as_str().contains(told));
}

/// "These alternate links were not posted by the original client …. These things SHOULD be inserted at server side though."
#[test]
fn s4_3_a_post_says_where_it_is() {
    let (mut house, [romeo, juliet, _]) = scene(&[FEED, ("deliver_payloads", "1")]);
    ok(&subscribe(&mut house, &juliet, "n"));
    ok(&publish(&mut house, &romeo, "n", "a b&amp;c", POST));
    let link =
        "<link xmlns='http://www.w3.org/2005/Atom' rel='alternate' href='xmpp:pubsub.house?;node=n;item=a%20b%26c'/></entry>";
    assert!(house.one(&juliet).as_str().contains(link));
    let got = ask(&mut house, &juliet, "get", "<items node='n'/>").as_str().to_owned();
    assert!(got.contains(link), "{got}");
    // Whoever has said so already is left alone; what stands on the web is another thing.
    let said = "<link rel='alternate' href='xmpp:elsewhere?;node=n;item=1'/></entry>";
    let web = "<link rel='alternate' type='text/html' href='https://house/1'/></entry>";
    for (post, links) in [(POST.replace("</entry>", said), 1), (POST.replace("</entry>", web), 2)] {
        ok(&publish(&mut house, &romeo, "n", "2", &post));
        let heard = house.one(&juliet).as_str().to_owned();
        assert_eq!(heard.matches("rel='alternate'").count(), links, "{heard}");
    }
    // Of other nodes nothing is known.
    ok(&create(&mut house, &romeo, "m", &[]));
    ok(&publish(&mut house, &romeo, "m", "1", POST));
    assert!(!ask(&mut house, &juliet, "get", "<items node='m'/>").as_str().contains("<link"));
}

#[test]
fn s4_2_a_post_is_an_atom_entry() {
    let (mut house, [romeo, juliet, _]) = scene(&[FEED]);
    for wrong in
        [X.to_owned(), POST.replace("title", "subject"), POST.replace("updated", "changed"), POST.replace("Atom", "Item")]
    {
        error(&publish(&mut house, &romeo, "n", "1", &wrong), "modify", "bad-request", "invalid-payload");
    }
    ok(&publish(&mut house, &romeo, "n", "1", POST));
    assert!(info(&mut house, &juliet, "n").contains("<value>urn:xmpp:pubsub-social-feed:1</value>"));
    assert!(info(&mut house, &juliet, "").contains("<feature var='urn:xmpp:pubsub-social-feed:1'/>"));
}

/// Movim keeps the picture of a community in its node, as an item that is called as its namespace (XEP-0084).
#[test]
fn the_picture_of_a_feed_is_no_post() {
    for kind in ["urn:xmpp:pubsub-social-feed:1", "urn:xmpp:pubsub-social-feed:gallery:1", "http://www.w3.org/2005/Atom"] {
        let (mut house, [romeo, juliet, _]) = scene(&[("type", kind)]);
        let picture = "<metadata xmlns='urn:xmpp:avatar:metadata'><info id='1' bytes='5' type='image/jpeg' \
            url='https://house/a.jpg'/></metadata>";
        let data = "<data xmlns='urn:xmpp:avatar:data'>aGVsbG8=</data>";
        ok(&publish(&mut house, &romeo, "n", "urn:xmpp:avatar:metadata", picture));
        ok(&publish(&mut house, &romeo, "n", "urn:xmpp:avatar:data", data));
        let got = ask(&mut house, &juliet, "get", "<items node='n'><item id='urn:xmpp:avatar:metadata'/></items>");
        assert!(got.as_str().contains(picture), "{}", got.as_str());
        // Under another name it would be a post, and another thing under this name is no picture.
        for (id, payload) in [("1", picture), ("1", data), ("urn:xmpp:avatar:metadata", X), ("urn:xmpp:avatar:data", picture)] {
            error(&publish(&mut house, &romeo, "n", id, payload), "modify", "bad-request", "invalid-payload");
        }
    }
}

#[test]
fn s5_3_a_post_of_a_gallery_has_a_picture() {
    let (mut house, [romeo, ..]) = scene(&[("type", "urn:xmpp:pubsub-social-feed:gallery:1")]);
    error(&publish(&mut house, &romeo, "n", "1", POST), "modify", "bad-request", "invalid-payload");
    let picture = "<link rel='enclosure' type='image/jpeg' href='https://house/a.jpg'/></entry>";
    ok(&publish(&mut house, &romeo, "n", "1", &POST.replace("</entry>", picture)));
    let no_picture = picture.replace("image/jpeg", "text/html");
    let answer = publish(&mut house, &romeo, "n", "2", &POST.replace("</entry>", &no_picture));
    error(&answer, "modify", "bad-request", "invalid-payload");
    error(&configure(&mut house, &romeo, "n", &[("max_items", "10")]), "modify", "not-acceptable", "");
}

/// "Those restrictions MUST be used by all the other profiles", of which XEP-0277 is one, wherever it lies.
#[test]
fn s5_2_a_microblog_is_a_social_feed() {
    const MICROBLOG: (&str, &str) = ("type", "urn:xmpp:microblog:0");
    let (mut house, [romeo, ..]) = scene(&[MICROBLOG]);
    error(&configure(&mut house, &romeo, "n", &[("max_items", "10")]), "modify", "not-acceptable", "");
    error(&publish(&mut house, &romeo, "n", "1", X), "modify", "bad-request", "invalid-payload");
    ok(&publish(&mut house, &romeo, "n", "1", POST));
    let options = format!("<publish-options>{}</publish-options>", form("publish-options", &[MICROBLOG]));
    let publish = format!("<publish node='urn:xmpp:microblog:0'><item id='1'>{POST}</item></publish>{options}");
    let publish = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{publish}</pubsub>");
    ok(&house.iq(&romeo, "set", None, &publish));
    let config = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:xmpp:microblog:0'/></pubsub>";
    let config = house.iq(&romeo, "get", None, config).as_str().to_owned();
    assert!(config.contains("<value>max</value>"), "{config}");
}
