//! Those who belong to a room and are not in it: they are told when they are mentioned, where the owners want that (XEP-0452), and
//! their account hears what is said (`Step::SaidInRoom`), so that a phone can be told (XEP-0357).

use std::collections::HashSet;
use std::sync::Arc;

use iris_core::xml::wire::render_forwarded;
use iris_core::xml::{Build, Stamps, Stanza};
use iris_core::{BareJid, Envelope, HostTurn, Jid, Step, jids, ns};

use super::association::Affiliation;
use super::room::{Room, bare};
use super::stanzas;

const MENTIONS: &str = "urn:xmpp:mmn:0";
const REFERENCE: &str = "urn:xmpp:reference:0";
/// People mentioned by one message.
const MENTIONED_MAX: usize = 50;

impl Room {
    /// Something was said. Of a room that ends with its last occupant nobody is absent.
    pub fn tell_absent(&self, turn: &mut HostTurn<'_>, from: &Jid, stanza: &Arc<Stanza>, stamps: &Stamps) {
        if !self.is_kept() {
            return;
        }
        if self.config.forward_mentions {
            self.tell_mentioned(turn, stanza, stamps);
        }
        let here: HashSet<&str> = self.occupants.iter().map(|it| &*it.person).collect();
        let home = format!("@{}", turn.doors.home());
        for (address, affiliated) in self.affiliations.iter() {
            let belongs = affiliated.affiliation >= Affiliation::Member && address.ends_with(&home);
            if !belongs || here.contains(&**address) {
                continue;
            }
            let Ok(account) = BareJid::new(address) else { continue };
            let mut envelope = Envelope::new(stanza.clone(), from.clone(), account.clone().into());
            envelope.stamps = Stamps { from: envelope.stamps.from, ..stamps.clone() };
            turn.tell_account(account, move |turn| turn.overhear(Step::SaidInRoom, envelope));
        }
    }

    fn tell_mentioned(&self, turn: &mut HostTurn<'_>, stanza: &Stanza, stamps: &Stamps) {
        let mut told: HashSet<String> = HashSet::new();
        for child in stanza.children().iter().filter(|child| stanza.child_ns(child) == REFERENCE) {
            let reference = stanza.child_el(child);
            if reference.attr("type").as_deref() != Some("mention") || told.len() >= MENTIONED_MAX {
                continue;
            }
            let Some(person) = reference.attr("uri").and_then(|uri| self.mentioned(turn, &uri)) else { continue };
            // Only those who have registered a nickname want to be told (section 2).
            let wants = self.affiliations.nick_of(&person).is_some() && self.affiliations.of(&person) >= Affiliation::Member;
            if wants && self.occupants.of_person(&person).next().is_none() && told.insert(person.clone()) {
                self.forward(turn, &person, stanza, stamps);
            }
        }
    }

    /// `xmpp:` with a person's address, or with that of an occupant under a registered nickname.
    fn mentioned(&self, turn: &HostTurn<'_>, uri: &str) -> Option<String> {
        let jid = jids::address(uri.strip_prefix("xmpp:")?.split('?').next()?).ok()?;
        match jid.resource() {
            Some(nick) if bare(&jid) == turn.jid.as_str() => {
                self.affiliations.owner_of_nick(nick.as_str()).map(|person| person.to_string())
            }
            _ => Some(bare(&jid).to_owned()),
        }
    }

    fn forward(&self, turn: &mut HostTurn<'_>, person: &str, stanza: &Stanza, stamps: &Stamps) {
        let Ok(to) = Jid::new(person) else { return };
        let mut message = Vec::new();
        render_forwarded(stanza, stamps, Some(turn.jid.as_str()), &mut message);
        let mut xml = Build::new();
        xml.open_ns("mentions", MENTIONS).open_ns("forwarded", ns::FORWARD);
        xml.open_ns("delay", ns::DELAY).attr("stamp", &iris_core::time::datetime(turn.now.wall_us)).close();
        xml.raw(&message).close().close();
        self.tell_one(turn, to, &stanzas::text(xml));
    }
}
