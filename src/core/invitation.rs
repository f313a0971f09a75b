//! Invitations: a link that lets one person in, once (XEP-0401), to an account (XEP-0445), to somebody's roster (XEP-0379), or
//! back to an account whose password is lost.
//!
//! Words only. [`Ledger`] is what a domain knows of its invitations; of a token it keeps the hash, so that who steals the
//! database cannot use what is still open.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use sha2::{Digest, Sha256};

use crate::hex;

mod ledger;
mod stored;
#[cfg(test)]
mod tests;

pub use ledger::{Admission, Change, Ledger, Refusal, Rules};

/// What is in the link: 128 random bits as 26 letters and digits (XEP-0379 5.1 asks for 80 bits at least, in an encoding that
/// needs no escaping in a URI). Not `Debug`: whoever has it may come in.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const TOKEN_CHARS: usize = 26;

impl Token {
    /// From 128 bits of a cryptographically secure source.
    pub fn new(random: [u8; 16]) -> Token {
        let bits = u128::from_be_bytes(random);
        // 26 letters of 5 bits hold 130: the last letter has three of them.
        let letter = |i: usize| {
            let five = if i + 1 < TOKEN_CHARS { (bits >> (123 - 5 * i)) as usize & 31 } else { (bits as usize & 7) << 2 };
            char::from(ALPHABET[five])
        };
        Token((0..TOKEN_CHARS).map(letter).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn id(&self) -> InvitationId {
        InvitationId(Sha256::digest(self.0.as_bytes()).into())
    }
}

/// What cannot be one of ours is refused before anybody looks for it.
impl FromStr for Token {
    type Err = ();

    fn from_str(text: &str) -> Result<Token, ()> {
        let known = text.len() == TOKEN_CHARS && text.bytes().all(|byte| ALPHABET.contains(&byte));
        if known { Ok(Token(text.to_owned())) } else { Err(()) }
    }
}

/// The hash of a token: the key under which an invitation is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InvitationId([u8; 32]);

impl InvitationId {
    /// The key in the store: 64 hexadecimal digits.
    pub fn key(&self) -> Arc<str> {
        hex::write(&self.0).into()
    }

    pub fn from_key(key: &str) -> Option<InvitationId> {
        hex::read(key).map(InvitationId)
    }

    /// What people call it by: says nothing about the token.
    pub fn short(&self) -> String {
        hex::write(&self.0[..4])
    }
}

impl fmt::Debug for InvitationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// What it lets somebody do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Become a contact of who made it, with an account that exists already or with a new one (XEP-0401 4.1).
    Contact,
    /// Make an account (XEP-0401 4.4). With a name, that one and no other, and it is kept free meanwhile.
    Account { username: Option<String> },
    /// Set a new password for this account (on the page only: no specification knows this).
    Password { username: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    pub purpose: Purpose,
    /// Who made it. `None`: the house, by its command line.
    pub inviter: Option<BareJid>,
    /// With whom the new account is to be on terms from the beginning: each sees the other's presence.
    pub contact: Option<BareJid>,
    /// Microseconds since 1970.
    pub created_us: u64,
    /// XEP-0379 5.2: "each token MUST have a limited validity time".
    pub expires_us: u64,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    /// An account of this name is being made (its password being set) since then. If the process dies meanwhile, the account
    /// itself says what has become of it.
    Claimed {
        username: String,
        at_us: u64,
    },
    /// Used up by this account or contact.
    Spent {
        by: BareJid,
        at_us: u64,
    },
    /// Taken back.
    Revoked {
        at_us: u64,
    },
}

impl Invitation {
    /// Can it still be used, now or once what is underway has failed?
    pub fn is_live(&self, now_us: u64) -> bool {
        match self.state {
            State::Open => now_us < self.expires_us,
            State::Claimed { .. } => true,
            State::Spent { .. } | State::Revoked { .. } => false,
        }
    }

    /// The name that nobody else may take.
    pub fn reserves(&self) -> Option<&str> {
        match (&self.state, &self.purpose) {
            (State::Claimed { username, .. }, Purpose::Contact | Purpose::Account { .. }) => Some(username),
            (_, Purpose::Account { username }) => username.as_deref(),
            _ => None,
        }
    }

    /// The `xmpp:` URI (XEP-0401 4.1 and 4.4, XEP-0445 2). `None`: there is none for this purpose.
    pub fn uri(&self, domain: &str, token: &Token) -> Option<String> {
        let token = token.as_str();
        match &self.purpose {
            Purpose::Contact => {
                let inviter = self.inviter.as_ref()?;
                Some(format!("xmpp:{}?roster;preauth={token};ibr=y", uri_jid(inviter.as_str())))
            }
            Purpose::Account { username: Some(name) } => {
                Some(format!("xmpp:{}?register;preauth={token}", uri_jid(&format!("{name}@{domain}"))))
            }
            Purpose::Account { username: None } => Some(format!("xmpp:{}?register;preauth={token}", uri_jid(domain))),
            Purpose::Password { .. } => None,
        }
    }
}

/// RFC 5122 2.2: what is not `unreserved` and not one of the few others a node may have is written in percents.
pub fn uri_jid(jid: &str) -> String {
    let mut out = String::with_capacity(jid.len());
    for byte in jid.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => out.push(char::from(byte)),
            b'!' | b'$' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'[' | b']' => {
                // Inside an address they are allowed; ";" and "=" would be taken for the query's by careless readers.
                if matches!(byte, b';' | b'=') {
                    out.push_str(&format!("%{byte:02X}"));
                } else {
                    out.push(char::from(byte));
                }
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// How long, in words: `7 days`, `1 hour`.
pub fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        172_800.. => (seconds / 86_400, "day"),
        7_200.. => (seconds / 3_600, "hour"),
        120.. => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}
