//! XEP-0175: Best Practices for Use of SASL ANONYMOUS - who has no account may look in, and leaves nothing behind.
//! Spec 1.2, https://xmpp.org/extensions/xep-0175.html. Not done: nothing.
//!
//! Off unless a domain is named in `[xep.anonymous]`. The mechanism is the engine's (`engine/negotiate/passwordless.rs`), and so is
//! that nothing of a guest is ever written and that no domain takes a guest for one of its users (`Shard::perform`); whom a guest may
//! speak to is said here.

use std::sync::Arc;

use iris_core::mount::Settings;
use iris_core::xml::escape_attr;
use iris_core::{Bounce, Card, Condition, Flow, Jid, Kind, Mount, MountError, Room, Stanza, StanzaType, Status, Step, Turn};
use serde::Deserialize;

use crate::nearest_above;

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(175),
        name: "Best Practices for Use of SASL ANONYMOUS",
        version: "1.2",
        status: Status::Complete,
        needs: &[30],
    },
    mount,
};

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub domains: Vec<String>,
    pub may_speak_to_accounts: bool,
}

impl Settings for Config {
    const TABLE: &'static str = "anonymous";
    const REFERENCE: &'static str = "\
# Domains where people without an account may come in (SASL ANONYMOUS). They get a random address, have no contacts and no archive,
# and speak to nobody but the services of that domain.
domains = []
# Whether they may also write to, and hear from, the accounts of that domain.
may_speak_to_accounts = false
";
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let config = m.config::<Config>()?;
    if !config.domains.iter().any(|domain| domain == m.domain()) {
        return Ok(());
    }
    m.admit_guests();
    let whom = Arc::new(Whom { accounts: config.may_speak_to_accounts, domains: m.domains().to_vec() });
    let of_sent = whom.clone();
    m.on(Step::SentGuard, move |turn| sent(turn, &of_sent));
    m.on(Step::ReceivedGuard, move |turn| received(turn, &whom));
    Ok(())
}

/// To whom a guest may speak.
struct Whom {
    accounts: bool,
    /// All of the house.
    domains: Vec<String>,
}

/// Section 3, rules 3 and 4.
fn sent(turn: &mut Turn<'_>, whom: &Whom) -> Flow {
    if !turn.account.is_guest() {
        return Flow::Go;
    }
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    if is_about_contacts(&envelope.stanza) {
        return Flow::Drop("a guest has no contacts");
    }
    if whom.is_near(turn, &envelope.to) {
        return Flow::Go;
    }
    let stanza = envelope.stanza.clone();
    let answerable = !matches!(stanza.stype(), StanzaType::Error | StanzaType::Result);
    // Said to the session itself: an error that came from there would not be let in.
    if let (Kind::Message | Kind::Iq, Some(session), true) = (stanza.kind(), turn.session, answerable) {
        let error = refusal(&stanza, envelope.to.as_str());
        turn.push(session, error);
    }
    Flow::Drop("guests speak to the services of this domain only")
}

fn refusal(stanza: &Stanza, to: &str) -> String {
    let mut error = String::new();
    Bounce::new(Condition::NotAllowed).text("guests speak to the services of this domain only").write(&mut error);
    let name = if stanza.kind() == Kind::Iq { "iq" } else { "message" };
    let id = stanza.id().map_or(String::new(), |id| format!(" id='{}'", escape_attr(&id)));
    format!("<{name} from='{}' type='error'{id}>{error}</{name}>", escape_attr(to))
}

/// The other way round; an iq to the address itself is answered by the house, which knows what to tell whom.
fn received(turn: &mut Turn<'_>, whom: &Whom) -> Flow {
    if !turn.account.is_guest() {
        return Flow::Go;
    }
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    if is_about_contacts(&envelope.stanza) {
        return Flow::Drop("a guest has no contacts");
    }
    let to_the_house = envelope.stanza.kind() == Kind::Iq && envelope.to.resource().is_none();
    if to_the_house || whom.is_near(turn, &envelope.from) {
        return Flow::Go;
    }
    match envelope.stanza.kind() {
        Kind::Presence => Flow::Drop("a guest sees nobody"),
        _ => Flow::Bounce(Bounce::nobody()),
    }
}

/// RFC 6121 3.
fn is_about_contacts(stanza: &Stanza) -> bool {
    use StanzaType::{Subscribe, Subscribed, Unsubscribe, Unsubscribed};
    matches!(stanza.stype(), Subscribe | Subscribed | Unsubscribe | Unsubscribed)
}

impl Whom {
    /// The domain, its services, oneself; and accounts, if they want to hear from guests.
    fn is_near(&self, turn: &Turn<'_>, peer: &Jid) -> bool {
        let (domain, host) = (peer.domain().as_str(), turn.host());
        if domain == host {
            return self.accounts || peer.node().is_none() || peer.to_bare() == *turn.me();
        }
        is_service(domain, host, &self.domains)
    }
}

/// A domain below this one may be another one of the house, with people of its own.
fn is_service(domain: &str, host: &str, domains: &[String]) -> bool {
    !domains.iter().any(|other| other == domain) && nearest_above(domain, domains) == Some(host)
}

#[cfg(test)]
mod tests;
