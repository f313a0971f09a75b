//! What the house needs from outside of itself: randomness, and somebody who computes password keys. Handed in by whoever
//! starts it, so that a play is the same each time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::blobs::{BlobId, Content};

/// The keys of a password as they are kept, or why it can be none (one sentence).
pub type DerivedReply = Box<dyn FnOnce(Result<Bytes, String>) + Send>;

pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

#[derive(Clone)]
pub struct Ports {
    /// Fill with random bytes; it does not return without.
    pub random: Random,
    pub passwords: Arc<dyn Passwords>,
    /// Orders the house to close after a while. The error is one sentence.
    pub stop: Stopper,
    pub forget: Forgetter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    ShutDown,
    Restart,
}

/// What is no longer wanted among the files. Never blocks; what is missed is found sooner or later by whoever keeps them.
pub type Forgetter = Arc<dyn Fn(Forget) + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forget {
    /// With what it holds, where the same bytes are stored once.
    One(BlobId, Option<Content>),
    /// Somebody is gone, with many: look which ones belong to nobody.
    OfNobody,
}

pub type Stopper = Arc<dyn Fn(Stop, Duration) -> Result<(), String> + Send + Sync>;

/// PBKDF2 is made to take long: never on a thread that carries messages.
pub trait Passwords: Send + Sync {
    /// `reply` is called on any thread.
    fn derive(&self, password: String, reply: DerivedReply);
}

impl Ports {
    /// 128 random bits as 32 hexadecimal digits: an id that nobody guesses.
    pub fn random_id(&self) -> String {
        let mut bytes = [0; 16];
        (self.random)(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
