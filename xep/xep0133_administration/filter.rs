//! 4.11 and 4.12: with whom nobody of the domain communicates, and with whom alone: both ways, or one way only (what comes in,
//! what goes out). The domain's own accounts need no whitelisting; with the domain itself one always may speak, so that a
//! mistake can be mended.

use std::collections::BTreeSet;
use std::sync::Arc;

use iris_core::command::{Command, Done, Next, Stage, Who};
use iris_core::form::Field;
use iris_core::store::{Item, Shelf};
use iris_core::{
    Bounce, Changed, Condition, Cx, Fact, Flow, HostTurn, Jid, Mount, MountError, StanzaType, StateSlot, Step, Turn,
};

use super::{form, node};
use crate::error_to_sender;

/// Keys: the prefix of a list and a JID.
const SHELF: Shelf = Shelf::map("filter");
/// Of each list.
const ENTRIES_MAX: usize = 5_000;

type List = BTreeSet<String>;

/// A list for each way: nothing *from* who is on `inward`, nothing *to* who is on `outward`; neither for who is on `both`.
#[derive(Clone, Default)]
struct Ways {
    both: List,
    inward: List,
    outward: List,
}

#[derive(Clone, Default)]
struct Lists {
    black: Ways,
    white: Ways,
}

static LISTS: StateSlot<Lists> = StateSlot::new();
static PUBLISHED: Fact<Arc<Lists>> = Fact::new();

/// One of the six lists, and the command that edits it.
struct Edited {
    node: &'static str,
    name: &'static str,
    prefix: &'static str,
    /// As 4.11 and 4.12 name the field.
    var: &'static str,
    list: fn(&mut Lists) -> &mut List,
}

static BLACK: Edited = Edited {
    node: node!("edit-blacklist"),
    name: "Edit the blacklist",
    prefix: "b:",
    var: "blacklistjids",
    list: |lists| &mut lists.black.both,
};
static BLACK_IN: Edited = Edited {
    node: node!("add-to-blacklist-in"),
    name: "Edit the blacklist of what comes in",
    prefix: "bi:",
    var: "blacklistjids",
    list: |lists| &mut lists.black.inward,
};
static BLACK_OUT: Edited = Edited {
    node: node!("add-to-blacklist-out"),
    name: "Edit the blacklist of what goes out",
    prefix: "bo:",
    var: "blacklistjids",
    list: |lists| &mut lists.black.outward,
};
static WHITE: Edited = Edited {
    node: node!("edit-whitelist"),
    name: "Edit the whitelist",
    prefix: "w:",
    var: "whitelistjids",
    list: |lists| &mut lists.white.both,
};
/// 4.12 has two names for the list of both ways: one in its words, one in its examples.
static WHITE_AGAIN: Edited = Edited { node: node!("add-to-whitelist"), ..WHITE };
static WHITE_IN: Edited = Edited {
    node: node!("add-to-whitelist-in"),
    name: "Edit the whitelist of what comes in",
    prefix: "wi:",
    var: "whitelistjids",
    list: |lists| &mut lists.white.inward,
};
static WHITE_OUT: Edited = Edited {
    node: node!("add-to-whitelist-out"),
    name: "Edit the whitelist of what goes out",
    prefix: "wo:",
    var: "whitelistjids",
    list: |lists| &mut lists.white.outward,
};
static EDITED: [&Edited; 7] = [&BLACK, &BLACK_IN, &BLACK_OUT, &WHITE, &WHITE_AGAIN, &WHITE_IN, &WHITE_OUT];

pub(super) fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.shelf(SHELF)?;
    m.host_state(&LISTS, &[SHELF], load)?;
    m.on_host_woken(publish);
    m.on(Step::SentGuard, |turn| guard(turn, Way::Out));
    m.on(Step::ReceivedGuard, |turn| guard(turn, Way::In));
    for edited in EDITED {
        m.command(Command::new(edited.node, edited.name, Who::Admin, move |stage, cx| edit(stage, cx, edited)))?;
    }
    Ok(())
}

fn load(items: &[Item]) -> Lists {
    let mut lists = Lists::default();
    for edited in EDITED {
        let jids = items.iter().filter_map(|item| item.key.strip_prefix(edited.prefix));
        (edited.list)(&mut lists).extend(jids.map(str::to_owned));
    }
    lists
}

fn publish(turn: &mut HostTurn<'_>) {
    if let Some(lists) = turn.state(&LISTS) {
        let lists = Arc::new(lists.clone());
        turn.publish(&PUBLISHED, lists);
    }
}

