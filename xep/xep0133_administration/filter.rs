//! 4.11 and 4.12: with whom nobody of the domain communicates, and with whom alone. Both ways. The domain's own accounts need
//! no whitelisting; with the domain itself one always may speak, so that a mistake can be mended.

use std::collections::BTreeSet;
use std::sync::Arc;

use iris_core::command::{Command, Done, Next, Stage, Who};
use iris_core::form::Field;
use iris_core::store::{Item, Shelf};
use iris_core::{Bounce, Condition, Cx, Fact, Flow, HostTurn, Jid, Mount, MountError, StanzaType, StateSlot, Step, Turn};

use super::{form, node};
use crate::error_to_sender;

/// Keys: `b:` or `w:` and a JID.
const SHELF: Shelf = Shelf::map("filter");
/// Of each list.
const ENTRIES_MAX: usize = 5_000;

#[derive(Clone, Default)]
struct Lists {
    black: BTreeSet<String>,
    white: BTreeSet<String>,
}

static LISTS: StateSlot<Lists> = StateSlot::new();
static PUBLISHED: Fact<Arc<Lists>> = Fact::new();

#[derive(Clone, Copy)]
enum Which {
    Black,
    White,
}

impl Which {
    fn prefix(self) -> &'static str {
        match self {
            Which::Black => "b:",
            Which::White => "w:",
        }
    }
    fn of(self, lists: &mut Lists) -> &mut BTreeSet<String> {
        match self {
            Which::Black => &mut lists.black,
            Which::White => &mut lists.white,
        }
    }
}

pub(super) fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.shelf(SHELF)?;
    m.host_state(&LISTS, &[SHELF], |items| Lists { black: load(items, "b:"), white: load(items, "w:") })?;
    m.on_host_woken(publish);
    m.on(Step::SentGuard, |turn| guard(turn, Way::Out));
    m.on(Step::ReceivedGuard, |turn| guard(turn, Way::In));
    m.command(Command::new(node!("edit-blacklist"), "Edit the blacklist", Who::Admin, |stage, cx| {
        let title = "Editing the Blacklist";
        let instructions = "Fill out this form to edit the list of entities with whom communications are disallowed.";
        edit(stage, cx, Which::Black, "blacklistjids", "The blacklist", title, instructions)
    }))?;
    m.command(Command::new(node!("edit-whitelist"), "Edit the whitelist", Who::Admin, |stage, cx| {
        let title = "Editing the Whitelist";
        let instructions =
            "Fill out this form to edit the list of entities with whom communications are allowed. Empty: with all.";
        edit(stage, cx, Which::White, "whitelistjids", "The whitelist", title, instructions)
    }))
}

fn load(items: &[Item], prefix: &str) -> BTreeSet<String> {
    items.iter().filter_map(|item| item.key.strip_prefix(prefix)).map(str::to_owned).collect()
}

fn publish(turn: &mut HostTurn<'_>) {
    if let Some(lists) = turn.state(&LISTS) {
        let lists = Arc::new(lists.clone());
        turn.publish(&PUBLISHED, lists);
    }
}

async fn edit(
    stage: Stage,
    cx: Cx,
    which: Which,
    var: &'static str,
    label: &'static str,
    title: &'static str,
    instructions: &'static str,
) -> Result<Next, Bounce> {
    let Some(answers) = stage.form else {
        let now = cx.host(&stage.domain, move |turn| turn.state(&LISTS).map(|lists| which.of(lists).clone())).await?;
        let field = Field::jids(var, label).values(now.unwrap_or_default());
        return Ok(Next::ask(form(title, instructions).field(field)));
    };
    if !answers.has(var) {
        return Err(Bounce::bad_request(&format!("{var}: is required; an empty one empties the list")));
    }
    let wanted: BTreeSet<String> = answers.values(var).iter().cloned().collect();
    if wanted.len() > ENTRIES_MAX {
        return Err(Bounce::bad_request(&format!("{var}: at most {ENTRIES_MAX} entries")));
    }
    if matches!(which, Which::Black) && wanted.contains(&*stage.domain) {
        return Err(Bounce::bad_request(&format!("{var}: {} is the domain itself", stage.domain)));
    }
    cx.host(&stage.domain, move |turn| {
        let Some(lists) = turn.state(&LISTS) else { return };
        let before = std::mem::replace(which.of(lists), wanted.clone());
        for gone in before.difference(&wanted) {
            turn.delete(SHELF, &format!("{}{gone}", which.prefix()));
        }
        for new in wanted.difference(&before) {
            turn.put(SHELF, &format!("{}{new}", which.prefix()), "");
        }
        publish(turn);
    })
    .await?;
    Ok(Next::Done(Done::empty()))
}

/// XEP-0016 2.1: the whole address, without resource, the domain with it, the domain.
fn names(list: &BTreeSet<String>, jid: &Jid) -> bool {
    if list.is_empty() {
        return false;
    }
    let domain = jid.domain().as_str();
    let with_resource = jid.resource().is_some_and(|resource| list.contains(&format!("{domain}/{resource}")));
    list.contains(jid.as_str()) || list.contains(jid.to_bare().as_str()) || with_resource || list.contains(domain)
}

impl Lists {
    fn allow(&self, peer: &Jid, domain: &str) -> bool {
        if names(&self.black, peer) {
            return false;
        }
        self.white.is_empty() || peer.domain().as_str() == domain || names(&self.white, peer)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
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
    let me = Jid::from(turn.me().clone());
    if lists.allow(peer, turn.host()) && !names(&lists.black, &me) {
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
