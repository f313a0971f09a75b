//! Web Push built in: a push service of our own at `push.DOMAIN`, for browsers (RFC 8030, 8291, 8292). A page asks it who we are
//! (disco#info has a form of type `urn:iris:webpush:0` with `vapid-key`), subscribes at its browser with that key, and enables
//! what it gets like any other service of section 5:
//!
//! ```text
//! <enable xmlns='urn:xmpp:push:0' jid='push.DOMAIN' node='NAME OF THE BROWSER'>
//!   <x xmlns='jabber:x:data' type='submit'>
//!     FORM_TYPE http://jabber.org/protocol/pubsub#publish-options
//!     endpoint  https://…     p256dh  base64url, 65 bytes     auth  base64url, 16 bytes
//! ```
//!
//! What the browser gets is JSON: `messages`, `requests`, `call` (true for one that calls), and `sender` and `body` where configured.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use iris_core::form::{Field, Form};
use iris_core::ports::{WebPush, WebPushed};
use iris_core::task::{Cx, Finish, TaskFuture};
use iris_core::xml::El;
use iris_core::{At, Bounce, Condition, GetOrSet, HostTurn, Mount, MountError, Reply, ns};

use super::{NS, PUBLISH_OPTIONS, PUBSUB, value_of};
use crate::xep0030_disco as disco;

const FORM: &str = "urn:iris:webpush:0";
/// How long a push service keeps it for a browser that is not there: until somebody looks anyway; a call for as long as it rings.
const TTL: Duration = Duration::from_secs(86_400);
const CALL_TTL: Duration = Duration::from_secs(60);
/// RFC 8030 5.4: the last summary is enough.
const TOPIC: &str = "summary";
/// Of the JSON: RFC 8291 4 leaves 3993 bytes.
const PAYLOAD_BYTES_MAX: usize = 3_000;
const ENDPOINT_BYTES_MAX: usize = 2_048;

pub fn mount(m: &mut Mount<'_>, label: &str) -> Result<(), MountError> {
    let Some(key) = m.vapid().map(str::to_owned) else { return Ok(()) };
    let contact = format!("https://{}", m.domain());
    m.serve(label, |s| {
        s.identity(At::Host, "pubsub", "push", Some("Web Push"));
        for feature in [NS, PUBSUB, PUBLISH_OPTIONS] {
            s.feature(At::Host, feature);
        }
        s.disco_form(At::Host, Form::default().of_type(FORM).field(Field::text("vapid-key", "").value(key)).to_tell());
        disco::plain_service(s)?;
        s.host_iq_named(GetOrSet::Set, PUBSUB, "pubsub", move |turn, pubsub| {
            publish(turn, &pubsub, &contact).unwrap_or_else(Reply::Error)
        })
    })
}

/// Where a browser is reached, and the keys that only it has the other half of.
#[derive(Debug, PartialEq)]
pub struct Subscription {
    endpoint: String,
    p256dh: Vec<u8>,
    auth: Vec<u8>,
}

impl Subscription {
    /// Out of publish options. The error is one sentence; whether the address is spoken to is for the adapter to say.
    pub fn of(form: &El<'_>) -> Result<Subscription, &'static str> {
        let bytes = |var: &str, len: usize| {
            let text = value_of(form, var)?;
            // Browsers write it with and without padding, pages in either alphabet.
            let text: String = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
            BASE64_URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == len)
        };
        let endpoint = value_of(form, "endpoint").ok_or("the endpoint of the subscription is missing")?;
        if !endpoint.starts_with("https://") || endpoint.len() > ENDPOINT_BYTES_MAX {
            return Err("the endpoint of the subscription is no https address of at most 2048 bytes");
        }
        if !has_name(&endpoint) {
            return Err("the endpoint of the subscription has no name of a host");
        }
        let p256dh = bytes("p256dh", 65).filter(|point| point.first() == Some(&4));
        Ok(Subscription {
            endpoint,
            p256dh: p256dh.ok_or("p256dh is no uncompressed point of P-256 in base64url")?,
            auth: bytes("auth", 16).ok_or("auth is not 16 bytes in base64url")?,
        })
    }
}

