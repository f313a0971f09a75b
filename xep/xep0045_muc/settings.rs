//! `[xep.muc]`.

use iris_core::mount::Settings;
use serde::Deserialize;

/// Who may make rooms.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum MayCreate {
    Anybody,
    /// Accounts of the domain.
    Local,
    Admins,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub service: String,
    pub name: String,
    pub create: MayCreate,
    pub rooms_per_user_max: usize,
    pub rooms_per_server_max: usize,
    pub tombstone_days: u16,
    pub occupants_max: usize,
    pub affiliations_max: usize,
    pub history_messages_max: usize,
    pub nick_bytes_max: usize,
    pub default_public: bool,
    pub default_persistent: bool,
    pub default_archive: bool,
    pub default_bubble: Where,
}

/// Domains of the house for which something holds.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged, expecting = "true, false, or a list of domains of this house is wanted")]
pub enum Where {
    /// All, or none.
    Everywhere(bool),
    Domains(Vec<String>),
}

impl Where {
    pub fn has(&self, domain: &str) -> bool {
        match self {
            Where::Everywhere(is) => *is,
            Where::Domains(domains) => domains.iter().any(|it| it == domain),
        }
    }

    /// The first that is none of these.
    pub fn stranger<'a>(&'a self, all: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
        let Where::Domains(domains) = self else { return None };
        domains.iter().map(String::as_str).find(|domain| all.clone().all(|it| it != *domain))
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            service: "conference".into(),
            name: "Rooms".into(),
            create: MayCreate::Local,
            rooms_per_user_max: 200,
            rooms_per_server_max: 1_000,
            tombstone_days: 30,
            occupants_max: 1_000,
            affiliations_max: 5_000,
            history_messages_max: 50,
            nick_bytes_max: 128,
            default_public: true,
            default_persistent: false,
            default_archive: true,
            default_bubble: Where::Everywhere(false),
        }
    }
}

impl Settings for Config {
    const TABLE: &'static str = "muc";
    const REFERENCE: &'static str = "\
# The first part of the address of rooms: conference.DOMAIN.
service = \"conference\"
# What people see of it.
name = \"Rooms\"
# Who may make rooms: \"anybody\", \"local\" (accounts of the domain) or \"admins\".
create = \"local\"
# Rooms that one user may have made, as long as they are there; administrators of the domain as many as they like.
rooms_per_user_max = 200
# Where anybody may make rooms: those that all people of one other server may have made. It says itself how many people it has.
rooms_per_server_max = 1000
# At the address of a room that was destroyed nobody makes another one for so many days, but who has destroyed it and administrators of the
# domain: others hear that it is gone, and where it is now. 0: whoever comes first.
tombstone_days = 30
# People in one room. Its owner may set less; admins and owners of a full room still get in, ten of them.
occupants_max = 1000
# Owners, admins, members and outcasts of one room.
affiliations_max = 5000
# Messages that somebody who enters may be shown of what was said before.
history_messages_max = 50
# The longest nickname.
nick_bytes_max = 128
# What a new room is, until its owner says something else: found by everybody; there when nobody is in it; remembered in an archive.
default_public = true
default_persistent = false
default_archive = true
# Or a bubble, as the plan of who makes it allows (persistent, members only, everybody sees who is who, archived): true, or the domains
# of this house whose rooms are, [\"example.org\"].
default_bubble = false
";
}
