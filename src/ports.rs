//! What the house needs from outside of itself: randomness of the system, and a thread that computes password keys.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use bytes::Bytes;
use iris_core::ports::{DerivedReply, Forgetter, Mailer, Passwords, Ports, WebPusher};
use iris_engine::negotiate::sasl::Credentials;

use crate::closing::Closing;

/// Passwords that wait to be computed: at 10,000 iterations some seconds of work. One more is refused.
const WAITING_PASSWORDS_MAX: usize = 256;

/// # Errors
/// No thread can be started.
pub fn ports(
    iterations: u32,
    closing: Arc<Closing>,
    forget: Forgetter,
    web_push: WebPusher,
    mailer: Mailer,
) -> Result<Ports, String> {
    let (sender, receiver) = sync_channel::<(String, DerivedReply)>(WAITING_PASSWORDS_MAX);
    let work = move || {
        for (password, reply) in receiver {
            reply(derive(&password, iterations));
        }
    };
    std::thread::Builder::new()
        .name("iris-passwords".into())
        .spawn(work)
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    let stop = Arc::new(move |what, after| closing.order(what, after));
    Ok(Ports { random: Arc::new(random), passwords: Arc::new(PasswordThread { sender }), stop, forget, web_push, mailer })
}

/// Ends when the last turn that could ask has ended.
struct PasswordThread {
    sender: SyncSender<(String, DerivedReply)>,
}

impl Passwords for PasswordThread {
    fn derive(&self, password: String, reply: DerivedReply) {
        if let Err(TrySendError::Full((_, reply)) | TrySendError::Disconnected((_, reply))) =
            self.sender.try_send((password, reply))
        {
            reply(Err("too many passwords are being set at once: try again in a moment".into()));
        }
    }
}

/// The keys of a password as they are kept.
///
/// # Errors
/// Why it can be no password (RFC 8265), in one sentence.
pub fn derive(password: &str, iterations: u32) -> Result<Bytes, String> {
    let credentials = Credentials::derive(password, random, iterations).map_err(|why| why.to_string())?;
    Ok(credentials.encode().into())
}

fn random(bytes: &mut [u8]) {
    // Without randomness no salt and no id is safe; the kernel's source does not fail once it is seeded.
    if let Err(error) = getrandom::fill(bytes) {
        tracing::error!(%error, "no randomness");
        std::process::abort();
    }
}
