//! Section 7: when a service is told, what, and what becomes of its answer.

use std::time::Duration;

use iris_core::task::Finish;
use iris_core::xml::Build;
use iris_core::{
    BareJid, Flow, GetOrSet, HostTurn, Jid, Kind, Relation, Reply, Said, SessionRef, Stanza, StanzaType, Turn, hash, ns,
};
use std::sync::Arc;

use super::importance::{Importance, Names};
use super::service::{FAILURES_MAX, PASSING, PERMANENT, Service};
use super::{CALL, NS, PUBSUB, STATE, Settings, forget, keep, quiet};
use crate::xep0160_offline;
use crate::xep0191_blocking::is_blocked;

const SUMMARY: &str = "urn:xmpp:push:summary";
/// A service that has not answered by then is as good as one that cannot.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Of a session that lost its connection, this many conversations at once.
const CONVERSATIONS_MAX: usize = 3;
/// A body that is told ends here.
const BODY_CHARS_MAX: usize = 512;

/// What a service is told of.
#[derive(Clone)]
pub struct News {
    conversation: BareJid,
    sender: Jid,
    importance: Importance,
    /// Tells the same message that comes another way.
    tag: u64,
    body: Option<String>,
    /// Only the device of this session misses it; the others have ways of their own.
    only: Option<SessionRef>,
}

/// A message on its way to somebody.
struct Heard {
    stanza: Arc<Stanza>,
    from: Jid,
    /// The id that an archive gave it: ours, or the room's.
    kept_as: Option<Arc<str>>,
    said: Option<Said>,
}

fn has_services(turn: &mut Turn<'_>) -> bool {
    turn.state(&STATE).is_some_and(|push| !push.services.is_empty())
}

/// Before it comes in: a service that does not want to be told any more (section 8), and somebody who wants to be a contact.
pub fn incoming(turn: &mut Turn<'_>, names: &Names, settings: &Settings) -> Flow {
    if !has_services(turn) {
        return Flow::Go;
    }
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    let (stanza, from) = (envelope.stanza.clone(), envelope.from.clone());
    match (stanza.kind(), stanza.stype()) {
        (Kind::Message, kind) if kind != StanzaType::Error && stanza.has(names.pubsub) => {
            if dismissed(turn, names, &stanza, &from) { Flow::Drop("a push service ends its service") } else { Flow::Go }
        }
        (Kind::Presence, StanzaType::Subscribe) => {
            let bare = from.to_bare();
            let is_new = matches!(turn.account.relation(&bare), Relation::Stranger | Relation::Contact { from: false, .. });
            if is_new && !quiet::is_disturbing(turn) {
                let tag = hash::stable(&[b"subscribe", bare.as_str().as_bytes()]);
                let (importance, body) = (Importance::Said, None);
                let news = News { conversation: bare.clone(), sender: bare.into(), importance, tag, body, only: None };
                tell(turn, &news, settings, true);
            }
            Flow::Go
        }
        _ => Flow::Go,
    }
}

/// Section 8: "upon receiving an affiliation change event".
fn dismissed(turn: &mut Turn<'_>, names: &Names, stanza: &Stanza, from: &Jid) -> bool {
    let Some(pubsub) = stanza.child(names.pubsub).map(|child| stanza.child_el(child)) else { return false };
    let Some(affiliation) = pubsub.child(PUBSUB, "affiliation") else { return false };
    let ours = affiliation.attr("jid").is_none_or(|jid| Jid::new(&jid).is_ok_and(|jid| jid.to_bare() == *turn.me()));
    let lost = matches!(affiliation.attr("affiliation").as_deref(), Some("none" | "outcast"));
    let node = pubsub.attr("node").map(|node| node.into_owned());
    ours && lost && forget(turn, |service| service.is(from, node.as_deref()))
}

/// A message that was delivered, kept for later, or said in a room that the user belongs to.
pub fn heard(turn: &mut Turn<'_>, names: &Names, settings: &Settings) {
    if !has_services(turn) {
        return;
    }
    let session = turn.session;
    let Some(envelope) = turn.envelope.as_deref() else { return };
    let heard = Heard {
        stanza: envelope.stanza.clone(),
        from: envelope.from.clone(),
        kept_as: envelope.stamps.stanza_id.as_ref().map(|it| it.id.clone()),
        said: envelope.said,
    };
    let stanza = &heard.stanza;
    // Each device in a room hears it by an address of its own.
    let only = session.filter(|_| stanza.stype() == StanzaType::Groupchat).filter(|at| is_away(turn, *at));
    consider(turn, names, settings, &heard, only);
}

