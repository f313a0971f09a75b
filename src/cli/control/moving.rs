//! What moves: accounts in and out, whole or in parts. Nothing here is `Debug`: passwords, keys and what people wrote have no place
//! in a log.

use serde::{Deserialize, Serialize};

use super::BareJidText;

/// What a line of a table says of an account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserImport {
    pub jid: BareJidText,
    pub secret: Secret,
    pub enabled: bool,
    /// Seconds since 1970; `None`: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// An account that is there is changed, instead of being in the way.
    pub replace: bool,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Secret {
    Password(String),
    /// A password of 80 random bits: there is nothing to guess, so its keys are as cheap as RFC 7677 allows.
    Generated(String),
    /// Keys in the form of RFC 5803.
    Scram(String),
    /// Nobody can log in before there is a password.
    Nobody,
    /// What the account has.
    Keep,
}

/// An account as `iris user export` writes it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserExport {
    pub jid: String,
    pub scram: String,
    pub enabled: bool,
    /// Seconds since 1970.
    pub created: u64,
}

/// A part of an account that moves in: some children of its `<user/>` (XEP-0227).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountPart {
    pub jid: BareJidText,
    /// Makes the account, or gives it another password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// With a secret: an account that is there is changed.
    pub replace: bool,
    /// Complete elements. Of an archive it is the `<result/>`s.
    pub children: Vec<String>,
}

/// A part of an account that moves out.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountPiece {
    /// Complete elements.
    pub children: Vec<String>,
    /// Where the next part begins; `None`: this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}
