//! What a shard tells of itself: counted as it goes along, or when somebody asks.

use iris_core::metrics::Counter;

use super::{Shard, Slot};

/// Counted by the threads of the shard; read by `/metrics` on another.
#[derive(Default)]
pub struct Counters {
    /// message, presence, iq, and elements that are no stanza.
    pub received: [Counter; 4],
    /// message, presence, iq.
    pub sent: [Counter; 3],
    pub bytes_received: Counter,
    pub bytes_sent: Counter,
    /// Sessions whose client does not read, at the limit of what waits for it.
    pub outputs_full: Counter,
    /// Stanzas turned away at an account that was being read.
    pub loading_full: Counter,
    pub panics: Counter,
}

/// How many there are of everything at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub sessions_attached: u64,
    pub sessions_detached: u64,
    /// Of the attached: their client has said that nobody looks (XEP-0352).
    pub sessions_inactive: u64,
    pub accounts_awake: u64,
    pub entities_loading: u64,
    /// Domains, services, and what lives behind services.
    pub hosts_awake: u64,
    /// Streams between servers: theirs to us, ours to them; and what waits for one of ours.
    pub peer_streams_in: u64,
    pub peer_streams_out: u64,
    pub peer_stanzas_waiting: u64,
    pub output_stanzas: u64,
    pub output_bytes: u64,
    /// Of the output: waits until somebody looks.
    pub held_stanzas: u64,
    /// Written, and not acknowledged by the client.
    pub unacked_stanzas: u64,
    /// Clients' stanzas that are not handled yet.
    pub unsettled_stanzas: u64,
    pub inputs: u64,
    pub tasks: u64,
}

impl core::ops::Add for Census {
    type Output = Census;

    fn add(self, other: Census) -> Census {
        Census {
            sessions_attached: self.sessions_attached + other.sessions_attached,
            sessions_detached: self.sessions_detached + other.sessions_detached,
            sessions_inactive: self.sessions_inactive + other.sessions_inactive,
            accounts_awake: self.accounts_awake + other.accounts_awake,
            entities_loading: self.entities_loading + other.entities_loading,
            hosts_awake: self.hosts_awake + other.hosts_awake,
            peer_streams_in: self.peer_streams_in + other.peer_streams_in,
            peer_streams_out: self.peer_streams_out + other.peer_streams_out,
            peer_stanzas_waiting: self.peer_stanzas_waiting + other.peer_stanzas_waiting,
            output_stanzas: self.output_stanzas + other.output_stanzas,
            output_bytes: self.output_bytes + other.output_bytes,
            held_stanzas: self.held_stanzas + other.held_stanzas,
            unacked_stanzas: self.unacked_stanzas + other.unacked_stanzas,
            unsettled_stanzas: self.unsettled_stanzas + other.unsettled_stanzas,
            inputs: self.inputs + other.inputs,
            tasks: self.tasks + other.tasks,
        }
    }
}

impl Shard {
    /// Walks over all sessions: some tens of nanoseconds for each, whenever `/metrics` is read, and nothing in between.
    pub(crate) fn census(&self) -> Census {
        let mut census = Census { inputs: self.inbox.len() as u64, tasks: self.tasks.len() as u64, ..Census::default() };
        for session in self.sessions.iter() {
            match session.pipe {
                _ if Shard::is_inbound(session) => census.peer_streams_in += 1,
                _ if session.peer => census.peer_streams_out += 1,
                Some(_) => census.sessions_attached += 1,
                None => census.sessions_detached += 1,
            }
            census.sessions_inactive += u64::from(session.pipe.is_some() && session.card.inactive);
            session.count(&mut census);
        }
        for slot in self.entities.values() {
            match slot {
                Slot::Awake(_) => census.accounts_awake += 1,
                Slot::Loading { .. } | Slot::Tagging { .. } => census.entities_loading += 1,
                Slot::Domain(_) => census.hosts_awake += 1,
                Slot::Remote(remote) => census.peer_stanzas_waiting += remote.waiting() as u64,
            }
        }
        census
    }
}
