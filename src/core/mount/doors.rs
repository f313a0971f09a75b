//! What the rooms of a domain have said, frozen: the engine reads it in its turns.

use super::*;
use crate::conversation::{ConversationFn, SharedConversationFn};

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

impl GetOrSet {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            GetOrSet::Get => "get",
            GetOrSet::Set => "set",
        }
    }

    /// A question of the house: `payload` is its one child.
    pub(crate) fn question(self, id: &str, payload: &str) -> String {
        format!("<iq type='{}' id='{id}'>{payload}</iq>", self.as_str())
    }
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
/// Out of what lies on the shelves, the end of the log, and what it was before, when it is only read anew.
pub type LoadEntityFn = Box<dyn Fn(&[Item], Tail<'_>, Option<Box<dyn Any>>) -> Box<dyn Any> + Send + Sync>;

/// What is known of the log of something that lives behind a service when it is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tail<'a> {
    /// The last entries, ascending.
    pub entries: &'a [Entry],
    /// Soon after a start or a refusal: by what entries are known that may be sent again (`Write::Append`).
    pub tags: &'a [(u64, EntryId)],
}
pub type StepFn = Box<dyn Fn(&mut Turn<'_>) -> Flow + Send + Sync>;
pub type EventFn = Box<dyn Fn(&mut Turn<'_>) + Send + Sync>;
pub type FarewellFn = Box<dyn Fn(BareJid, Cx) -> Pin<Box<dyn Future<Output = Result<(), StoreError>>>> + Send + Sync>;
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
    /// The house is about to close: the last word to those who can still hear it. More than once, perhaps.
    pub closing: Vec<HostEventFn>,
    /// What was said there, for whoever may read it.
    pub conversation: Option<SharedConversationFn>,
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
    /// All domains of the house and all their services, this one among them. Whoever puts the house together says it.
    pub house: Arc<[String]>,
    /// What its users may have.
    pub entitlements: Arc<dyn Entitlements>,
    pub steps: [Vec<StepFn>; Step::COUNT],
    pub events: [Vec<EventFn>; Event::COUNT],
    /// Who is told that an account has ended before its name is free.
    pub farewells: Vec<FarewellFn>,
    pub nonzas: HashMap<NameId, NonzaFn>,
    pub stream_features: Vec<(When, FeatureFn)>,
    /// Who has no account may come in (SASL ANONYMOUS).
    pub guests: bool,
    /// What an account's archive keeps.
    pub conversation: Option<ConversationFn>,
    pub mail_addresses: Option<MailAddresses>,
    pub sasl2_inline: Vec<SaslInline>,
    pub bind_inline: Vec<BindInline>,
    pub bound: Vec<BoundFn>,
    pub states: Vec<MountedState>,
    pub shelves: Vec<Shelf>,
    /// `Mount::rules`.
    pub rules: Vec<Box<dyn Any + Send + Sync>>,
    /// Whoever has something on this record is on the list `House::enrolled` from the start.
    pub enrolled: Option<Shelf>,
    /// Logs whose recent tags an account reads when it wakes soon after a restart.
    pub tagged: Vec<Shelf>,
    /// Text for `iris config-reference`, per table.
    pub reference: Vec<(&'static str, &'static str)>,
}

impl Doors {
    pub(super) fn new(domain: &str) -> Doors {
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
            house: Arc::default(),
            entitlements: Arc::new(Plans::default()),
            steps: std::array::from_fn(|_| Vec::new()),
            events: std::array::from_fn(|_| Vec::new()),
            farewells: Vec::new(),
            nonzas: HashMap::new(),
            stream_features: Vec::new(),
            guests: false,
            conversation: None,
            mail_addresses: None,
            sasl2_inline: Vec::new(),
            bind_inline: Vec::new(),
            bound: Vec::new(),
            states: Vec::new(),
            shelves: Vec::new(),
            rules: Vec::new(),
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

    /// What a room goes by, as the configuration in force has it. `None` only for one that gave no rules of that type.
    pub fn rules<T: 'static>(&self) -> Option<&T> {
        self.rules.iter().find_map(|rules| rules.downcast_ref())
    }

    pub fn features_at(&self, at: At) -> impl Iterator<Item = &str> {
        self.features.iter().filter(move |(place, _)| *place == at).map(|(_, ns)| ns.as_str())
    }

    pub fn stream_features(&self, when: When) -> String {
        self.stream_features.iter().filter(|(w, _)| *w == when).map(|(_, feature)| feature(self)).collect()
    }
}
