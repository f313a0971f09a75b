//! Every queue, list and loop has a limit, with its unit in its name. All are settable in the configuration (`[limits]`).

use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Before authentication (security 2: Prosody 10,000 bytes, ejabberd 8,192).
    pub pre_auth_stanza_size_bytes_max: usize,
    pub pre_auth_elements_max: u32,
    /// From accept to bound; also the time a half-open TLS handshake lives.
    pub negotiation_timeout: Duration,
    pub stanza_size_bytes_max: usize,
    pub stanza_elements_max: u32,
    pub stanza_depth_max: u16,
    /// SASL failures on one stream before it is closed (RFC 6120 6.4.5: 2 to 5).
    pub auth_failures_per_stream_max: u32,
    /// SASL failures of one address, and of one address for one user, in `auth_failure_window`, before a ban.
    pub auth_failures_per_address_max: u32,
    pub auth_failures_per_address_user_max: u32,
    pub auth_failure_window: Duration,
    pub ban_time: Duration,
    /// Unauthenticated connections of one address at once.
    pub pre_auth_connections_per_address_max: u32,
    /// HTTP connections of one address at once.
    pub http_connections_per_address_max: u32,
    /// BOSH sessions of one address at once.
    pub bosh_sessions_per_address_max: u32,
    /// Guests (SASL ANONYMOUS) of one address, and of one domain, at once; those whose connection broke count until they are gone.
    pub guests_per_address_max: u32,
    pub guests_per_domain_max: u32,
    /// Stanzas of one session that are not yet settled, and their bytes: more are read when these are done.
    pub unsettled_stanzas_max: usize,
    pub unsettled_bytes_max: usize,
    /// A session's output deque. Beyond: the pipe is detached (XEP-0198) or the session ends.
    pub output_stanzas_max: usize,
    pub output_bytes_max: usize,
    pub sessions_per_account_max: usize,
    /// Inputs that wait while an account is being read from disk.
    pub loading_inputs_max: usize,
    pub roster_items_max: usize,
    pub offline_messages_max: usize,
    pub blocked_max: usize,
    /// How long a detached session can be resumed.
    pub resume_timeout: Duration,
    /// An account stays awake this long after its last session.
    pub account_grace: Duration,
    /// No bytes from a client for this long: it is asked; no answer for `ping_timeout` more: it is detached.
    pub idle_timeout: Duration,
    pub ping_timeout: Duration,
    /// Stanzas per second of one session, and how many at once before that holds. 0: no limit.
    pub stanza_rate_per_second_max: u32,
    pub stanza_rate_burst_max: u32,
    /// How long a token (XEP-0484) opens; it is replaced long before, as long as its client comes.
    pub token_lifetime: Duration,
    /// How long a client that came no more is remembered (XEP-0494), and how many there are of one account.
    pub client_memory: Duration,
    pub clients_per_account_max: usize,
    /// Tasks (archive queries and the like) of one account at once.
    pub tasks_per_account_max: usize,
    /// Questions of the server to one account's clients that are not answered yet.
    pub questions_per_account_max: usize,
    /// Streams between servers. One stanza (RFC 6120 13.12; more than a client's, since servers wrap what clients say).
    pub peer_stanza_size_bytes_max: usize,
    /// Stanzas per second of one stream of another server, and how many at once before that holds. 0: no limit.
    pub peer_stanza_rate_per_second_max: u32,
    pub peer_stanza_rate_burst_max: u32,
    /// How long a stream between servers on which nothing is said stays open.
    pub peer_idle_timeout: Duration,
    /// How long what is for another server waits while that cannot be reached.
    pub peer_queue_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            pre_auth_stanza_size_bytes_max: 8 * 1024,
            pre_auth_elements_max: 64,
            negotiation_timeout: Duration::from_secs(30),
            stanza_size_bytes_max: 256 * 1024,
            stanza_elements_max: 25_000,
            stanza_depth_max: 64,
            auth_failures_per_stream_max: 5,
            auth_failures_per_address_max: 100,
            auth_failures_per_address_user_max: 20,
            auth_failure_window: Duration::from_secs(60),
            ban_time: Duration::from_secs(600),
            pre_auth_connections_per_address_max: 200,
            http_connections_per_address_max: 1_000,
            bosh_sessions_per_address_max: 100,
            guests_per_address_max: 20,
            guests_per_domain_max: 1_000,
            unsettled_stanzas_max: 256,
            unsettled_bytes_max: 1024 * 1024,
            output_stanzas_max: 5_000,
            output_bytes_max: 4 * 1024 * 1024,
            sessions_per_account_max: 32,
            loading_inputs_max: 64,
            roster_items_max: 5_000,
            offline_messages_max: 1_000,
            blocked_max: 5_000,
            resume_timeout: Duration::from_secs(600),
            account_grace: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            ping_timeout: Duration::from_secs(60),
            stanza_rate_per_second_max: 500,
            stanza_rate_burst_max: 2_000,
            token_lifetime: Duration::from_secs(21 * 86_400),
            client_memory: Duration::from_secs(90 * 86_400),
            clients_per_account_max: 64,
            tasks_per_account_max: 64,
            questions_per_account_max: 64,
            peer_stanza_size_bytes_max: 512 * 1024,
            peer_stanza_rate_per_second_max: 2_000,
            peer_stanza_rate_burst_max: 10_000,
            peer_idle_timeout: Duration::from_secs(900),
            peer_queue_timeout: Duration::from_secs(60),
        }
    }
}
