//! Who is what for as long as the room exists, and which nickname is whose (section 5.2, 7.10).
//!
//! One value of the map `muc-affiliation` for each address that is not "none": lines, each with a name.
//! ```text
//! affiliation member
//! nick thirdwitch
//! reason ...
//! registered 1
//! token 1
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use iris_core::Jid;
use iris_core::store::Item;

use super::association::Affiliation;
use super::nick;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affiliated {
    pub affiliation: Affiliation,
    /// The nickname that nobody else may take.
    pub nick: Option<String>,
    pub reason: Option<String>,
    /// A member because they have said so (7.10), and nobody else has.
    pub registered: bool,
    /// A member because of an invitation token: it is "only required to be supplied once" (XEP-0488 4), also in place of a password.
    pub by_token: bool,
    /// A guest's (XEP-0175), for as long as they are here. Not kept: nobody has their address again.
    pub passing: bool,
}

impl Affiliated {
    pub fn new(affiliation: Affiliation) -> Affiliated {
        Affiliated { affiliation, nick: None, reason: None, registered: false, by_token: false, passing: false }
    }

    pub fn encode(&self) -> String {
        let mut text = format!("affiliation {}\n", self.affiliation.as_str());
        for (name, value) in [("nick", &self.nick), ("reason", &self.reason)] {
            if let Some(value) = value {
                text.push_str(&format!("{name} {}\n", value.replace(['\n', '\r'], " ")));
            }
        }
        if self.registered {
            text.push_str("registered 1\n");
        }
        if self.by_token {
            text.push_str("token 1\n");
        }
        text
    }

    fn decode(text: &str) -> Option<Affiliated> {
        let mut affiliated = Affiliated::new(Affiliation::None);
        for line in text.lines() {
            match line.split_once(' ')? {
                ("affiliation", value) => affiliated.affiliation = Affiliation::parse(value)?,
                ("nick", value) => affiliated.nick = Some(value.to_owned()),
                ("reason", value) => affiliated.reason = Some(value.to_owned()),
                ("registered", value) => affiliated.registered = value == "1",
                ("token", value) => affiliated.by_token = value == "1",
                _ => {}
            }
        }
        Some(affiliated)
    }
}

/// By bare JID, or by domain (9.2: "any user@domain").
#[derive(Clone, Debug, Default)]
pub struct Affiliations {
    map: BTreeMap<Arc<str>, Affiliated>,
}

impl Affiliations {
    pub fn load<'a>(items: impl Iterator<Item = &'a Item>) -> Affiliations {
        let read = |item: &Item| Some((item.key.clone(), Affiliated::decode(std::str::from_utf8(&item.value).ok()?)?));
        Affiliations { map: items.filter_map(read).collect() }
    }

    pub fn len(&self) -> usize {
        self.map.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Affiliated)> {
        self.map.iter()
    }

    pub fn having(&self, affiliation: Affiliation) -> impl Iterator<Item = (&Arc<str>, &Affiliated)> {
        self.map.iter().filter(move |(_, it)| it.affiliation == affiliation)
    }

    /// What stands under this very address.
    pub fn at(&self, address: &str) -> Option<&Affiliated> {
        self.map.get(address)
    }

    /// Of somebody: their own address first; then whether their domain is banned (9.2). A domain that is more (a service that owns the
    /// room) is that itself, and not for everybody who has an address there.
    pub fn of(&self, bare: &str) -> Affiliation {
        if let Some(own) = self.map.get(bare) {
            return own.affiliation;
        }
        let domain = bare.split_once('@').map_or(bare, |(_, domain)| domain);
        let of_domain = self.map.get(domain).map(|it| it.affiliation);
        of_domain.filter(|it| *it == Affiliation::Outcast).unwrap_or(Affiliation::None)
    }

    /// Whose nickname is it?
    pub fn owner_of_nick(&self, wanted: &str) -> Option<&Arc<str>> {
        let wanted = nick::key(wanted);
        self.map.iter().find(|(_, it)| it.nick.as_deref().is_some_and(|nick| nick::key(nick) == wanted)).map(|(jid, _)| jid)
    }

    pub fn nick_of(&self, bare: &str) -> Option<&str> {
        self.map.get(bare)?.nick.as_deref()
    }

    /// Sets it; `None` to forget. What it was.
    pub fn set(&mut self, address: &str, affiliated: Option<Affiliated>) -> Option<Affiliated> {
        match affiliated {
            Some(affiliated) => self.map.insert(Arc::from(address), affiliated),
            None => self.map.remove(address),
        }
    }
}

/// Affiliations are of bare JIDs (10.3: "When processing a request that identifies a user by its full JID, a service SHOULD use the
/// bare JID").
pub fn address(jid: &Jid) -> String {
    jid.to_bare().as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(&str, Affiliation)]) -> Affiliations {
        let mut affiliations = Affiliations::default();
        for (jid, affiliation) in list {
            affiliations.set(jid, Some(Affiliated::new(*affiliation)));
        }
        affiliations
    }

    #[test]
    fn s9_2_a_ban_is_looked_for_at_the_address_and_then_at_the_domain() {
        let all = of(&[("evil.example", Affiliation::Outcast), ("romeo@evil.example", Affiliation::Member)]);
        assert_eq!(all.of("romeo@evil.example"), Affiliation::Member);
        assert_eq!(all.of("tybalt@evil.example"), Affiliation::Outcast);
        assert_eq!(all.of("juliet@house"), Affiliation::None);
        let service = of(&[("bots.example", Affiliation::Owner)]);
        assert_eq!(service.of("bots.example"), Affiliation::Owner);
        assert_eq!(service.of("anybody@bots.example"), Affiliation::None);
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let (nick, reason) = (Some("third witch".into()), Some("a\nb".into()));
        let kept =
            Affiliated { affiliation: Affiliation::Member, nick, reason, registered: true, by_token: true, passing: false };
        let read = Affiliated::decode(&kept.encode()).expect("ours");
        assert_eq!((read.affiliation, read.nick.as_deref()), (Affiliation::Member, Some("third witch")));
        assert!(read.registered && read.by_token);
        assert_eq!(read.reason.as_deref(), Some("a b"));
        assert_eq!(Affiliated::decode("nonsense"), None);
    }
}
