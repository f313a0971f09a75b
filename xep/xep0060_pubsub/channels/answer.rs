//! What is asked of the service, and what is kept of it.

use iris_core::entitlements::Plan;
use iris_core::store::{EntryId, Write};
use iris_core::task::{Cx, Finish};
use iris_core::xml::El;
use iris_core::{BareJid, Bounce, Condition, HostTurn, Jid, Reply};

use super::super::{self as pubsub, Access, Answer, Asker, Change, Context, Outcome, Request, Standing, public};
use super::{CHANNELS, INDEX, ITEMS, NODES, SUBSCRIPTIONS, deliver, items, standing};

pub(super) fn answer(turn: &mut HostTurn<'_>, el: &El<'_>, set: bool) -> Reply {
    match Request::parse(el, set) {
        Ok(request) => hear(turn, request),
        Err(why) => why.into(),
    }
}

/// What has to be known before a request can be answered.
#[derive(Clone, Default)]
pub(super) struct Wanted {
    /// May the asker make nodes?
    plan: bool,
    /// Whose rosters say what the asker is.
    rosters: Vec<BareJid>,
    /// Does the asker look after this domain?
    admin: bool,
}

fn hear(turn: &mut HostTurn<'_>, request: Request) -> Reply {
    let who = stranger(turn.from);
    let is_local = turn.is_local() && turn.from.node().is_some();
    let Some(channels) = turn.state(&CHANNELS) else { return Bounce::new(Condition::InternalServerError).into() };
    let node = request.node().and_then(|name| channels.service.node(name));
    let mut wanted = Wanted {
        plan: is_local
            && match request {
                Request::Create { .. } => true,
                Request::Publish { .. } => node.is_none(),
                _ => false,
            },
        ..Wanted::default()
    };
    if let Some(node) = node {
        let by_roster = matches!(node.config.access, Access::Presence | Access::Roster);
        let reads = matches!(
            request,
            Request::Subscribe { .. } | Request::Items { .. } | Request::DefaultOptions { .. } | Request::Publish { .. }
        );
        if by_roster && reads && node.may_read(&who).is_err() {
            wanted.rosters = standing::owners(node);
        }
        wanted.admin = is_local && request.is_of_owner() && node.must_own(&who).is_err();
    }
    let behind = channels.waiting.has(&who.bare);
    if !wanted.plan && !wanted.admin && wanted.rosters.is_empty() && !behind {
        return serve(turn, who, no_plan(is_local), request, items::FETCHES_MAX);
    }
    let place = channels.waiting.hold(&who.bare);
    // What those before it wait for, this one waits for too: so it comes behind them.
    let before = place.replace_with(|before| before.with(&wanted));
    let home = turn.doors.home().to_owned();
    Reply::Task(Box::new(move |cx: Cx| {
        Box::pin(async move {
            let (standing, may_create) = ask(&cx, &who, &wanted, &before, is_local, &home).await;
            Finish::HostTurn(Box::new(move |turn| {
                let reply = serve(turn, Asker { standing, ..who }, may_create, request, items::FETCHES_MAX);
                drop(place);
                reply
            }))
        })
    }))
}

impl Wanted {
    fn with(&self, more: &Wanted) -> Wanted {
        let mut all = self.clone();
        all.admin |= more.admin;
        all.rosters.extend(more.rosters.iter().filter(|owner| !self.rosters.contains(owner)).cloned());
        all
    }
}

/// Everything is asked at once, and the asker's own account always, if there is one: so requests of one come through in their order.
/// `before`: what is asked for the sake of that order alone.
async fn ask(
    cx: &Cx,
    who: &Asker,
    wanted: &Wanted,
    before: &Wanted,
    is_local: bool,
    home: &str,
) -> (Standing, Result<(), Bounce>) {
    let plan = is_local.then(|| cx.plan(who.bare.clone()));
    let person = who.bare.clone();
    let admin = (wanted.admin || before.admin).then(|| cx.host(home, move |turn| turn.is_admin(&person)));
    let (standing, others) = (standing::ask(cx, who, &wanted.rosters), standing::ask(cx, who, &before.rosters));
    let standing = standing.await;
    others.await;
    let is_admin = match admin {
        Some(admin) => matches!(admin.await, Ok(true)) && wanted.admin,
        None => false,
    };
    let standing = if is_admin { Standing::Administrator } else { standing };
    let may_create = match plan {
        None => no_plan(false),
        Some(plan) => match plan.await {
            Ok(Some(plan)) => by_plan(&plan),
            Ok(None) => no_plan(false),
            Err(why) => Err(why.into()),
        },
    };
    (standing, may_create)
}

