//! XEP-0012: Last Activity - since when is somebody gone, since when does the server run?
//! Spec 2.0, https://xmpp.org/extensions/xep-0012.html. Differs in one thing: whoever may not see the user's presence hears
//! `service-unavailable`, as if nobody were there, and not `forbidden`, which would tell that somebody is. An end that no
//! server lived to see (a crash) is not noted.
//!
//! Contacts that ask for presence are told as well (RFC 6121 4.3.2: a SHOULD). At a login all contacts are asked, and one whose account
//! sleeps does not hear that, unless the client wants its news too (XEP-0163): a read for each contact at each login is too much for
//! saying that somebody is still not there. A client that wants to know of one contact asks after it, which is worth a read.

use iris_core::store::{Item, Shelf};
use iris_core::xml::Build;
use iris_core::xml::names::NameId;
use iris_core::{
    At, Bounce, Card, Condition, Flow, GetOrSet, HostTurn, Kind, Mount, MountError, Now, Reply, Room, StanzaType, StateSlot,
    Status, Step, Turn, ns, time,
};

use crate::result;

const NS: &str = "jabber:iq:last";

pub const ROOM: Room =
    Room { card: Card { xep: Some(12), name: "Last Activity", version: "2.0", status: Status::Complete, needs: &[30] }, mount };

const SHELF: Shelf = Shelf::record("last");
/// A status text is cut behind this many bytes: it is kept for everybody who ever leaves.
const STATUS_SIZE_BYTES_MAX: usize = 1_024;

static LAST: StateSlot<Option<Last>> = StateSlot::new();

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Host, NS);
    m.feature(At::Account, NS);
    m.shelf(SHELF)?;
    m.state(&LAST, &[SHELF], |items| items.first().and_then(Last::decode))?;
    m.host_iq_named(GetOrSet::Get, NS, "query", |turn, _| uptime(turn))?;
    m.iq_named(At::Account, GetOrSet::Get, NS, "query", |turn, _| last(turn))?;
    m.on(Step::PresenceOut, note);
    m.on(Step::Probed, |turn| {
        show_last(turn);
        Flow::Go
    });
    let query = m.name(NS, "query");
    m.on(Step::ReceivedGuard, move |turn| guard(turn, query));
    Ok(())
}

/// Section 5.
fn uptime(turn: &mut HostTurn<'_>) -> Reply {
    answer(turn.now.mono.since(turn.house.started.mono).as_secs(), "")
}

/// Section 3.
fn last(turn: &mut Turn<'_>) -> Reply {
    if !turn.caller().is_some_and(|caller| caller.relation.sees_us()) {
        return Bounce::nobody().into();
    }
    // A session without presence, or an invisible one, is hidden from everybody, so it counts for nobody here.
    if turn.cards().any(|card| card.shown().is_some()) {
        return answer(0, "");
    }
    let now = turn.now;
    match turn.state(&LAST) {
        Some(Some(last)) => answer(last.seconds(now), &last.status),
        _ => Bounce::new(Condition::ItemNotFound).into(),
    }
}

/// RFC 6121 4.3.2, XEP-0318: "offline since", to whoever may know (the engine has looked) and asks: in particular, or as all contacts
/// are asked at a login. Whoever only wants to hear of more nodes has been told.
fn show_last(turn: &mut Turn<'_>) {
    let Some(envelope) = turn.envelope.as_deref().filter(|it| !it.news_only) else { return };
    if turn.cards().any(|card| card.shown().is_some()) {
        return;
    }
    let asker = envelope.from.clone();
    // A delay in the name of the house is the house's alone to say (XEP-0160's room strips others), and this goes out as the user's.
    let me = turn.me().as_str().to_owned();
    let Some(Some(last)) = turn.state(&LAST) else { return };
    let mut xml = Build::new();
    xml.open("presence").attr("type", "unavailable");
    if !last.status.is_empty() {
        xml.leaf("status", &last.status);
    }
    xml.open_ns("delay", ns::DELAY).attr("from", &me).attr("stamp", &time::datetime(last.wall_us)).close();
    // Made here, so it can be read.
    let _ = turn.send(asker, &String::from_utf8_lossy(&xml.finish()));
}

fn answer(seconds: u64, status: &str) -> Reply {
    let mut xml = Build::new();
    xml.open_ns("query", NS).attr("seconds", &seconds.to_string()).text(status).close();
    result(xml)
}

