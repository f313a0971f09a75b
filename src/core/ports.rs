//! What the house needs from outside of itself: randomness, and somebody who computes password keys. Handed in by whoever
//! starts it, so that a play is the same each time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::blobs::{BlobId, Content};
use crate::hex;

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
    pub web_push: WebPusher,
    pub mailer: Mailer,
}

/// Hands a message to a push service of the web (RFC 8030), for a browser that is not here. Never blocks; the reply is called on any
/// thread, at the latest when the time of the adapter is over.
pub type WebPusher = Arc<dyn Fn(WebPush, WebPushReply) + Send + Sync>;
pub type WebPushReply = Box<dyn FnOnce(WebPushed) + Send>;

/// One message for one subscription. What the user named as its address is not trusted by anybody.
#[derive(Clone, PartialEq, Eq)]
pub struct WebPush {
    /// A URL.
    pub endpoint: String,
    /// RFC 8291 2.1: the browser's key, an uncompressed point of P-256.
    pub p256dh: Vec<u8>,
    /// RFC 8291 3.2: 16 bytes.
    pub auth: Vec<u8>,
    pub payload: Bytes,
    /// RFC 8030 5.2: how long it is kept for a browser that is not there.
    pub ttl: Duration,
    /// RFC 8030 5.3: `high`; otherwise `normal`.
    pub urgent: bool,
    /// RFC 8030 5.4: a newer one of the same topic takes its place. At most 32 characters of base64url.
    pub topic: Option<&'static str>,
    /// RFC 8292 2.1: whom the push service can write to, a URI.
    pub contact: String,
}

/// Without anything that must not reach a log.
impl std::fmt::Debug for WebPush {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebPush").field("urgent", &self.urgent).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebPushed {
    Taken,
    /// There is no such subscription any more (404, 410).
    Gone,
    /// It is busy and says so; it is tried again.
    Waits,
    /// Not now: it cannot be reached, or there is too much to do.
    Later,
    /// It does not want it, or it is no address that is spoken to.
    Refused,
}

/// Hands a mail to the mail server of the house. Never blocks; the reply is called on any thread, within [`MAIL_TIME_MAX`].
pub type Mailer = Arc<dyn Fn(Mail, MailReply) + Send + Sync>;
pub type MailReply = Box<dyn FnOnce(Mailed) + Send>;

/// From the question to the answer.
pub const MAIL_TIME_MAX: Duration = Duration::from_secs(25);

/// A mail to one person, with one file.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Like no other's: what stands left of the `@` of its Message-ID.
    pub id: String,
    /// `local@domain`, in ASCII.
    pub to: String,
    pub subject: String,
    /// What is read before the file is opened.
    pub text: String,
    pub file_name: String,
    /// UTF-8, lines end with CRLF.
    pub file: Bytes,
}

/// Without anything that must not reach a log.
impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("id", &self.id).field("file_bytes", &self.file.len()).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mailed {
    /// The mail server has promised to deliver it (RFC 5321 6.1).
    Taken,
    /// There is too much to do; nothing was sent.
    Busy,
    /// It does not answer, or is not the one that it should be.
    Unreachable,
    /// It does not let the house in.
    LoginRefused,
    /// It does not want mail for this one.
    RecipientRefused,
    /// It does not take mails of that size.
    TooLarge,
    /// It does not want it, for another reason.
    Refused,
    /// All was sent, and the answer did not come: it may be delivered or not.
    Unknown,
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
        hex::write(&bytes)
    }
}
