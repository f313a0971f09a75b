//! Clients of which no account of the house knows which news they want, but the one to which they show presence: those of contacts on other
//! servers (XEP-0163 4.3.2), and of whoever shows presence without being a contact (XEP-0060 9.1.3). It is learned as it is of our own
//! clients. They are remembered while the account is awake. When it wakes, its clients ask after the contacts whose presence they see, and these
//! say it again; all others have to show themselves again.

use std::sync::Arc;

use iris_core::jids::bare;
use iris_core::mount::GetOrSet;
use iris_core::{BareJid, Flow, Interests, Jid, Stanza, StanzaType, StateSlot, Turn};

use super::known::{Claim, Known, PATIENCE, question};
use crate::{xep0045_muc, xep0163_pep};

/// Clients of contacts elsewhere that one account remembers, and of others: the oldest are forgotten.
const CLIENTS_MAX: usize = 2_000;
const STRANGERS_MAX: usize = 100;
/// Of these of one address: nobody takes the places of all.
const CLIENTS_PER_CONTACT_MAX: usize = 20;
const CLIENTS_PER_STRANGER_MAX: usize = 5;

/// The domains of the house that have accounts (`Mount::rules`).
pub struct Accounts(pub Vec<String>);

#[derive(Default)]
pub struct Far {
    /// In the order in which they have come.
    clients: Vec<Client>,
    /// Questions that are not answered yet, also of clients that have gone since.
    asked: usize,
}

struct Client {
    jid: Jid,
    claim: Claim,
    /// It is still to be asked.
    waits: bool,
    /// Known once it is verified.
    interests: Interests,
    is_contact: bool,
}

pub static FAR: StateSlot<Far> = StateSlot::new();

impl Far {
    fn find(&mut self, jid: &Jid) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.jid == *jid)
    }

    fn remove(&mut self, jid: &Jid) {
        self.clients.retain(|client| client.jid != *jid);
    }

    /// In the place of what was known of it before, and that.
    fn put(&mut self, client: Client) -> Interests {
        if let Some(before) = self.find(&client.jid) {
            return std::mem::replace(before, client).interests;
        }
        let (each, all) =
            if client.is_contact { (CLIENTS_PER_CONTACT_MAX, CLIENTS_MAX) } else { (CLIENTS_PER_STRANGER_MAX, STRANGERS_MAX) };
        let person = client.jid.to_bare();
        let is_alike = |other: &Client| other.is_contact == client.is_contact;
        let is_same = |other: &Client| is_alike(other) && bare(other.jid.as_str()) == person.as_str();
        self.forget_oldest(each, is_same);
        self.forget_oldest(all, is_alike);
        self.clients.push(client);
        Interests::default()
    }

    /// Whose turn it is, contacts first: of whom it is known already, or who is to be asked if fewer than `most` are.
    fn next(&mut self, most: usize, known: &Known) -> Option<(Jid, Claim, bool)> {
        let may_ask = self.asked < most;
        let waiting = self.clients.iter_mut().filter(|it| it.waits && (may_ask || known.get(&it.claim.key).is_some()));
        let next = waiting.min_by_key(|client| !client.is_contact)?;
        next.waits = false;
        Some((next.jid.clone(), next.claim.clone(), next.is_contact))
    }

    /// There is room for one more of these.
    fn forget_oldest(&mut self, most: usize, is: impl Fn(&Client) -> bool) {
        if self.clients.iter().filter(|it| is(it)).count() >= most
            && let Some(oldest) = self.clients.iter().position(is)
        {
            self.clients.remove(oldest);
        }
    }
}

/// Is it no account of this house?
pub fn is_far(turn: &Turn<'_>, person: &BareJid) -> bool {
    let domains = turn.doors.rules::<Accounts>().map_or(&[][..], |accounts| &accounts.0);
    person.node().is_none() || !domains.iter().any(|domain| domain == person.domain().as_str())
}

/// All that want news of this node, whether they may have them or not.
pub fn interested(turn: &mut Turn<'_>, node: &str) -> Vec<Jid> {
    let Some(far) = turn.state(&FAR) else { return Vec::new() };
    far.clients.iter().filter(|client| client.interests.has(node)).map(|client| client.jid.clone()).collect()
}