fn is_away(turn: &Turn<'_>, at: SessionRef) -> bool {
    turn.account.card(at).is_some_and(|card| card.detached || card.silent)
}

/// A connection broke, or may be dead: what its client has not shown to have, it may not have.
pub fn detached(turn: &mut Turn<'_>, names: &Names, settings: &Settings) {
    let Some(at) = turn.session.filter(|_| has_services(turn)) else { return };
    let mut conversations: Vec<BareJid> = Vec::new();
    // The newest of each.
    for message in turn.account.undelivered(at).iter().rev() {
        let conversation = message.from.to_bare();
        if conversations.contains(&conversation) || names.importance(&message.stanza).is_none() {
            continue;
        }
        if conversations.len() >= CONVERSATIONS_MAX {
            return;
        }
        conversations.push(conversation);
        let heard = Heard {
            stanza: message.stanza.clone(),
            from: message.from.clone(),
            kept_as: message.stamps.stanza_id.as_ref().map(|it| it.id.clone()),
            said: message.said,
        };
        consider(turn, names, settings, &heard, Some(at));
    }
}

fn consider(turn: &mut Turn<'_>, names: &Names, settings: &Settings, heard: &Heard, only: Option<SessionRef>) {
    let Heard { stanza, from, kept_as, said } = heard;
    let Some(importance) = names.importance(stanza) else { return };
    let conversation = from.to_bare();
    let is_own = said.is_some_and(|said| said.author == hash::stable(&[turn.me().as_str().as_bytes()]));
    // A room is no guard of its members' accounts: what it says to those who are away has not passed the block list (XEP-0191 3.4).
    if conversation == *turn.me() || is_own || is_blocked(turn, from) || quiet::is_disturbing(turn) {
        return;
    }
    // A message without any id cannot come twice: it is its own.
    let id = kept_as.as_deref().map_or_else(|| stanza.id().map(|id| id.into_owned()), |id| Some(id.to_owned()));
    let id = id.unwrap_or_else(|| turn.mint().0.to_string());
    let tag = hash::stable(&[from.as_str().as_bytes(), id.as_bytes()]);
    let body = stanza.child(names.body).filter(|_| settings.include_body && !names.is_encrypted(stanza));
    let body = body.map(|body| stanza.child_el(body).text().chars().take(BODY_CHARS_MAX).collect());
    let news = News { conversation, sender: from.clone(), importance, tag, body, only };
    if !concerns_somebody(turn, &news, settings) {
        return;
    }
    let Some(read) = quiet::bookmark(turn, &news.conversation) else {
        let wanted = quiet::wants(turn, names, stanza, *said, &quiet::Settings::default());
        return tell_if(turn, wanted, &news, settings);
    };
    let (names, settings, stanza, said) = (*names, settings.clone(), stanza.clone(), *said);
    turn.spawn(move |cx| {
        Box::pin(async move {
            let wishes = cx.read(read).await.map(|rows| quiet::Settings::of_rows(&rows)).unwrap_or_default();
            Finish::Turn(Box::new(move |turn| {
                let wanted = quiet::wants(turn, &names, &stanza, said, &wishes);
                tell_if(turn, wanted, &news, &settings);
                Reply::Sent
            }))
        })
    });
}

fn tell_if(turn: &mut Turn<'_>, wanted: bool, news: &News, settings: &Settings) {
    if wanted {
        return tell(turn, news, settings, false);
    }
    for at in away(turn, news.only) {
        if let Some(service) = turn.state(&STATE).and_then(|push| push.services.get_mut(at)) {
            service.discount(news.tag);
        }
    }
}