/// The last session goes: that is the moment, and what it says is kept.
fn note(turn: &mut Turn<'_>) -> Flow {
    let Some(stanza) = turn.stanza() else { return Flow::Go };
    if stanza.stype() != StanzaType::Unavailable || turn.cards().any(|card| card.shown().is_some()) {
        return Flow::Go;
    }
    let status = stanza.child_named(ns::CLIENT, "status").map(|child| stanza.child_el(child).text().into_owned());
    let mut status = status.unwrap_or_default();
    status.truncate(status.floor_char_boundary(STATUS_SIZE_BYTES_MAX));
    let last = Last { wall_us: turn.now.wall_us, status };
    turn.put(SHELF, "", last.encode());
    if let Some(state) = turn.state(&LAST) {
        *state = Some(last);
    }
    Flow::Go
}

/// Section 4: a client is not even asked by those who may not see it.
fn guard(turn: &mut Turn<'_>, query: NameId) -> Flow {
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    let stanza = &envelope.stanza;
    if stanza.kind() != Kind::Iq || stanza.stype() != StanzaType::Get || envelope.to.resource().is_none() || !stanza.has(query)
    {
        return Flow::Go;
    }
    match turn.caller() {
        Some(caller) if caller.relation.sees_us() => Flow::Go,
        _ => Flow::Bounce(Bounce::nobody()),
    }
}

struct Last {
    wall_us: u64,
    status: String,
}

impl Last {
    fn seconds(&self, now: Now) -> u64 {
        now.wall_us.saturating_sub(self.wall_us) / 1_000_000
    }

    /// Microseconds since 1970, a space, the status.
    fn encode(&self) -> Vec<u8> {
        format!("{} {}", self.wall_us, self.status).into_bytes()
    }

