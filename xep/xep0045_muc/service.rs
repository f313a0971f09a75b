//! The service behind which rooms live (6.1 to 6.3): which rooms there are, and who may make one.
//!
//! One value of the map `muc-rooms` for each room, by its address: `<room>` with what the list of rooms needs. A room tells the service
//! after its own commit, and again when it wakes, so what a crash leaves undone is done when the room is next used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iris_core::store::{Item, PAGE_ENTRIES_MAX, Read, Rows, Shelf, StoreError};
use iris_core::xml::{Build, El};
use iris_core::{BareJid, Bounce, Changed, Condition, Cx, HostTurn, Jid, Reply, StateSlot};

use super::ROOM_STATE;
use super::association::Affiliation;
use super::room::{self, Room, Stage, bare};
use super::settings::{Config, MayCreate};
use super::stanzas::Names;
use super::tombstones;
use crate::result;
use crate::xep0030_disco as disco;
use crate::xep0059_rsm as rsm;
use crate::xep0313_archive::policy::Policy;

pub const ROOMS: Shelf = Shelf::map("muc-rooms");
pub static REGISTRY: StateSlot<Registry> = StateSlot::new();

/// Rooms of one page of the list.
const PAGE_MAX: usize = 200;

/// What all rooms of a service share.
pub struct Service {
    pub settings: Config,
    pub names: Names,
    pub policy: Policy,
    pub pages: crate::xep0313_archive::Config,
    /// New rooms are bubbles here (`default_bubble`).
    pub bubbles: bool,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

/// What the service knows of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub name: String,
    pub public: bool,
    pub persistent: bool,
    pub description: String,
    pub lang: String,
    /// Neither for members only nor behind a password.
    pub open: bool,
    pub non_anonymous: bool,
    /// Whoever has made it: against the number of rooms that one may make counts what one has made, whoever owns it now. Otherwise anybody
    /// could make as many as they like, and use up what others may.
    pub creator: String,
    /// Of a bubble everybody who belongs to it, with what they are.
    pub people: Vec<(String, Affiliation)>,
    pub bubble: bool,
    pub archived: bool,
    /// Not kept.
    pub occupants: usize,
}

impl Summary {
    fn of(room: &Room) -> Summary {
        Summary {
            name: room.config.name.clone(),
            // A room that is not configured yet is found by nobody.
            public: room.config.public && room.stage == Stage::Open,
            persistent: room.is_kept(),
            description: room.config.description.clone(),
            lang: room.config.lang.clone(),
            open: !room.config.members_only && room.config.password.is_none(),
            non_anonymous: room.config.non_anonymous,
            creator: room.config.creator.clone(),
            people: if room.config.bubble.is_some() { Summary::people(room) } else { Vec::new() },
            bubble: room.config.bubble.is_some(),
            archived: room.config.archived,
            occupants: room.occupants.len(),
        }
    }

    fn people(room: &Room) -> Vec<(String, Affiliation)> {
        let belongs = room.affiliations.iter().filter(|(_, it)| it.affiliation >= Affiliation::Member && !it.passing);
        belongs.map(|(address, it)| (address.to_string(), it.affiliation)).collect()
    }

    fn is_kept_as(&self, other: &Summary) -> bool {
        let plain = |it: &Summary| Summary { occupants: 0, ..it.clone() };
        plain(self) == plain(other)
    }

    fn encode(&self) -> Vec<u8> {
        let mut xml = Build::new();
        xml.open("room").attr("public", if self.public { "1" } else { "0" });
        xml.attr("persistent", if self.persistent { "1" } else { "0" }).leaf("name", &self.name);
        xml.leaf("description", &self.description).leaf("lang", &self.lang);
        for (name, is) in [("open", self.open), ("non-anonymous", self.non_anonymous)] {
            xml.leaf(name, if is { "1" } else { "0" });
        }
        xml.leaf("creator", &self.creator);
        if self.bubble {
            xml.open("bubble").attr("archived", if self.archived { "1" } else { "0" });
            for (address, affiliation) in &self.people {
                xml.open("person").attr("is", affiliation.as_str()).text(address).close();
            }
            xml.close();
        }
        xml.close();
        xml.finish()
    }

