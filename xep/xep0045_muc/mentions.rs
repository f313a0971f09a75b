//! Those who belong to a room and are not in it: they are told when they are mentioned, where the owners want that (XEP-0452), and
//! their account hears what is said (`Step::SaidInRoom`), so that a phone can be told (XEP-0357).

use std::collections::HashSet;
use std::sync::Arc;

use iris_core::xml::wire::render_forwarded;
use iris_core::xml::{Build, Stamps, Stanza};
use iris_core::{BareJid, Envelope, HostTurn, Jid, Said, Step, hash, jids, ns};

use super::association::Affiliation;
use super::room::{Room, bare};
use super::stanzas;
use crate::xep0357_push::has_word;

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
        let mentioned = self.referred_to(turn, stanza);
        if self.config.forward_mentions {
            self.tell_mentioned(turn, &mentioned, stanza, stamps);
        }
        let here: HashSet<&str> = self.occupants.iter().map(|it| &*it.person).collect();
        let absent = self.affiliations.iter().filter_map(|(address, affiliated)| {
            let belongs = affiliated.affiliation >= Affiliation::Member;
            (belongs && !here.contains(&**address)).then_some(&**address)
        });
        // On the list are accounts of the house, of whatever domain. Whoever has nothing to be told with is not woken for it.
        let enrolled = turn.house.enrolled.among(absent);
        let body = stanza.child(self.service.names.body).map(|body| stanza.child_el(body).text().into_owned());
        for address in enrolled {
            let Ok(account) = BareJid::new(address) else { continue };
            let by_name = || has_word(body.as_deref().unwrap_or_default(), self.affiliations.nick_of(address));
            let said = Said {
                public: self.is_public(),
                mentioned: mentioned.contains(address) || by_name(),
                author: hash::stable(&[bare(turn.from).as_bytes()]),
            };
            let mut envelope = Envelope::new(stanza.clone(), from.clone(), account.clone().into());
            envelope.stamps = Stamps { from: envelope.stamps.from, ..stamps.clone() };
            envelope.said = Some(said);
            turn.tell_account(account, move |turn| turn.overhear(Step::SaidInRoom, envelope));
        }
    }

    /// Anybody may come in (`muc_open`, and no password).
    pub fn is_public(&self) -> bool {
        !self.config.members_only && self.config.password.is_none()
    }

    /// Who is mentioned (XEP-0372).
    fn referred_to(&self, turn: &HostTurn<'_>, stanza: &Stanza) -> HashSet<String> {
        let references = stanza.children().iter().filter(|child| stanza.child_ns(child) == REFERENCE);
        let mentions =
            references.map(|child| stanza.child_el(child)).filter(|it| it.attr("type").as_deref() == Some("mention"));
        mentions.filter_map(|it| self.mentioned(turn, &it.attr("uri")?)).take(MENTIONED_MAX).collect()
    }

    fn tell_mentioned(&self, turn: &mut HostTurn<'_>, mentioned: &HashSet<String>, stanza: &Stanza, stamps: &Stamps) {
        for person in mentioned {
            // Only those who have registered a nickname want to be told (section 2).
            let wants = self.affiliations.nick_of(person).is_some() && self.affiliations.of(person) >= Affiliation::Member;
            if wants && self.occupants.of_person(person).next().is_none() {
                self.forward(turn, person, stanza, stamps);
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