    fn decode(item: &Item) -> Option<Last> {
        let (wall_us, status) = std::str::from_utf8(&item.value).ok()?.split_once(' ')?;
        Some(Last { wall_us: wall_us.parse().ok()?, status: status.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::ROOMS;
    use iris_engine::testing::{Client, House};

    const QUERY: &str = "<query xmlns='jabber:iq:last'/>";

    fn seconds(house: &mut House, who: &Client, to: &str) -> Option<u64> {
        let answer = house.iq(who, "get", Some(to), QUERY);
        let query = answer.child_named("jabber:iq:last", "query")?;
        answer.child_el(query).attr("seconds")?.parse().ok()
    }

    #[test]
    fn s3_a_contact_learns_when_the_user_left_and_what_they_said() {
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        let romeo = house.online("romeo@house/orchard");
        let juliet = house.online("juliet@house/balcony");
        house.advance(Duration::from_secs(10));
        assert_eq!(seconds(&mut house, &romeo, "juliet@house"), Some(0), "she is online");
        house.send(&juliet, "<presence type='unavailable'><status>Heading Home &amp; away</status></presence>");
        house.close(&juliet);
        house.advance(Duration::from_secs(903));
        let answer = house.iq(&romeo, "get", Some("juliet@house"), QUERY);
        assert!(
            answer.as_str().contains("<query xmlns='jabber:iq:last' seconds='903'>Heading Home &amp; away</query>"),
            "{}",
            answer.as_str()
        );
        // It is on disk: another process knows it.
        let mut house = house.restart(ROOMS, Duration::from_secs(97));
        let romeo = house.online("romeo@house/orchard");
        assert_eq!(seconds(&mut house, &romeo, "juliet@house"), Some(1_000));
    }

    #[test]
    fn s3_only_the_last_session_counts_and_a_broken_one_as_well() {
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        let romeo = house.online("romeo@house/orchard");
        let balcony = house.online("juliet@house/balcony");
        let chamber = house.online("juliet@house/chamber");
        house.close(&balcony);
        house.advance(Duration::from_secs(5));
        assert_eq!(seconds(&mut house, &romeo, "juliet@house"), Some(0));
        house.cut(&chamber);
        house.advance(Duration::from_secs(7));
        assert_eq!(seconds(&mut house, &romeo, "juliet@house"), Some(7));
    }

    #[test]
    fn c6_a_stranger_is_told_what_one_is_told_about_nobody() {
        let mut house = House::with(ROOMS);
        let juliet = house.online("juliet@house/balcony");
        let mallory = house.online("mallory@house/x");
        let heard: Vec<String> = ["juliet@house", "juliet@house/balcony", "nobody@house", "nobody@house/balcony"]
            .iter()
            .map(|to| crate::testing::anonymous(&house.iq(&mallory, "get", Some(to), QUERY)))
            .collect();
        assert!(heard[0].contains("service-unavailable"), "{heard:?}");
        assert!(heard.iter().all(|it| *it == heard[0]), "{heard:?}");
        house.nothing(&juliet);
    }

    #[test]
    fn rfc6121_4_3_2_a_contact_that_asks_learns_since_when_nobody_is_there() {
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        let romeo = house.online("romeo@house/orchard");
        let juliet = house.online("juliet@house/balcony");
        house.send(&juliet, "<presence type='unavailable'><status>Out of battery</status></presence>");
        house.close(&juliet);
        house.recv(&romeo);
        // Awake still, and long asleep: the same.
        for later in [1, 7_200] {
            house.advance(Duration::from_secs(later));
            house.recv(&romeo);
            house.send(&romeo, "<presence type='probe' to='juliet@house'/>");
            let told = house.one(&romeo);
            assert_eq!((told.attr("type").as_deref(), told.from().as_deref()), (Some("unavailable"), Some("juliet@house")));
            assert!(told.as_str().contains("<status>Out of battery</status>"), "{}", told.as_str());
            assert!(
                told.as_str().contains("<delay xmlns='urn:xmpp:delay' from='juliet@house' stamp='2026-01-01T00:00:0"),
                "{}",
                told.as_str()
            );
        }
        // A stranger learns nothing.
        let mallory = house.online("mallory@house/x");
        house.send(&mallory, "<presence type='probe' to='juliet@house'/>");
        house.nothing(&mallory);
    }

    #[test]
    fn rfc6121_4_3_2_who_logs_in_learns_since_when_contacts_are_gone_where_that_costs_no_read() {
        use crate::xep0163_pep::tests::wants;
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        let juliet = house.online("juliet@house/balcony");
        house.send(&juliet, "<presence type='unavailable'><status>Out of battery</status></presence>");
        house.close(&juliet);
        let since = |heard: Vec<iris_core::Stanza>| {
            let told = heard.iter().filter(|it| it.as_str().contains("<status>Out of battery</status>")).count();
            assert!(
                heard.iter().all(|it| it.from().as_deref() != Some("juliet@house") || it.as_str().contains("urn:xmpp:delay"))
            );
            told
        };
        // She has just gone, and is awake.
        let romeo = house.login("romeo@house/orchard");
        house.send(&romeo, "<presence/>");
        assert_eq!(since(house.recv(&romeo)), 1);
        house.close(&romeo);
        // She sleeps, and a question that every login asks does not wake her.
        house.advance(Duration::from_secs(7_200));
        let romeo = house.login("romeo@house/orchard");
        let awake = house.accounts_awake();
        house.send(&romeo, "<presence/>");
        assert_eq!((since(house.recv(&romeo)), house.accounts_awake()), (0, awake));
        // But what wants her news does, and then she is told of once.
        assert_eq!(since(wants(&mut house, &romeo, &["urn:xmpp:vcard4"])), 0);
        house.close(&romeo);
        house.advance(Duration::from_secs(7_200));
        let romeo = house.login("romeo@house/orchard");
        assert_eq!(since(wants(&mut house, &romeo, &["urn:xmpp:vcard4"])), 1);
    }

    #[test]
    fn s4_a_contact_may_ask_the_client_itself() {
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        let romeo = house.online("romeo@house/orchard");
        let juliet = house.online("juliet@house/balcony");
        house.send(&romeo, "<iq type='get' id='l' to='juliet@house/balcony'><query xmlns='jabber:iq:last'/></iq>");
        assert!(house.one(&juliet).as_str().contains("jabber:iq:last"));
    }

    #[test]
    fn s5_the_server_says_how_long_it_runs() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        house.advance(Duration::from_secs(123));
        assert_eq!(seconds(&mut house, &romeo, "house"), Some(123));
    }

    #[test]
    fn not_applicable_who_was_never_here_has_no_last_activity() {
        let mut house = House::with(ROOMS);
        let romeo = house.login("romeo@house/orchard");
        let answer = house.iq(&romeo, "get", None, QUERY);
        assert!(answer.as_str().contains("item-not-found"), "{}", answer.as_str());
    }
}
