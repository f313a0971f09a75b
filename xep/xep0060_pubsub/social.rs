//! XEP-0472 on a node: the profile of its options, and what a post is.

use bytes::Bytes;
use iris_core::invitation::uri_jid;
use iris_core::xml::{Build, El};
use iris_core::{Bounce, Condition};

use super::config::{Config, MaxItems, SendLast};
use super::error;
use super::form::Filled;
use crate::{xep0084_avatar as avatar, xep0503_spaces as spaces};

pub const FEED: &str = "urn:xmpp:pubsub-social-feed:1";
/// Section 5.3: every post has a picture.
pub const GALLERY: &str = "urn:xmpp:pubsub-social-feed:gallery:1";
/// Section 5.1: its rules are those "of all the other profiles", which have names of their own behind this.
const PROFILES: &str = "urn:xmpp:pubsub-social-feed:";
/// XEP-0277 in the words of section 5.2.
const MICROBLOG: &str = "urn:xmpp:microblog:0";
const ATOM: &str = "http://www.w3.org/2005/Atom";
/// A text for people is no longer than this.
const BODY_SIZE_BYTES_MAX: usize = 1_024;

/// Section 5.1.1: what a node of this type has to be, and what it is unless its form says otherwise.
pub fn shape(config: &mut Config, was: &Config, filled: &Filled) -> Result<(), Bounce> {
    if !is_feed(config) {
        return Ok(());
    }
    let says = |var: &str| filled.fields.iter().any(|(name, _)| name == var);
    let must = [
        ("pubsub#notify_retract", config.notify_retract),
        ("pubsub#max_items", config.max_items == MaxItems::Max),
        ("pubsub#persist_items", config.persist_items),
    ];
    if let Some((var, _)) = must.iter().find(|(var, is)| !is && says(var)) {
        return Err(Bounce::new(Condition::NotAcceptable).text(format!("{var} cannot have that value in a social feed")));
    }
    (config.notify_retract, config.max_items, config.persist_items) = (true, MaxItems::Max, true);
    if !is_feed(was) {
        if !says("pubsub#send_last_published_item") {
            config.send_last = SendLast::Never;
        }
        if !says("pubsub#deliver_payloads") {
            config.deliver_payloads = false;
        }
    }
    Ok(())
}

fn is_feed(config: &Config) -> bool {
    config.payload_type == MICROBLOG || config.payload_type.starts_with(PROFILES)
}

/// The picture of the node itself (XEP-0084), which some clients keep in it, under the name of its namespace: no post.
pub fn is_picture_of_node(id: &str, payload: &[u8]) -> bool {
    let root = match id {
        avatar::METADATA => "metadata",
        avatar::DATA => "data",
        _ => return false,
    };
    El::parse(payload).is_some_and(|payload| payload.is(id, root))
}

/// XEP-0060 7.1.3.6: "the namespace of the root payload element does not match the configured namespace for the node". A type that
/// names a way to use a node (a feed, a space) is the namespace of no payload.
pub fn check_type(config: &Config, payload: &[u8]) -> Result<(), Bounce> {
    let wanted = config.payload_type.as_str();
    if wanted.is_empty() || payload.is_empty() || is_feed(config) || wanted == spaces::NS {
        return Ok(());
    }
    if El::parse(payload).is_some_and(|root| root.ns() == wanted) {
        return Ok(());
    }
    Err(error::bad_request("invalid-payload").text(format!("the payloads of this node are of the namespace {wanted}")))
}

/// Section 4.2: "a valid RFC 4287 entry". What an entry has to have there: an id, a title and when it was updated.
pub fn check(config: &Config, payload: &[u8]) -> Result<(), Bounce> {
    if !is_feed(config) {
        return Ok(());
    }
    let is_entry = |entry: &El<'_>| {
        entry.is(ATOM, "entry") && ["id", "title", "updated"].iter().all(|name| entry.child(ATOM, name).is_some())
    };
    let is_picture = |link: &El<'_>| {
        let is_enclosed = link.is(ATOM, "link") && link.attr("rel").as_deref() == Some("enclosure");
        is_enclosed && link.attr("type").is_none_or(|kind| kind.starts_with("image/"))
    };
    match El::parse(payload).filter(is_entry) {
        Some(post) if config.payload_type != GALLERY || post.children().any(|child| is_picture(&child)) => Ok(()),
        Some(_) => Err(error::bad_request("invalid-payload").text("a post of a gallery encloses a picture")),
        None => Err(error::bad_request("invalid-payload").text("a social feed holds Atom entries: id, title and updated")),
    }
}

/// Section 4.3: a post says where it is, though whoever wrote it could not: "these things SHOULD be inserted at server side". `None`: it
/// does already, or is no post. Where it is on the web nobody here knows.
pub fn linked(config: &Config, payload: &Bytes, service: &str, node: &str, id: &str) -> Option<Bytes> {
    let post = El::parse(payload).filter(|_| is_feed(config))?;
    let says = |link: &El<'_>| {
        let is_alternate = link.is(ATOM, "link") && link.attr("rel").is_none_or(|rel| rel == "alternate");
        is_alternate && link.attr("href").is_some_and(|href| href.starts_with("xmpp:"))
    };
    let end = memchr::memrchr(b'<', payload).filter(|_| !post.children().any(|child| says(&child)))?;
    let uri = format!("xmpp:{}?;node={};item={}", uri_jid(service), escaped(node), escaped(id));
    let mut link = Build::new();
    link.open_ns("link", ATOM).attr("rel", "alternate").attr("href", &uri);
    let (inside, tag) = payload.split_at_checked(end)?;
    Some([inside, &link.finish(), tag].concat().into())
}

/// RFC 5122 2.2: a value in the query of an address.
fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// Can there be a text for people beside what is published here? A node that names no type may hold entries of Atom.
pub fn has_body(config: &Config) -> bool {
    let kind = config.payload_type.as_str();
    kind.is_empty() || kind == ATOM || is_feed(config)
}

/// Section 4.6.2: the title of a post; of one without, where there is something new. XEP-0060 12.7: of a payload that is not understood
/// nothing.
pub fn body(node: &str, config: &Config, payload: &[u8]) -> Option<String> {
    let entry = El::parse(payload).filter(|entry| entry.is(ATOM, "entry"))?;
    let title = entry.child(ATOM, "title").map(|title| all_text(&title, 0).trim().to_owned());
    let text = title.filter(|title| !title.is_empty()).unwrap_or_else(|| {
        let name = if config.title.is_empty() { node } else { &config.title };
        format!("There is something new in {name}.")
    });
    let mut end = text.len().min(BODY_SIZE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Some(text[..end].to_owned())
}

/// Of XHTML too, as deep as a title goes.
fn all_text(el: &El<'_>, depth: u8) -> String {
    let mut text = el.text().into_owned();
    if depth < 4 {
        el.children().for_each(|child| text.push_str(&all_text(&child, depth + 1)));
    }
    text
}
