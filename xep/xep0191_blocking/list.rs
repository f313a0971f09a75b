//! Who is blocked: JIDs as they are written on disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use iris_core::{Jid, jids};

#[derive(Debug, Default)]
pub struct List(BTreeSet<Arc<str>>);

impl List {
    pub fn has(&self, item: &str) -> bool {
        self.0.contains(item)
    }

    pub fn add(&mut self, item: &str) {
        self.0.insert(Arc::from(item));
    }

    pub fn remove(&mut self, item: &str) {
        self.0.remove(item);
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|item| &**item)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Section 6: the JID itself (with a resource: that one only), its bare JID, its domain.
    pub fn blocks(&self, jid: &Jid) -> bool {
        let (domain, text) = (jid.domain().as_str(), jid.as_str());
        let bare = jids::bare(text);
        self.has(text) || self.has(bare) || self.has(domain)
    }
}

impl FromIterator<Arc<str>> for List {
    fn from_iter<I: IntoIterator<Item = Arc<str>>>(items: I) -> List {
        List(items.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_what_an_item_matches() {
        // Item; addresses it blocks; addresses it does not.
        let table: [(&str, &[&str], &[&str]); 4] = [
            ("u@d/r", &["u@d/r"], &["u@d", "u@d/s", "d/r", "d"]),
            ("u@d", &["u@d", "u@d/r"], &["v@d", "d", "d/r", "u@e"]),
            ("d/r", &["d/r"], &["d", "d/s", "u@d/r"]),
            ("d", &["d", "d/r", "u@d", "u@d/r"], &["x.d", "u@x.d"]),
        ];
        for (item, blocked, free) in table {
            let list: List = [Arc::from(item)].into_iter().collect();
            let blocks = |jid: &&str| list.blocks(&Jid::new(jid).expect("a JID"));
            assert!(blocked.iter().all(blocks), "{item}");
            assert!(!free.iter().any(blocks), "{item}");
        }
    }
}