/// Whose device is not connected, or silent? Where: in `Push::services`.
fn away(turn: &mut Turn<'_>, only: Option<SessionRef>) -> Vec<usize> {
    let me: Option<Box<str>> = only.and_then(|at| turn.account.card(at)).map(|card| card.jid.resource().as_str().into());
    let here: Vec<Box<str>> =
        turn.cards().filter(|card| !card.detached && !card.silent).map(|card| card.jid.resource().as_str().into()).collect();
    let Some(push) = turn.state(&STATE) else { return Vec::new() };
    let is_away =
        |service: &Service| !here.contains(&service.resource) && (only.is_none() || me.as_ref() == Some(&service.resource));
    push.services.iter().enumerate().filter(|(_, service)| is_away(service)).map(|(at, _)| at).collect()
}

/// Is there anybody to be told? Everything is counted.
fn concerns_somebody(turn: &mut Turn<'_>, news: &News, settings: &Settings) -> bool {
    let away = away(turn, news.only);
    let (now, burst, conversation) = (turn.now.mono, settings.burst(), news.key());
    let Some(push) = turn.state(&STATE) else { return false };
    let mut somebody = false;
    for service in push.services.iter_mut().enumerate().filter(|(at, _)| away.contains(at)).map(|(_, service)| service) {
        somebody |= service.count(news.tag) && service.may_tell(conversation, news.is_urgent(), now, burst);
    }
    somebody
}

impl News {
    fn is_urgent(&self) -> bool {
        self.importance == Importance::Call
    }

    fn key(&self) -> u64 {
        hash::stable(&[self.conversation.as_str().as_bytes()])
    }
}

impl Settings {
    fn burst(&self) -> Duration {
        Duration::from_secs(self.burst_seconds.into())
    }
}

/// Tell every service whose device is away. `request`: somebody asks for a subscription.
fn tell(turn: &mut Turn<'_>, news: &News, settings: &Settings, request: bool) {
    // B18: what was enabled with a password that is none any more is not told anything, unless its device has come back since.
    let login_us = turn.account.login_since_us();
    let alive: Vec<Box<str>> = turn.cards().map(|card| card.jid.resource().as_str().into()).collect();
    let is_old = |service: &Service| login_us != Some(service.login_us) && !alive.contains(&service.resource);
    if forget(turn, is_old) && !has_services(turn) {
        return;
    }
    let waiting = if turn.account.sessions().is_empty() { xep0160_offline::waiting(turn) } else { 0 };
    let requests = turn.account.pending_requests() + usize::from(request);
    let (now, burst, conversation) = (turn.now.mono, settings.burst(), news.key());
    let mut told = false;
    for at in away(turn, news.only) {
        let Some(service) = turn.state(&STATE).and_then(|push| push.services.get_mut(at)) else { return };
        if !service.may_tell(conversation, news.is_urgent(), now, burst) {
            continue;
        }
        service.tell(conversation, now, burst);
        let count = usize::try_from(service.count).unwrap_or(usize::MAX).max(waiting);
        let summary = Summary { messages: if request { waiting } else { count }, requests, last: (!request).then_some(news) };
        let payload = publish(service, &summary, settings);
        let (jid, node, failed) = (service.jid.clone(), service.node.clone(), service.failures > 0);
        let (domain, me) = (turn.host().to_owned(), turn.me().clone());
        turn.tell(&domain, move |host| ask(host, me, jid, node, failed, &payload));
        told = true;
    }
    // How much it was told of: the next number is larger, whatever happens in between.
    if told {
        keep(turn);
    }
}

struct Summary<'a> {
    messages: usize,
    requests: usize,
    last: Option<&'a News>,
}

/// The payload of the iq.
fn publish(service: &Service, summary: &Summary<'_>, settings: &Settings) -> String {
    let mut xml = Build::new();
    xml.open_ns("pubsub", PUBSUB).open("publish").attr_opt("node", service.node.as_deref());
    xml.open("item").open_ns("notification", NS);
    xml.open_ns("x", ns::DATA_FORMS).attr("type", "submit");
    let mut field = |var: &str, value: &str| {
        xml.open("field").attr("var", var).leaf("value", value).close();
    };
    field("FORM_TYPE", SUMMARY);
    field("message-count", &summary.messages.to_string());
    field("pending-subscription-count", &summary.requests.to_string());
    if let Some(news) = summary.last {
        if settings.include_sender {
            field("last-message-sender", news.sender.as_str());
        }
        let placeholder = Some(&settings.placeholder_body).filter(|text| !text.is_empty());
        if let Some(body) = news.body.as_ref().or(placeholder) {
            field("last-message-body", body);
        }
    }
    xml.close();
    if summary.last.is_some_and(News::is_urgent) {
        xml.empty("call", CALL);
    }
    xml.close().close().close();
    if let Some(options) = &service.options {
        xml.open("publish-options").raw(options.as_bytes()).close();
    }
    String::from_utf8_lossy(&xml.finish()).into_owned()
}