/// Security D9: what is a number, or hides one behind an `@`, is refused at once; the adapter looks at what a name leads to.
fn has_name(endpoint: &str) -> bool {
    let rest = endpoint.strip_prefix("https://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default();
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    !host.starts_with('[') && !authority.contains('@') && !last.is_empty() && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Section 7, from the other side.
fn publish(turn: &mut HostTurn<'_>, pubsub: &El<'_>, contact: &str) -> Result<Reply, Bounce> {
    // Only the house itself speaks for those who have enabled it here.
    if turn.from.as_str() != turn.doors.home() {
        return Err(Bounce::new(Condition::Forbidden));
    }
    let bad = |why: &str| Bounce::bad_request(why);
    let item = pubsub.child(PUBSUB, "publish").and_then(|publish| publish.child(PUBSUB, "item"));
    let notification = item.and_then(|item| item.child(NS, "notification")).ok_or_else(|| bad("there is no notification"))?;
    let options = pubsub.child(PUBSUB, "publish-options").and_then(|options| options.child(ns::DATA_FORMS, "x"));
    let options = options.ok_or_else(|| bad("there are no publish options"))?;
    let Subscription { endpoint, p256dh, auth } = Subscription::of(&options).map_err(bad)?;
    let urgent = notification.child(super::CALL, "call").is_some();
    let payload = summary(&notification, urgent).into();
    let (ttl, topic) = if urgent { (CALL_TTL, None) } else { (TTL, Some(TOPIC)) };
    let push = WebPush { endpoint, p256dh, auth, payload, ttl, urgent, topic, contact: contact.to_owned() };
    Ok(Reply::Task(Box::new(move |cx: Cx| -> TaskFuture {
        Box::pin(async move {
            match cx.web_push(push).await {
                // A service that asks for patience is none that fails (section 7.1).
                WebPushed::Taken | WebPushed::Waits => Finish::Answer { before: Vec::new(), result: String::new() },
                WebPushed::Gone => Finish::Error(Bounce::new(Condition::Gone)),
                WebPushed::Later => Finish::Error(Bounce::new(Condition::ResourceConstraint)),
                WebPushed::Refused => Finish::Error(Bounce::new(Condition::NotAcceptable)),
            }
        })
    })))
}

/// JSON (RFC 8259), because a service worker reads that and no XML.
fn summary(notification: &El<'_>, urgent: bool) -> String {
    let form = notification.child(ns::DATA_FORMS, "x");
    let value = |var: &str| form.as_ref().and_then(|form| value_of(form, var));
    let number = |var: &str| value(var).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let mut json = format!(
        "{{\"messages\":{},\"requests\":{},\"call\":{urgent}",
        number("message-count"),
        number("pending-subscription-count")
    );
    for (name, var) in [("sender", "last-message-sender"), ("body", "last-message-body")] {
        let Some(text) = value(var) else { continue };
        let member = format!(",\"{name}\":\"{}\"", escaped(&text));
        // What does not fit is left out: how much there is always fits.
        if json.len() + member.len() < PAYLOAD_BYTES_MAX {
            json.push_str(&member);
        }
    }
    json.push('}');
    json
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_read_as_browsers_write_it() {
        let point = BASE64_URL_SAFE_NO_PAD.encode([&[4_u8][..], &[7; 64]].concat());
        let form = |endpoint: &str, p256dh: &str, auth: &str| {
            let field = |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
            let fields = [field("endpoint", endpoint), field("p256dh", p256dh), field("auth", auth)].concat();
            format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>")
        };
        let read = |xml: &str| Subscription::of(&El::parse(xml.as_bytes()).expect("XML"));
        let (auth, padded) = ("BTBZMqHH6r4Tts7J_aSIgg", "BTBZMqHH6r4Tts7J/aSIgg==");
        let it = read(&form("https://push.test/a", &point, auth)).expect("a subscription");
        assert_eq!((it.p256dh.len(), it.auth.len()), (65, 16));
        assert_eq!(read(&form("https://push.test/a", &point, padded)).expect("the same"), it);
        for (endpoint, p256dh, auth) in [
            ("http://push.test/a", point.as_str(), auth),
            ("", point.as_str(), auth),
            ("https://", point.as_str(), auth),
            ("https://127.0.0.1/", point.as_str(), auth),
            ("https://[::1]:443/", point.as_str(), auth),
            ("https://a@push.test/", point.as_str(), auth),
            ("https://push.test/a", "AAAA", auth),
            ("https://push.test/a", &point[2..], auth),
            ("https://push.test/a", point.as_str(), "AAAA"),
            ("https://push.test/a", point.as_str(), "!!"),
        ] {
            assert!(read(&form(endpoint, p256dh, auth)).is_err());
        }
        let long = format!("https://push.test/{}", "a".repeat(ENDPOINT_BYTES_MAX));
        assert!(read(&form(&long, &point, auth)).is_err());
        assert!(read("<x xmlns='jabber:x:data' type='submit'/>").is_err());
    }

    #[test]
    fn the_summary_is_json() {
        let field = |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
        let summary = |fields: &[String]| {
            let xml = format!("<notification xmlns='{NS}'><x xmlns='jabber:x:data'>{}</x></notification>", fields.concat());
            summary(&El::parse(xml.as_bytes()).expect("XML"), false)
        };
        let count = field("message-count", "3");
        let said = [count.clone(), field("last-message-sender", "a@b/c"), field("last-message-body", "&quot;a\\\n&lt;b&gt;")];
        assert_eq!(
            summary(&said),
            "{\"messages\":3,\"requests\":0,\"call\":false,\"sender\":\"a@b/c\",\"body\":\"\\\"a\\\\\\u000a<b>\"}"
        );
        let long = summary(&[count, field("last-message-body", &"&quot;".repeat(2_000))]);
        assert_eq!(long, "{\"messages\":3,\"requests\":0,\"call\":false}");
        assert_eq!(summary(&[field("message-count", "-1")]), "{\"messages\":0,\"requests\":0,\"call\":false}");
    }
}
