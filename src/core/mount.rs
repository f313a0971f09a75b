//! The door of a room, seen from inside: everything it advertises, answers, hooks, stores and configures is said here, once,
//! when the domain is mounted. Disco, stream features, the README's table, `doap.xml` and the configuration reference are made
//! of what was said.

use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use serde::de::DeserializeOwned;
use xso::FromXml;

use crate::command::Command;
use crate::entitlements::{Entitlements, Plan, Plans};
use crate::error::Bounce;
use crate::event::Event;
use crate::host::HostTurn;
use crate::registration::{Offer, Registrar, Reply as RegistrarReply, Request};
use crate::room::Room;
use crate::step::{Flow, Step};
use crate::store::{Entry, Item, Shape, Shelf};
use crate::task::{Cx, TaskFuture};
use crate::turn::{Reply, StateSlot, Turn};
use crate::xml::el::El;
use crate::xml::names::{NameId, NameTable};
use crate::xml::stanza::{Child, Stanza};

/// Whom an iq is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum At {
    /// The domain itself.
    Host,
    /// One's own account, by the bare JID or without a `to`. Nobody else gets through.
    OwnAccount,
    /// An account's bare JID, by anybody: the handler looks at `Turn::caller`.
    Account,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GetOrSet {
    Get,
    Set,
}

/// When a stream feature is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// On every stream of the domain, also before authentication.
    Always,
    /// Before authentication, where an account can be made: never on a clear stream.
    Registering,
    /// After authentication, before a resource is bound.
    Authenticated,
}

