//! XEP-0045: Multi-User Chat - rooms in which many talk to many.
//! Spec 1.35.5, https://xmpp.org/extensions/xep-0045.html. Not done: nickname changes by the service other than to a registered one;
//! presence subscriptions to rooms; the old groupchat protocol (7.2.17 wants it refused).
//!
//! Rooms live behind the service `conference.DOMAIN`, each an entity of its own (`room`). Pure: `association` (the tables of section 5),
//! `affiliations`, `config` (the form), `nick`, `history` (what is kept and which of it is shown), `occupants`, `stanzas` (what the room
//! says), `pace`. In its turn: `enter` (presence), `messages`, `admin`, `owner`, `requests` (voice and membership), `invite`, `relay` (iq
//! between occupants), `disco_room`, `succession` (of owners), `oversight` (what administrators of the domain
//! may do), `away` (who is told what they have become), `archive` (who reads it),
//! `retract`, `mentions` (those who are away), `vcard`, `hats`, `tokens`, `versions` (of affiliations),
//! `voices`, `whispers` (errors that answer private messages). `service` knows all rooms, `tombstones` where there were some,
//! `search` finds them; `bubble` is the room of a team.

use std::sync::Arc;

use iris_core::store::Shelf;
use iris_core::{At, Bounce, Card, GetOrSet, Mount, MountError, Reply, Room as Extension, StateSlot, Status};

use crate::xep0030_disco as disco;
use crate::xep0307_unique_rooms as unique;
use crate::xep0313_archive::policy::Policy;

mod admin;
mod affiliations;
mod archive;
mod association;
mod away;
mod bubble;
mod config;
mod disco_room;
mod enter;
mod hats;
mod history;
mod invite;
mod mentions;
mod messages;
mod nick;
mod occupants;
mod oversight;
mod owner;
mod pace;
mod relay;
mod requests;
mod retract;
mod room;
mod search;
mod service;
mod settings;
mod stanzas;
mod succession;
#[cfg(test)]
mod tests;
mod tokens;
mod tombstones;
mod vcard;
mod versions;
mod voices;
mod whispers;

use room::Room;
use service::Service;

pub const MUC: &str = "http://jabber.org/protocol/muc";
pub const USER: &str = "http://jabber.org/protocol/muc#user";
pub const ADMIN: &str = "http://jabber.org/protocol/muc#admin";
pub const OWNER: &str = "http://jabber.org/protocol/muc#owner";
pub const REQUEST: &str = "http://jabber.org/protocol/muc#request";
pub const REGISTER: &str = "http://jabber.org/protocol/muc#register";
const RETRACT: &str = "urn:xmpp:message-retract:1";
const MODERATE: &str = "urn:xmpp:message-moderate:1";
const HATS: &str = "urn:xmpp:hats:0";
const ADDRESSES: &str = "http://jabber.org/protocol/address";
const TOKENS: &str = "urn:xmpp:muc-token-invite:0";
const MAV: &str = "urn:xmpp:muc:affiliations:1";
const VCARD: &str = "vcard-temp";
/// XEP-0421.
pub const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";

pub const ROOM: Extension = Extension {
    card: Card {
        xep: Some(45),
        name: "Multi-User Chat",
        version: "1.35.5",
        status: Status::Partial,
        needs: &[4, 30, 59, 82, 203, 359],
    },
    mount,
};

static ROOM_STATE: StateSlot<Room> = StateSlot::new();