/// 8.1.3.
fn by_plan(plan: &Plan) -> Result<(), Bounce> {
    if plan.channels_create {
        return Ok(());
    }
    let text = format!(
        "your plan ({}) lets you follow channels, not make them; whoever runs this server can change your plan",
        plan.name
    );
    Err(Bounce::new(Condition::NotAllowed).text(text))
}

/// Whoever's plan was not asked for makes no nodes.
fn no_plan(is_local: bool) -> Result<(), Bounce> {
    let text = if is_local { "that makes no channel" } else { "channels are made by those who have an account here" };
    Err(Bounce::new(Condition::Forbidden).text(text))
}

/// Somebody of whom nothing is known.
pub(super) fn stranger(jid: &Jid) -> Asker {
    Asker { jid: jid.clone(), bare: jid.to_bare(), standing: Standing::Stranger }
}

pub(super) fn serve(
    turn: &mut HostTurn<'_>,
    who: Asker,
    may_create: Result<(), Bounce>,
    request: Request,
    fetches: u8,
) -> Reply {
    let again = matches!(request, Request::Items { .. }).then(|| request.clone());
    match perform(turn, &who, may_create, request) {
        Err(why) => why.into(),
        Ok(Answer::Payload(xml)) => Reply::Result(xml),
        Ok(Answer::Items(fetch)) => items::read(turn, who, fetch, again, fetches),
    }
}

/// One request through the state machine, in this turn.
pub(super) fn perform(
    turn: &mut HostTurn<'_>,
    who: &Asker,
    may_create: Result<(), Bounce>,
    request: Request,
) -> Result<Answer, Bounce> {
    let (house, now, me) = (turn.house, turn.now, turn.jid.to_string());
    let mint = move || house.clock.mint(now).0;
    let Some(channels) = turn.state(&CHANNELS) else { return Err(Bounce::new(Condition::InternalServerError)) };
    let rules = channels.rules.clone();
    let cx = Context {
        quotas: &rules.quotas,
        default: &rules.default,
        who,
        may_create,
        host: None,
        now_us: now.wall_us,
        service: &me,
        mint: &mint,
    };
    if let Some(answer) = public::answer(&channels.service, &cx, &request) {
        return answer;
    }
    let outcome = channels.service.ask(&cx, request)?;
    Ok(settle(turn, outcome))
}

/// Keep what is to be kept, and tell who is to be told.
pub(super) fn settle(turn: &mut HostTurn<'_>, outcome: Outcome) -> Answer {
    let owner = turn.owner;
    let (mut nodes, mut subscriptions) = (false, false);
    for change in outcome.changes {
        match change {
            Change::PutNode(name, value) => {
                nodes = true;
                turn.put(NODES, &name, value);
            }
            Change::DeleteNode(name) => {
                nodes = true;
                turn.delete(NODES, &name);
            }
            Change::PutSubscription(key, value) => {
                subscriptions = true;
                turn.put(SUBSCRIPTIONS, &key, value);
            }
            Change::DeleteSubscription(key) => {
                subscriptions = true;
                turn.delete(SUBSCRIPTIONS, &key);
            }
            Change::PutItem(kept) => {
                turn.put(INDEX, &pubsub::serial_key(kept.entry.serial), pubsub::encode_entry(&kept.node, &kept.entry));
                let (id, peer, entry) = (EntryId(kept.entry.serial), kept.node_number, items::encode(turn, &kept));
                turn.write(Write::Append { owner, shelf: ITEMS, id, peer, tag: 0, entry });
            }
            Change::DeleteItem(serial) => {
                turn.delete(INDEX, &pubsub::serial_key(serial));
                turn.write(Write::Remove { owner, shelf: ITEMS, id: EntryId(serial) });
            }
        }
    }
    if nodes {
        standing::publish_rosters(turn);
    }
    if nodes || subscriptions {
        standing::publish_awaited(turn);
    }
    for notice in outcome.notices {
        deliver::tell(turn, notice, outcome.removed.as_ref());
    }
    outcome.answer
}