pub type IqFn = Box<dyn Fn(&mut Turn<'_>, &Stanza, &Child) -> Reply + Send + Sync>;
pub type HostIqFn = Box<dyn Fn(&mut HostTurn<'_>, &Stanza, &Child) -> Reply + Send + Sync>;
/// `None`: the message is for another room.
pub type HostMessageFn = Box<dyn Fn(&mut HostTurn<'_>, &Stanza) -> Option<Result<(), Bounce>> + Send + Sync>;
pub type HostEventFn = Box<dyn Fn(&mut HostTurn<'_>) + Send + Sync>;
pub type HostPresenceFn = Box<dyn Fn(&mut HostTurn<'_>, &Arc<Stanza>) + Send + Sync>;
pub type HearFn = Box<dyn Fn(&mut HostTurn<'_>, &Arc<Stanza>) -> Reply + Send + Sync>;
/// Out of what lies on the shelves, the last entries of the log, and what it was before, when it is only read anew.
pub type LoadEntityFn = Box<dyn Fn(&[Item], &[Entry], Option<Box<dyn Any>>) -> Box<dyn Any> + Send + Sync>;
pub type StepFn = Box<dyn Fn(&mut Turn<'_>) -> Flow + Send + Sync>;
pub type EventFn = Box<dyn Fn(&mut Turn<'_>) + Send + Sync>;
pub type NonzaFn = Box<dyn Fn(&mut Turn<'_>, &Stanza) + Send + Sync>;
pub type BindInlineFn = Box<dyn Fn(&mut Turn<'_>, El<'_>) -> Reply + Send + Sync>;
pub type BoundFn = Box<dyn Fn(&mut Turn<'_>) -> Reply + Send + Sync>;
pub type FeatureFn = Box<dyn Fn(&Doors) -> String + Send + Sync>;
/// What disco asks: who are you, what else is there (XEP-0030).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disco {
    Info,
    Items,
}

/// Answers for a disco node of an account: the inside of the result. `None`: no node of this room, or none for this caller.
pub type DiscoFn = Box<dyn Fn(&mut Turn<'_>, Disco, &str) -> Option<String> + Send + Sync>;
/// More `<item/>` of an account, for this caller.
pub type DiscoItemsFn = Box<dyn Fn(&mut Turn<'_>) -> String + Send + Sync>;
pub type LoadFn = Box<dyn Fn(&[Item]) -> Box<dyn Any> + Send + Sync>;

/// What a client may ask for while it authenticates (XEP-0388, `<inline/>`). The engine does it; a room opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslInline {
    /// XEP-0386: `<bind/>`.
    Bind,
    /// XEP-0198: `<resume/>`, and `<enable/>` inside `<bind/>`.
    StreamManagement,
    /// XEP-0484: `<fast/>` and `<request-token/>`.
    Fast,
    /// XEP-0480: `<upgrade/>`.
    Upgrade,
}

/// A child of XEP-0386's `<bind/>` and who answers it.
pub struct BindInline {
    pub ns: String,
    pub name: String,
    /// `Reply::Result` goes into `<bound/>`; so does what a task ends in. Everything else adds nothing.
    pub f: BindInlineFn,
}

/// A state that an account gets when it wakes.
pub struct MountedState {
    pub index: usize,
    pub shelves: Vec<Shelf>,
    pub load: LoadFn,
}

/// What lives behind a service, one for each `node@service` (the rooms of a conference service): an entity as an account is one.
pub struct Entities {
    pub index: usize,
    pub shelves: Vec<Shelf>,
    /// A log whose last entries are read when it wakes, and how many.
    pub tail: Option<(Shelf, u32)>,
    pub load: LoadEntityFn,
    /// Everything that is sent to it or to a resource of it, whatever kind and type. `Reply::Result` answers an iq; `Reply::Error`
    /// an iq, a message or a presence that may be answered; a task is work that ends in one of these.
    pub hear: HearFn,
    /// It was read, before anything else happens to it.
    pub woken: Vec<HostEventFn>,
    /// A moment has come that it had asked for (`HostTurn::alarm`).
    pub alarm: Vec<HostEventFn>,
}

/// XEP-0030 identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    pub category: &'static str,
    pub kind: &'static str,
    pub name: Option<Cow<'static, str>>,
}

/// All doors of one domain, frozen: what the engine reads in its turns.
pub struct Doors {
    pub domain: String,
    /// The domain whose service this is, by `Mount::serve`; `None`: a domain of its own.
    pub parent: Option<String>,
    /// The web side of this domain, `https://host[:port]`, if people can reach it.
    pub site: Option<String>,
    /// Services of this domain, each with doors of its own; taken out when the house is made (`Hosts::new`).
    pub services: Vec<Doors>,
    /// What lives behind this service.
    pub entities: Option<Entities>,
    /// A program of its own is this service (XEP-0114): the secret by which it is known.
    pub component: Option<String>,
    pub features: Vec<(At, String)>,
    pub identities: Vec<(At, Identity)>,
    /// Complete `<x xmlns='jabber:x:data' type='result'>` elements (XEP-0128).
    pub forms: Vec<(At, String)>,
    /// Other addresses of the house that disco#items lists.
    pub items: Vec<String>,
    pub disco_nodes: Vec<DiscoFn>,
    pub account_items: Vec<DiscoItemsFn>,
    pub iq: HashMap<(At, GetOrSet, NameId), IqFn>,
    pub host_iq: HashMap<(GetOrSet, NameId), HostIqFn>,
    pub host_messages: Vec<HostMessageFn>,
    /// Presence to a service itself.
    pub host_presences: Vec<HostPresenceFn>,
    pub host_woken: Vec<HostEventFn>,
    /// What a domain does again and again.
    pub every: Vec<(Duration, HostEventFn)>,
    pub commands: Vec<Command>,
    /// Whom to write to: the field's name (XEP-0157) and a URI. For pages as well.
    pub contacts: Vec<(&'static str, String)>,
    pub host_states: Vec<MountedState>,
    /// How people become users of the domain, and who answers them.
    pub registration: Option<(Offer, Registrar)>,
    /// Administrators of the domain by configuration, sorted.
    pub admins: Vec<BareJid>,
    /// What its users may have.
    pub entitlements: Arc<dyn Entitlements>,
    pub steps: [Vec<StepFn>; Step::COUNT],
    pub events: [Vec<EventFn>; Event::COUNT],
    pub nonzas: HashMap<NameId, NonzaFn>,
    pub stream_features: Vec<(When, FeatureFn)>,
    /// Who has no account may come in (SASL ANONYMOUS).
    pub guests: bool,
    pub sasl2_inline: Vec<SaslInline>,
    pub bind_inline: Vec<BindInline>,
    pub bound: Vec<BoundFn>,
    pub states: Vec<MountedState>,
    pub shelves: Vec<Shelf>,
    /// Whoever has something on this record is on the list `House::enrolled` from the start.
    pub enrolled: Option<Shelf>,
    /// Logs whose recent tags an account reads when it wakes soon after a restart.
    pub tagged: Vec<Shelf>,
    /// Text for `iris config-reference`, per table.
    pub reference: Vec<(&'static str, &'static str)>,
}

impl Doors {
    fn new(domain: &str) -> Doors {
        Doors {
            domain: domain.to_owned(),
            parent: None,
            site: None,
            services: Vec::new(),
            entities: None,
            component: None,
            features: Vec::new(),
            identities: Vec::new(),
            forms: Vec::new(),
            items: Vec::new(),
            disco_nodes: Vec::new(),
            account_items: Vec::new(),
            iq: HashMap::new(),
            host_iq: HashMap::new(),
            host_messages: Vec::new(),
            host_presences: Vec::new(),
            host_woken: Vec::new(),
            every: Vec::new(),
            commands: Vec::new(),
            contacts: Vec::new(),
            host_states: Vec::new(),
            registration: None,
            admins: Vec::new(),
            entitlements: Arc::new(Plans::default()),
            steps: std::array::from_fn(|_| Vec::new()),
            events: std::array::from_fn(|_| Vec::new()),
            nonzas: HashMap::new(),
            stream_features: Vec::new(),
            guests: false,
            sasl2_inline: Vec::new(),
            bind_inline: Vec::new(),
            bound: Vec::new(),
            states: Vec::new(),
            shelves: Vec::new(),
            enrolled: None,
            tagged: Vec::new(),
            reference: Vec::new(),
        }
    }

    /// Open all rooms for a domain. `names` grows by what the rooms answer to, so it is mounted before any stream is scanned.
    pub fn open(domain: &str, rooms: &[Room], names: &mut NameTable, config: &RoomConfig) -> Result<Doors, MountError> {
        let mut doors = Doors::new(domain);
        doors.admins = config.admins.iter().filter(|admin| admin.domain().as_str() == domain).cloned().collect();
        doors.admins.sort_unstable();
        doors.site = config.site.as_ref().map(|site| site.replace("{domain}", domain));
        doors.entitlements = config.plans.clone();
        for room in rooms {
            let mut mount = Mount { doors: &mut doors, names, config, room };
            (room.mount)(&mut mount)?;
        }
        if let Some(unknown) = config.tables.keys().find(|name| !doors.reference.iter().any(|(table, _)| table == name)) {
            return Err(config.error_at(unknown, &format!("there is no room with settings of that name: [xep.{unknown}]")));
        }
        Ok(doors)
    }

    /// The domain whose people this serves: of a service, the domain it belongs to.
    pub fn home(&self) -> &str {
        self.parent.as_deref().unwrap_or(&self.domain)
    }

    /// What an account of the domain may have that has this plan on it (`None`: none).
    pub fn plan(&self, name: Option<&str>) -> Arc<Plan> {
        self.entitlements.plan(self.home(), name)
    }

    /// Is this one an administrator by configuration?
    pub fn is_configured_admin(&self, jid: &BareJid) -> bool {
        self.admins.binary_search(jid).is_ok()
    }

    pub fn features_at(&self, at: At) -> impl Iterator<Item = &str> {
        self.features.iter().filter(move |(place, _)| *place == at).map(|(_, ns)| ns.as_str())
    }

    pub fn stream_features(&self, when: When) -> String {
        self.stream_features.iter().filter(|(w, _)| *w == when).map(|(_, feature)| feature(self)).collect()
    }
}

/// The `[xep.*]` tables, not yet understood by anybody, and what else all domains share.
#[derive(Clone, Debug, Default)]
pub struct RoomConfig {
    /// The whole file: a room's table is read from it when the room asks, so that errors know their place.
    text: String,
    /// Where each table stands.
    tables: BTreeMap<String, usize>,
    /// `accounts.admins`: each may administrate the domain of its own address.
    admins: Vec<BareJid>,
    /// All domains of the house; the first one is its own.
    domains: Vec<String>,
    site: Option<String>,
    vapid: Option<String>,
    plans: Arc<Plans>,
}

impl RoomConfig {
    /// From a whole file: its tables `[xep.*]` and `[plans]`. The rest of the file is the caller's.
    pub fn parse(text: &str) -> Result<RoomConfig, MountError> {
        let tables = rooms_of(text)?.into_iter().map(|(name, table)| (name, table.span().start)).collect();
        let plans = Arc::new(Plans::parse(text)?);
        let (admins, domains) = (Vec::new(), Vec::new());
        Ok(RoomConfig { text: text.to_owned(), tables, admins, domains, site: None, vapid: None, plans })
    }

    /// The web side of the house as people reach it, `https://host[:port]`; `{domain}` stands for each domain.
    pub fn with_site(self, site: Option<String>) -> RoomConfig {
        RoomConfig { site, ..self }
    }

    /// The key by which push services of the web know the house (RFC 8292 3.2): an uncompressed point, base64url. `None`: it pushes nothing
    /// to browsers.
    pub fn with_vapid(self, vapid: Option<String>) -> RoomConfig {
        RoomConfig { vapid, ..self }
    }

    /// The table `[plans]`.
    pub fn plans(&self) -> &Plans {
        &self.plans
    }

    pub fn with_admins(self, admins: &[BareJid]) -> RoomConfig {
        RoomConfig { admins: admins.to_vec(), ..self }
    }

    pub fn with_domains(self, domains: &[String]) -> RoomConfig {
        RoomConfig { domains: domains.to_vec(), ..self }
    }

    fn error_at(&self, table: &str, why: &str) -> MountError {
        MountError { at: self.tables.get(table).copied(), text: why.to_owned() }
    }
}

fn rooms_of(text: &str) -> Result<Vec<(String, toml::Spanned<toml::de::DeValue<'_>>)>, MountError> {
    let wrong =
        |error: toml::de::Error| MountError { at: error.span().map(|span| span.start), text: error.message().to_owned() };
    let mut document = toml::de::DeTable::parse(text).map_err(wrong)?.into_inner();
    let Some(xep) = document.remove("xep") else { return Ok(Vec::new()) };
    let at = xep.span().start;
    match xep.into_inner() {
        toml::de::DeValue::Table(rooms) => {
            Ok(rooms.into_iter().map(|(name, table)| (name.into_inner().into_owned(), table)).collect())
        }
        _ => Err(MountError { at: Some(at), text: "xep is a table of tables: [xep.archive]".into() }),
    }
}

/// Why a domain cannot be mounted: an operator's mistake (`at` is its place in the configuration file) or a bug.
#[derive(Debug, PartialEq, Eq)]
pub struct MountError {
    /// Byte offset in the configuration file.
    pub at: Option<usize>,
    pub text: String,
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for MountError {}

/// A room's settings: a table `[xep.NAME]`; unknown keys refuse to boot.
pub trait Settings: DeserializeOwned + Default {
    /// NAME.
    const TABLE: &'static str;
    /// The table as TOML with every key at its default, each with a comment: for `iris config-reference`.
    const REFERENCE: &'static str;
}

pub struct Mount<'a> {
    doors: &'a mut Doors,
    names: &'a mut NameTable,
    config: &'a RoomConfig,
    room: &'a Room,
}

impl Mount<'_> {
    fn bug(&self, why: &str) -> MountError {
        MountError { at: None, text: format!("room {:?}: {why}", self.room.card.name) }
    }

    pub fn domain(&self) -> &str {
        &self.doors.domain
    }

    /// A service of this domain under an address of its own, `LABEL.domain`: it has doors as a domain has (`At::Host`, `host_iq_named`,
    /// `host_state`, `command`), and there may be entities behind it (`entities`).
    pub fn serve(
        &mut self,
        label: &str,
        open: impl FnOnce(&mut Mount<'_>) -> Result<(), MountError>,
    ) -> Result<(), MountError> {
        let domain = format!("{label}.{}", self.doors.domain);
        let as_domain = jid::Jid::new(&domain).ok().filter(|jid| jid.node().is_none() && jid.resource().is_none());
        if as_domain.is_none_or(|jid| jid.as_str() != domain) {
            return Err(MountError { at: None, text: format!("{label:?} cannot be the first part of a domain name") });
        }
        if self.serves(&domain) {
            return Err(MountError { at: None, text: format!("{domain} is the address of two services") });
        }
        let mut doors = Doors { parent: Some(self.doors.domain.clone()), ..Doors::new(&domain) };
        doors.admins = self.doors.admins.clone();
        doors.site = self.doors.site.clone();
        doors.entitlements = self.doors.entitlements.clone();
        open(&mut Mount { doors: &mut doors, names: self.names, config: self.config, room: self.room })?;
        self.doors.reference.extend(doors.reference.iter().copied());
        self.doors.items.push(domain);
        self.doors.services.push(doors);
        Ok(())
    }

    /// The domains of the house; the first one is its own.
    pub fn domains(&self) -> &[String] {
        &self.config.domains
    }

    /// Is there a service of that address?
    pub fn serves(&self, domain: &str) -> bool {
        self.doors.services.iter().any(|service| service.domain == domain)
    }

    /// A service of this domain that is a program of its own, under whatever address (XEP-0114). `secret`: how it is known.
    pub fn component(&mut self, domain: &str, secret: &str) {
        let component = Some(secret.to_owned());
        self.doors.services.push(Doors { parent: Some(self.doors.domain.clone()), component, ..Doors::new(domain) });
        self.doors.items.push(domain.to_owned());
    }

    /// What lives behind this service. `load` makes its memory of what lies on `shelves` (and of the last entries of `tail`); both
    /// are empty for one that does not exist yet. When storage has refused a change it is read anew, and `load` gets what it was, to
    /// keep what was never stored (who is there).
    pub fn entities<T: 'static>(
        &mut self,
        slot: &StateSlot<T>,
        shelves: &[Shelf],
        tail: Option<(Shelf, u32)>,
        load: impl Fn(&[Item], &[Entry], Option<T>) -> T + Send + Sync + 'static,
        hear: impl Fn(&mut HostTurn<'_>, &Arc<Stanza>) -> Reply + Send + Sync + 'static,
    ) -> Result<(), MountError> {
        if self.doors.parent.is_none() {
            return Err(self.bug("entities live behind a service"));
        }
        if shelves.iter().any(|shelf| shelf.shape == Shape::Log) {
            return Err(self.bug("a log cannot be woken"));
        }
        let load: LoadEntityFn = Box::new(move |items, entries, before| {
            let before = before.and_then(|before| before.downcast().ok()).map(|before| *before);
            Box::new(load(items, entries, before))
        });
        let (woken, alarm) = (Vec::new(), Vec::new());
        let entities =
            Entities { index: slot.index(), shelves: shelves.to_vec(), tail, load, hear: Box::new(hear), woken, alarm };
        match self.doors.entities.replace(entities) {
            None => Ok(()),
            Some(_) => Err(self.bug("two kinds of entities behind one service")),
        }
    }

    /// `Entities::woken`; after `entities`.
    pub fn on_entity_woken(&mut self, f: impl Fn(&mut HostTurn<'_>) + Send + Sync + 'static) {
        if let Some(entities) = &mut self.doors.entities {
            entities.woken.push(Box::new(f));
        }
    }

    /// `Entities::alarm`; after `entities`.
    pub fn on_alarm(&mut self, f: impl Fn(&mut HostTurn<'_>) + Send + Sync + 'static) {
        if let Some(entities) = &mut self.doors.entities {
            entities.alarm.push(Box::new(f));
        }
    }

    /// Presence to a service itself, of whatever type.
    pub fn host_presence(&mut self, f: impl Fn(&mut HostTurn<'_>, &Arc<Stanza>) + Send + Sync + 'static) {
        self.doors.host_presences.push(Box::new(f));
    }

    /// What those of this domain may have who have no plan of their own.
    pub fn plan(&self) -> Arc<Plan> {
        self.doors.plan(None)
    }

    /// The web side of this domain, `https://host[:port]`, if people can reach it.
    pub fn site(&self) -> Option<String> {
        self.doors.site.clone()
    }

    /// As in `RoomConfig::with_vapid`.
    pub fn vapid(&self) -> Option<&str> {
        self.config.vapid.as_deref()
    }

    /// Other rooms may look for a feature without naming the room: disco features are the record.
    pub fn feature(&mut self, at: At, ns: &str) {
        let entry = (at, ns.to_owned());
        if !self.doors.features.contains(&entry) {
            self.doors.features.push(entry);
        }
    }

    pub fn identity(&mut self, at: At, category: &'static str, kind: &'static str, name: Option<&'static str>) {
        self.doors.identities.push((at, Identity { category, kind, name: name.map(Cow::Borrowed) }));
    }

    /// With a name out of the configuration.
    pub fn named_identity(&mut self, at: At, category: &'static str, kind: &'static str, name: &str) {
        self.doors.identities.push((at, Identity { category, kind, name: Some(Cow::Owned(name.to_owned())) }));
    }

    /// Nodes of an account that disco may ask for.
    pub fn disco_node(&mut self, f: impl Fn(&mut Turn<'_>, Disco, &str) -> Option<String> + Send + Sync + 'static) {
        self.doors.disco_nodes.push(Box::new(f));
    }

    /// What else an account has, beside its available resources.
    pub fn account_items(&mut self, f: impl Fn(&mut Turn<'_>) -> String + Send + Sync + 'static) {
        self.doors.account_items.push(Box::new(f));
    }

    /// A XEP-0128 form, complete.
    pub fn disco_form(&mut self, at: At, form: String) {
        self.doors.forms.push((at, form));
    }

    pub fn stream_feature(&mut self, when: When, feature: impl Fn(&Doors) -> String + Send + Sync + 'static) {
        self.doors.stream_features.push((when, Box::new(feature)));
    }

    /// Let those in who have no account (SASL ANONYMOUS). The room says what they may do.
    pub fn admit_guests(&mut self) {
        self.doors.guests = true;
    }

    /// What this room's specification lets a client ask for inside SASL2's `<authenticate/>`.
    pub fn sasl2_inline(&mut self, what: SaslInline) {
        self.doors.sasl2_inline.push(what);
    }

    /// A child of XEP-0386's `<bind/>`: `f` has the account's turn once the session is there, in the order of the rooms. Its
    /// namespace is offered in the stream features.
    pub fn bind_inline(&mut self, ns: &str, name: &str, f: impl Fn(&mut Turn<'_>, El<'_>) -> Reply + Send + Sync + 'static) {
        self.doors.bind_inline.push(BindInline { ns: ns.to_owned(), name: name.to_owned(), f: Box::new(f) });
    }

    /// What every `<bound/>` says, asked for or not; after all of `bind_inline`.
    pub fn on_bind2(&mut self, f: impl Fn(&mut Turn<'_>) -> Reply + Send + Sync + 'static) {
        self.doors.bound.push(Box::new(f));
    }

    /// A first-level element that is no stanza, from a bound session.
    pub fn nonza(&mut self, ns: &str, name: &str, f: impl Fn(&mut Turn<'_>, &Stanza) + Send + Sync + 'static) {
        let name = self.names.intern(ns, name);
        self.doors.nonzas.insert(name, Box::new(f));
    }

    pub fn on(&mut self, step: Step, f: impl Fn(&mut Turn<'_>) -> Flow + Send + Sync + 'static) {
        self.doors.steps[step as usize].push(Box::new(f));
    }

    pub fn on_event(&mut self, event: Event, f: impl Fn(&mut Turn<'_>) + Send + Sync + 'static) {
        self.doors.events[event as usize].push(Box::new(f));
    }

    /// A name that the scanner stamps on children, so that looking for it later is an integer comparison.
    pub fn name(&mut self, ns: &str, local: &str) -> NameId {
        self.names.intern(ns, local)
    }

    /// The one name a payload type answers to; a type without a single name needs `iq_named`.
    fn name_of<P: FromXml>(&mut self) -> Result<NameId, MountError> {
        match P::xml_name_matcher() {
            xso::fromxml::XmlNameMatcher::Specific(ns, name) => Ok(self.names.intern(ns, name)),
            _ => Err(self.bug("a typed iq door needs a payload with one name")),
        }
    }

    pub fn iq_get<P: FromXml + 'static>(
        &mut self,
        at: At,
        f: impl Fn(&mut Turn<'_>, P) -> Reply + Send + Sync + 'static,
    ) -> Result<(), MountError> {
        let name = self.name_of::<P>()?;
        self.iq(at, GetOrSet::Get, name, typed(f))
    }

    pub fn iq_set<P: FromXml + 'static>(
        &mut self,
        at: At,
        f: impl Fn(&mut Turn<'_>, P) -> Reply + Send + Sync + 'static,
    ) -> Result<(), MountError> {
        let name = self.name_of::<P>()?;
        self.iq(at, GetOrSet::Set, name, typed(f))
    }

    /// For payloads whose Rust type cannot say its one name, or that are kept as they are.
    pub fn iq_named(
        &mut self,
        at: At,
        kind: GetOrSet,
        ns: &str,
        name: &str,
        f: impl Fn(&mut Turn<'_>, El<'_>) -> Reply + Send + Sync + 'static,
    ) -> Result<(), MountError> {
        let name = self.names.intern(ns, name);
        self.iq(at, kind, name, Box::new(move |turn, stanza, child| f(turn, stanza.child_el(child))))
    }

    /// Answer with long work: `admit` in the turn (permission, limits), `run` ends in the answer.
    pub fn iq_task<P: FromXml + 'static, S: 'static>(
        &mut self,
        at: At,
        kind: GetOrSet,
        admit: impl Fn(&mut Turn<'_>, P) -> Result<S, Bounce> + Send + Sync + 'static,
        run: impl Fn(S, Cx) -> TaskFuture + Send + Sync + Clone + 'static,
    ) -> Result<(), MountError> {
        let name = self.name_of::<P>()?;
        let admit_typed = move |turn: &mut Turn<'_>, payload: P| match admit(turn, payload) {
            Ok(state) => {
                let run = run.clone();
                Reply::Task(Box::new(move |cx| run(state, cx)))
            }
            Err(bounce) => Reply::Error(bounce),
        };
        self.iq(at, kind, name, typed(admit_typed))
    }

    fn iq(&mut self, at: At, kind: GetOrSet, name: NameId, f: IqFn) -> Result<(), MountError> {
        match self.doors.iq.insert((at, kind, name), f) {
            None => Ok(()),
            Some(_) => Err(self.bug("two rooms answer the same iq")),
        }
    }

    pub fn host_iq_get<P: FromXml + 'static>(
        &mut self,
        f: impl Fn(&mut HostTurn<'_>, P) -> Reply + Send + Sync + 'static,
    ) -> Result<(), MountError> {
        let name = self.name_of::<P>()?;
        let f: HostIqFn = Box::new(move |turn, stanza, child| match stanza.parse_child::<P>(child) {
            Ok(payload) => f(turn, payload),
            Err(error) => Reply::Error(Bounce::bad_request(&error.to_string())),
        });
        match self.doors.host_iq.insert((GetOrSet::Get, name), f) {
            None => Ok(()),
            Some(_) => Err(self.bug("two rooms answer the same iq of the domain")),
        }
    }

    pub fn host_iq_named(
        &mut self,
        kind: GetOrSet,
        ns: &str,
        name: &str,
        f: impl Fn(&mut HostTurn<'_>, El<'_>) -> Reply + Send + Sync + 'static,
    ) -> Result<(), MountError> {
        self.host_iq_stanza(kind, ns, name, move |turn, _, child| f(turn, child))
    }

    /// As `host_iq_named`, for a room that has to see the whole iq.
    pub fn host_iq_stanza(
        &mut self,
        kind: GetOrSet,
        ns: &str,
        name: &str,
        f: impl Fn(&mut HostTurn<'_>, &Stanza, El<'_>) -> Reply + Send + Sync + 'static,
    ) -> Result<(), MountError> {
        let name = self.names.intern(ns, name);
        let f: HostIqFn = Box::new(move |turn, stanza, child| f(turn, stanza, stanza.child_el(child)));
        match self.doors.host_iq.insert((kind, name), f) {
            None => Ok(()),
            Some(_) => Err(self.bug("two rooms answer the same iq of the domain")),
        }
    }

    /// An address for people who have something to say about this domain (XEP-0157).
    pub fn contact(&mut self, name: &'static str, uri: &str) {
        self.doors.contacts.push((name, uri.to_owned()));
    }

    pub fn contacts(&self) -> &[(&'static str, String)] {
        &self.doors.contacts
    }

    /// Something that administrators or users of the domain can have done (XEP-0050).
    pub fn command(&mut self, command: Command) -> Result<(), MountError> {
        if self.doors.commands.iter().any(|other| other.node == command.node) {
            return Err(self.bug("two commands have the same node"));
        }
        self.doors.commands.push(command);
        Ok(())
    }

    /// A message to the domain itself, with or without a resource (`HostTurn::to`). Rooms are asked in their order until one takes
    /// it; a message that nobody takes is answered with `service-unavailable`.
    pub fn host_message(
        &mut self,
        f: impl Fn(&mut HostTurn<'_>, &Stanza) -> Option<Result<(), Bounce>> + Send + Sync + 'static,
    ) {
        self.doors.host_messages.push(Box::new(f));
    }

    /// Who is asked, in the domain's turn, by those who have no account yet.
    pub fn registrar(
        &mut self,
        offer: Offer,
        f: impl Fn(&mut HostTurn<'_>, Request, RegistrarReply) + Send + Sync + 'static,
    ) -> Result<(), MountError> {
        match self.doors.registration.replace((offer, Box::new(f))) {
            None => Ok(()),
            Some(_) => Err(self.bug("two rooms make accounts")),
        }
    }

    /// The domain was read from disk, before anything else happens to it.
    pub fn on_host_woken(&mut self, f: impl Fn(&mut HostTurn<'_>) + Send + Sync + 'static) {
        self.doors.host_woken.push(Box::new(f));
    }

    /// Something that the domain does again and again: first when the house opens, then each `period`. Call it whatever the
    /// configuration says, so that a reload changes what is done and not whether.
    pub fn every(&mut self, period: Duration, f: impl Fn(&mut HostTurn<'_>) + Send + Sync + 'static) {
        self.doors.every.push((period, Box::new(f)));
    }

    /// As `state`, of the domain.
    pub fn host_state<T: 'static>(
        &mut self,
        slot: &StateSlot<T>,
        shelves: &[Shelf],
        load: impl Fn(&[Item]) -> T + Send + Sync + 'static,
    ) -> Result<(), MountError> {
        let state = self.mounted_state(slot, shelves, load)?;
        self.doors.host_states.push(state);
        Ok(())
    }

    /// A place to keep things. Shelf names are unique in the house.
    pub fn shelf(&mut self, shelf: Shelf) -> Result<Shelf, MountError> {
        if self.doors.shelves.iter().any(|other| other.name == shelf.name) {
            return Err(self.bug("two rooms have a shelf of the same name"));
        }
        self.doors.shelves.push(shelf);
        Ok(shelf)
    }

    /// Accounts with something on this record hear of what is said in rooms while they are away: they stand on `House::enrolled`, and
    /// the room keeps the list in step from then on.
    pub fn enrolled(&mut self, record: Shelf) -> Result<(), MountError> {
        match self.doors.enrolled.replace(record) {
            None => Ok(()),
            Some(_) => Err(self.bug("two rooms keep the list of the enrolled")),
        }
    }

    /// Messages sent again after a restart are recognised by the tags of this log: see `Account::kept_before`.
    pub fn recognise_resent(&mut self, log: Shelf) {
        self.doors.tagged.push(log);
    }

    /// What the room remembers of each account while it is awake, made of what lies on `shelves` (records and maps only: a log
    /// is read by tasks).
    pub fn state<T: 'static>(
        &mut self,
        slot: &StateSlot<T>,
        shelves: &[Shelf],
        load: impl Fn(&[Item]) -> T + Send + Sync + 'static,
    ) -> Result<(), MountError> {
        let state = self.mounted_state(slot, shelves, load)?;
        self.doors.states.push(state);
        Ok(())
    }

    fn mounted_state<T: 'static>(
        &self,
        slot: &StateSlot<T>,
        shelves: &[Shelf],
        load: impl Fn(&[Item]) -> T + Send + Sync + 'static,
    ) -> Result<MountedState, MountError> {
        if shelves.iter().any(|shelf| shelf.shape == Shape::Log) {
            return Err(self.bug("a log cannot be woken"));
        }
        let load: LoadFn = Box::new(move |items| Box::new(load(items)));
        Ok(MountedState { index: slot.index(), shelves: shelves.to_vec(), load })
    }

    /// The room's own table of the configuration file.
    pub fn config<T: Settings>(&mut self) -> Result<T, MountError> {
        // A room may look into the table of another one.
        if !self.doors.reference.iter().any(|(table, _)| *table == T::TABLE) {
            self.doors.reference.push((T::TABLE, T::REFERENCE));
        }
        let Some((_, table)) = rooms_of(&self.config.text)?.into_iter().find(|(name, _)| name == T::TABLE) else {
            return Ok(T::default());
        };
        let at = table.span().start;
        T::deserialize(toml::de::ValueDeserializer::from(table)).map_err(|error| MountError {
            at: error.span().map(|span| span.start).or(Some(at)),
            text: format!("[xep.{}]: {}", T::TABLE, error.message()),
        })
    }
}

fn typed<P: FromXml + 'static>(f: impl Fn(&mut Turn<'_>, P) -> Reply + Send + Sync + 'static) -> IqFn {
    Box::new(move |turn, stanza, child| match stanza.parse_child::<P>(child) {
        Ok(payload) => f(turn, payload),
        Err(error) => Reply::Error(Bounce::bad_request(&error.to_string())),
    })
}
