//! The list. Names and labels are promises to whoever has a dashboard: they are added to, not changed.

use iris_engine::{Census, Counters};
use iris_net::counters::{SERVICES, State};
use iris_web::MetricKind::{self, Counter, Gauge, Histogram};

use super::{Metric, Samples, Seen};
use crate::wiring;

type Labels = &'static [(&'static str, &'static str)];
type Read = fn(&Seen, &mut Samples);

const fn metric(kind: MetricKind, name: &'static str, labels: Labels, help: &'static str, read: Read) -> Metric {
    Metric { name, kind, labels, help, read }
}

const LISTENER: (&str, &str) = ("listener", "its `kind` in the configuration");
const KIND: (&str, &str) = ("kind", "message, presence, iq");
const MECHANISM: (&str, &str) = ("mechanism", "its registered name; unknown");

pub const METRICS: &[Metric] = &[
    // --- connections ------------------------------------------------------------------------------------------------------
    metric(
        Gauge,
        "iris_connections",
        &[LISTENER, ("state", "handshake, negotiation, session, http")],
        "Open connections by where they came in and what has become of them. A WebSocket is a stream like any other.",
        |seen, out| {
            for service in SERVICES {
                for (state, open) in seen.net.counters().of(service).1 {
                    out.labelled(&[("listener", listener(service)), ("state", state_name(state))], open);
                }
            }
        },
    ),
    metric(Counter, "iris_connections_accepted_total", &[LISTENER], "Connections accepted.", |seen, out| {
        for service in SERVICES {
            out.labelled(&[("listener", listener(service))], seen.net.counters().of(service).0);
        }
    }),
    metric(
        Counter,
        "iris_tls_handshakes_total",
        &[("result", "tls1.2, tls1.3, failed")],
        "TLS handshakes, by the version they agreed on; failed: an alert was sent or came.",
        |seen, out| {
            let net = seen.net.counters();
            let results = [("tls1.2", net.tls_1_2.get()), ("tls1.3", net.tls_1_3.get()), ("failed", net.tls_failed.get())];
            out.by("result", results);
        },
    ),
    metric(Counter, "iris_received_bytes_total", &[], "Bytes read from XMPP connections, TLS included.", |seen, out| {
        out.number(shards(seen, |shard| shard.bytes_received.get()));
    }),
    metric(Counter, "iris_sent_bytes_total", &[], "Bytes written to XMPP connections, TLS included.", |seen, out| {
        out.number(shards(seen, |shard| shard.bytes_sent.get()));
    }),
    metric(Counter, "iris_websockets_total", &[], "WebSockets opened.", |seen, out| {
        out.number(seen.net.counters().websockets.get());
    }),
    metric(Counter, "iris_bosh_sessions_opened_total", &[], "BOSH sessions opened.", |seen, out| {
        out.number(seen.net.counters().bosh_sessions.get());
    }),
    metric(Gauge, "iris_bosh_sessions", &[], "BOSH sessions that there are.", |seen, out| {
        out.number(seen.net.bosh_sessions() as u64);
    }),
    metric(
        Counter,
        "iris_http_requests_total",
        &[("code", "1xx, 2xx, 3xx, 4xx, 5xx")],
        "HTTP requests answered, by the class of the answer; a WebSocket begins with 1xx.",
        |seen, out| {
            let names = ["1xx", "2xx", "3xx", "4xx", "5xx"];
            names.into_iter().zip(seen.requests).for_each(|(name, count)| out.labelled(&[("code", name)], count));
        },
    ),
    // --- getting in -------------------------------------------------------------------------------------------------------
    metric(Counter, "iris_authentications_total", &[MECHANISM], "Authentications that let somebody in.", |seen, out| {
        let all = seen.net.counters().authentications();
        all.for_each(|(mechanism, good, _)| out.labelled(&[("mechanism", mechanism)], good));
    }),
    metric(
        Counter,
        "iris_authentication_failures_total",
        &[MECHANISM],
        "Wrong passwords, tokens and certificates, also for users that do not exist, are disabled or are banned from an address.",
        |seen, out| {
            let all = seen.net.counters().authentications();
            all.for_each(|(mechanism, _, bad)| out.labelled(&[("mechanism", mechanism)], bad));
        },
    ),
    metric(
        Counter,
        "iris_bans_total",
        &[("of", "address, address-and-user")],
        "Bans that began, of an address, or of an address for one user.",
        |seen, out| {
            let guard = seen.net.guard_counters();
            out.by("of", [("address", guard.address_bans.get()), ("address-and-user", guard.user_bans.get())]);
        },
    ),
    metric(
        Counter,
        "iris_connections_banned_total",
        &[],
        "Connections closed at once because their address is banned.",
        |seen, out| out.number(seen.net.guard_counters().banned.get()),
    ),
    metric(
        Counter,
        "iris_limits_hit_total",
        &[("limit", "its key in `[limits]`")],
        "How often a limit refused something, ended a connection, or let a client wait.",
        |seen, out| {
            let (net, guard) = (seen.net.counters(), seen.net.guard_counters());
            let [address_guests, domain_guests] = seen.net.guests_refused();
            out.by(
                "limit",
                [
                    ("pre_auth_connections_per_address_max", guard.pre_auth_full.get()),
                    ("http_connections_per_address_max", guard.http_full.get()),
                    ("bosh_sessions_per_address_max", guard.bosh_full.get()),
                    ("guests_per_address_max", address_guests),
                    ("guests_per_domain_max", domain_guests),
                    ("negotiation_timeout", net.negotiation_timeouts.get()),
                    ("stanza_rate_per_second_max", net.stanza_rates.get()),
                    ("unsettled_stanzas_max", net.credits.get()),
                    ("output_stanzas_max", shards(seen, |shard| shard.outputs_full.get())),
                    ("loading_inputs_max", shards(seen, |shard| shard.loading_full.get())),
                ],
            );
        },
    ),
    metric(Counter, "iris_sessions_bound_total", &[], "Sessions that began.", |seen, out| {
        out.number(seen.net.counters().bound.get());
    }),
    metric(
        Counter,
        "iris_resumptions_total",
        &[("result", "resumed, refused")],
        "Sessions asked for again (XEP-0198).",
        |seen, out| {
            let net = seen.net.counters();
            out.by("result", [("resumed", net.resumed.get()), ("refused", net.resumptions_refused.get())]);
        },
    ),
    // --- people -----------------------------------------------------------------------------------------------------------
    metric(
        Gauge,
        "iris_sessions",
        &[("state", "attached, detached")],
        "Sessions; detached: without a connection, and may be resumed.",
        |seen, out| {
            if let Some(census) = &seen.census {
                out.by("state", [("attached", census.sessions_attached), ("detached", census.sessions_detached)]);
            }
        },
    ),
    metric(Gauge, "iris_sessions_inactive", &[], "Attached sessions at which nobody looks (XEP-0352).", |seen, out| {
        out.known(census(seen, |census| census.sessions_inactive));
    }),
    metric(Gauge, "iris_accounts_awake", &[], "Accounts in memory.", |seen, out| {
        out.known(census(seen, |census| census.accounts_awake));
    }),
    metric(Gauge, "iris_hosts_awake", &[], "Domains, services and rooms in memory.", |seen, out| {
        out.known(census(seen, |census| census.hosts_awake));
    }),
    metric(
        Gauge,
        "iris_peer_streams",
        &[("way", "in, out")],
        "Streams between servers: in, theirs to us; out, ours to them.",
        |seen, out| {
            if let Some(census) = &seen.census {
                out.by("way", [("in", census.peer_streams_in), ("out", census.peer_streams_out)]);
            }
        },
    ),
    metric(
        Gauge,
        "iris_peer_stanzas_waiting",
        &[],
        "Stanzas for other servers that wait for a stream to them.",
        |seen, out| {
            out.known(census(seen, |census| census.peer_stanzas_waiting));
        },
    ),
    metric(Gauge, "iris_entities_loading", &[], "Accounts, domains and rooms that are being read.", |seen, out| {
        out.known(census(seen, |census| census.entities_loading));
    }),
    // --- stanzas ----------------------------------------------------------------------------------------------------------
    metric(
        Counter,
        "iris_stanzas_received_total",
        &[("kind", "message, presence, iq, other")],
        "Stanzas from sessions; other: elements that are none, like acknowledgements.",
        |seen, out| {
            let of = |kind: usize| shards(seen, |shard| shard.received.get(kind).map_or(0, |counter| counter.get()));
            out.by("kind", [("message", of(0)), ("presence", of(1)), ("iq", of(2)), ("other", of(3))]);
        },
    ),
    metric(Counter, "iris_stanzas_sent_total", &[KIND], "Stanzas to sessions.", |seen, out| {
        let of = |kind: usize| shards(seen, |shard| shard.sent.get(kind).map_or(0, |counter| counter.get()));
        out.by("kind", [("message", of(0)), ("presence", of(1)), ("iq", of(2))]);
    }),
    metric(
        Gauge,
        "iris_output_stanzas",
        &[],
        "Stanzas in the queues of all sessions: unsent, held or not acknowledged.",
        |seen, out| out.known(census(seen, |census| census.output_stanzas)),
    ),
    metric(Gauge, "iris_output_bytes", &[], "The same in bytes.", |seen, out| {
        out.known(census(seen, |census| census.output_bytes));
    }),
    metric(Gauge, "iris_output_held_stanzas", &[], "Of them: held until somebody looks (XEP-0352).", |seen, out| {
        out.known(census(seen, |census| census.held_stanzas));
    }),
    metric(Gauge, "iris_output_unacked_stanzas", &[], "Of them: sent, not acknowledged (XEP-0198).", |seen, out| {
        out.known(census(seen, |census| census.unacked_stanzas));
    }),
    metric(Gauge, "iris_unsettled_stanzas", &[], "Clients' stanzas that are not handled yet.", |seen, out| {
        out.known(census(seen, |census| census.unsettled_stanzas));
    }),
    metric(Gauge, "iris_inputs", &[], "Inputs that wait for their account's turn.", |seen, out| {
        out.known(census(seen, |census| census.inputs));
    }),
    metric(Gauge, "iris_tasks", &[], "Work that waits for an answer of the store or of other accounts.", |seen, out| {
        out.known(census(seen, |census| census.tasks));
    }),
    metric(
        Counter,
        "iris_panics_total",
        &[],
        "Turns that ended in a panic: each is a bug, and cost one client its stream.",
        |seen, out| out.number(shards(seen, |shard| shard.panics.get())),
    ),
    // --- storage ----------------------------------------------------------------------------------------------------------
    metric(Counter, "iris_store_sets_total", &[], "Sets of writes that are on disk; a set is one turn's.", |seen, out| {
        out.number(seen.store.sets_committed);
    }),
    metric(Gauge, "iris_store_sets_waiting", &[], "Sets of writes that wait for the writer.", |seen, out| {
        out.number(seen.store.sets_waiting);
    }),
    metric(
        Counter,
        "iris_store_refusals_total",
        &[],
        "Times that the store refused what waited (disk full, failed sync).",
        |seen, out| {
            out.number(seen.progress.epoch);
        },
    ),
    metric(
        Histogram,
        "iris_store_transaction_seconds",
        &[],
        "Transactions, with the indices that the writer makes beside them.",
        |seen, out| out.spread(&seen.store.transaction_us, 1e6),
    ),
    metric(
        Histogram,
        "iris_store_sync_seconds",
        &[],
        "Their end alone: written to the write-ahead log and synced (fsync).",
        |seen, out| out.spread(&seen.store.sync_us, 1e6),
    ),
    metric(Histogram, "iris_store_transaction_sets", &[], "Sets that shared a transaction.", |seen, out| {
        out.spread(&seen.store.sets_per_transaction, 1.0);
    }),
    metric(Histogram, "iris_store_read_seconds", &[], "Reading one answer, without the wait for a reader.", |seen, out| {
        out.spread(&seen.store.read_us, 1e6);
    }),
    metric(Gauge, "iris_store_reads_waiting", &[], "Questions that wait for a reader.", |seen, out| {
        out.number(seen.store.reads_waiting);
    }),
    metric(Gauge, "iris_store_wal_bytes", &[], "The write-ahead log since it last began anew.", |seen, out| {
        out.number(seen.store.wal_bytes);
    }),
    metric(
        Counter,
        "iris_archive_entries_total",
        &[],
        "Messages put into archives, and into what waits offline.",
        |seen, out| {
            out.number(seen.store.entries_appended);
        },
    ),
    // --- mail -------------------------------------------------------------------------------------------------------------
    metric(
        Counter,
        "iris_mails_total",
        &[("result", "taken, busy, unreachable, login-refused, recipient-refused, too-large, refused, unknown")],
        "Mails that users wanted sent, by what the mail server made of them; unknown: it did not say in time whether it has it.",
        |seen, out| {
            let mails = &seen.mails;
            out.by(
                "result",
                [
                    ("taken", mails.taken.get()),
                    ("busy", mails.busy.get()),
                    ("unreachable", mails.unreachable.get()),
                    ("login-refused", mails.login_refused.get()),
                    ("recipient-refused", mails.recipient_refused.get()),
                    ("too-large", mails.too_large.get()),
                    ("refused", mails.refused.get()),
                    ("unknown", mails.unknown.get()),
                ],
            );
        },
    ),
    // --- the program ------------------------------------------------------------------------------------------------------
    metric(
        Gauge,
        "iris_certificate_days_left",
        &[("domain", "whose certificate")],
        "Whole days until the certificate of a domain ends; below 0: it has ended.",
        |seen, out| {
            for expiry in &seen.certificates {
                out.signed(&[("domain", &expiry.domain)], expiry.days_left);
            }
        },
    ),
    metric(Gauge, "iris_info", &[("version", "of the program")], "Always 1.", |_, out| {
        out.labelled(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    }),
    metric(Counter, "process_cpu_seconds_total", &[], "CPU time, user and kernel.", |seen, out| {
        out.seconds(seen.process.cpu_seconds);
    }),
    metric(Gauge, "process_start_time_seconds", &[], "When the program was started, since 1970.", |seen, out| {
        out.seconds(seen.process.start_time_seconds);
    }),
    metric(Gauge, "process_resident_memory_bytes", &[], "Memory in use.", |seen, out| {
        out.known(seen.process.resident_bytes);
    }),
    metric(Gauge, "process_virtual_memory_bytes", &[], "Address space in use.", |seen, out| {
        out.known(seen.process.virtual_bytes);
    }),
    metric(Gauge, "process_open_fds", &[], "Open file descriptors, sockets included.", |seen, out| {
        out.known(seen.process.open_fds);
    }),
    metric(Gauge, "process_max_fds", &[], "How many there may be.", |seen, out| out.known(seen.process.max_fds)),
    metric(Gauge, "process_threads", &[], "Threads.", |seen, out| out.known(seen.process.threads)),
];

fn listener(service: iris_net::Service) -> &'static str {
    wiring::kind_of(service).name()
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Handshake => "handshake",
        State::Negotiation => "negotiation",
        State::Session => "session",
        State::Http => "http",
    }
}

fn shards(seen: &Seen, of: impl Fn(&Counters) -> u64) -> u64 {
    seen.net.shard_counters().map(of).sum()
}

fn census(seen: &Seen, of: impl Fn(&Census) -> u64) -> Option<u64> {
    seen.census.as_ref().map(of)
}
