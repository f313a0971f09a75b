//! XEP-0357: Push Notifications - a phone that is not connected is told, by the service of its app, that there is something for it.
//! Spec 0.4.1, https://xmpp.org/extensions/xep-0357.html. Not done: services that were disabled by their errors are not tried again
//! after a day (a "MAY"); their client enables them anew. A client without XEP-0198 whose connection is dead and does not say so is told
//! when that is noticed (`idle_timeout`, `ping_timeout`). A notification that is underway when the process dies is lost;
//! the next message tells of both. 0492 is read as for `client/phone`, whatever the client is. Nothing is inline in XEP-0386: neither text says so.
//!
//! A service belongs to the device that enabled it, known by its resource. Whatever is worth it (`importance.rs`), not kept quiet by the
//! user (`quiet.rs`) and not on its way to that device is published, by the domain, in `notify.rs`: a device that is not connected,
//! or whose connection broke, or that owes an acknowledgement (XEP-0198) for half a minute, gets one notification for each conversation
//! and burst. Which services there are is one record of the account (`service.rs`); whoever has one stands on the list of the house that rooms look at (`House::enrolled`). For browsers there is a
//! service of our own (`web.rs`).

use iris_core::effects::Effect;
use iris_core::xml::El;
use iris_core::{
    At, Bounce, Card, Changed, Condition, Event, Flow, GetOrSet, Jid, Mount, MountError, Reply, Room, StateSlot, Status, Step,
    Turn, jids, ns,
};
use serde::Deserialize;

mod importance;
mod notify;
mod quiet;
mod service;
mod web;

use importance::Names;
pub(crate) use quiet::has_word;
use service::{PUSH, Push, Service};

pub const NS: &str = "urn:xmpp:push:0";
const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// Beside the summary: somebody calls.
const CALL: &str = "urn:iris:push:0";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(357),
        name: "Push Notifications",
        version: "0.4.1",
        status: Status::Complete,
        needs: &[4, 30, 60, 492],
    },
    mount,
};

/// Services of one account; phones, tablets and browsers of one person are fewer.
const SERVICES_MAX: usize = 16;
const NODE_BYTES_MAX: usize = 1_024;
const OPTIONS_BYTES_MAX: usize = 8 * 1_024;

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    include_sender: bool,
    include_body: bool,
    placeholder_body: String,
    burst_seconds: u32,
    service: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            include_sender: false,
            include_body: false,
            placeholder_body: String::new(),
            burst_seconds: 30,
            service: "push".to_owned(),
        }
    }
}

impl iris_core::mount::Settings for Settings {
    const TABLE: &'static str = "push";
    const REFERENCE: &'static str = "\
# What the services of apps (XEP-0357), and so others than the two who talk, are told beside how much there is: who has written, and
# what. What is encrypted end to end is never told.
include_sender = false
include_body = false
# Told instead of the body: some services make a sound only when there is one.
placeholder_body = \"\"
# After one notification of a conversation there is no other of it for this long, unless the device has been back. 1 to 3600.
burst_seconds = 30
# The first part of the address of the service for browsers (Web Push): push.DOMAIN. Which addresses it speaks to says the table [web].
service = \"push\"
";
}

