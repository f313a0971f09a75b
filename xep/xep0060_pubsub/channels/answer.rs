//! What is asked of the service, and what is kept of it.

use iris_core::entitlements::Plan;
use iris_core::store::{EntryId, Write};
use iris_core::task::{Cx, Finish};
use iris_core::xml::El;
use iris_core::{BareJid, Bounce, Condition, HostTurn, Jid, Reply};

use super::super::{Access, Answer, Asker, Change, Config, Context, Node, Outcome, Quotas, Request, Standing, public};
use super::standing::Standings;
use super::{CHANNELS, ITEMS, Rules, SHELVES, deliver, items, standing};

pub(super) fn answer(turn: &mut HostTurn<'_>, el: &El<'_>, set: bool) -> Reply {
    // A domain notifies apps (XEP-0357) where its users want it to: not the followers of a channel, in nobody's name. A program that has a
    // domain of the house (XEP-0114) speaks for itself.
    let is_domain = turn.doors.rules::<Rules>().is_some_and(|rules| rules.domains.iter().any(|it| *it == turn.from.as_str()));
    if set && is_domain {
        return Bounce::new(Condition::Forbidden).text("a server of this house publishes nothing here").into();
    }
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
    /// The owners and the subscribers of a node that the request may close to these.
    review: (Vec<BareJid>, Vec<BareJid>),
}

/// What is known of whoever asks, and of others.
pub(super) struct Known {
    /// May they make nodes?
    pub may_create: Result<(), Bounce>,
    pub others: Standings,
}

impl Known {
    pub fn no_more(may_create: Result<(), Bounce>) -> Known {
        Known { may_create, others: Standings::new() }
    }
}

/// 4.5: will rosters say who may keep a subscription to this node?
fn closes(node: &Node, request: &Request, quotas: &Quotas) -> bool {
    let by_roster = |config: &Config| matches!(config.access, Access::Presence | Access::Roster);
    match request {
        Request::SetConfig { form, .. } => node.config.apply(form, quotas).is_ok_and(|config| {
            by_roster(&config) && (config.access != node.config.access || config.groups != node.config.groups)
        }),
        Request::SetAffiliations { .. } => by_roster(&node.config),
        _ => false,
    }
}