/// What a room is read with.
const ROOM_SHELVES: [Shelf; 11] = [
    room::ROOM,
    room::SUBJECT,
    room::AFFILIATIONS,
    room::REQUESTS,
    invite::SHELF,
    versions::SHELF,
    voices::SHELF,
    pace::ACTIVITY,
    tokens::SHELF,
    hats::KNOWN,
    hats::WORN,
];

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let settings = m.config::<settings::Config>()?;
    for (key, is_zero) in [("occupants_max", settings.occupants_max == 0), ("nick_bytes_max", settings.nick_bytes_max == 0)] {
        if is_zero {
            return Err(m.wrong::<settings::Config>(key, format!("{key} is at least 1")));
        }
    }
    m.check_label::<settings::Config>(&settings.service)?;
    if let Some(domain) = settings.default_bubble.stranger(m.domains().iter().map(|it| &**it)) {
        let text = format!("default_bubble: {domain} is no domain of this house; name one of `domains`, or say true or false");
        return Err(m.wrong::<settings::Config>("default_bubble", text));
    }
    let label = settings.service.clone();
    let service = Arc::new(Service {
        names: stanzas::Names::intern(m),
        policy: Policy::intern(m),
        pages: m.config()?,
        bubbles: settings.default_bubble.has(m.domain()),
        settings,
    });
    // People of every domain of the house may belong to rooms of any.
    let services: Arc<[String]> = m.domains().iter().map(|domain| format!("{label}.{domain}")).collect();
    bubble::mount(m, &service, &services)?;
    oversight::mount(m, &label)?;
    m.on_farewell(move |account, cx| service::farewell(account, services.clone(), cx));
    m.serve(&label, |s| {
        s.named_identity(At::Host, "conference", "text", &service.settings.name);
        for feature in [
            disco::INFO,
            disco::ITEMS,
            MUC,
            "muc_rooms",
            disco_room::STABLE_ID,
            OCCUPANT_ID,
            "urn:xmpp:ping",
            VCARD,
            search::NS,
        ] {
            s.feature(At::Host, feature);
        }
        for shelf in ROOM_SHELVES.into_iter().chain([history::ARCHIVE, service::ROOMS, tombstones::SHELF, vcard::CARD]) {
            s.shelf(shelf)?;
        }
        s.host_iq_named(GetOrSet::Get, disco::INFO, "query", |turn, query| service::info(turn, &query))?;
        s.host_iq_named(GetOrSet::Get, disco::ITEMS, "query", |turn, query| service::items(turn, &query))?;
        s.host_iq_named(GetOrSet::Get, "urn:xmpp:ping", "ping", |_, _| Reply::empty())?;
        s.host_iq_named(GetOrSet::Get, search::NS, "search", |turn, el| search::answer(turn, &el))?;
        unique::open(s)?;
        s.host_state(&service::REGISTRY, &[service::ROOMS], service::Registry::load)?;
        s.host_state(&tombstones::TOMBSTONES, &[tombstones::SHELF], tombstones::Tombstones::load)?;
        s.on_host_woken(service::woken);
        let history = u32::try_from(service.settings.history_messages_max).unwrap_or(u32::MAX);
        let newest = service.clone();
        s.entities(
            &ROOM_STATE,
            &ROOM_SHELVES,
            Some((history::ARCHIVE, history.max(1))),
            move |items, tail, before| Room::load(service.clone(), items, tail, before),
            move |turn, stanza| {
                let heard = turn.with_state(&ROOM_STATE, |turn, room| {
                    // The configuration was read anew since the room was.
                    if !Arc::ptr_eq(&room.service, &newest) {
                        room.service = newest.clone();
                    }
                    room.hear(turn, stanza)
                });
                heard.unwrap_or(Reply::Sent)
            },
        )?;
        s.on_entity_woken(|turn| {
            turn.with_state(&ROOM_STATE, |turn, room| room.woken(turn));
        });
        s.on_alarm(|turn| {
            turn.with_state(&ROOM_STATE, |turn, room| room.tell_updates(turn));
        });
        s.conversations_behind(|turn, reader| {
            let conversation = turn.with_state(&ROOM_STATE, |turn, room| room.conversation(turn, reader));
            conversation.unwrap_or_else(|| Err(Bounce::nobody()))
        });
        s.on_closing(|turn| {
            turn.with_state(&ROOM_STATE, |turn, room| room.closing(turn));
        });
        Ok(())
    })
}
