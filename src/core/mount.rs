//! The door of a room, seen from inside: everything it advertises, answers, hooks, stores and configures is said here, once,
//! when the domain is mounted. Disco, stream features, the README's table, `doap.xml` and the configuration reference are made
//! of what was said (`doors`).

use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, Jid};
use serde::de::DeserializeOwned;
use xso::FromXml;

use crate::command::Command;
use crate::conversation::{Conversation, MailAddresses};
use crate::entitlements::{Entitlements, Plan, Plans};
use crate::error::Bounce;
use crate::event::Event;
use crate::host::HostTurn;
use crate::mailing::Mailing;
use crate::registration::{Offer, Registrar, Reply as RegistrarReply, Request};
use crate::room::Room;
use crate::step::{Flow, Step};
use crate::store::{Entry, EntryId, Item, Shape, Shelf, StoreError};
use crate::task::{Cx, TaskFuture};
use crate::turn::{Reply, StateSlot, Turn};
use crate::xml::el::El;
use crate::xml::names::{NameId, NameTable};
use crate::xml::stanza::{Child, Stanza};

mod config;
mod doors;

pub use config::*;
pub use doors::*;

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

    /// An operator's mistake in the table of `T`: at the key `path`, as far as it is there. The path into a list has numbers:
    /// `component.0.secret`.
    pub fn wrong<T: Settings>(&self, path: &str, why: impl fmt::Display) -> MountError {
        MountError { at: self.config.place(T::TABLE, path), text: format!("[xep.{}]: {why}", T::TABLE) }
    }

    /// Whether a service may have the name that the key `service` in the table of `T` gives it.
    ///
    /// # Errors
    /// With the place of the key.
    pub fn check_label<T: Settings>(&self, label: &str) -> Result<(), MountError> {
        let wrong = |why| self.wrong::<T>("service", format!("{why}. Give the service another name: service = \"…\""));
        self.address_of(label).map(drop).map_err(wrong)
    }

    fn address_of(&self, label: &str) -> Result<String, String> {
        let domain = format!("{label}.{}", self.doors.domain);
        let as_domain = jid::Jid::new(&domain).ok().filter(|jid| jid.node().is_none() && jid.resource().is_none());
        if as_domain.is_none_or(|jid| jid.as_str() != domain) {
            return Err(format!("{label:?} cannot be the first part of a domain name"));
        }
        if self.serves(&domain) { Err(format!("{domain} is the address of two services")) } else { Ok(domain) }
    }

    /// A service of this domain under an address of its own, `LABEL.domain`: it has doors as a domain has (`At::Host`, `host_iq_named`,
    /// `host_state`, `command`), and there may be entities behind it (`entities`).
    pub fn serve(
        &mut self,
        label: &str,
        open: impl FnOnce(&mut Mount<'_>) -> Result<(), MountError>,
    ) -> Result<(), MountError> {
        let domain = self.address_of(label).map_err(|text| MountError { at: None, text })?;
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

    /// What lives behind this service. `load` makes its memory of what lies on `shelves` (and of the end of the log `tail`); both
    /// are empty for one that does not exist yet. When storage has refused a change it is read anew, and `load` gets what it was, to
    /// keep what was never stored (who is there).
    pub fn entities<T: 'static>(
        &mut self,
        slot: &StateSlot<T>,
        shelves: &[Shelf],
        tail: Option<(Shelf, u32)>,
        load: impl Fn(&[Item], Tail<'_>, Option<T>) -> T + Send + Sync + 'static,
        hear: impl Fn(&mut HostTurn<'_>, &Arc<Stanza>) -> Reply + Send + Sync + 'static,
    ) -> Result<(), MountError> {
        if self.doors.parent.is_none() {
            return Err(self.bug("entities live behind a service"));
        }
        if shelves.iter().any(|shelf| shelf.shape == Shape::Log) {
            return Err(self.bug("a log cannot be woken"));
        }
        let load: LoadEntityFn = Box::new(move |items, tail, before| {
            let before = before.and_then(|before| before.downcast().ok()).map(|before| *before);
            Box::new(load(items, tail, before))
        });
        let (woken, alarm, closing, conversation) = (Vec::new(), Vec::new(), Vec::new(), None);
        let (index, shelves, hear) = (slot.index(), shelves.to_vec(), Box::new(hear));
        let entities = Entities { index, shelves, tail, load, hear, woken, alarm, closing, conversation };
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

    /// `Entities::closing`; after `entities`.
    pub fn on_closing(&mut self, f: impl Fn(&mut HostTurn<'_>) + Send + Sync + 'static) {
        if let Some(entities) = &mut self.doors.entities {
            entities.closing.push(Box::new(f));
        }
    }

    /// What lives behind this service has conversations; after `entities`.
    pub fn conversations_behind(
        &mut self,
        f: impl Fn(&mut HostTurn<'_>, &Jid) -> Result<Conversation, Bounce> + Send + Sync + 'static,
    ) {
        if let Some(entities) = &mut self.doors.entities {
            entities.conversation = Some(Box::new(f));
        }
    }

    /// Accounts have conversations that are kept.
    pub fn conversations(&mut self, f: impl Fn(&mut Turn<'_>, &BareJid) -> Conversation + Send + Sync + 'static) {
        self.doors.conversation = Some(Box::new(f));
    }

    /// Accounts say how they are reached by mail.
    pub fn mail_addresses(&mut self, addresses: MailAddresses) {
        self.doors.mail_addresses = Some(addresses);
    }

    /// What the configuration says of mail that users have sent; `None`: there is no mail server.
    pub fn mailing(&self) -> Option<Arc<Mailing>> {
        self.config.mailing.clone()
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

    /// An account of the domain has ended: forget what it was to others. `Ok` when that is on disk; done anew after an error or a
    /// crash, and its name is nobody's until then.
    pub fn on_farewell<F>(&mut self, f: impl Fn(BareJid, Cx) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), StoreError>> + 'static,
    {
        self.doors.farewells.push(Box::new(move |account, cx| Box::pin(f(account, cx))));
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

    /// What handlers go by that the configuration says. They look it up in their turn (`Doors::rules`): doors are new after a reload, and a
    /// state that has it in itself goes by the old one for ever.
    pub fn rules<T: Send + Sync + 'static>(&mut self, rules: T) {
        self.doors.rules.push(Box::new(rules));
    }

    /// The domain was read from disk, before anything else happens to it; and whenever the configuration was read anew.
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
