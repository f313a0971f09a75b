//! The clients that an account knows by their user agent's id (XEP-0388 2.4): what they say of themselves, when they came, and the
//! tokens they were given (XEP-0484).
//!
//! A token is never kept. What is kept is its SHA-256, from which alone the MAC that a client sends can be made, and that only
//! under a mask that is made of the house's secret (`negotiate/fast.rs`): a copy of the database opens nothing.

use std::sync::Arc;

use iris_core::clients::{Admission, Admitted, ClientAccess, Token, TokenRefused, Used, Ways};
use iris_core::effects::StreamError;
use iris_core::limits::Limits;
use iris_core::store::{Item, Shelf, Write};

use super::AccountEntity;
use crate::path::Ctx;

/// Key: the client's id for its owner (XEP-0494). Value: see `record`.
pub const SHELF: Shelf = Shelf::map("client");

mod record;

/// A client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// What its owner calls it by.
    pub id: Arc<str>,
    pub agent: u128,
    pub software: Option<Box<str>>,
    pub device: Option<Box<str>>,
    pub first_seen_us: u64,
    pub last_seen_us: u64,
    pub ways: Ways,
    /// XEP-0484 6.1: in use, and issued but not used yet.
    pub current: Option<Token>,
    pub new: Option<Token>,
}

/// All clients of an account.
#[derive(Debug, Default)]
pub struct Clients(Vec<Client>);

/// A client that comes again is written down at most this often, if nothing else about it changes: a login costs no write.
const SEEN_AGAIN_US: u64 = 3_600_000_000;
/// A token is replaced when it is this old, or has passed half of its life.
const ROTATE_AFTER_US: u64 = 86_400_000_000;

impl Clients {
    pub fn load(items: &[Item]) -> Clients {
        Clients(items.iter().filter_map(|item| record::decode(&item.key, &item.value)).collect())
    }

    /// The tokens of the client with this agent: at most two.
    pub fn tokens(&self, agent: u128) -> Vec<Token> {
        let client = self.0.iter().find(|client| client.agent == agent);
        client.into_iter().flat_map(|client| [&client.new, &client.current]).flatten().cloned().collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.0.iter()
    }
}

impl Client {
    fn has_token(&self, now_us: u64) -> bool {
        [&self.current, &self.new].into_iter().flatten().any(|token| token.expires_us > now_us)
    }

    /// XEP-0484 6.1. The client has proved to have this one.
    fn use_token(&mut self, used: &Used, now_us: u64) -> Result<(), TokenRefused> {
        let is_it = |token: &Option<Token>| token.as_ref().is_some_and(|token| token.mask == used.mask);
        if is_it(&self.new) {
            // Whatever was issued before it dies with its first use.
            self.current = self.new.take();
        } else if !is_it(&self.current) {
            return Err(TokenRefused::Unknown);
        }
        let Some(token) = &mut self.current else { return Err(TokenRefused::Unknown) };
        if token.expires_us <= now_us {
            self.current = None;
            return Err(TokenRefused::Expired);
        }
        if let Some(count) = used.count {
            // XEP-0484 3.4, also where TLS keeps replays away already.
            if token.count.is_some_and(|last| count <= last) {
                return Err(TokenRefused::Unknown);
            }
            token.count = Some(count);
        }
        if used.invalidate {
            (self.current, self.new) = (None, None);
        }
        Ok(())
    }

    fn rotation_is_due(&self, now_us: u64) -> bool {
        self.current.as_ref().is_some_and(|token| {
            let life = token.expires_us.saturating_sub(token.issued_us);
            now_us.saturating_sub(token.issued_us) >= ROTATE_AFTER_US.min(life / 2)
        })
    }
}

/// Remember a client that comes in. What is written is committed before a token is told.
pub(crate) fn admit(entity: &mut AccountEntity, cx: &mut Ctx<'_>, admission: Admission) -> Result<Admitted, TokenRefused> {
    let now_us = cx.now.wall_us;
    let Admission { agent, login_us: _, way, used, token, asked, id } = admission;
    let Some(agent_id) = agent.id else { return Err(TokenRefused::Unknown) };
    forget_old(entity, cx);
    let at = match entity.clients.0.iter().position(|client| client.agent == agent_id) {
        Some(at) => at,
        None if used.is_some() => return Err(TokenRefused::Unknown),
        None => {
            make_room(entity, cx);
            entity.clients.0.push(Client {
                id: Arc::from(id),
                agent: agent_id,
                software: None,
                device: None,
                first_seen_us: now_us,
                last_seen_us: 0,
                ways: Ways::default(),
                current: None,
                new: None,
            });
            entity.clients.0.len() - 1
        }
    };
    let Some(client) = entity.clients.0.get_mut(at) else { return Err(TokenRefused::Unknown) };
    let before = client.clone();
    let refused = used.as_ref().and_then(|used| client.use_token(used, now_us).err());
    let mut token_until_us = None;
    if refused.is_none() {
        client.ways.add(way);
        client.software = agent.software.or(client.software.take());
        client.device = agent.device.or(client.device.take());
        let invalidated = used.as_ref().is_some_and(|used| used.invalidate);
        let due = asked || (!invalidated && used.is_some() && client.rotation_is_due(now_us));
        if let Some(token) = token.filter(|_| due) {
            let expires_us = now_us + cx.house.limits.token_lifetime.as_micros() as u64;
            token_until_us = Some(expires_us);
            client.new = Some(Token { issued_us: now_us, expires_us, count: None, ..token });
        }
    }
    let same = Client { last_seen_us: before.last_seen_us, ..client.clone() } == before;
    if !same || now_us.saturating_sub(before.last_seen_us) >= SEEN_AGAIN_US {
        client.last_seen_us = now_us;
        let write = Write::Put { owner: entity.owner, shelf: SHELF, key: client.id.clone(), value: record::encode(client) };
        cx.fx.write.push(write);
    }
    match refused {
        Some(refused) => Err(refused),
        None => Ok(Admitted { client: client.id.clone(), token_until_us }),
    }
}

