//! The services of an account: what is kept of them, and what is remembered while it is awake.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use iris_core::Jid;
use iris_core::store::{Item, Shelf};
use iris_core::time::Mono;
use iris_core::xml::{Build, El};

/// Byte 0 is the version (1), then an element `push` with a `service` for each.
pub const PUSH: Shelf = Shelf::record("push");
const VERSION: u8 = 1;
const NS: &str = "urn:iris:push:0";

/// Notifications of one service that are remembered, and so given, in a minute.
const TOLD_PER_MINUTE_MAX: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);
/// The messages counted last: the same one may come by more than one way.
const COUNTED_MAX: usize = 64;

/// Section 7.1: what errors in a row weigh until a service counts as disabled. One that will not pass by itself weighs eight times as
/// much as one that may.
pub const FAILURES_MAX: u32 = 24;
pub const PERMANENT: u32 = 8;
pub const PASSING: u32 = 1;

#[derive(Default)]
pub struct Push {
    pub services: Vec<Service>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    pub jid: Jid,
    pub node: Option<Box<str>>,
    /// A complete form (XEP-0060 7.1.5).
    pub options: Option<Box<str>>,
    /// Of the session that enabled it: whose device it is.
    pub resource: Box<str>,
    /// The password that was shown for that session is as old (security B18).
    pub login_us: u64,
    pub failures: u32,
    /// Conversations it was told of, and when.
    told: Vec<(u64, Mono)>,
    counted: VecDeque<u64>,
    /// Messages since its device went away. Kept as it was told last, so that what a phone shows never falls by itself.
    pub count: u32,
}

impl Service {
    pub fn new(jid: Jid, node: Option<Box<str>>) -> Service {
        Service {
            jid,
            node,
            options: None,
            resource: Box::default(),
            login_us: 0,
            failures: 0,
            told: Vec::new(),
            counted: VecDeque::new(),
            count: 0,
        }
    }

    pub fn is(&self, jid: &Jid, node: Option<&str>) -> bool {
        self.jid == *jid && self.node.as_deref() == node
    }

    /// True if it was told of something meanwhile.
    pub fn came_back(&mut self) -> bool {
        self.told.clear();
        std::mem::take(&mut self.count) > 0
    }

    /// Count a message. False: it was counted before.
    pub fn count(&mut self, message: u64) -> bool {
        if self.counted.contains(&message) {
            return false;
        }
        if self.counted.len() >= COUNTED_MAX {
            self.counted.pop_front();
        }
        self.counted.push_back(message);
        self.count = self.count.saturating_add(1);
        true
    }

    /// It is a message of a chat that is muted: a number that rises with it says too much.
    pub fn discount(&mut self, message: u64) {
        let before = self.counted.len();
        self.counted.retain(|it| *it != message);
        self.count = self.count.saturating_sub(u32::from(self.counted.len() < before));
    }

    /// May it be told of this conversation now? `burst`: so long after the last time it may not, unless it is `urgent`.
    pub fn may_tell(&self, conversation: u64, urgent: bool, now: Mono, burst: Duration) -> bool {
        let lately = |at: Mono, within: Duration| now.since(at) < within;
        let in_burst = self.told.iter().any(|(of, at)| *of == conversation && lately(*at, burst));
        let in_minute = self.told.iter().filter(|(_, at)| lately(*at, MINUTE)).count();
        (urgent || !in_burst) && in_minute < TOLD_PER_MINUTE_MAX
    }

    pub fn tell(&mut self, conversation: u64, now: Mono, burst: Duration) {
        let within = burst.max(MINUTE);
        self.told.retain(|(_, at)| now.since(*at) < within);
        // Of a long burst only so many conversations are remembered.
        if self.told.len() >= 4 * TOLD_PER_MINUTE_MAX {
            self.told.remove(0);
        }
        self.told.push((conversation, now));
    }
}

