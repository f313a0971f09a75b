//! Who promised what. A stanza of a client carries one linear [`Receipt`]; it moves with the envelope, and whoever holds it last
//! settles it. The sender's session counts a stanza as handled (XEP-0198 `h`) when its receipt is settled and everything it
//! depends on is committed.

use std::cell::RefCell;

use crate::error::Bounce;
use crate::store::Ticket;

/// A session's slot in a shard. The generation tells a slot used again from the session that was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionRef {
    pub shard: u16,
    pub slot: u32,
    pub generation: u32,
}

/// The right and the duty to say what became of one stanza. No `Clone`; dropped unsettled it counts as refused.
#[must_use = "a receipt is settled or refused; dropping it refuses the stanza"]
#[derive(Debug)]
pub struct Receipt {
    home: SessionRef,
    seq: u32,
    open: bool,
}

/// What became of a stanza, on its way home.
#[derive(Debug, PartialEq)]
pub struct Settled {
    pub home: SessionRef,
    pub seq: u32,
    /// What must be on disk before the stanza counts as handled.
    pub after: Ticket,
    /// Refused: the sender is told with this error (nothing is sent for a stanza that must not be answered).
    pub refused: Option<Bounce>,
}

thread_local! {
    /// Receipts that were dropped in the turn that runs now: the shard sends them home as refused.
    static LOST: RefCell<Vec<(SessionRef, u32)>> = const { RefCell::new(Vec::new()) };
}

impl Receipt {
    /// Made by the session that is its home, once per stanza; `seq` counts its stanzas.
    pub fn new(home: SessionRef, seq: u32) -> Receipt {
        Receipt { home, seq, open: true }
    }

    pub fn home(&self) -> SessionRef {
        self.home
    }

    /// Done: nothing more will be done for this stanza. The shard adds the ticket of the turn.
    pub fn settle(mut self) -> Settled {
        self.open = false;
        Settled { home: self.home, seq: self.seq, after: 0, refused: None }
    }

    pub fn refuse(mut self, why: Bounce) -> Settled {
        self.open = false;
        Settled { home: self.home, seq: self.seq, after: 0, refused: Some(why) }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if self.open {
            // Fails only while the thread is being torn down, when nobody is left to be told.
            let _ = LOST.try_with(|lost| lost.borrow_mut().push((self.home, self.seq)));
        }
    }
}

/// Receipts lost on this thread since the last call.
pub fn take_lost() -> Vec<(SessionRef, u32)> {
    LOST.with(|lost| std::mem::take(&mut *lost.borrow_mut()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_receipt_is_lost_and_a_settled_one_is_not() {
        let home = SessionRef { shard: 0, slot: 1, generation: 2 };
        drop(Receipt::new(home, 7));
        let settled = Receipt::new(home, 8).settle();
        assert_eq!((settled.seq, settled.refused), (8, None));
        assert_eq!(take_lost(), vec![(home, 7)]);
        assert!(take_lost().is_empty());
    }
}
