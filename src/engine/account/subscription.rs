//! RFC 6121 Appendix A: what a subscription stanza does to the state between a user and one contact, as pure tables.
//!
//! Everything is told from the side of the account that holds the state (A.1): `outbound` is what its user sends, `inbound`
//! what the contact sends. Who is in no roster at all is in the state "None" (A.1, implementation note). A stanza that changes
//! nothing may come any number of times.

use iris_core::StanzaType;

#[cfg(test)]
mod tests;

/// One of the nine states of A.1, and the pre-approval of 3.4.
///
/// ```text
///                          to     from   ask    pending_in
/// None
/// None + Pending Out                     x
/// None + Pending In                             x
/// None + Pending Out+In                  x      x
/// To                       x
/// To + Pending In          x                    x
/// From                            x
/// From + Pending Out              x      x
/// Both                     x      x
/// ```
/// `approved` stands beside "None", "None + Pending Out" and "To" only: with "From" there is nothing left to approve, and with
/// "Pending In" a `subscribed` is the answer itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// The user gets the contact's presence.
    pub to: bool,
    /// The contact gets the user's presence.
    pub from: bool,
    /// "Pending Out": the user has asked, the contact has not answered.
    pub ask: bool,
    /// "Pending In": the contact has asked, the user has not answered.
    pub pending_in: bool,
    /// The user has said yes before the contact asked.
    pub approved: bool,
}

impl State {
    pub const NONE: State = State { to: false, from: false, ask: false, pending_in: false, approved: false };

    /// The value of an item's `subscription` (2.1.2.5).
    pub const fn subscription(self) -> &'static str {
        match (self.to, self.from) {
            (false, false) => "none",
            (true, false) => "to",
            (false, true) => "from",
            (true, true) => "both",
        }
    }

    /// The state nearest to these flags that A.1 knows: what is granted is no longer asked for.
    pub const fn defined(self) -> State {
        let ask = self.ask && !self.to;
        let pending_in = self.pending_in && !self.from;
        State { ask, pending_in, approved: self.approved && !self.from && !pending_in, ..self }
    }

    /// What a client of the user sees of it in the roster; "Pending In" is not shown (A.1, state 3).
    pub const fn shown(self) -> State {
        State { pending_in: false, ..self }
    }
}

/// The four subscription stanzas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
}

impl Kind {
    /// The `type` of the presence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Subscribe => "subscribe",
            Kind::Subscribed => "subscribed",
            Kind::Unsubscribe => "unsubscribe",
            Kind::Unsubscribed => "unsubscribed",
        }
    }

    /// `None` for a presence that is not about subscriptions.
    pub const fn of(stype: StanzaType) -> Option<Kind> {
        match stype {
            StanzaType::Subscribe => Some(Kind::Subscribe),
            StanzaType::Subscribed => Some(Kind::Subscribed),
            StanzaType::Unsubscribe => Some(Kind::Unsubscribe),
            StanzaType::Unsubscribed => Some(Kind::Unsubscribed),
            _ => None,
        }
    }
}

/// What becomes of a stanza that the user sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// To the contact, from the user's bare JID.
    pub route: bool,
    pub next: State,
    /// Whether `next` differs from the state before.
    pub changed: bool,
}

/// What becomes of a stanza that the contact sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// To the user: `subscribe` to the available sessions (3.1.3), the others to the interested ones, before the roster push
    /// (3.1.6, 3.2.3, 3.3.3).
    pub deliver: bool,
    pub next: State,
    /// To be sent to the contact, from the user's bare JID, on the user's behalf.
    pub auto_reply: Option<Kind>,
    /// Whether `next` differs from the state before.
    pub changed: bool,
}

/// A.2: the user sends `kind` to the contact.
///
/// When `state.from` is lost, the caller shows the user's sessions as unavailable to the contact before it routes (3.2.2);
/// when it is won, their presence after (3.1.5).
pub fn outbound(kind: Kind, state: State) -> Outbound {
    let state = state.defined();
    let (route, next) = match kind {
        // A.2.1: routed even when nothing changes; the contact's server may have lost what ours remembers.
        Kind::Subscribe => (true, State { ask: !state.to, ..state }),
        // A.2.2
        Kind::Unsubscribe => (true, State { to: false, ask: false, ..state }),
        // A.2.3, 3.4.2
        Kind::Subscribed if state.pending_in => (true, State { from: true, pending_in: false, ..state }),
        Kind::Subscribed if state.from => (false, state),
        Kind::Subscribed => (false, State { approved: true, ..state }),
        // A.2.4, 3.2.2: denies, cancels, or takes a pre-approval back; of the last the contact hears nothing.
        Kind::Unsubscribed => {
            (state.from || state.pending_in, State { from: false, pending_in: false, approved: false, ..state })
        }
    };
    Outbound { route, next, changed: next != state }
}

/// A.3: the contact sends `kind` to the user.
///
/// When `state.from` is lost, the caller shows the user's sessions as unavailable to the contact (3.3.3); when it is won by a
/// pre-approval, their presence after the reply (3.1.5).
pub fn inbound(kind: Kind, state: State) -> Inbound {
    let state = state.defined();
    let (next, auto_reply) = match kind {
        // A.3.1 [2], 3.1.3 rule 2: has it already; the contact's server does not know.
        Kind::Subscribe if state.from => (state, Some(Kind::Subscribed)),
        // A.3.1 [1], 3.4.2: the approval is used up by this. 3.4.2 leaves that to us: somebody who leaves and comes back
        // asks again.
        Kind::Subscribe if state.approved => (State { from: true, approved: false, ..state }, Some(Kind::Subscribed)),
        Kind::Subscribe => (State { pending_in: true, ..state }, None),
        // A.3.2
        Kind::Unsubscribe => {
            let reply = (state.from || state.pending_in).then_some(Kind::Unsubscribed);
            (State { from: false, pending_in: false, ..state }, reply)
        }
        // A.3.3: nobody subscribes a user who has not asked.
        Kind::Subscribed if state.ask => (State { to: true, ask: false, ..state }, None),
        Kind::Subscribed => (state, None),
        // A.3.4
        Kind::Unsubscribed => (State { to: false, ask: false, ..state }, None),
    };
    let changed = next != state;
    // In all four tables what changes the state is delivered and nothing else; 3.4.2: nor what was answered for the user.
    let deliver = changed && !(kind == Kind::Subscribe && auto_reply.is_some());
    Inbound { deliver, next, auto_reply, changed }
}