impl Push {
    pub fn load(items: &[Item]) -> Push {
        let record = items.first().and_then(|item| item.value.strip_prefix(&[VERSION]));
        let services = record.and_then(El::parse).map(|push| push.children().filter_map(|it| decode(&it)).collect());
        Push { services: services.unwrap_or_default() }
    }

    /// `None`: there is nothing to keep.
    pub fn encode(&self) -> Option<Bytes> {
        if self.services.is_empty() {
            return None;
        }
        let mut xml = Build::after(vec![VERSION]);
        xml.open_ns("push", NS);
        for service in &self.services {
            xml.open("service").attr("jid", service.jid.as_str()).attr_opt("node", service.node.as_deref());
            xml.attr("resource", &service.resource).attr("login", &service.login_us.to_string());
            xml.attr("failures", &service.failures.to_string()).attr("count", &service.count.to_string());
            xml.raw(service.options.as_deref().unwrap_or_default().as_bytes()).close();
        }
        Some(xml.finish().into())
    }
}

fn decode(service: &El<'_>) -> Option<Service> {
    let number = |name: &str| service.attr(name)?.parse().ok();
    Some(Service {
        options: service.children().next().and_then(|form| Some(std::str::from_utf8(&form.closed()).ok()?.into())),
        resource: service.attr("resource").unwrap_or_default().as_ref().into(),
        login_us: number("login").unwrap_or_default(),
        failures: service.attr("failures")?.parse().ok()?,
        count: service.attr("count").and_then(|count| count.parse().ok()).unwrap_or_default(),
        ..Service::new(Jid::new(&service.attr("jid")?).ok()?, service.attr("node").map(|node| Box::from(&*node)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Service::new(Jid::new("push.example").expect("a JID"), Some("n<'&\"".into()))
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let form = "<x xmlns='jabber:x:data' type='submit'><field var='secret'><value>a&lt;b</value></field></x>";
        let whole = Service {
            options: Some(form.into()),
            resource: "phone".into(),
            login_us: 1 << 50,
            failures: 3,
            count: 7,
            ..service()
        };
        let push = Push { services: vec![whole, Service::new(Jid::new("a@b/c").expect("a JID"), None)] };
        let value = push.encode().expect("a record");
        let item = Item { shelf: PUSH, key: "".into(), value };
        assert_eq!(Push::load(&[item]).services, push.services);
        assert_eq!(Push::default().encode(), None);
        for broken in [&b""[..], b"\x01", b"\x02<push/>", b"\x01<push xmlns='urn:iris:push:0'><service jid='@'/></push>"] {
            let item = Item { shelf: PUSH, key: "".into(), value: Bytes::copy_from_slice(broken) };
            assert!(Push::load(&[item]).services.is_empty());
        }
    }

    #[test]
    fn one_notification_of_a_conversation_in_a_burst() {
        let (burst, at) = (Duration::from_secs(30), |s| Mono(Duration::from_secs(s)));
        let mut it = service();
        assert!(it.may_tell(1, false, at(0), burst));
        it.tell(1, at(0), burst);
        assert!(!it.may_tell(1, false, at(29), burst) && it.may_tell(1, false, at(30), burst));
        assert!(it.may_tell(2, false, at(1), burst), "another conversation");
        assert!(it.may_tell(1, true, at(1), burst), "a call does not wait");
        it.came_back();
        assert!(it.may_tell(1, false, at(1), burst));
        (0..TOLD_PER_MINUTE_MAX as u64).for_each(|of| it.tell(of, at(2), burst));
        assert!(!it.may_tell(99, true, at(3), burst) && it.may_tell(99, false, at(63), burst));
        (0..1_000).for_each(|of| it.tell(of, at(3), Duration::from_secs(3_600)));
        assert!(it.told.len() <= 4 * TOLD_PER_MINUTE_MAX);
    }

    #[test]
    fn a_message_counts_once() {
        let mut it = service();
        assert!(it.count(7) && !it.count(7) && it.count(8));
        assert_eq!(it.count, 2);
        for n in 0..1_000 {
            it.count(n);
        }
        assert!(it.counted.len() <= COUNTED_MAX);
    }
}