/// In the turn of the domain: it is the domain that publishes (the example of section 7; revision 0.3).
fn ask(host: &mut HostTurn<'_>, account: BareJid, jid: Jid, node: Option<Box<str>>, failed: bool, payload: &str) {
    let person = account.clone();
    let asked = host.iq_for(Some(&person), jid.clone(), GetOrSet::Set, payload, ANSWER_TIMEOUT, move |host, answer| {
        let outcome = Outcome::of(answer);
        // An account that sleeps is not woken to hear that all is well.
        if outcome != Outcome::Taken || failed {
            host.tell_account(account, move |turn| judge(turn, &jid, node.as_deref(), outcome));
        }
    });
    if !asked {
        tracing::warn!(domain = host.host(), "too many notifications wait for an answer; one is left out");
    }
}

/// Section 7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Taken,
    /// It may be better the next time.
    Passing,
    /// It will not, by itself.
    Permanent,
    /// RFC 6120 8.3.3.5: there is no such thing any more.
    Gone,
}

impl Outcome {
    fn of(answer: Option<&Stanza>) -> Outcome {
        let Some(answer) = answer else { return Outcome::Passing };
        if answer.stype() == StanzaType::Result {
            return Outcome::Taken;
        }
        let Some(error) = answer.child_named(ns::CLIENT, "error").map(|child| answer.child_el(child)) else {
            return Outcome::Permanent;
        };
        let condition = error.children().find(|child| child.ns() == ns::STANZAS && child.local() != "text");
        match condition.as_ref().map(|condition| condition.local()) {
            Some("gone") => Outcome::Gone,
            // Its server cannot be reached, whatever type says it (RFC 6120 8.3.3.16).
            Some("remote-server-not-found" | "remote-server-timeout" | "internal-server-error" | "resource-constraint") => {
                Outcome::Passing
            }
            _ if error.attr("type").as_deref() == Some("wait") => Outcome::Passing,
            _ => Outcome::Permanent,
        }
    }
}

fn judge(turn: &mut Turn<'_>, jid: &Jid, node: Option<&str>, outcome: Outcome) {
    let Some(service) = turn.state(&STATE).and_then(|push| push.services.iter_mut().find(|it| it.is(jid, node))) else {
        return;
    };
    service.failures = match outcome {
        Outcome::Taken => 0,
        Outcome::Passing => service.failures.saturating_add(PASSING),
        Outcome::Permanent => service.failures.saturating_add(PERMANENT),
        Outcome::Gone => FAILURES_MAX,
    };
    if service.failures >= FAILURES_MAX {
        tracing::info!(service = jid.as_str(), "a push service has refused too often, or is gone: it is disabled");
        forget(turn, |service| service.is(jid, node));
    } else {
        keep(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iris_core::xml::NameTable;

    #[test]
    fn s7_1_errors_that_pass_and_errors_that_do_not() {
        let of = |inside: &str| {
            let xml = format!("<iq xmlns='jabber:client' type='error' id='1'>{inside}</iq>");
            Outcome::of(Some(&Stanza::parse(xml.as_bytes(), &NameTable::new()).expect("a stanza")))
        };
        let error =
            |kind: &str, condition: &str| format!("<error type='{kind}'><{condition} xmlns='{}'/></error>", ns::STANZAS);
        assert_eq!(Outcome::of(None), Outcome::Passing);
        assert_eq!(of(""), Outcome::Permanent);
        assert_eq!(of(&error("cancel", "item-not-found")), Outcome::Permanent);
        assert_eq!(of(&error("cancel", "gone")), Outcome::Gone);
        assert_eq!(of(&error("wait", "anything")), Outcome::Passing);
        assert_eq!(of(&error("cancel", "remote-server-not-found")), Outcome::Passing);
        assert_eq!(of(&error("auth", "forbidden")), Outcome::Permanent);
    }
}
