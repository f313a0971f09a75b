//! Push services of the web (RFC 8030): a message for a browser that is not here is encrypted for it (`encrypt.rs`, RFC 8291), signed by
//! the house (`vapid.rs`, RFC 8292) and posted to the address that the browser's owner has named (`post.rs`). That address is not
//! trusted (`endpoint.rs`, security D9): only HTTPS by name, only to public addresses (`iris_fetch::Reach`), without redirects, within
//! limits.
//!
//! A service that is busy says when to come back, and is left alone until then (RFC 8030 8.4); what it has not taken is tried again
//! (`again.rs`).
//!
//! One thread with a runtime of its own; whoever asks never waits.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use iris_core::ports::{WebPush, WebPushReply, WebPushed};
use iris_fetch::{Client, ClientConfig, Failed};
use tokio::sync::{Semaphore, mpsc, oneshot};

mod again;
mod encrypt;
mod endpoint;
mod post;
mod vapid;

use again::Again;
pub use endpoint::{Endpoint, Policy, Refused};
pub use vapid::Vapid;

/// Messages that wait for a connection; one more is told to come later.
const WAITING_MAX: usize = 1_024;
/// Connections at once, and of them to one service.
const CONNECTIONS_MAX: usize = 64;
const CONNECTIONS_PER_HOST_MAX: usize = 16;
/// Of these, for what is tried again: whoever cannot be reached keeps nobody waiting who can.
const CONNECTIONS_AGAIN_MAX: usize = 8;
/// From the question where it is to the head of the answer: within the time that a task waits for an answer.
const TIME_MAX: Duration = Duration::from_secs(4);
/// Services and subscriptions that want to be left alone for a while, remembered at once.
const RESTING_MAX: usize = 4_096;
/// RFC 8030 8.4: 429 and 503 say when to come back; without, and at most, so long.
const REST_DEFAULT: Duration = Duration::from_secs(30);
const REST_MAX: Duration = Duration::from_secs(3_600);

/// What is needed to begin.
pub struct Setup {
    pub vapid: Vapid,
    pub policy: Policy,
    /// Whose certificates are believed.
    pub tls: ClientConfig,
}

/// The running connector. Dropped: it ends, and what is underway is told to come later.
pub struct Push {
    sender: Option<mpsc::Sender<(WebPush, WebPushReply)>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Push {
    /// # Errors
    /// The system has no thread, or no runtime.
    pub fn start(setup: Setup) -> io::Result<Push> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::new(Shared {
            client: Client::new(setup.tls, setup.policy.reach()),
            vapid: setup.vapid,
            policy: setup.policy,
            resting: Mutex::new(HashMap::new()),
            busy: Mutex::new(HashMap::new()),
            again: Again::default(),
            room: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            room_again: Semaphore::new(CONNECTIONS_AGAIN_MAX),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build()?;
        let thread = std::thread::Builder::new().name("web-push".into()).spawn(move || {
            runtime.block_on(serve(shared, receiver, stopped));
            // A name that is being looked up is waited for by nobody.
            runtime.shutdown_background();
        })?;
        Ok(Push { sender: Some(sender), stop: Some(stop), thread: Some(thread) })
    }

    /// The port of the house.
    pub fn port(&self) -> iris_core::ports::WebPusher {
        let sender = self.sender.clone();
        Arc::new(move |push, reply| match &sender {
            Some(sender) => {
                if let Err(mpsc::error::TrySendError::Full((_, reply)) | mpsc::error::TrySendError::Closed((_, reply))) =
                    sender.try_send((push, reply))
                {
                    reply(WebPushed::Later);
                }
            }
            None => reply(WebPushed::Later),
        })
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        self.sender = None;
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has ended as well.
            let _ = thread.join();
        }
    }
}

struct Shared {
    client: Client<Full<Bytes>>,
    vapid: Vapid,
    policy: Policy,
    /// Until when, by host or subscription.
    resting: Mutex<HashMap<String, Instant>>,
    /// Connections by host.
    busy: Mutex<HashMap<String, usize>>,
    again: Again,
    room: Arc<Semaphore>,
    room_again: Semaphore,
}

async fn serve(shared: Arc<Shared>, mut messages: mpsc::Receiver<(WebPush, WebPushReply)>, mut stopped: oneshot::Receiver<()>) {
    loop {
        let Some(permit) = first(&mut stopped, shared.room.clone().acquire_owned()).await.and_then(Result::ok) else { return };
        let Some((push, reply)) = first(&mut stopped, messages.recv()).await.flatten() else { return };
        let shared = shared.clone();
        tokio::spawn(async move {
            shared.again.supersede(&push.endpoint);
            reply(shared.deliver(push, 0).await);
            drop(permit);
        });
    }
}

/// What comes, unless the end comes first.
async fn first<T>(stopped: &mut oneshot::Receiver<()>, other: impl Future<Output = T>) -> Option<T> {
    let mut other = std::pin::pin!(other);
    std::future::poll_fn(|cx| {
        if std::pin::Pin::new(&mut *stopped).poll(cx).is_ready() {
            return std::task::Poll::Ready(None);
        }
        other.as_mut().poll(cx).map(Some)
    })
    .await
}

impl Shared {
    /// `tries`: so often it was tried before.
    async fn deliver(self: &Arc<Self>, push: WebPush, tries: u32) -> WebPushed {
        let endpoint = match self.policy.endpoint(&push.endpoint) {
            Ok(endpoint) => endpoint,
            Err(refused) => {
                tracing::debug!(?refused, "an address of a push service is not spoken to");
                return WebPushed::Refused;
            }
        };
        if let Some(rest) = self.rests(&endpoint.host).max(self.rests(&push.endpoint)) {
            return self.keep(push, tries, rest);
        }
        if !self.begin(&endpoint.host) {
            return self.keep(push, tries, again::after(tries));
        }
        let answer = tokio::time::timeout(TIME_MAX, self.post(&endpoint, &push)).await;
        self.end(&endpoint.host);
        match answer {
            Ok(Some(Ok(answer))) => self.judge(&endpoint, push, tries, &answer),
            Ok(None | Some(Err(Failed::Forbidden))) => WebPushed::Refused,
            Ok(Some(Err(why))) => {
                tracing::debug!(host = endpoint.host, %why, "a push service cannot be reached");
                self.in_vain(push, tries)
            }
            Err(_) => self.in_vain(push, tries),
        }
    }