static STATE: StateSlot<Push> = StateSlot::new();

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let settings: Settings = m.config()?;
    if !(1..=3_600).contains(&settings.burst_seconds) {
        return Err(m.wrong::<Settings>("burst_seconds", "burst_seconds is a number from 1 to 3600"));
    }
    // Also while there is no key and so no service: it is served as soon as there is one.
    m.check_label::<Settings>(&settings.service)?;
    m.feature(At::Account, NS);
    m.shelf(PUSH)?;
    m.enrolled(PUSH)?;
    m.state(&STATE, &[PUSH], Push::load)?;
    let has_web = m.vapid().is_some();
    let own = has_web.then(|| format!("{}.{}", settings.service, m.domain()));
    m.iq_named(At::OwnAccount, GetOrSet::Set, NS, "enable", move |turn, enable| {
        answer(self::enable(turn, &enable, own.as_deref()))
    })?;
    m.iq_named(At::OwnAccount, GetOrSet::Set, NS, "disable", |turn, disable| answer(self::disable(turn, &disable)))?;
    web::mount(m, &settings.service)?;
    let names = Names::intern(m);
    m.on(Step::ReceivedGuard, {
        let settings = settings.clone();
        move |turn| notify::incoming(turn, &names, &settings)
    });
    for step in [Step::ReceivedCopy, Step::Unseen, Step::SaidInRoom] {
        let settings = settings.clone();
        m.on(step, move |turn| {
            notify::heard(turn, &names, &settings);
            Flow::Go
        });
    }
    for lost in [Event::SessionDetached, Event::SessionSilent] {
        let settings = settings.clone();
        m.on_event(lost, move |turn| notify::detached(turn, &names, &settings));
    }
    m.on_event(Event::SessionHeard, came_back);
    m.on_event(Event::SessionBound, came_back);
    m.on_event(Event::SessionResumed, came_back);
    m.on_event(Event::AccountRemoved, |turn| enrol(turn, false));
    Ok(())
}

fn answer(done: Result<(), Bounce>) -> Reply {
    done.map_or_else(Reply::Error, |()| Reply::empty())
}

/// Section 5. `web`: the address of the service for browsers, if there is one.
fn enable(turn: &mut Turn<'_>, enable: &El<'_>, web: Option<&str>) -> Result<(), Bounce> {
    if turn.account.is_guest() {
        return Err(Bounce::new(Condition::NotAllowed).text("a guest is not told anything when away"));
    }
    let jid = service_of(enable)?;
    let node = node_of(enable)?;
    may_be_asked(turn, &jid)?;
    if web == Some(jid.as_str()) {
        let form = enable.child(ns::DATA_FORMS, "x");
        let form = form.ok_or_else(|| Bounce::bad_request("the form with the subscription of the browser is missing"))?;
        web::Subscription::of(&form).map_err(|why| Bounce::new(Condition::NotAcceptable).text(why))?;
        if node.is_none() {
            return Err(Bounce::bad_request("the node is missing: by it a browser is told from another one"));
        }
    }
    let options = match enable.child(ns::DATA_FORMS, "x") {
        Some(form) => Some(options_of(&form)?),
        None => None,
    };
    let resource = turn.card().map(|card| card.jid.resource().as_str().into()).unwrap_or_default();
    let login_us = turn.account.login_since_us().unwrap_or_default();
    let mut service = Service::new(jid, node);
    (service.options, service.resource, service.login_us) = (options, resource, login_us);
    let Some(push) = turn.state(&STATE) else { return Err(Bounce::new(Condition::InternalServerError)) };
    match push.services.iter().position(|other| other.is(&service.jid, service.node.as_deref())) {
        // "the server SHOULD use the last received request for any publish options"
        Some(at) => push.services[at] = service,
        None if push.services.len() >= SERVICES_MAX => {
            let what = format!("an account has at most {SERVICES_MAX} push services");
            return Err(Bounce::over(what, Changed::ByNobody("disable one first")));
        }
        None => push.services.push(service),
    }
    keep(turn);
    Ok(())
}

/// Section 6.
fn disable(turn: &mut Turn<'_>, disable: &El<'_>) -> Result<(), Bounce> {
    let jid = service_of(disable)?;
    let node = node_of(disable)?;
    forget(turn, |service| service.jid == jid && (node.is_none() || service.node == node));
    Ok(())
}

fn service_of(el: &El<'_>) -> Result<Jid, Bounce> {
    let jid = el.attr("jid").ok_or_else(|| Bounce::bad_request("the jid of the push service is missing"))?;
    jids::address(&jid).map_err(|_| Bounce::new(Condition::JidMalformed).text("the jid of the push service is none"))
}