    fn decode(bytes: &[u8]) -> Option<Summary> {
        let room = El::parse(bytes)?;
        let is = |name: &str| room.attr(name).as_deref() == Some("1");
        let of = |name: &'static str| room.children().filter(move |it| it.local() == name).map(|it| it.text().into_owned());
        let bubble = room.children().find(|it| it.local() == "bubble");
        let person = |it: &El<'_>| Some((it.text().into_owned(), Affiliation::parse(&it.attr("is")?)?));
        Some(Summary {
            name: of("name").next().unwrap_or_default(),
            public: is("public"),
            persistent: is("persistent"),
            description: of("description").next().unwrap_or_default(),
            lang: of("lang").next().unwrap_or_default(),
            open: of("open").next().as_deref() == Some("1"),
            non_anonymous: of("non-anonymous").next().as_deref() == Some("1"),
            creator: of("creator").next().unwrap_or_default(),
            people: bubble.iter().flat_map(El::children).filter_map(|it| person(&it)).collect(),
            bubble: bubble.is_some(),
            archived: bubble.as_ref().is_some_and(|it| it.attr("archived").as_deref() == Some("1")),
            occupants: 0,
        })
    }
}

/// All rooms of a service, by address.
#[derive(Debug, Default)]
pub struct Registry {
    rooms: BTreeMap<Arc<str>, Summary>,
}

impl Registry {
    pub fn load(items: &[Item]) -> Registry {
        Registry { rooms: items.iter().filter_map(|item| Some((item.key.clone(), Summary::decode(&item.value)?))).collect() }
    }

    /// By all people of this domain.
    pub fn made_at(&self, domain: &str) -> usize {
        let is_of = |person: &str| person.split_once('@').map_or(person, |(_, domain)| domain) == domain;
        self.rooms.values().filter(|room| is_of(&room.creator)).count()
    }

    pub fn made_by(&self, person: &str) -> usize {
        self.rooms.values().filter(|room| room.creator == person).count()
    }
}

impl Registry {
    pub fn rooms(&self) -> impl Iterator<Item = (&Arc<str>, &Summary)> {
        self.rooms.iter()
    }

    /// The bubbles somebody belongs to, and as what.
    pub fn bubbles_of<'a>(&'a self, person: &'a str) -> impl Iterator<Item = (&'a Arc<str>, &'a Summary, Affiliation)> {
        self.rooms.iter().filter(|(_, room)| room.bubble).filter_map(move |(address, room)| {
            let (_, affiliation) = room.people.iter().find(|(jid, _)| jid == person)?;
            Some((address, room, *affiliation))
        })
    }
}

// --- told by rooms ----------------------------------------------------------------------------------------------------------

/// From a room's turn: how it is now.
pub fn tell(turn: &mut HostTurn<'_>, room: &Room) {
    let (service, address, summary) = (turn.host().to_owned(), Arc::<str>::from(turn.jid.as_str()), Summary::of(room));
    turn.tell(&service, move |turn| {
        let Some(registry) = turn.state(&REGISTRY) else { return };
        let before = registry.rooms.insert(address.clone(), summary.clone());
        if before.is_none_or(|before| !before.is_kept_as(&summary)) {
            turn.put(ROOMS, &address, summary.encode());
        }
        if summary.persistent {
            tombstones::take_away(turn, &address);
        }
    });
}

/// From a room's turn: there is none.
pub fn forget(turn: &mut HostTurn<'_>) {
    let (service, address) = (turn.host().to_owned(), Arc::<str>::from(turn.jid.as_str()));
    turn.tell(&service, move |turn| {
        if turn.state(&REGISTRY).is_some_and(|registry| registry.rooms.remove(&address).is_some()) {
            turn.delete(ROOMS, &address);
        }
    });
}

/// Rooms that are told at once.
const TOLD_AT_ONCE_MAX: usize = 64;

/// An account of the house has ended: whoever is given its address next is nobody in the rooms of these services. A ban stays.
pub async fn farewell(account: BareJid, services: Arc<[String]>, cx: Cx) -> Result<(), StoreError> {
    for service in services.iter() {
        let person = account.clone();
        cx.host(service, move |turn| tombstones::forget(turn, person.as_str())).await?;
        let rooms: Vec<Arc<str>> = every_room(service, &cx).await?.into_iter().collect();
        for some in rooms.chunks(TOLD_AT_ONCE_MAX) {
            let told: Vec<_> = some
                .iter()
                .map(|room| {
                    let person = account.clone();
                    cx.host(room, move |turn| {
                        turn.with_state(&ROOM_STATE, |turn, room| room.forget(turn, person.as_str()));
                    })
                })
                .collect();
            for room in told {
                room.await?;
            }
        }
    }
    Ok(())
}

