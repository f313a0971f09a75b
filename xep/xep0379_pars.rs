//! XEP-0379: Pre-Authenticated Roster Subscription - who shows an invitation need not wait for an answer.
//! Spec 0.3.3, https://xmpp.org/extensions/xep-0379.html. Not done: nothing. What the server does not know as a token of its own
//! goes to the clients as it is: one of them may have made it (section 4.1: it is as if there were none).

use std::collections::VecDeque;

use iris_core::effects::Effect;
use iris_core::invitation::{InvitationId, Token};
use iris_core::task::TaskFuture;
use iris_core::{
    Ask, AskAnswer, BareJid, Card, Cx, Envelope, Finish, Flow, Kind, Mount, MountError, Reply, Room, StanzaType, StateSlot,
    Status, Step, Turn,
};

use crate::xep0401_invitations as invitations;

const NS: &str = "urn:xmpp:pars:0";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(379),
        name: "Pre-Authenticated Roster Subscription",
        version: "0.3.3",
        status: Status::Complete,
        needs: &[401],
    },
    mount,
};

/// Requests whose token was looked at and is not good: they go the ordinary way when they come by again.
#[derive(Default)]
struct Ordinary(VecDeque<(BareJid, InvitationId)>);

/// Requests that are looked at, at once; more go the ordinary way.
const ASKING_MAX: usize = 32;

static ORDINARY: StateSlot<Ordinary> = StateSlot::new();

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.state(&ORDINARY, &[], |_| Ordinary::default())?;
    m.on(Step::ReceivedGuard, received);
    Ok(())
}

/// Section 3.5. The domain has to be asked, so the request waits aside meanwhile.
fn received(turn: &mut Turn<'_>) -> Flow {
    let Some(envelope) = turn.envelope.as_deref() else { return Flow::Go };
    if envelope.stanza.kind() != Kind::Presence || envelope.stanza.stype() != StanzaType::Subscribe {
        return Flow::Go;
    }
    let Some(child) = envelope.stanza.child_named(NS, "preauth") else { return Flow::Go };
    let token = envelope.stanza.child_el(child).attr("token");
    let Some(id) = token.and_then(|token| token.parse::<Token>().ok()).map(|token| token.id()) else { return Flow::Go };
    let contact = envelope.from.to_bare();
    let mut aside = Envelope::new(envelope.stanza.clone(), envelope.from.clone(), envelope.to.clone());
    let Some(ordinary) = turn.state(&ORDINARY) else { return Flow::Go };
    if let Some(at) = ordinary.0.iter().position(|known| *known == (contact.clone(), id)) {
        ordinary.0.remove(at);
        return Flow::Go;
    }
    if ordinary.0.len() >= ASKING_MAX {
        return Flow::Go;
    }
    // It counts as handled when what comes of it is kept (XEP-0198), not when it is put aside.
    aside.receipt = turn.envelope.as_deref_mut().and_then(|envelope| envelope.receipt.take());
    let (me, domain) = (turn.me().clone(), turn.host().to_owned());
    turn.spawn(move |cx: Cx| -> TaskFuture { Box::pin(look(cx, domain, me, contact, id, aside)) });
    Flow::Drop("its invitation is being looked at")
}

async fn look(cx: Cx, domain: String, me: BareJid, contact: BareJid, id: InvitationId, mut aside: Box<Envelope>) -> Finish {
    let (inviter, asker) = (me.clone(), contact.clone());
    let redeemed = cx.host(&domain, move |turn| {
        let now_us = turn.now.wall_us;
        let outcome = turn.state(&invitations::LEDGER).map(|ledger| ledger.redeem(&id, &inviter, &asker, now_us));
        match outcome {
            Some(Ok(change)) => {
                invitations::keep(turn, change);
                true
            }
            _ => false,
        }
    });
    if redeemed.await == Ok(true) && cx.ask(me, Ask::Approve(contact.clone())).await == AskAnswer::Done {
        return Finish::Turn(Box::new(move |turn| {
            turn.fx.list.extend(aside.receipt.take().map(|receipt| Effect::Settle(receipt.settle())));
            Reply::Sent
        }));
    }
    // Section 4.1: as if it had none.
    Finish::Turn(Box::new(move |turn| {
        if let Some(ordinary) = turn.state(&ORDINARY) {
            ordinary.0.push_back((contact, id));
        }
        turn.fx.list.push(Effect::Send(aside));
        Reply::Sent
    }))
}
