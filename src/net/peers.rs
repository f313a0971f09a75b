//! Streams to other servers: where they are found, TLS, and whether they are who they are taken for. A shard asks for one when it has
//! something to say; here one is opened, on the thread of that shard, or it hears why not.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use iris_core::error::Condition;
use iris_engine::negotiate::peer::{PeerRules, Purpose, Verify};
use iris_engine::{Unreached, remote};
use iris_fetch::{NoServer, Rules, Servers};
use tokio::sync::Semaphore;

use crate::certs::Certificates;
use crate::certs::peer::Authorities;
use crate::pipe::{self, Initiated};
use crate::worker::Worker;

/// Streams that one thread opens at once to speak, and as many again to ask about keys: who shows one key after the other keeps nobody
/// from speaking (security E5, E6).
const DIALS_MAX: usize = 512;
/// Servers of one domain that are tried, one after the other.
const TARGETS_MAX: usize = 8;
/// For all of them together.
const DIAL_TIME_MAX: Duration = Duration::from_secs(30);

/// What the operator says about other servers.
pub struct Peers {
    pub rules: PeerRules,
    /// Where they are found, and whom of them the house may connect to.
    pub reach: Rules,
    /// Whose certificates are believed.
    pub authorities: Authorities,
    /// What we show of ourselves.
    pub certificates: Arc<Certificates>,
}

impl Peers {
    pub(crate) fn judge(
        &self,
        chain: Option<&[rustls::pki_types::CertificateDer<'static>]>,
        domain: &str,
    ) -> Result<(), String> {
        self.authorities.judge(chain.unwrap_or_default(), domain, SystemTime::now()).map_err(|fault| fault.to_string())
    }
}

/// What a thread needs to look for others.
pub(crate) struct Dialling {
    servers: OnceCell<Result<Servers, String>>,
    speaking: Semaphore,
    asking: Semaphore,
}

impl Default for Dialling {
    fn default() -> Dialling {
        Dialling { servers: OnceCell::new(), speaking: Semaphore::new(DIALS_MAX), asking: Semaphore::new(DIALS_MAX) }
    }
}

/// Open what the shard has asked for: a stream for this pair of domains.
pub(crate) async fn dial(worker: Rc<Worker>, key: Arc<str>) {
    let Some((theirs, ours)) = remote::pair(&key) else { return };
    match open(&worker, theirs, ours, &Purpose::Speak).await {
        // What was to be said has gone back meanwhile.
        Ok(initiated) if !worker.shard.borrow().wants_link(&key) => pipe::part(initiated),
        Ok(initiated) => pipe::speak(worker, initiated, key).await,
        Err(unreached) => {
            worker.shard.borrow_mut().not_reached(worker.now(), &key, &unreached);
            worker.kick();
        }
    }
}

/// Ask the server of a domain whether a key is theirs (XEP-0220 2.1.2).
///
/// # Errors
/// What the stream that has shown the key is told (2.5).
pub(crate) async fn verify(worker: &Rc<Worker>, verify: &Verify) -> Result<bool, Condition> {
    let purpose = Purpose::Verify { id: verify.id.clone(), key: verify.key.clone() };
    let outcome = open(worker, &verify.from, &verify.to, &purpose).await;
    let initiated = outcome.map_err(|unreached| unreached.condition)?;
    let verified = initiated.verified;
    pipe::part(initiated);
    verified.ok_or(Condition::RemoteServerTimeout)
}

async fn open(worker: &Rc<Worker>, theirs: &str, ours: &str, purpose: &Purpose) -> Result<Initiated, Unreached> {
    let Some(peers) = worker.shared.peers.as_ref() else {
        return Err(not_found("this server speaks with no others"));
    };
    // Never closed.
    let _permit = match purpose {
        Purpose::Speak => worker.dialling.speaking.acquire().await,
        Purpose::Verify { .. } => worker.dialling.asking.acquire().await,
    };
    let key = Arc::from(format!("{theirs}/{ours}"));
    if *purpose == Purpose::Speak && !worker.shard.borrow().wants_link(&key) {
        return Err(not_found("nobody has anything to say to it any more"));
    }
    let seed = || {
        let mut seed = [0; 8];
        pipe::random(&mut seed);
        u64::from_le_bytes(seed)
    };
    let servers = worker.dialling.servers.get_or_init(|| Servers::new(peers.reach.clone(), seed()));
    let servers = servers.as_ref().map_err(|why| not_found(why))?;
    let until = Instant::now() + DIAL_TIME_MAX;
    let targets = servers.of(theirs).await.map_err(|why| nowhere(&why))?;
    // What is for good of one of them is so of the domain only if it is of all.
    let mut last = not_found("its name has no server");
    let failed = |last: &Unreached, why: Unreached| Unreached { for_good: last.for_good && why.for_good, ..why };
    for target in targets.iter().take(TARGETS_MAX) {
        if Instant::now() >= until {
            break;
        }
        let socket = match servers.connect(target).await {
            Ok(socket) => socket,
            Err(why) => {
                last = failed(&last, nowhere(&why));
                continue;
            }
        };
        match pipe::initiate(worker.clone(), socket, target.direct_tls, (theirs, ours), purpose.clone(), until).await {
            Ok(initiated) => return Ok(initiated),
            Err(why) => {
                tracing::debug!(domain = theirs, server = target.host, why = why.why, "no stream to another server");
                last = failed(&last, why);
            }
        }
    }
    Err(last)
}

fn not_found(why: &str) -> Unreached {
    Unreached { condition: Condition::RemoteServerNotFound, for_good: true, why: why.to_owned() }
}

/// RFC 6120 8.3.3.16 and 17: whether there is such a server, and whether it can be reached.
fn nowhere(why: &NoServer) -> Unreached {
    let (condition, for_good) = match why {
        NoServer::NotFound(_) | NoServer::Forbidden => (Condition::RemoteServerNotFound, true),
        NoServer::Timeout(_) | NoServer::Unresolved(_) | NoServer::Unreachable(_) => (Condition::RemoteServerTimeout, false),
    };
    Unreached { condition, for_good, why: why.to_string() }
}
