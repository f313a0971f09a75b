//! The order of everything that may happen to a stanza on its way, decided here once, by names, never by priority numbers.
//! Within a step rooms run in the order of `ROOMS`.

use crate::error::Bounce;

/// Where a room may stand on the stanza path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Sender's account: may it leave? Any kind of stanza, also each single presence of a broadcast. (0191, rate limits)
    SentGuard,
    /// Sender's account: keep the sender's copy of a message. (0313)
    SentArchive,
    /// Sender's account: the sender's other devices. (0280)
    SentCopy,
    /// Recipient's account: may it come in? Any kind of stanza. (0191)
    ReceivedGuard,
    /// Recipient's account: keep the recipient's copy of a message; the engine has stripped forged ids and minted ours. (0313)
    ReceivedArchive,
    // Here the engine delivers (RFC 6121 8.5): not hookable.
    /// Recipient's account: devices that the message was not addressed to. (0280)
    ReceivedCopy,
    /// Recipient's account: nobody awake got the message. (0160, 0357)
    Unseen,
    /// Account of a member of a room who is not in it: somebody has said something there. (0357)
    SaidInRoom,
    /// Sender's account: a presence of one of its sessions leaves (once per broadcast, not per contact). (0115, 0398)
    PresenceOut,
    /// Sender's account: an available presence leaves that is for somebody in particular (RFC 6121 4.6). (0398)
    PresenceDirected,
    /// Recipient's account: a presence of a contact comes in. (0115)
    PresenceIn,
    /// Recipient's account: somebody who may see us asks for our presence, and for what hangs on it. (0163)
    Probed,
}

impl Step {
    pub const COUNT: usize = Step::Probed as usize + 1;
}

/// What becomes of the stanza after a handler saw it.
#[derive(Clone, Debug, PartialEq)]
pub enum Flow {
    Go,
    /// Ends here, and nobody is told. The text is for a counter and the debug log.
    Drop(&'static str),
    /// Ends here, and the sender is told (a stanza that must not be answered is dropped instead).
    Bounce(Bounce),
}
