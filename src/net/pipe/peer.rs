//! Streams between servers: one that another server has opened to us (`receiving.rs`), and one that we open (`initiating.rs`;
//! `../peers.rs` says to whom).

use std::cell::RefCell;

use iris_core::connected::{Connection, Way as Opener};
use iris_core::error::Condition;
use iris_core::{Kind, ns};
use iris_engine::negotiate::authenticated_limits;
use iris_engine::negotiate::peer::{self, Heard, Initiating, PeerEnv, Purpose, Receiving, Said, Verify};
use iris_engine::{Unreached, remote};
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::*;
use crate::peers;
use crate::tls::peer_client_config;

mod initiating;
mod receiving;

pub(crate) use initiating::{Initiated, initiate, part, speak};
pub(super) use receiving::PeerEnd;

/// Bytes that are underway and unacknowledged for so long mean that the other side is gone.
const UNACKNOWLEDGED_TIME_MAX: Duration = Duration::from_secs(60);

/// Whom a certificate speaks for, as far as somebody has asked.
type Judged = RefCell<Vec<(String, Result<(), String>)>>;

/// What nobody acknowledges any more is known in a minute, and not in fifteen.
pub(super) fn watch(socket: &TcpStream) -> io::Result<()> {
    let plain = socket2::SockRef::from(socket);
    plain.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIME_MAX)).and_then(|()| plain.set_keepalive(true))
}

impl Pipe {
    /// What the machines of both sides borrow for one step.
    fn with_env<T>(&self, judged: &Judged, out: &mut Vec<u8>, f: impl FnOnce(&mut PeerEnv<'_>) -> T) -> Result<T, End> {
        let Some(peers) = self.worker.shared.peers.as_ref() else { return Err(End::Gone) };
        let shard = self.worker.shard.borrow();
        let (house, policy) = (self.worker.shared.house(), self.worker.shared.policy());
        let chain = self.tls.as_ref().and_then(|tls| tls.peer_certificates());
        let judge = |domain: &str| {
            let known = judged.borrow().iter().find(|(name, _)| name == domain).map(|(_, outcome)| outcome.clone());
            known.unwrap_or_else(|| {
                let outcome = peers.judge(chain, domain);
                judged.borrow_mut().push((domain.to_owned(), outcome.clone()));
                outcome
            })
        };
        Ok(f(&mut PeerEnv {
            hosts: shard.hosts(),
            limits: &house.limits,
            secret: &policy.secret,
            rules: peers.rules,
            judge: &judge,
            random: &mut door::random,
            out,
        }))
    }
}
