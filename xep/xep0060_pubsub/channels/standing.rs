//! What somebody is to those who own a node (4.5, models `presence` and `roster`): their accounts know. They are asked when somebody
//! subscribes or reads, and they say of themselves when it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use iris_core::host::Fact;
use iris_core::task::{Cx, Finish};
use iris_core::{BareJid, HostTurn, Reply};

use super::super::{Access, Affiliation, Asker, Node, SendLast, Service, Standing, Turned};
use super::{CHANNELS, answer, people};

/// Whose rosters count here: accounts that own a node of these models. Published, so that the others need not be asked nor tell.
pub(super) static ROSTERS: Fact<BTreeSet<BareJid>> = Fact::new();

/// Who is subscribed to a node that sends its last item to whoever comes online (6.1.7, `on_sub_and_presence`): their accounts say it.
pub(super) static AWAITED: Fact<BTreeSet<BareJid>> = Fact::new();

/// Of whom something ends when they go offline (12.5): their accounts say that, too.
pub(super) static FLEETING: Fact<People> = Fact::new();

/// In parts, each shared until it changes: whoever comes and goes alone costs no copy of all.
#[derive(Clone, Default)]
pub(super) struct People(BTreeMap<u8, Arc<BTreeSet<BareJid>>>);

impl People {
    fn part(person: &BareJid) -> u8 {
        let mut hasher = DefaultHasher::new();
        person.hash(&mut hasher);
        hasher.finish().to_le_bytes()[0]
    }

    pub fn contains(&self, person: &BareJid) -> bool {
        self.0.get(&People::part(person)).is_some_and(|part| part.contains(person))
    }

    /// Are they others now?
    fn change(&mut self, person: &BareJid, is: bool) -> bool {
        if self.contains(person) == is {
            return false;
        }
        let part = Arc::make_mut(self.0.entry(People::part(person)).or_default());
        if is { part.insert(person.clone()) } else { part.remove(person) }
    }
}

/// What people are to the owners of a node.
pub(super) type Standings = HashMap<BareJid, Standing>;

/// Owners that are asked; a node with more is told by the first of them.
const OWNERS_ASKED_MAX: usize = 16;

pub(super) fn owners(node: &Node) -> Vec<BareJid> {
    let owners = node.affiliations.iter().filter(|(_, it)| **it == Affiliation::Owner);
    owners.map(|(jid, _)| jid.clone()).take(OWNERS_ASKED_MAX).collect()
}

/// Asked when this is called, not when it is awaited.
pub(super) fn ask(cx: &Cx, who: &Asker, owners: &[BareJid]) -> impl Future<Output = Standing> + use<> {
    let (person, asked) = (who.bare.clone(), ask_all(cx, vec![who.bare.clone()], owners));
    async move { asked.await.remove(&person).unwrap_or(Standing::Stranger) }
}

/// The same of many: each owner is asked once. Strangers are left out.
pub(super) fn ask_all(cx: &Cx, people: Vec<BareJid>, owners: &[BareJid]) -> impl Future<Output = Standings> + use<> {
    let people: Arc<[BareJid]> = people.into();
    let asked: Vec<_> = owners
        .iter()
        .map(|owner| {
            let people = people.clone();
            cx.account(owner.clone(), move |turn| {
                let me = turn.me().clone();
                let groups = |person: &BareJid| {
                    let relation = if *person == me { iris_core::Relation::Own } else { turn.account.relation(person) };
                    relation.sees_us().then(|| turn.account.groups(person))
                };
                people.iter().map(groups).collect::<Vec<Option<Vec<Box<str>>>>>()
            })
        })
        .collect();
    async move {
        let mut all: HashMap<BareJid, Vec<Box<str>>> = HashMap::new();
        for answer in asked {
            // No such account here, or none that answers: that one lets nobody in.
            let Ok(Some(of)) = answer.await else { continue };
            for (person, groups) in people.iter().zip(of) {
                if let Some(groups) = groups {
                    all.entry(person.clone()).or_default().extend(groups);
                }
            }
        }
        all.into_iter().map(|(person, groups)| (person, Standing::Watcher { groups })).collect()
    }
}