async fn edit(stage: Stage, cx: Cx, edited: &'static Edited) -> Result<Next, Bounce> {
    let (list, var) = (edited.list, edited.var);
    let Some(answers) = stage.form else {
        let now = cx.host(&stage.domain, move |turn| turn.state(&LISTS).map(|lists| list(lists).clone())).await?;
        let (label, instructions) = match var {
            "blacklistjids" => ("The blacklist", "with whom communications are disallowed."),
            _ => ("The whitelist", "with whom communications are allowed. Empty: with all."),
        };
        let instructions = format!("Fill out this form to edit the list of entities {instructions}");
        return Ok(Next::ask(form(edited.name, &instructions).field(Field::jids(var, label).values(now.unwrap_or_default()))));
    };
    if !answers.has(var) {
        return Err(Bounce::bad_request(&format!("{var}: is required; an empty one empties the list")));
    }
    let wanted: List = answers.values(var).iter().cloned().collect();
    if wanted.len() > ENTRIES_MAX {
        let most = format!("{var}: at most {ENTRIES_MAX} entries");
        return Err(Bounce::new(Condition::BadRequest).limit(most, Changed::ByNobody("name a domain for its accounts")));
    }
    if var == "blacklistjids" && wanted.contains(&*stage.domain) {
        return Err(Bounce::bad_request(&format!("{var}: {} is the domain itself", stage.domain)));
    }
    cx.host(&stage.domain, move |turn| {
        let Some(lists) = turn.state(&LISTS) else { return };
        let before = std::mem::replace(list(lists), wanted.clone());
        for gone in before.difference(&wanted) {
            turn.delete(SHELF, &format!("{}{gone}", edited.prefix));
        }
        for new in wanted.difference(&before) {
            turn.put(SHELF, &format!("{}{new}", edited.prefix), "");
        }
        publish(turn);
    })
    .await?;
    Ok(Next::Done(Done::empty()))
}

/// XEP-0016 2.1: the whole address, without resource, the domain with it, the domain.
fn names(list: &List, jid: &Jid) -> bool {
    if list.is_empty() {
        return false;
    }
    let domain = jid.domain().as_str();
    let with_resource = jid.resource().is_some_and(|resource| list.contains(&format!("{domain}/{resource}")));
    list.contains(jid.as_str()) || list.contains(jid.to_bare().as_str()) || with_resource || list.contains(domain)
}

impl Ways {
    fn is_empty(&self) -> bool {
        self.both.is_empty() && self.inward.is_empty() && self.outward.is_empty()
    }
    /// The list of this way that is beside the one for both.
    fn only(&self, way: Way) -> &List {
        match way {
            Way::In => &self.inward,
            Way::Out => &self.outward,
        }
    }
    fn names(&self, way: Way, jid: &Jid) -> bool {
        names(&self.both, jid) || names(self.only(way), jid)
    }
}

impl Lists {
    /// `way` as `me`, of this domain, sees it: what I send goes out to the peer, and comes in to the service from me.
    fn allow(&self, way: Way, me: &Jid, peer: &Jid) -> bool {
        if self.black.names(way, peer) || (!self.black.is_empty() && self.black.names(way.turned(), me)) {
            return false;
        }
        let all_may = self.white.both.is_empty() && self.white.only(way).is_empty();
        all_may || peer.domain() == me.domain() || self.white.names(way, peer)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

impl Way {
    fn turned(self) -> Way {
        match self {
            Way::In => Way::Out,
            Way::Out => Way::In,
        }
    }
}

fn guard(turn: &mut Turn<'_>, way: Way) -> Flow {
    let Some(lists) = turn.fact(&PUBLISHED) else { return Flow::Go };
    if lists.black.is_empty() && lists.white.is_empty() {
        return Flow::Go;
    }
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    let peer = if way == Way::Out { &envelope.to } else { &envelope.from };
    let is_host = peer.node().is_none() && peer.domain().as_str() == turn.host();
    if is_host || peer.to_bare() == *turn.me() {
        return Flow::Go;
    }
    if lists.allow(way, &Jid::from(turn.me().clone()), peer) {
        return Flow::Go;
    }
    match way {
        Way::Out => {
            let (to, stanza) = (peer.clone(), envelope.stanza.clone());
            // Presence to everybody passes over them without a word; so does what is itself an answer.
            let wants_answer = stanza.to().is_some() && !matches!(stanza.stype(), StanzaType::Error | StanzaType::Result);
            if let (true, Some(session)) = (wants_answer, turn.session) {
                let why =
                    Bounce::new(Condition::NotAllowed).text("the administrator does not allow to speak with this address");
                turn.push(session, error_to_sender(&stanza, &to, &why));
            }
            Flow::Drop("the administrator does not allow it")
        }
        // One answer for strangers, whoever they are.
        Way::In => Flow::Bounce(Bounce::nobody()),
    }
}