fn node_of(el: &El<'_>) -> Result<Option<Box<str>>, Bounce> {
    match el.attr("node").filter(|node| !node.is_empty()) {
        Some(node) if node.len() > NODE_BYTES_MAX => {
            let what = format!("a node has at most {NODE_BYTES_MAX} bytes");
            Err(Bounce::new(Condition::BadRequest).limit(what, Changed::ByNobody("the push service names a shorter one")))
        }
        node => Ok(node.map(|node| Box::from(&*node))),
    }
}

/// Security D9: a push service is a server, spoken to as one server speaks to another, by its name; or a client of one's own. So
/// nobody can have somebody else notified, and the house itself asks no number.
fn may_be_asked(turn: &Turn<'_>, jid: &Jid) -> Result<(), Bounce> {
    let refused = |why: &str| Err(Bounce::new(Condition::NotAcceptable).text(why));
    let domain = jid.domain().as_str();
    if domain.starts_with('[') || ends_in_a_number(domain) {
        return refused("a push service has a name, not a number");
    }
    let is_server = jid.node().is_none() && jid.resource().is_none() && domain != turn.host();
    let own_client = jid.resource().is_some() && jid.to_bare() == *turn.me();
    if is_server || own_client { Ok(()) } else { refused("a push service is a server of its own") }
}

/// Resolvers take `127.1`, `2130706433` and `0x7f.1` for addresses as well; no top-level domain looks like it.
fn ends_in_a_number(domain: &str) -> bool {
    let last = domain.rsplit('.').next().unwrap_or_default();
    match last.strip_prefix("0x") {
        Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => last.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// The first value of a field.
fn value_of(form: &El<'_>, var: &str) -> Option<String> {
    let field = form.children().find(|field| field.local() == "field" && field.attr("var").as_deref() == Some(var))?;
    Some(field.child(ns::DATA_FORMS, "value")?.text().into_owned())
}

/// The form with the options, complete.
fn options_of(form: &El<'_>) -> Result<Box<str>, Bounce> {
    if value_of(form, "FORM_TYPE").as_deref() != Some(PUBLISH_OPTIONS) {
        return Err(Bounce::bad_request("the form of an enable holds publish options (XEP-0357 5)"));
    }
    let form = form.closed();
    if form.len() > OPTIONS_BYTES_MAX {
        return Err(Bounce::bad_request("the publish options have more than 8192 bytes"));
    }
    std::str::from_utf8(&form).map(Box::from).map_err(|_| Bounce::bad_request("the publish options are not UTF-8"))
}

/// No longer enabled. True if there was such a service.
fn forget(turn: &mut Turn<'_>, is_it: impl Fn(&Service) -> bool) -> bool {
    let Some(push) = turn.state(&STATE) else { return false };
    let before = push.services.len();
    push.services.retain(|service| !is_it(service));
    let gone = push.services.len() < before;
    if gone {
        keep(turn);
    }
    gone
}

/// Write down which services there are.
fn keep(turn: &mut Turn<'_>) {
    let Some(push) = turn.state(&STATE) else { return };
    let record = push.encode();
    match &record {
        Some(record) => turn.put(PUSH, "", record.clone()),
        None => turn.delete(PUSH, ""),
    }
    enrol(turn, record.is_some());
}

/// What the list says follows what is on disk.
fn enrol(turn: &mut Turn<'_>, enrolled: bool) {
    let (list, me) = (turn.house.enrolled.clone(), turn.me().as_str().to_owned());
    turn.fx.list.push(Effect::AfterCommit(Box::new(move |kept| {
        if kept.is_ok() {
            list.set(&me, enrolled);
        }
    })));
}

/// The device of some service is connected: what it was told before is over.
fn came_back(turn: &mut Turn<'_>) {
    let Some(resource) = turn.card().map(|card| card.jid.resource().as_str().to_owned()) else { return };
    let Some(push) = turn.state(&STATE) else { return };
    let ours = push.services.iter_mut().filter(|service| *service.resource == *resource);
    // All of them, not only the first.
    if ours.filter_map(|service| service.came_back().then_some(())).count() > 0 {
        keep(turn);
    }
}

#[cfg(test)]
mod tests;