/// Go on with what the asker is to this node, once its owners have said it, if it takes them: to everybody else nothing is new.
pub(super) fn with_standing(
    turn: &mut HostTurn<'_>,
    name: &str,
    then: impl FnOnce(&mut HostTurn<'_>, Asker) -> Reply + 'static,
) -> Reply {
    let who = answer::stranger(turn.from);
    let by_roster =
        |node: &&Node| matches!(node.config.access, Access::Presence | Access::Roster) && node.may_read(&who).is_err();
    let asked = turn.state(&CHANNELS).and_then(|it| it.service.node(name).filter(by_roster).map(owners));
    match asked {
        None => then(turn, who),
        Some(owners) => Reply::Task(Box::new(move |cx: Cx| {
            Box::pin(async move {
                let who = Asker { standing: ask(&cx, &who, &owners).await, ..who };
                Finish::HostTurn(Box::new(move |turn| then(turn, who)))
            })
        })),
    }
}

/// After each change of a node.
pub(super) fn publish_rosters(turn: &mut HostTurn<'_>) {
    let Some(channels) = turn.state(&CHANNELS) else { return };
    let by_roster = |node: &&Node| matches!(node.config.access, Access::Presence | Access::Roster);
    let nodes = channels.service.nodes().map(|(_, node)| node).filter(by_roster);
    let rosters: BTreeSet<BareJid> = nodes.flat_map(owners).collect();
    turn.publish(&ROSTERS, rosters);
}

/// After each change of a node, or of subscriptions alone.
pub(super) fn publish_awaited(turn: &mut HostTurn<'_>, of_node: bool) {
    let Some(channels) = turn.state(&CHANNELS) else { return };
    // Few services have such nodes, and then nobody looks through all of them for each new subscriber.
    if !of_node && !channels.awaits {
        return;
    }
    let greets = greeting(&channels.service).next().is_some();
    let people = greeting(&channels.service).flat_map(|(_, node)| node.subscriptions.people());
    let awaited: BTreeSet<BareJid> = people.map(|(person, _)| person.clone()).collect();
    if std::mem::replace(&mut channels.awaits, greets) || greets {
        turn.publish(&AWAITED, awaited);
    }
}

/// After each change. Whoever is new among them, or has subscribed with one more address, is asked whether they are there at all: they may
/// have gone before their account knew that it matters, while their request waited, or while the house was down.
pub(super) fn publish_fleeting(turn: &mut HostTurn<'_>) {
    let Some(channels) = turn.state(&CHANNELS) else { return };
    let (mut is_other, mut asked) = (false, Vec::new());
    for Turned { person, matters, subscribed } in channels.service.turned() {
        let changes = channels.fleeting.change(&person, matters);
        is_other |= changes;
        if matters && (changes || subscribed) {
            asked.push(person);
        }
    }
    if is_other {
        let fleeting = channels.fleeting.clone();
        turn.publish(&FLEETING, fleeting);
    }
    let service: Arc<str> = Arc::from(turn.jid.as_str());
    for person in asked {
        let service = service.clone();
        turn.tell_account(person, move |turn| people::unavailable(turn, &service));
    }
}

/// The nodes whose last item goes to whoever comes online.
pub(super) fn greeting(service: &Service) -> impl Iterator<Item = (&Arc<str>, &Node)> {
    service.nodes().filter(|(_, node)| node.config.send_last == SendLast::OnSubAndPresence && !node.config.is_collection())
}

/// Nodes of this owner where a contact's standing counts, and has a subscription.
pub(super) fn concerned(turn: &mut HostTurn<'_>, owner: &BareJid, contact: &BareJid) -> Vec<(Arc<str>, Vec<BareJid>)> {
    let Some(channels) = turn.state(&CHANNELS) else { return Vec::new() };
    let concerned = channels.service.nodes().filter(|(_, node)| {
        matches!(node.config.access, Access::Presence | Access::Roster)
            && node.affiliations.get(owner) == Some(&Affiliation::Owner)
            && !node.subscriptions.of(contact).is_empty()
    });
    concerned.map(|(name, node)| (name.clone(), owners(node))).collect()
}
