//! `[limits]`: every field of core's `Limits`, with its unit, its range and its reason.

use std::time::Duration;

use iris_core::limits::Limits;

use super::Config;
use super::error::Problem;
use super::keys::Key;
use super::values::{self, Given, Largest};

/// How a limit is written.
#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Count,
}

fn number<T: TryFrom<u64>>(given: &Given<'_>, unit: Unit, least: u64, most: u64) -> Result<T, Problem> {
    let number = match unit {
        Unit::Bytes => values::size(given, least, most),
        Unit::Count => values::count(given, least, most),
    }?;
    T::try_from(number).map_err(|_| values::unexpected(given, "a smaller number"))
}

fn show_number(number: impl TryInto<u64>, unit: Unit) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    match unit {
        Unit::Bytes => values::show_size(number),
        Unit::Count => number.to_string(),
    }
}

const NO_BOUND: u64 = u64::LARGEST;
const FOREVER: Duration = Duration::LARGEST;
const SECOND: Duration = Duration::from_secs(1);
const KIB: u64 = 1024;

/// `field: Unit least..=most "about";` – the keys of `[limits]`, and a proof that none of core's fields is forgotten.
macro_rules! limits {
    ($($field:ident: $kind:ident $least:tt..=$most:tt $about:literal;)*) => {
        pub(super) const KEYS: &[Key<Config>] = &[$(limits!(@key $kind $field $least $most $about)),*];

        /// Does not compile while a field of `Limits` has no key.
        const _: fn(&Limits) = |limits| {
            let Limits { $($field: _),* } = limits;
        };
    };
    (@key Time $field:ident $least:tt $most:tt $about:literal) => {
        Key {
            name: stringify!($field),
            about: $about,
            set: |config, given| {
                config.limits.$field = values::duration(given, $least, $most)?;
                Ok(())
            },
            show: |config| Some(values::show_duration(config.limits.$field)),
            example: "",
        }
    };
    (@key $unit:ident $field:ident $least:tt $most:tt $about:literal) => {
        Key {
            name: stringify!($field),
            about: $about,
            set: |config, given| {
                config.limits.$field = number(given, Unit::$unit, $least, $most)?;
                Ok(())
            },
            show: |config| Some(show_number(config.limits.$field, Unit::$unit)),
            example: "",
        }
    };
}

/// RFC 6120 13.12: no less for a stanza.
const STANZA_LEAST: u64 = 10_000;
const STANZA_MOST: u64 = 16 * KIB * KIB;
/// Deeper stanzas could not be wrapped and forwarded any more.
const DEPTH_MOST: u64 = 64;
const ZERO_TIME: Duration = Duration::ZERO;

limits! {
    pre_auth_stanza_size_bytes_max: Bytes KIB..=STANZA_MOST "Bytes of one element before authentication.";
    pre_auth_elements_max: Count 16..=NO_BOUND "XML elements in one of these.";
    negotiation_timeout: Time SECOND..=FOREVER "From the connection to the bound resource, TLS handshake included.";
    stanza_size_bytes_max: Bytes STANZA_LEAST..=STANZA_MOST "Bytes of one stanza; RFC 6120 13.12 asks for at least 10000.";
    stanza_elements_max: Count 100..=NO_BOUND "XML elements in one stanza.";
    stanza_depth_max: Count 8..=DEPTH_MOST "How deep XML elements may be nested in one stanza.";
    auth_failures_per_stream_max: Count 1..=NO_BOUND "Failed logins on one connection before it is closed (RFC 6120 6.4.5: 2 to 5).";
    auth_failures_per_address_max: Count 1..=NO_BOUND "Failed logins of one address within auth_failure_window before it is banned.";
    auth_failures_per_address_user_max: Count 1..=NO_BOUND "The same for one address and one user.";
    auth_failure_window: Time SECOND..=FOREVER "The time in which failed logins are counted.";
    ban_time: Time ZERO_TIME..=FOREVER "How long a banned address is refused.";
    pre_auth_connections_per_address_max: Count 1..=NO_BOUND "Connections of one address at once that are not yet authenticated.";
    http_connections_per_address_max: Count 1..=NO_BOUND "HTTP connections of one address at once.";
    bosh_sessions_per_address_max: Count 0..=NO_BOUND "BOSH sessions of one address at once.";
    guests_per_address_max: Count 0..=NO_BOUND "Guests ([xep.anonymous]) of one address at once; a broken connection counts for resume_timeout.";
    guests_per_domain_max: Count 0..=NO_BOUND "Guests of one domain at once, lifted addresses too.";
    unsettled_stanzas_max: Count 1..=NO_BOUND "Stanzas of one session in work at once; it is read from again as they are done.";
    unsettled_bytes_max: Bytes STANZA_LEAST..=NO_BOUND "The same in bytes; at least stanza_size_bytes_max.";
    output_stanzas_max: Count 16..=NO_BOUND "Stanzas waiting for one slow client before it is disconnected (it may resume).";
    output_bytes_max: Bytes STANZA_LEAST..=NO_BOUND "The same in bytes; at least stanza_size_bytes_max.";
    sessions_per_account_max: Count 1..=NO_BOUND "Connected devices of one account.";
    loading_inputs_max: Count 1..=NO_BOUND "Stanzas of the server itself that wait while an account is read from disk; those of clients wait on their credit.";
    roster_items_max: Count 1..=NO_BOUND "Contacts in one roster.";
    offline_messages_max: Count 0..=NO_BOUND "Messages kept for an account that is offline.";
    blocked_max: Count 0..=NO_BOUND "Addresses that one account may block.";
    resume_timeout: Time ZERO_TIME..=FOREVER "How long a broken connection can be resumed (XEP-0198).";
    account_grace: Time ZERO_TIME..=FOREVER "How long an account stays in memory after its last session.";
    idle_timeout: Time SECOND..=FOREVER "A client that is silent for this long is asked whether it is there.";
    ping_timeout: Time SECOND..=FOREVER "It has this long to answer.";
    stanza_rate_per_second_max: Count 0..=NO_BOUND "Stanzas per second of one session; 0 for no limit.";
    stanza_rate_burst_max: Count 0..=NO_BOUND "How many more it may send at once before that holds.";
    token_lifetime: Time SECOND..=FOREVER "How long a client may come in with the token it was given (XEP-0484); renewed as it comes.";
    client_memory: Time SECOND..=FOREVER "How long a client that came no more is shown to its owner (XEP-0494).";
    clients_per_account_max: Count 1..=NO_BOUND "How many clients of one account are remembered, and have tokens.";
    tasks_per_account_max: Count 1..=NO_BOUND "Archive queries and other long work of one account at once.";
    questions_per_account_max: Count 1..=NO_BOUND "Questions of the server to the clients of one account that are not answered yet.";
    peer_stanza_size_bytes_max: Bytes STANZA_LEAST..=STANZA_MOST "Bytes of one stanza of another server; at least stanza_size_bytes_max.";
    peer_stanza_rate_per_second_max: Count 0..=NO_BOUND "Stanzas per second of one stream of another server; 0 for no limit.";
    peer_stanza_rate_burst_max: Count 0..=NO_BOUND "How many more it may send at once before that holds.";
    peer_idle_timeout: Time SECOND..=FOREVER "A stream between servers on which nothing is said for this long is closed; the next word opens another.";
    peer_queue_timeout: Time SECOND..=FOREVER "How long what is for another server waits while that cannot be reached; then its sender gets it back.";
}
