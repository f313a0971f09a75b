//! How a contact is stored: the key is its bare JID, the value
//!
//! ```text
//! 1 byte    format, 1
//! 1 byte    flags, below
//! 8 bytes   version, little endian
//! [len name]   [len request]   count (len group)*
//! ```
//! Lengths and counts are LEB128. What does not fit this to the last byte is refused: a half-understood contact must not be
//! written back.

use bytes::{Buf, Bytes};
use iris_core::BareJid;

use super::Contact;
use crate::account::subscription::State;

/// No bare JID has a slash.
pub(super) const FLOOR_KEY: &str = "/floor";

const FORMAT: u8 = 1;

const TO: u8 = 1;
const FROM: u8 = 1 << 1;
const ASK: u8 = 1 << 2;
const PENDING_IN: u8 = 1 << 3;
const APPROVED: u8 = 1 << 4;
const LISTED: u8 = 1 << 5;
const NAMED: u8 = 1 << 6;
const UNUSED: u8 = 1 << 7;

pub(super) fn encode(contact: &Contact) -> Bytes {
    let State { to, from, ask, pending_in, approved } = contact.state;
    let flags = [
        (to, TO),
        (from, FROM),
        (ask, ASK),
        (pending_in, PENDING_IN),
        (approved, APPROVED),
        (contact.listed, LISTED),
        (contact.name.is_some(), NAMED),
    ];
    let mut out = Vec::with_capacity(64);
    out.push(FORMAT);
    out.push(flags.into_iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag));
    out.extend_from_slice(&contact.ver.to_le_bytes());
    if let Some(name) = &contact.name {
        put(&mut out, name.as_bytes());
    }
    if pending_in {
        put(&mut out, contact.pending.as_deref().unwrap_or_default());
    }
    put_number(&mut out, contact.groups.len());
    for group in &contact.groups {
        put(&mut out, group.as_bytes());
    }
    Bytes::from(out)
}

pub(super) fn decode(key: &str, value: &Bytes) -> Option<Contact> {
    let jid = BareJid::new(key).ok().filter(|jid| jid.as_str() == key)?;
    let mut rest = value.clone();
    if rest.try_get_u8().ok()? != FORMAT {
        return None;
    }
    let flags = rest.try_get_u8().ok()?;
    let has = |flag| flags & flag != 0;
    let state = State { to: has(TO), from: has(FROM), ask: has(ASK), pending_in: has(PENDING_IN), approved: has(APPROVED) };
    if has(UNUSED) || state != state.defined() || (!has(LISTED) && (state.shown() != State::NONE || has(NAMED))) {
        return None;
    }
    let ver = rest.try_get_u64_le().ok()?;
    let name = if has(NAMED) { Some(text(&mut rest)?) } else { None };
    let pending = if state.pending_in { Some(take(&mut rest)?) } else { None };
    let count = number(&mut rest)?;
    // A group takes a byte at least: no reservation for what can not be there.
    if count > rest.len() {
        return None;
    }
    let groups: Option<Vec<Box<str>>> = (0..count).map(|_| text(&mut rest)).collect();
    let contact = Contact { jid, name, groups: groups?.into_boxed_slice(), state, pending, ver, listed: has(LISTED) };
    rest.is_empty().then_some(contact)
}

pub(super) fn encode_floor(floor: u64) -> Bytes {
    let mut out = vec![FORMAT];
    out.extend_from_slice(&floor.to_le_bytes());
    Bytes::from(out)
}

pub(super) fn decode_floor(value: &Bytes) -> Option<u64> {
    let mut rest = value.clone();
    let known = rest.try_get_u8().ok()? == FORMAT;
    let floor = rest.try_get_u64_le().ok()?;
    (known && rest.is_empty()).then_some(floor)
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn text(rest: &mut Bytes) -> Option<Box<str>> {
    let bytes = take(rest)?;
    std::str::from_utf8(&bytes).ok().map(Box::from)
}

fn take(rest: &mut Bytes) -> Option<Bytes> {
    let len = number(rest)?;
    (len <= rest.len()).then(|| rest.split_to(len))
}

/// Below 2^28: nothing we store is longer.
fn number(rest: &mut Bytes) -> Option<usize> {
    let mut number = 0;
    for shift in [0, 7, 14, 21] {
        let byte = rest.try_get_u8().ok()?;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
