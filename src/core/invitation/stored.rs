//! How an invitation is stored: the key is the hash of its token, the value
//!
//! ```text
//! 1 byte    format, 1
//! 1 byte    purpose: 0 contact, 1 account, 2 password
//! 8 bytes   made, 8 bytes expires (microseconds since 1970, big endian)
//! [len name] [len inviter] [len contact]        empty: none
//! 1 byte    state: 0 open, 1 claimed, 2 spent, 3 revoked
//! 8 bytes   since (not for "open")  [len who]   (claimed: the name; spent: the address)
//! ```
//! Lengths are two bytes, big endian. What does not fit this to the last byte is refused.

use bytes::{Buf, Bytes};
use jid::BareJid;

use super::{Invitation, Purpose, State};

const FORMAT: u8 = 1;

pub(super) fn encode(it: &Invitation) -> Bytes {
    let mut out = Vec::with_capacity(96);
    let (purpose, name) = match &it.purpose {
        Purpose::Contact => (0, ""),
        Purpose::Account { username } => (1, username.as_deref().unwrap_or_default()),
        Purpose::Password { username } => (2, username.as_str()),
    };
    out.extend_from_slice(&[FORMAT, purpose]);
    out.extend_from_slice(&it.created_us.to_be_bytes());
    out.extend_from_slice(&it.expires_us.to_be_bytes());
    put(&mut out, name);
    put(&mut out, it.inviter.as_ref().map_or("", |jid| jid.as_str()));
    put(&mut out, it.contact.as_ref().map_or("", |jid| jid.as_str()));
    match &it.state {
        State::Open => out.push(0),
        State::Claimed { username, at_us } => {
            out.push(1);
            out.extend_from_slice(&at_us.to_be_bytes());
            put(&mut out, username);
        }
        State::Spent { by, at_us } => {
            out.push(2);
            out.extend_from_slice(&at_us.to_be_bytes());
            put(&mut out, by.as_str());
        }
        State::Revoked { at_us } => {
            out.push(3);
            out.extend_from_slice(&at_us.to_be_bytes());
        }
    }
    Bytes::from(out)
}

pub(super) fn decode(value: &Bytes) -> Option<Invitation> {
    let mut rest = &value[..];
    if rest.try_get_u8().ok()? != FORMAT {
        return None;
    }
    let purpose = rest.try_get_u8().ok()?;
    let created_us = rest.try_get_u64().ok()?;
    let expires_us = rest.try_get_u64().ok()?;
    let name = take(&mut rest)?;
    let inviter = address(&take(&mut rest)?)?;
    let contact = address(&take(&mut rest)?)?;
    let purpose = match (purpose, name.is_empty()) {
        (0, true) => Purpose::Contact,
        (1, empty) => Purpose::Account { username: (!empty).then_some(name) },
        (2, false) => Purpose::Password { username: name },
        _ => return None,
    };
    let state = match rest.try_get_u8().ok()? {
        0 => State::Open,
        1 => {
            let at_us = rest.try_get_u64().ok()?;
            State::Claimed { at_us, username: take(&mut rest)? }
        }
        2 => {
            let at_us = rest.try_get_u64().ok()?;
            State::Spent { at_us, by: address(&take(&mut rest)?)?? }
        }
        3 => State::Revoked { at_us: rest.try_get_u64().ok()? },
        _ => return None,
    };
    rest.is_empty().then_some(Invitation { purpose, inviter, contact, created_us, expires_us, state })
}

/// Names and addresses are at most 2,047 bytes long.
fn put(out: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(text.as_bytes().get(..usize::from(len)).unwrap_or_default());
}

fn take(rest: &mut &[u8]) -> Option<String> {
    let len = usize::from(rest.try_get_u16().ok()?);
    let (text, left) = rest.split_at_checked(len)?;
    *rest = left;
    String::from_utf8(text.to_vec()).ok()
}

/// `Some(None)`: there is none. `None`: it is no address.
fn address(text: &str) -> Option<Option<BareJid>> {
    if text.is_empty() { Some(None) } else { BareJid::new(text).ok().map(Some) }
}
