//! Connections between domains of this house and others, as long as they are open: what a domain may say about itself (XEP-0485). A
//! connection comes and goes rarely, and is looked at by few: a lock is enough.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Who has opened it: the other server (`In`), or this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    In,
    Out,
}

/// How many are open between two domains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connections {
    pub incoming: usize,
    pub outgoing: usize,
}

impl Connections {
    fn of(&mut self, way: Way) -> &mut usize {
        match way {
            Way::In => &mut self.incoming,
            Way::Out => &mut self.outgoing,
        }
    }
}

/// By their names.
type Others = BTreeMap<Box<str>, Connections>;

/// By the domain of ours.
#[derive(Debug, Default)]
pub struct Connected(Mutex<BTreeMap<Box<str>, Others>>);

impl Connected {
    /// One is open, until what this returns is dropped.
    pub fn open(self: &Arc<Self>, theirs: &str, ours: &str, way: Way) -> Connection {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry(ours.into()).or_default().entry(theirs.into()).or_default().of(way) += 1;
        Connection { list: self.clone(), theirs: theirs.into(), ours: ours.into(), way }
    }

    /// Those of a domain of ours, by the names of the others.
    pub fn of(&self, ours: &str) -> Vec<(Box<str>, Connections)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let others = all.get(ours).into_iter().flatten();
        others.map(|(theirs, connections)| (theirs.clone(), *connections)).collect()
    }
}

/// It is open while this is kept.
#[derive(Debug)]
pub struct Connection {
    list: Arc<Connected>,
    theirs: Box<str>,
    ours: Box<str>,
    way: Way,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut all = self.list.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(others) = all.get_mut(&self.ours) else { return };
        if let Some(connections) = others.get_mut(&self.theirs) {
            *connections.of(self.way) -= 1;
            if *connections == Connections::default() {
                others.remove(&self.theirs);
            }
        }
        if others.is_empty() {
            all.remove(&self.ours);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_of_domains_is_listed_as_long_as_a_connection_is_open() {
        let all = Arc::new(Connected::default());
        let first = all.open("far", "house", Way::In);
        let second = all.open("far", "house", Way::In);
        let third = all.open("far", "house", Way::Out);
        let other = all.open("away", "rooms.house", Way::Out);
        assert_eq!(all.of("house"), [("far".into(), Connections { incoming: 2, outgoing: 1 })]);
        assert_eq!(all.of("rooms.house"), [("away".into(), Connections { incoming: 0, outgoing: 1 })]);
        drop((first, third));
        assert_eq!(all.of("house"), [("far".into(), Connections { incoming: 1, outgoing: 0 })]);
        drop((second, other));
        assert!(all.0.lock().expect("the list").is_empty());
    }
}
