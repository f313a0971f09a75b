//! The defined failure conditions of RFC 6120 section 6.5; XEP-0388 uses the same set.

use std::fmt;

/// Why an authentication failed, as the client is told. Several of these are for the negotiator's use (`Aborted`,
/// `AccountDisabled`, `CredentialsExpired`, `EncryptionRequired`, `MechanismTooWeak`, `TemporaryAuthFailure`,
/// `IncorrectEncoding` for bad base64 around a message); an exchange itself answers only `ChannelBinding`, `InvalidAuthzid`,
/// `InvalidMechanism`, `MalformedRequest` and `NotAuthorized`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaslError {
    Aborted,
    AccountDisabled,
    /// The channel binding was refused before anything about a password was said: a client that knows only `tls-unique`, or
    /// one whose features were tampered with. `<not-authorized/>` on the wire (RFC 5802 section 6), and no guess.
    ChannelBinding,
    CredentialsExpired,
    EncryptionRequired,
    IncorrectEncoding,
    InvalidAuthzid,
    InvalidMechanism,
    MalformedRequest,
    MechanismTooWeak,
    NotAuthorized,
    TemporaryAuthFailure,
}

impl SaslError {
    /// The name of the child element of `<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`.
    pub fn condition(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::AccountDisabled => "account-disabled",
            Self::CredentialsExpired => "credentials-expired",
            Self::EncryptionRequired => "encryption-required",
            Self::IncorrectEncoding => "incorrect-encoding",
            Self::InvalidAuthzid => "invalid-authzid",
            Self::InvalidMechanism => "invalid-mechanism",
            Self::MalformedRequest => "malformed-request",
            Self::MechanismTooWeak => "mechanism-too-weak",
            Self::ChannelBinding | Self::NotAuthorized => "not-authorized",
            Self::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }
}

impl fmt::Display for SaslError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.condition())
    }
}

impl std::error::Error for SaslError {}
