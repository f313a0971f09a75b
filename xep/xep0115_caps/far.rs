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

/// In the order in which they have come.
#[derive(Default)]
pub struct Far(Vec<Client>);

struct Client {
    jid: Jid,
    claim: Claim,
    /// Known once it is verified.
    interests: Interests,
    is_contact: bool,
}

pub static FAR: StateSlot<Far> = StateSlot::new();

impl Far {
    fn find(&mut self, jid: &Jid) -> Option<&mut Client> {
        self.0.iter_mut().find(|client| client.jid == *jid)
    }

    fn remove(&mut self, jid: &Jid) {
        self.0.retain(|client| client.jid != *jid);
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
        self.0.push(client);
        Interests::default()
    }

    /// There is room for one more of these.
    fn forget_oldest(&mut self, most: usize, is: impl Fn(&Client) -> bool) {
        if self.0.iter().filter(|it| is(it)).count() >= most
            && let Some(oldest) = self.0.iter().position(is)
        {
            self.0.remove(oldest);
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
    far.0.iter().filter(|client| client.interests.has(node)).map(|client| client.jid.clone()).collect()
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
        note(turn, Client { jid: from, claim, interests, is_contact });
        return Flow::Go;
    }
    let Some(far) = turn.state(&FAR) else { return Flow::Go };
    let before = far.find(&from);
    if before.as_ref().is_some_and(|client| client.claim == first) {
        return Flow::Go;
    }
    let interests = before.map(|client| client.interests.clone()).unwrap_or_default();
    far.put(Client { jid: from.clone(), claim: first.clone(), interests, is_contact });
    let known = known.clone();
    let query = question(&first);
    turn.iq(from.clone(), GetOrSet::Get, &query, PATIENCE, move |turn, answer| learn(turn, &from, first, answer, &known));
    Flow::Go
}

fn learn(turn: &mut Turn<'_>, jid: &Jid, claim: Claim, answer: Option<&Stanza>, known: &Known) {
    let Some(far) = turn.state(&FAR) else { return };
    // It says something else of itself by now, or is gone.
    let Some(client) = far.find(jid).filter(|client| client.claim == claim) else { return };
    let is_contact = client.is_contact;
    match known.learn(&claim, answer) {
        Some(interests) => note(turn, Client { jid: jid.clone(), claim, interests, is_contact }),
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
