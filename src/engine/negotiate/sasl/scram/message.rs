//! The grammar of SCRAM's client messages (RFC 5802 section 7), strict: attributes in their order, nothing before,
//! between or behind them except what the grammar calls extensions, and base64 only in its one canonical form.
//!
//! Optional extensions are skipped, as RFC 5802 section 5.1 demands; they are covered by the proof. A letter that has a
//! meaning is no extension, so nothing can be said twice. The mandatory extension `m=` must be refused: we know none.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::error::SaslError;

/// gs2-cbind-flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BindingFlag<'m> {
    /// `p=`: the client binds the channel with this type.
    Used(&'m str),
    /// `n`: the client cannot bind the channel.
    Unsupported,
    /// `y`: the client can, but thinks that the server cannot.
    NotOffered,
}

/// client-first-message.
#[derive(Debug)]
pub(super) struct ClientFirst<'m> {
    /// With its two commas, as received.
    pub(super) gs2_header: &'m str,
    pub(super) flag: BindingFlag<'m>,
    /// Decoded; empty if absent.
    pub(super) authzid: Cow<'m, str>,
    /// client-first-message-bare, as received.
    pub(super) bare: &'m str,
    /// Decoded.
    pub(super) username: Cow<'m, str>,
    pub(super) nonce: &'m str,
}

/// client-final-message.
#[derive(Debug)]
pub(super) struct ClientFinal<'m> {
    /// client-final-message-without-proof, as received.
    pub(super) without_proof: &'m str,
    /// `c=`, decoded.
    pub(super) binding: Vec<u8>,
    pub(super) nonce: &'m str,
    /// `p=`, decoded.
    pub(super) proof: Vec<u8>,
}

impl<'m> ClientFirst<'m> {
    pub(super) fn read(message: &'m [u8]) -> Result<Self, SaslError> {
        let message = text(message)?;
        Self::parse(message).ok_or(SaslError::MalformedRequest)
    }

    fn parse(message: &'m str) -> Option<Self> {
        let (flag, rest) = message.split_once(',')?;
        let (authzid, bare) = rest.split_once(',')?;
        let gs2_header = message.strip_suffix(bare)?;
        let flag = match flag {
            "n" => BindingFlag::Unsupported,
            "y" => BindingFlag::NotOffered,
            _ => BindingFlag::Used(flag.strip_prefix("p=").filter(|name| is_binding_name(name))?),
        };
        let authzid = match authzid {
            "" => Cow::Borrowed(""),
            _ => saslname(authzid.strip_prefix("a=")?)?,
        };
        let mut attributes = bare.split(',');
        let username = saslname(attributes.next()?.strip_prefix("n=")?)?;
        let nonce = nonce(attributes.next()?)?;
        if !attributes.all(is_extension) {
            return None;
        }
        Some(ClientFirst { gs2_header, flag, authzid, bare, username, nonce })
    }
}

impl<'m> ClientFinal<'m> {
    pub(super) fn read(message: &'m [u8]) -> Result<Self, SaslError> {
        let message = text(message)?;
        Self::parse(message).ok_or(SaslError::MalformedRequest)
    }

    fn parse(message: &'m str) -> Option<Self> {
        let (without_proof, proof) = message.rsplit_once(",p=")?;
        let mut attributes = without_proof.split(',');
        let binding = base64(attributes.next()?.strip_prefix("c=")?)?;
        let nonce = nonce(attributes.next()?)?;
        if !attributes.all(is_extension) {
            return None;
        }
        Some(ClientFinal { without_proof, binding, nonce, proof: base64(proof)? })
    }
}

fn text(message: &[u8]) -> Result<&str, SaslError> {
    std::str::from_utf8(message).ok().filter(|text| !text.contains('\0')).ok_or(SaslError::MalformedRequest)
}

/// cb-name: letters, digits, `.` and `-`.
fn is_binding_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    !name.is_empty() && name.bytes().all(allowed)
}

/// saslname: not empty, with `=2C` for the comma and `=3D` for the equals sign and no other use of it.
fn saslname(value: &str) -> Option<Cow<'_, str>> {
    if value.is_empty() {
        return None;
    }
    let mut pieces = value.split('=');
    let plain = pieces.next()?;
    if plain.len() == value.len() {
        return Some(Cow::Borrowed(value));
    }
    let mut name = plain.to_owned();
    for piece in pieces {
        if let Some(rest) = piece.strip_prefix("2C") {
            name.push(',');
            name.push_str(rest);
        } else {
            name.push('=');
            name.push_str(piece.strip_prefix("3D")?);
        }
    }
    Some(Cow::Owned(name))
}

/// `r=` and at least one printable character; there is no comma in it because we split at commas.
fn nonce(attribute: &str) -> Option<&str> {
    let nonce = attribute.strip_prefix("r=")?;
    let printable = !nonce.is_empty() && nonce.bytes().all(|byte| byte.is_ascii_graphic());
    printable.then_some(nonce)
}

/// attr-val with a letter that has no meaning of its own.
fn is_extension(attribute: &str) -> bool {
    let Some((letter, value)) = attribute.split_once('=') else {
        return false;
    };
    let named = matches!(letter.as_bytes(), [byte] if byte.is_ascii_alphabetic());
    named && !value.is_empty() && !"aceimnprsv".contains(letter)
}

/// The engine refuses foreign characters, missing or wrong padding and left-over bits.
fn base64(value: &str) -> Option<Vec<u8>> {
    STANDARD.decode(value).ok().filter(|data| !data.is_empty())
}
