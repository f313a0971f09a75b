//! Mail: handed to the one mail server that the operator names, for users of the house. `server.rs` is where it is, `letter.rs` what a mail
//! looks like (RFC 5322, MIME), `dialog.rs` what is said (RFC 5321).
//!
//! Nothing is kept here: a mail that the server has not taken within the time is told to be none (or one of which nobody knows), and
//! whoever wanted it may ask again.
//!
//! One thread with a runtime of its own; whoever asks never waits.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use iris_core::metrics::Counter;
use iris_core::ports::{MAIL_TIME_MAX, Mail, MailReply, Mailed, Mailer};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

mod dialog;
mod letter;
mod server;

pub use dialog::Failed;
use dialog::{Dialog, Phase};
pub use letter::Sender;
pub use server::{Address, Login, Security, Server};

/// Connections at once; mail servers allow few to one client.
const CONNECTIONS_MAX: usize = 4;
/// Mails that wait for one of these; one more is refused.
const WAITING_MAX: usize = 16;
/// To say goodbye, when all is done.
const QUIT_TIME_MAX: Duration = Duration::from_secs(2);

/// What is needed to begin.
#[derive(Clone)]
pub struct Setup {
    pub server: Server,
    pub sender: Sender,
    /// How the house calls itself (RFC 5321 4.1.1.1): a domain.
    pub name: String,
    pub counters: Arc<Counters>,
}

/// Mails by what became of them.
#[derive(Debug, Default)]
pub struct Counters {
    pub taken: Counter,
    pub busy: Counter,
    pub unreachable: Counter,
    pub login_refused: Counter,
    pub recipient_refused: Counter,
    pub too_large: Counter,
    pub refused: Counter,
    pub unknown: Counter,
}

impl Counters {
    fn count(&self, mailed: Mailed) {
        match mailed {
            Mailed::Taken => &self.taken,
            Mailed::Busy => &self.busy,
            Mailed::Unreachable => &self.unreachable,
            Mailed::LoginRefused => &self.login_refused,
            Mailed::RecipientRefused => &self.recipient_refused,
            Mailed::TooLarge => &self.too_large,
            Mailed::Refused => &self.refused,
            Mailed::Unknown => &self.unknown,
        }
        .one();
    }
}

type Wanted = (Mail, Instant, Answer);

/// Counts what it tells. Somebody is told in any case.
struct Answer {
    reply: Option<MailReply>,
    counters: Arc<Counters>,
}

impl Answer {
    fn tell(&mut self, mailed: Mailed) {
        if let Some(reply) = self.reply.take() {
            self.counters.count(mailed);
            reply(mailed);
        }
    }
}

impl Drop for Answer {
    /// The house closes.
    fn drop(&mut self) {
        self.tell(Mailed::Unknown);
    }
}

/// The running connector. Dropped: it ends, and of what is underway nobody knows.
pub struct Smtp {
    sender: Option<mpsc::Sender<Wanted>>,
    counters: Arc<Counters>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Smtp {
    /// # Errors
    /// The system has no thread, or no runtime.
    pub fn start(setup: Setup) -> io::Result<Smtp> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let (stop, stopped) = oneshot::channel();
        let counters = setup.counters.clone();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(CONNECTIONS_MAX).build()?;
        let thread = std::thread::Builder::new().name("mail".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(Arc::new(setup), receiver) => {}
                    Ok(()) = stopped => {}
                }
            });
            // A name that is being looked up is waited for by nobody.
            runtime.shutdown_background();
        })?;
        Ok(Smtp { sender: Some(sender), counters, stop: Some(stop), thread: Some(thread) })
    }

    /// The port of the house.
    pub fn port(&self) -> Mailer {
        let (sender, counters) = (self.sender.clone(), self.counters.clone());
        Arc::new(move |mail, reply| {
            let answer = Answer { reply: Some(reply), counters: counters.clone() };
            let Some(sender) = &sender else { return };
            let wanted = (mail, Instant::now() + MAIL_TIME_MAX, answer);
            match sender.try_send(wanted) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full((_, _, mut answer))) => answer.tell(Mailed::Busy),
                Err(mpsc::error::TrySendError::Closed((_, _, mut answer))) => answer.tell(Mailed::Unreachable),
            }
        })
    }

    /// Another one takes over (a new configuration): what is underway is brought to its end, and nobody waits for that.
    pub fn retire(mut self) {
        self.sender = None;
        // Without a word on it.
        self.stop = None;
        self.thread = None;
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.sender = None;
        // `Err`: it has ended.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has ended as well.
            let _ = thread.join();
        }
    }
}

async fn serve(setup: Arc<Setup>, mut mails: mpsc::Receiver<Wanted>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let Some((mail, until, mut answer)) = mails.recv().await else { break };
        let setup = setup.clone();
        tokio::spawn(async move {
            let (mailed, dialog) = deliver(&setup, mail, until).await;
            answer.tell(mailed);
            if let Some(dialog) = dialog {
                let _ = timeout(QUIT_TIME_MAX, dialog.quit()).await;
            }
            drop(permit);
        });
    }
    // Retired: until the last has come to its end.
    let _ = room.acquire_many(CONNECTIONS_MAX as u32).await;
}

async fn deliver(setup: &Setup, mail: Mail, until: Instant) -> (Mailed, Option<Dialog>) {
    let (id, to) = (mail.id.clone(), mail.to.clone());
    let letter = match letter::write(mail, &setup.sender, SystemTime::now()) {
        Ok(letter) => letter,
        Err(why) => {
            tracing::error!(id, why, "a mail cannot be written");
            return (Mailed::Refused, None);
        }
    };
    let phase = Phase::default();
    let went = timeout_at(until, async {
        let mut dialog = Dialog::open(&setup.server, &setup.name, &phase).await?;
        let said = dialog.send(setup.sender.address(), &to, &letter, &phase).await;
        Ok((said, dialog))
    });
    let (said, dialog) = match went.await {
        Ok(Ok((said, dialog))) => (said, Some(dialog)),
        Ok(Err(failed)) => (Err(failed), None),
        Err(_) => (Err(phase.late(MAIL_TIME_MAX)), None),
    };
    match said {
        Ok(()) => {
            tracing::info!(id, bytes = letter.len(), "the mail server has taken a mail");
            (Mailed::Taken, dialog)
        }
        Err(failed) => {
            // What the server says may name the recipient; it is its operator's log.
            tracing::warn!(id, server = %setup.server.address, why = failed.why, "a mail was not sent");
            (failed.what, dialog)
        }
    }
}

/// Connects, and logs in where there is a login; no mail is sent. For `iris doctor`. The sentence says what was agreed on.
///
/// # Errors
/// What does not work.
pub fn look(server: &Server, name: &str, time_max: Duration) -> Result<String, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    let runtime = runtime.map_err(|why| Failed { what: Mailed::Busy, why: why.to_string() })?;
    let phase = Phase::default();
    let looked = runtime.block_on(async {
        let opened =
            timeout(time_max, Dialog::open(server, name, &phase)).await.unwrap_or_else(|_| Err(phase.late(time_max)))?;
        let about = opened.about();
        let _ = timeout(QUIT_TIME_MAX, opened.quit()).await;
        Ok(about)
    });
    runtime.shutdown_background();
    looked
}
