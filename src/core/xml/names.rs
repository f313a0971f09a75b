//! Interned element names: asking what a child is costs one integer compare.

use std::hash::{BuildHasher, Hasher};

/// An element name (namespace, local part) that some room knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct NameId(pub u16);

impl NameId {
    /// A name nobody asked for.
    pub const UNKNOWN: Self = Self(0);
}

/// All names the rooms asked for at mount. Filled once, then shared and only read.
///
/// Open addressing over a power of two; a look-up compares whole names, so a collision costs time,
/// never correctness. The peers do not choose what is in the table, so no keyed hash is needed.
#[derive(Debug, Default, Clone)]
pub struct NameTable {
    names: Vec<(Box<str>, Box<str>)>,
    /// Index into `names` plus one; 0 is free.
    slots: Vec<u16>,
}

impl NameTable {
    /// An empty table: every name is unknown.
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of a name, given one if it has none yet.
    ///
    /// The table holds 65,535 names; what comes after that stays [`NameId::UNKNOWN`], which is
    /// safe: look-ups by text still work.
    pub fn intern(&mut self, ns: &str, local: &str) -> NameId {
        let known = self.get(ns, local);
        if known != NameId::UNKNOWN || self.names.len() >= usize::from(u16::MAX) {
            return known;
        }
        self.names.push((ns.into(), local.into()));
        if self.names.len() * 2 > self.slots.len() {
            self.grow();
        } else {
            self.place(self.names.len() - 1);
        }
        self.get(ns, local)
    }

    /// The id of a name, [`NameId::UNKNOWN`] if nobody asked for it. Does not allocate.
    #[inline]
    pub fn get(&self, ns: impl AsRef<[u8]>, local: impl AsRef<[u8]>) -> NameId {
        self.find(ns.as_ref(), local.as_ref())
    }

    fn find(&self, ns: &[u8], local: &[u8]) -> NameId {
        if self.slots.is_empty() {
            return NameId::UNKNOWN;
        }
        let mask = self.slots.len() - 1;
        let mut at = hash(ns, local) as usize & mask;
        // At most half of the slots are taken, so a free one ends every walk.
        while let Some(&id) = self.slots.get(at) {
            if id == 0 {
                break;
            }
            if let Some((n, l)) = self.names.get(usize::from(id) - 1)
                && l.as_bytes() == local
                && n.as_bytes() == ns
            {
                return NameId(id);
            }
            at = (at + 1) & mask;
        }
        NameId::UNKNOWN
    }

    /// Namespace and local name of an id.
    pub fn name(&self, id: NameId) -> Option<(&str, &str)> {
        let at = usize::from(id.0).checked_sub(1)?;
        self.names.get(at).map(|(n, l)| (&**n, &**l))
    }

    /// How many names are known.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether nobody asked for any name.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn grow(&mut self) {
        let size = (self.names.len() * 4).next_power_of_two().max(64);
        self.slots = vec![0; size];
        for index in 0..self.names.len() {
            self.place(index);
        }
    }

    fn place(&mut self, index: usize) {
        let (ns, local) = &self.names[index];
        let mask = self.slots.len() - 1;
        let mut at = hash(ns.as_bytes(), local.as_bytes()) as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = (index + 1) as u16;
    }
}

/// Multiply and rotate, eight bytes at a time. The namespaces of one family share their beginning
/// and differ at their end, so the last eight bytes and the length say most about a name.
#[inline]
fn hash(ns: &[u8], local: &[u8]) -> u64 {
    let mut h = Mix::default();
    h.tail(ns);
    h.tail(local);
    h.finish()
}

/// Also the hasher of [`Hold::Coalesce`](super::Hold::Coalesce) keys.
#[derive(Default, Clone)]
pub(super) struct Mix(u64);

const K: u64 = 0x9E37_79B9_7F4A_7C15;

impl Mix {
    #[inline]
    fn word(&mut self, w: u64) {
        self.0 = (self.0.rotate_left(23) ^ w).wrapping_mul(K);
    }

    /// First and last eight bytes and the length.
    #[inline]
    fn tail(&mut self, bytes: &[u8]) {
        if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            self.word(u64::from_le_bytes(*first));
            self.word(u64::from_le_bytes(*last));
        } else {
            let mut w = 0u64;
            for &b in bytes {
                w = (w << 8) | u64::from(b);
            }
            self.word(w);
        }
        self.word(bytes.len() as u64);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut w = [0u8; 8];
            w[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(w));
        }
        self.word(bytes.len() as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}

impl BuildHasher for Mix {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interned_name_is_found_and_no_other() {
        let mut table = NameTable::new();
        let mut ids = Vec::new();
        for i in 0..3000 {
            let ns = format!("urn:xmpp:thing{}:{}", i % 70, i / 70);
            ids.push((table.intern(&ns, "query"), ns));
        }
        for (id, ns) in &ids {
            assert_ne!(*id, NameId::UNKNOWN);
            assert_eq!(table.get(ns, "query"), *id);
            assert_eq!(table.name(*id), Some((ns.as_str(), "query")));
            assert_eq!(table.get(ns, "queri"), NameId::UNKNOWN);
        }
        assert_eq!(table.len(), 3000);
        assert_eq!(table.intern("urn:xmpp:thing0:0", "query"), ids[0].0);
        assert_eq!(table.name(NameId::UNKNOWN), None);
        assert_eq!(NameTable::new().get("a", "b"), NameId::UNKNOWN);
    }
}
