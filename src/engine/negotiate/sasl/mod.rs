//! The server's half of SASL (RFC 4422), as values: bytes in, bytes out, no socket, no clock, no randomness of its own.
//!
//! What runs here: SCRAM-SHA-1, -256 and -512 with and without channel binding (RFC 5802, RFC 7677) and PLAIN (RFC 4616).
//! Base64 of the XML layer, retries, throttling and `<abort/>` belong to the negotiator around it, which serves both
//! profiles (RFC 6120 section 6 and XEP-0388) with the same exchange.
//!
//! ```text
//! Exchange::start(mechanism, &offered, nonce, initial)
//!    -> Challenge(bytes, exchange)       send, then exchange.respond(bytes)
//!    -> NeedCredentials { .., lookup }   ask the account, then lookup.credentials(found, &fake)
//!    -> Success { account, additional }  | Failure(SaslError)
//! ```
//!
//! Mechanisms that need no password record (EXTERNAL, ANONYMOUS, the HT-* family of FAST) are run by their own code; their
//! names join the advertised list by [`Offered::with_others`], so that the downgrade hash stays true.

mod credentials;
mod downgrade;
mod error;
mod exchange;
mod fake;
mod hash;
mod identity;
mod mechanism;
mod offered;
mod plain;
mod portable;
mod scram;
#[cfg(test)]
mod tests;

pub use credentials::{
    CorruptCredentials, Credentials, ITERATIONS_DEFAULT, ITERATIONS_MAX, ITERATIONS_MIN, PasswordRefused, SALT_SIZE_BYTES,
    check_password,
};
pub use error::SaslError;
pub use exchange::{Exchange, Lookup, MESSAGE_SIZE_BYTES_MAX, NONCE_SIZE_BYTES, Step};
pub use fake::FakeSalt;
pub use hash::Hash;
pub(super) use identity::account as account_of;
pub use mechanism::Mechanism;
pub use offered::{BindingKind, ChannelBinding, Offered, TlsVersion};
pub use portable::{RecordRefused, ScramRecord};