fn hear(turn: &mut HostTurn<'_>, request: Request) -> Reply {
    let who = stranger(turn.from);
    let is_local = turn.is_local() && turn.from.node().is_some();
    let rules = turn.doors.rules::<Rules>();
    let Some((channels, rules)) = turn.state(&CHANNELS).zip(rules) else {
        return Bounce::new(Condition::InternalServerError).into();
    };
    let node = request.node().and_then(|name| channels.service.node(public::subject(name)));
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
            Request::Subscribe { .. }
                | Request::Items { .. }
                | Request::DefaultOptions { .. }
                | Request::Publish { .. }
                | Request::Retract { .. }
        );
        if by_roster && reads && node.may_read(&who).is_err() {
            wanted.rosters = standing::owners(node);
        }
        // Whoever is no owner, and may do it all the same, looks after the service: then nobody is asked, and who would be let in by
        // a roster subscribes anew.
        if node.must_own(&who).is_ok() && closes(node, &request, &rules.quotas) {
            let people = node.subscriptions.people().map(|(person, _)| person.clone()).collect();
            wanted.review = (standing::owners(node), people);
        }
        wanted.admin = is_local && request.is_of_owner() && node.must_own(&who).is_err();
    }
    let behind = channels.waiting.has(&who.bare);
    let asks_nobody = !wanted.plan && !wanted.admin && wanted.rosters.is_empty() && wanted.review.1.is_empty();
    if asks_nobody && !behind {
        return serve(turn, who, Known::no_more(no_plan(is_local)), request, items::FETCHES_MAX);
    }
    let place = channels.waiting.hold(&who.bare);
    // What those before it wait for, this one waits for too: so it comes behind them.
    let before = place.replace_with(|before| before.with(&wanted));
    let home = turn.doors.home().to_owned();
    Reply::Task(Box::new(move |cx: Cx| {
        Box::pin(async move {
            let (standing, known) = ask(&cx, &who, &wanted, &before, is_local, &home).await;
            Finish::HostTurn(Box::new(move |turn| {
                let reply = serve(turn, Asker { standing, ..who }, known, request, items::FETCHES_MAX);
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
        let more = more.rosters.iter().chain(&more.review.0);
        all.rosters.extend(more.filter(|owner| !self.rosters.contains(owner)).cloned());
        all
    }
}

/// Everything is asked at once, and the asker's own account always, if there is one: so requests of one come through in their order.
/// `before`: what is asked for the sake of that order alone.
async fn ask(cx: &Cx, who: &Asker, wanted: &Wanted, before: &Wanted, is_local: bool, home: &str) -> (Standing, Known) {
    let plan = is_local.then(|| cx.plan(who.bare.clone()));
    let person = who.bare.clone();
    let admin = (wanted.admin || before.admin).then(|| cx.host(home, move |turn| turn.is_admin(&person)));
    let (standing, others) = (standing::ask(cx, who, &wanted.rosters), standing::ask(cx, who, &before.rosters));
    let review = standing::ask_all(cx, wanted.review.1.clone(), &wanted.review.0);
    let standing = standing.await;
    others.await;
    let others = review.await;
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
    (standing, Known { may_create, others })
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

pub(super) fn serve(turn: &mut HostTurn<'_>, who: Asker, known: Known, request: Request, fetches: u8) -> Reply {
    let again = matches!(request, Request::Items { .. }).then(|| request.clone());
    match perform(turn, &who, known, request) {
        Err(why) => why.into(),
        Ok(Answer::Payload(xml)) => Reply::Result(xml),
        Ok(Answer::Items(fetch)) => items::read(turn, who, fetch, again, fetches),
    }
}

/// One request through the state machine, in this turn.
pub(super) fn perform(turn: &mut HostTurn<'_>, who: &Asker, known: Known, request: Request) -> Result<Answer, Bounce> {
    let (house, now, me) = (turn.house, turn.now, turn.jid.to_string());
    let mint = move || house.clock.mint(now).0;
    if let Some(over) = turn.state(&CHANNELS).and_then(|it| it.service.end_leases(now.wall_us)) {
        settle(turn, over);
    }
    let rules = turn.doors.rules::<Rules>();
    let Some((channels, rules)) = turn.state(&CHANNELS).zip(rules) else {
        return Err(Bounce::new(Condition::InternalServerError));
    };
    let sees = |person: &BareJid| rules.sees(person);
    let cx = Context {
        quotas: &rules.quotas,
        default: &rules.default,
        who,
        others: &known.others,
        may_create: known.may_create,
        host: None,
        sees: &sees,
        now_us: now.wall_us,
        service: &me,
        mint: &mint,
    };
    let outcome = channels.service.ask(&cx, request)?;
    Ok(settle(turn, outcome))
}

/// Keep what is to be kept, and tell who is to be told.
pub(super) fn settle(turn: &mut HostTurn<'_>, outcome: Outcome) -> Answer {
    let owner = turn.owner;
    let (mut nodes, mut subscriptions) = (false, false);
    for change in outcome.changes {
        turn.write(SHELVES.write(owner, &change));
        match change {
            Change::PutNode(..) | Change::DeleteNode(_) => nodes = true,
            Change::PutSubscription(..) | Change::DeleteSubscription(_) => subscriptions = true,
            Change::PutItem(kept) => {
                let (id, peer, entry) = (EntryId(kept.entry.serial), kept.node_number, items::encode(turn, &kept));
                turn.write(Write::Append { owner, shelf: ITEMS, id, peer, tag: 0, entry });
            }
            Change::DeleteItem(serial) => turn.write(Write::Remove { owner, shelf: ITEMS, id: EntryId(serial) }),
            Change::PutMoved(..) | Change::DeleteMoved(_) => {}
        }
    }
    if nodes {
        standing::publish_rosters(turn);
    }
    if nodes || subscriptions {
        standing::publish_awaited(turn, nodes);
    }
    standing::publish_fleeting(turn);
    for notice in outcome.notices {
        deliver::tell(turn, notice, &outcome.removed);
    }
    outcome.answer
}
