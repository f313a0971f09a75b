//! What the network counts, for `/metrics`. Everything here happens a few times in a connection's life; what happens for each stanza
//! is counted by its shard.

use std::sync::Arc;

use iris_core::metrics::{Counter, Gauge};
use iris_engine::negotiate::MECHANISMS;

use crate::{Service, Shared};

#[derive(Default)]
pub struct Counters {
    accepted: [Counter; SERVICES.len()],
    open: [[Gauge; STATES.len()]; SERVICES.len()],
    /// By [`MECHANISMS`]; the last is for mechanisms that do not exist.
    authenticated: [Counter; MECHANISMS.len() + 1],
    refused: [Counter; MECHANISMS.len() + 1],
    /// Handshakes, by what they agreed on.
    pub tls_1_2: Counter,
    pub tls_1_3: Counter,
    pub tls_failed: Counter,
    pub bound: Counter,
    pub resumed: Counter,
    pub resumptions_refused: Counter,
    pub websockets: Counter,
    pub bosh_sessions: Counter,
    /// Limits by which a connection ends or has to wait.
    pub negotiation_timeouts: Counter,
    pub stanza_rates: Counter,
    pub credits: Counter,
}

/// Each kind of listener once, whatever else it does.
pub const SERVICES: [Service; 8] = [
    Service::StartTls,
    Service::Tls { web: false },
    Service::Plain,
    Service::Https,
    Service::Http,
    Service::Component,
    Service::Peer { direct: false },
    Service::Peer { direct: true },
];

/// What becomes of a connection, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// TLS, or the header of a proxy.
    Handshake,
    /// An XMPP stream without a session.
    Negotiation,
    Session,
    Http,
}

pub const STATES: [State; 4] = [State::Handshake, State::Negotiation, State::Session, State::Http];

impl Counters {
    /// Connections accepted since the start, and open now by state.
    pub fn of(&self, service: Service) -> (u64, [(State, u64); STATES.len()]) {
        let at = number(service);
        (self.accepted[at].get(), STATES.map(|state| (state, self.open[at][state as usize].get())))
    }

    /// For each mechanism how often it let somebody in, and how often somebody had the wrong password, token or certificate.
    pub fn authentications(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let names = MECHANISMS.into_iter().chain(["unknown"]);
        names.zip(&self.authenticated).zip(&self.refused).map(|((name, good), bad)| (name, good.get(), bad.get()))
    }

    pub(crate) fn authenticated(&self, mechanism: Option<&str>) {
        self.authenticated[mechanism_number(mechanism)].one();
    }

    pub(crate) fn refused(&self, mechanism: Option<&str>) {
        self.refused[mechanism_number(mechanism)].one();
    }
}

fn number(service: Service) -> usize {
    match service {
        Service::StartTls => 0,
        Service::Tls { .. } => 1,
        Service::Plain => 2,
        Service::Https => 3,
        Service::Http => 4,
        Service::Component => 5,
        Service::Peer { direct: false } => 6,
        Service::Peer { direct: true } => 7,
    }
}

fn mechanism_number(name: Option<&str>) -> usize {
    MECHANISMS.iter().position(|known| Some(*known) == name).unwrap_or(MECHANISMS.len())
}

/// A connection, counted as open until it is dropped.
pub(crate) struct Open {
    shared: Arc<Shared>,
    service: u8,
    state: State,
}

impl Open {
    pub fn accepted(shared: Arc<Shared>, service: Service) -> Open {
        let open = Open { shared, service: number(service) as u8, state: State::Handshake };
        open.shared.counters.accepted[usize::from(open.service)].one();
        open.gauge().up();
        open
    }

    pub fn becomes(&mut self, state: State) {
        self.gauge().down();
        self.state = state;
        self.gauge().up();
    }

    fn gauge(&self) -> &Gauge {
        &self.shared.counters.open[usize::from(self.service)][self.state as usize]
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge().down();
    }
}