/// A presence has come.
pub fn heard(turn: &mut Turn<'_>, known: &Arc<Known>) -> Flow {
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    let (from, stanza) = (envelope.from.clone(), envelope.stanza.clone());
    let person = from.to_bare();
    let is_contact = turn.account.relation(&person).sees_us();
    if person == *turn.account.jid() || is_contact && !is_far(turn, &person) {
        return Flow::Go;
    }
    // Whoever is met in a room has shown themselves to the room; and it lets nobody in who speaks as a bare JID.
    if stanza.child_named(xep0045_muc::USER, "x").is_some() {
        return Flow::Go;
    }
    if stanza.stype() != StanzaType::Available {
        // XEP-0060 9.1.3: "When the service receives unavailable presence from the full JID, it MUST cancel the temporary subscription."
        if let Some(far) = turn.state(&FAR) {
            far.remove(&from);
        }
        return Flow::Go;
    }
    let claims = Claim::all(&stanza);
    let Some(first) = claims.first().cloned().filter(|_| from.resource().is_some()) else { return Flow::Go };
    // Whoever may see nothing is told nothing, and nobody is asked for that: a question says that somebody is here (security B10).
    if !is_contact && !xep0163_pep::shows_something(turn, &from) {
        return Flow::Go;
    }
    if let Some((claim, interests)) = claims.into_iter().find_map(|claim| Some((claim.clone(), known.get(&claim.key)?))) {
        note(turn, Client { jid: from, claim, waits: false, interests, is_contact });
        return Flow::Go;
    }
    let Some(far) = turn.state(&FAR) else { return Flow::Go };
    let before = far.find(&from);
    if before.as_ref().is_some_and(|client| client.claim == first) {
        return Flow::Go;
    }
    let interests = before.map(|client| client.interests.clone()).unwrap_or_default();
    far.put(Client { jid: from, claim: first, waits: true, interests, is_contact });
    ask(turn, known);
    Flow::Go
}

/// Those who wait, so many at once: many come in the same moment when the account wakes, some never answer, and its own clients are asked too.
fn ask(turn: &mut Turn<'_>, known: &Arc<Known>) {
    let most = (turn.house.limits.questions_per_account_max / 4).max(1);
    while let Some((jid, claim, is_contact)) = turn.state(&FAR).and_then(|far| far.next(most, known)) {
        // Another one with the same client may have answered meanwhile.
        if let Some(interests) = known.get(&claim.key) {
            note(turn, Client { jid, claim, waits: false, interests, is_contact });
            continue;
        }
        if let Some(far) = turn.state(&FAR) {
            far.asked += 1;
        }
        let (query, of, about, shared) = (question(&claim), jid.clone(), claim.clone(), known.clone());
        let is_asked = turn.iq(jid.clone(), GetOrSet::Get, &query, PATIENCE, move |turn, answer| {
            learn(turn, &of, about, answer, &shared);
            ask(turn, &shared);
        });
        if !is_asked {
            learn(turn, &jid, claim, None, known);
        }
    }
}

fn learn(turn: &mut Turn<'_>, jid: &Jid, claim: Claim, answer: Option<&Stanza>, known: &Known) {
    let Some(far) = turn.state(&FAR) else { return };
    far.asked = far.asked.saturating_sub(1);
    // It says something else of itself by now, or is gone.
    let Some(client) = far.find(jid).filter(|client| client.claim == claim) else { return };
    let is_contact = client.is_contact;
    match known.learn(&claim, answer) {
        Some(interests) => note(turn, Client { jid: jid.clone(), claim, waits: false, interests, is_contact }),
        // Its next presence may ask again.
        None => far.remove(jid),
    }
}

/// What it wants is known: of what it did not ask for before it gets the last (4.3.4).
fn note(turn: &mut Turn<'_>, client: Client) {
    let (jid, interests) = (client.jid.clone(), client.interests.clone());
    let Some(far) = turn.state(&FAR) else { return };
    let new = interests.beyond(&far.put(client));
    if !new.is_empty() {
        xep0163_pep::send_last(turn, &jid, &new);
    }
}