/// Those that the service knows, and those on disk of which it was not told before a crash.
async fn every_room(service: &str, cx: &Cx) -> Result<BTreeSet<Arc<str>>, StoreError> {
    let known = cx.host(service, |turn| turn.state(&REGISTRY).map(|it| it.rooms.keys().cloned().collect::<BTreeSet<_>>()));
    let mut rooms = known.await?.unwrap_or_default();
    let (suffix, mut after) = (Arc::<str>::from(format!("@{service}")), None);
    loop {
        let read = Read::Owners { suffix: suffix.clone(), after, max: PAGE_ENTRIES_MAX, shelf: room::ROOM };
        let Rows::Owners(page) = cx.read(read).await? else { return Err(StoreError::Broken("no list of owners".into())) };
        after = page.last().map(|owned| owned.name.clone());
        let is_last = page.len() < PAGE_ENTRIES_MAX as usize;
        rooms.extend(page.into_iter().map(|owned| owned.name));
        if is_last {
            return Ok(rooms);
        }
    }
}

/// The service was read: rooms that were to end with their last occupant did not survive the stop of the house.
pub fn woken(turn: &mut HostTurn<'_>) {
    let Some(registry) = turn.state(&REGISTRY) else { return };
    let temporary: Vec<Arc<str>> =
        registry.rooms.iter().filter(|(_, room)| !room.persistent).map(|(address, _)| address.clone()).collect();
    for address in temporary {
        turn.tell(&address, |turn| {
            turn.with_state(&ROOM_STATE, |turn, room| match room.stage {
                Stage::Absent => room.vanish(turn),
                _ => tell(turn, room),
            });
        });
    }
}

// --- who may make a room ----------------------------------------------------------------------------------------------------

/// The server that somebody is of, if it is another's: nobody here knows how many people it has.
pub fn foreign<'a>(turn: &HostTurn<'_>, person: &'a Jid) -> Option<&'a str> {
    let domain = person.domain().as_str();
    turn.doors.house.iter().all(|ours| ours != domain).then_some(domain)
}

/// Somebody wants to make a room.
pub struct Admission {
    service: String,
    home: String,
    address: Arc<str>,
    creator: BareJid,
    is_local: bool,
    may_create: MayCreate,
    rooms_max: usize,
    /// Of everybody at the creator's domain, if that is another's.
    rooms_of_server_max: Option<usize>,
    /// `tombstone_days` says so.
    tombstones_count: bool,
}

impl Admission {
    pub fn of(turn: &HostTurn<'_>, service: &Service) -> Admission {
        Admission {
            service: turn.host().to_owned(),
            home: turn.doors.home().to_owned(),
            address: Arc::from(turn.jid.as_str()),
            creator: turn.from.to_bare(),
            is_local: turn.is_local(),
            may_create: service.settings.create,
            rooms_max: service.settings.rooms_per_user_max,
            rooms_of_server_max: foreign(turn, turn.from).map(|_| service.settings.rooms_per_server_max),
            tombstones_count: service.settings.tombstone_days > 0,
        }
    }

    /// By an account of the domain, at an address that the house has chosen.
    pub fn by_command(service: String, home: String, address: &str, creator: &BareJid, settings: &Config) -> Admission {
        Admission {
            service,
            home,
            address: Arc::from(address),
            creator: creator.clone(),
            is_local: true,
            may_create: settings.create,
            rooms_max: settings.rooms_per_user_max,
            rooms_of_server_max: None,
            tombstones_count: settings.tombstone_days > 0,
        }
    }

    /// 10.1.1: "If access is restricted …, the service MUST return a <not-allowed/> error".
    pub async fn ask(&self, cx: &Cx) -> Result<(), Bounce> {
        let (address, creator) = (self.address.clone(), self.creator.clone());
        let gone = cx.host(&self.service, move |turn| tombstones::at(turn, &address)?.refusal(&creator)).await?;
        if let Some(gone) = gone.filter(|_| self.tombstones_count) {
            return if self.is_admin(cx).await? { Ok(()) } else { Err(gone) };
        }
        let is_allowed = match self.may_create {
            MayCreate::Anybody => true,
            MayCreate::Local => self.is_local,
            MayCreate::Admins => false,
        };
        let creator = self.creator.as_str().to_owned();
        let made = cx.host(&self.service, move |turn| turn.state(&REGISTRY).map_or(0, |it| it.made_by(&creator)));
        let is_below = made.await? < self.rooms_max;
        if let Some(most) = self.rooms_of_server_max.filter(|_| is_allowed) {
            let domain = self.creator.domain().to_string();
            let made = cx.host(&self.service, move |turn| turn.state(&REGISTRY).map_or(0, |it| it.made_at(&domain)));
            if made.await? >= most {
                let what = format!(
                    "people of {} have made {most} rooms that are there still, as many as one server may",
                    self.creator.domain()
                );
                return Err(Bounce::over(what, Changed::ByOperator));
            }
        }
        if is_allowed && is_below {
            return self.reserve(cx).await;
        }
        if self.is_admin(cx).await? {
            return Ok(());
        }
        if !is_allowed {
            return Err(Bounce::new(Condition::NotAllowed).text("whoever runs this server says who may make rooms"));
        }
        let most = self.rooms_max;
        Err(Bounce::over(format!("you have made {most} rooms that are there still, as many as one may"), Changed::ByOperator))
    }