/// Nothing is kept for longer than it is of use (XEP-0494, privacy considerations).
fn forget_old(entity: &mut AccountEntity, cx: &mut Ctx<'_>) {
    let now_us = cx.now.wall_us;
    let memory = cx.house.limits.client_memory.as_micros() as u64;
    let here = connected(entity, cx);
    let old = |client: &Client| {
        now_us.saturating_sub(client.last_seen_us) > memory && !client.has_token(now_us) && !here.contains(&client.id)
    };
    let gone: Vec<Arc<str>> = entity.clients.iter().filter(|client| old(client)).map(|client| client.id.clone()).collect();
    gone.iter().for_each(|id| forget(entity, cx, id));
}

/// The one that was seen longest ago gives way.
fn make_room(entity: &mut AccountEntity, cx: &mut Ctx<'_>) {
    let Limits { clients_per_account_max, .. } = cx.house.limits;
    while entity.clients.0.len() >= clients_per_account_max.max(1) {
        let oldest = entity.clients.iter().min_by_key(|client| client.last_seen_us).map(|client| client.id.clone());
        let Some(oldest) = oldest else { return };
        forget(entity, cx, &oldest);
    }
}

fn forget(entity: &mut AccountEntity, cx: &mut Ctx<'_>, id: &Arc<str>) {
    entity.clients.0.retain(|client| client.id != *id);
    cx.fx.write.push(Write::Delete { owner: entity.owner, shelf: SHELF, key: id.clone() });
}

/// The password has changed, or nobody may come in any more: every token is worthless at once.
pub(crate) fn forget_all(entity: &mut AccountEntity, cx: &mut Ctx<'_>) {
    for client in std::mem::take(&mut entity.clients.0) {
        cx.fx.write.push(Write::Delete { owner: entity.owner, shelf: SHELF, key: client.id });
    }
}

fn connected(entity: &AccountEntity, cx: &Ctx<'_>) -> Vec<Arc<str>> {
    entity.sessions.iter().filter_map(|at| cx.sessions.get(*at)?.client.clone()).collect()
}

// --- what rooms see -------------------------------------------------------------------------------------------------------

/// Sessions whose client has not said who it is are named by their resource.
const NAMELESS: &str = "resource:";

/// Who has access: XEP-0494 3.1.
pub(crate) fn list(entity: &AccountEntity, sessions: &crate::sessions::Sessions, now_us: u64) -> Vec<ClientAccess> {
    let live: Vec<_> = entity.sessions.iter().filter_map(|at| sessions.get(*at)).collect();
    let mut all: Vec<ClientAccess> = entity
        .clients
        .iter()
        .map(|client| {
            let its = live.iter().filter(|session| session.client.as_ref() == Some(&client.id));
            let resources: Vec<String> = its.map(|session| session.card.jid.resource().to_string()).collect();
            let connected = !resources.is_empty();
            ClientAccess {
                id: client.id.to_string(),
                connected,
                resources,
                first_seen_us: client.first_seen_us,
                last_seen_us: if connected { now_us } else { client.last_seen_us },
                password: client.ways.has(Ways::PASSWORD),
                token: client.has_token(now_us),
                certificate: client.ways.has(Ways::CERTIFICATE),
                software: client.software.as_deref().map(str::to_owned),
                device: client.device.as_deref().map(str::to_owned),
            }
        })
        .collect();
    let nameless = live.iter().filter(|session| session.client.is_none());
    all.extend(nameless.map(|session| ClientAccess {
        id: format!("{NAMELESS}{}", session.card.jid.resource()),
        connected: true,
        resources: vec![session.card.jid.resource().to_string()],
        first_seen_us: session.since_us,
        last_seen_us: now_us,
        // A guest has shown nothing (XEP-0175).
        password: !session.by_certificate && !entity.guest,
        token: false,
        certificate: session.by_certificate,
        software: None,
        device: None,
    }));
    all
}

/// Its sessions end, its tokens die. `None`: there is no such client. Otherwise what is known of it: who has the password, or a
/// certificate, can come again.
pub(crate) fn revoke(
    entity: &mut AccountEntity,
    sessions: &crate::sessions::Sessions,
    now_us: u64,
    id: &str,
) -> Option<Revoked> {
    let access = list(entity, sessions, now_us).into_iter().find(|client| client.id == id)?;
    let is_its = |at: &iris_core::SessionRef| {
        sessions.get(*at).is_some_and(|session| match (&session.client, id.strip_prefix(NAMELESS)) {
            (Some(client), _) => **client == *id,
            (None, Some(resource)) => session.card.jid.resource().as_str() == resource,
            (None, None) => false,
        })
    };
    let ended = entity.sessions.iter().copied().filter(is_its).collect();
    let known = entity.clients.0.iter().position(|client| *client.id == *id);
    let write = known.map(|at| {
        let client = entity.clients.0.swap_remove(at);
        Write::Delete { owner: entity.owner, shelf: SHELF, key: client.id }
    });
    Some(Revoked { access, ended, write })
}

/// What is to be done about it.
pub(crate) struct Revoked {
    pub access: ClientAccess,
    pub ended: Vec<iris_core::SessionRef>,
    pub write: Option<Write>,
}

/// Why such a session ends.
pub(crate) fn logged_out() -> StreamError {
    StreamError::new("not-authorized").text("this client was logged out")
}
