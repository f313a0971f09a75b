//! What ends a TLS session, sorted by whose fault it is.

use std::fmt;

use rustls::{AlertDescription, Error};

/// Why a TLS session ended or a call was refused.
#[derive(Clone, Debug, PartialEq)]
pub enum TlsError {
    /// The peer sent a fatal alert: the reason is theirs, such as `UnknownCA` for a certificate they do not trust.
    Alert(AlertDescription),
    /// The peer broke the protocol, or nothing could be agreed with it.
    Peer(Error),
    /// The peer's handshake grew beyond the limit without becoming complete.
    HandshakeTooLarge,
    /// The peer cut a handshake message into several records after the handshake.
    FragmentedHandshake,
    /// The configuration accepts 0-RTT data, which this house never does.
    EarlyData,
    /// `write` before the handshake's end.
    NotOpen,
    /// The session is over.
    Closed,
    /// The keys protected as many records as they may (TLS 1.2, where they cannot be changed).
    KeysExhausted,
    /// The domain can be no name in DNS, so no server of it can be asked for.
    Name,
    /// Our own configuration is at fault.
    Config(Error),
}

impl TlsError {
    pub(super) fn from_rustls(error: Error) -> Self {
        match error {
            Error::AlertReceived(alert) => Self::Alert(alert),
            error => Self::Peer(error),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(alert) => write!(f, "the peer gave up with the TLS alert {alert:?}"),
            Self::Peer(error) => write!(f, "the peer's TLS was refused: {error}"),
            Self::HandshakeTooLarge => write!(f, "the peer's TLS handshake exceeds the limit"),
            Self::FragmentedHandshake => write!(f, "the peer fragmented a TLS message after the handshake"),
            Self::EarlyData => write!(f, "the TLS configuration accepts early data, it must not"),
            Self::NotOpen => write!(f, "data was to be written before the TLS handshake ended"),
            Self::Closed => write!(f, "the TLS session is closed"),
            Self::KeysExhausted => write!(f, "the TLS keys are used up, the peer has to connect anew"),
            Self::Name => write!(f, "the domain cannot be the name of a server"),
            Self::Config(error) => write!(f, "the TLS configuration was refused: {error}"),
        }
    }
}

impl std::error::Error for TlsError {}
