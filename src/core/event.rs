//! Moments in the life of a session or an account that rooms may watch.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A session was bound; it has sent nothing yet.
    SessionBound,
    /// A session has lost its pipe and waits to be resumed: `Account::undelivered` is what its client has not shown to have.
    SessionDetached,
    /// A detached session has a pipe again.
    SessionResumed,
    /// A session has a pipe and has not acknowledged for a while what was written to it (`SessionCard::silent`); its client may be gone.
    SessionSilent,
    /// A session that was silent has said something.
    SessionHeard,
    /// A session has sent its initial presence, or its priority rose from negative: it takes messages from now on.
    SessionAvailable,
    /// A session that is available wants to hear of nodes it did not ask for before: `Turn::interests`.
    Interested,
    /// A session went unavailable; the account may have others.
    SessionUnavailable,
    /// A session is over and can not be resumed.
    SessionEnded,
    /// A mark that a room pushed into a session's queue has been written (or, with XEP-0198, acknowledged): see `Turn::push_mark`.
    MarkPassed,
    /// The account was read from disk and lives.
    Woken,
    /// A roster item or its subscription changed: `Turn::subject` is the contact.
    RosterChanged,
    /// The account was made by its user: `Turn::subject` is who is in its contacts from the beginning, if anybody.
    AccountRegistered,
    /// The account is being removed.
    AccountRemoved,
}

impl Event {
    pub const COUNT: usize = Event::AccountRemoved as usize + 1;
}