    /// It goes once more by itself, after this time at the earliest, unless it is too old by then.
    fn keep(self: &Arc<Self>, push: WebPush, tries: u32, wait: Duration) -> WebPushed {
        let Some(ttl) = push.ttl.checked_sub(wait).filter(|ttl| !ttl.is_zero() && tries < again::TRIES_MAX) else {
            return WebPushed::Later;
        };
        let (shared, subscription) = (self.clone(), push.endpoint.clone());
        let begin = move || {
            let goes = async move {
                tokio::time::sleep(wait).await;
                shared.again.goes(&push.endpoint);
                let (Ok(_again), Ok(_room)) = (shared.room_again.acquire().await, shared.room.acquire().await) else { return };
                shared.deliver(WebPush { ttl, ..push }, tries + 1).await;
            };
            let goes: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(goes);
            tokio::spawn(goes).abort_handle()
        };
        if self.again.wait(subscription, begin) { WebPushed::Waits } else { WebPushed::Later }
    }

    /// It has not said that it is busy, so this counts against the subscription; and goes once more all the same.
    fn in_vain(self: &Arc<Self>, push: WebPush, tries: u32) -> WebPushed {
        self.keep(push, tries, again::after(tries));
        WebPushed::Later
    }

    /// `None`: that cannot be sent to anybody.
    async fn post(&self, endpoint: &Endpoint, push: &WebPush) -> Option<Result<post::Answer, Failed>> {
        let body = encrypt::encrypt(push)?;
        let token = self.vapid.authorization(&endpoint.origin(), &push.contact)?;
        post::post(&self.client, endpoint, push, body, token).await
    }

    /// RFC 8030 5 and 7.3, and what services answer in practice.
    fn judge(self: &Arc<Self>, endpoint: &Endpoint, push: WebPush, tries: u32, answer: &post::Answer) -> WebPushed {
        let rest = answer.retry_after.unwrap_or(REST_DEFAULT).min(REST_MAX);
        match answer.status {
            200..=299 => WebPushed::Taken,
            404 | 410 => WebPushed::Gone,
            // RFC 8030 8.4: too many to this subscription.
            429 => {
                self.rest(push.endpoint.clone(), rest);
                self.keep(push, tries, rest)
            }
            503 => {
                self.rest(endpoint.host.clone(), rest);
                self.keep(push, tries, rest)
            }
            500..=599 => self.in_vain(push, tries),
            // A redirect is refused as well: it would lead to an address that nobody has looked at.
            status => {
                tracing::debug!(host = endpoint.host, status, "a push service has refused a message");
                WebPushed::Refused
            }
        }
    }

    /// For how long it is left alone yet.
    fn rests(&self, whom: &str) -> Option<Duration> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let left = resting.get(whom)?.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        if left.is_none() {
            resting.remove(whom);
        }
        left
    }

    fn rest(&self, whom: String, time: Duration) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if resting.len() >= RESTING_MAX {
            resting.retain(|_, until| *until > now);
        }
        if resting.len() < RESTING_MAX {
            resting.insert(whom, now + time);
        }
    }

    /// False: there are enough connections to it.
    fn begin(&self, host: &str) -> bool {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = busy.entry(host.to_owned()).or_default();
        let has_room = *connections < CONNECTIONS_PER_HOST_MAX;
        *connections += usize::from(has_room);
        has_room
    }

    fn end(&self, host: &str) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = busy.get_mut(host) {
            *connections -= 1;
            if *connections == 0 {
                busy.remove(host);
            }
        }
    }
}