    async fn is_admin(&self, cx: &Cx) -> Result<bool, Bounce> {
        let creator = self.creator.clone();
        Ok(cx.host(&self.home, move |turn| turn.is_admin(&creator)).await?)
    }

    /// So that many at once count as many.
    async fn reserve(&self, cx: &Cx) -> Result<(), Bounce> {
        let (address, creator) = (self.address.clone(), self.creator.as_str().to_owned());
        let reserve = move |turn: &mut HostTurn<'_>| {
            if let Some(registry) = turn.state(&REGISTRY) {
                registry.rooms.entry(address).or_insert_with(|| Summary { creator, ..Summary::default() });
            }
        };
        Ok(cx.host(&self.service, reserve).await?)
    }
}

// --- what it answers --------------------------------------------------------------------------------------------------------

/// 6.3: the rooms that everybody may find, a page at a time.
pub fn items(turn: &mut HostTurn<'_>, query: &El<'_>) -> Reply {
    if let Some(node) = query.attr("node").filter(|node| !node.is_empty()) {
        return own_items(turn, &node);
    }
    let wanted = match query.child(rsm::NS, "set").map(|set| rsm::Wanted::parse(&set)).transpose() {
        Ok(wanted) => wanted,
        Err(why) => return why.into(),
    };
    let Some(registry) = turn.state(&REGISTRY) else { return Bounce::nobody().into() };
    let all: Vec<(&Arc<str>, &Summary)> = registry.rooms.iter().filter(|(_, room)| room.public).collect();
    let page = wanted.clone().unwrap_or_default();
    let place = |jid: &str| all.partition_point(|(address, _)| ***address < *jid);
    let from = page.after.as_deref().map_or(0, |jid| place(jid) + usize::from(all.iter().any(|(it, _)| ***it == *jid)));
    let until = page.before.as_deref().filter(|jid| !jid.is_empty()).map_or(all.len(), place);
    let max = page.max.map_or(PAGE_MAX, |max| (max as usize).min(PAGE_MAX));
    let within = all.get(from..until.max(from)).unwrap_or_default();
    let (skipped, shown) = if page.backward() {
        let skipped = within.len().saturating_sub(max);
        (from + skipped, within.get(skipped..).unwrap_or_default())
    } else {
        (from, within.get(..max.min(within.len())).unwrap_or_default())
    };
    let mut xml = Build::new();
    xml.open_ns("query", disco::ITEMS);
    for (address, room) in shown {
        let name = if room.name.is_empty() { address.split_once('@').map_or("", |(node, _)| node) } else { &room.name };
        xml.open("item").attr("jid", address).attr("name", name).close();
    }
    if wanted.is_some() || shown.len() < all.len() {
        let ends = shown.first().zip(shown.last()).map(|((first, _), (last, _))| (first.to_string(), last.to_string()));
        let index = ends.is_some().then_some(skipped as u64);
        rsm::Given { ends, index, count: Some(all.len() as u64) }.write(&mut xml);
    }
    xml.close();
    result(xml)
}

/// The bubbles of the one who asks: `urn:iris:bubbles`, or of them those it is a mere member of, administers, or finds archived.
fn own_items(turn: &mut HostTurn<'_>, node: &str) -> Reply {
    let person = bare(turn.from).to_owned();
    let which: fn(&Summary, Affiliation) -> bool = match node {
        "urn:iris:bubbles" => |_, _| true,
        "urn:iris:bubbles#member" => |room, it| it == Affiliation::Member && !room.archived,
        "urn:iris:bubbles#administered" => |room, it| it >= Affiliation::Admin && !room.archived,
        "urn:iris:bubbles#archived" => |room, _| room.archived,
        _ => return Bounce::new(Condition::ItemNotFound).into(),
    };
    let Some(registry) = turn.state(&REGISTRY) else { return Bounce::nobody().into() };
    let mut xml = Build::new();
    xml.open_ns("query", disco::ITEMS).attr("node", node);
    for (address, room, affiliation) in registry.bubbles_of(&person) {
        if which(room, affiliation) {
            xml.open("item").attr("jid", address).attr("name", &room.name).close();
        }
    }
    xml.close();
    result(xml)
}

pub fn info(turn: &mut HostTurn<'_>, query: &El<'_>) -> Reply {
    if query.attr("node").is_some_and(|node| !node.is_empty()) {
        return Bounce::new(Condition::ItemNotFound).into();
    }
    disco::info_of(turn.doors)
}
