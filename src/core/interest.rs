//! Which news a client wants (XEP-0060 9.2): the nodes behind the `+notify` features that it has been *verified* to have.

use std::sync::Arc;

/// Names of nodes, ascending, each once. Shared by all clients with the same capabilities. (None and not an empty one, because
/// every envelope carries one and must not touch a counter for it.)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interests(Option<Arc<[Box<str>]>>);

impl Interests {
    pub fn has(&self, node: &str) -> bool {
        self.nodes().binary_search_by(|known| (**known).cmp(node)).is_ok()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes().is_empty()
    }

    pub fn len(&self) -> usize {
        self.nodes().len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.nodes().iter().map(|node| &**node)
    }

    fn nodes(&self) -> &[Box<str>] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Those that are not in `earlier`.
    pub fn beyond(&self, earlier: &Interests) -> Interests {
        if earlier.is_empty() {
            return self.clone();
        }
        self.iter().filter(|node| !earlier.has(node)).collect()
    }
}

impl<'a> FromIterator<&'a str> for Interests {
    fn from_iter<I: IntoIterator<Item = &'a str>>(nodes: I) -> Interests {
        let mut nodes: Vec<Box<str>> = nodes.into_iter().map(Into::into).collect();
        nodes.sort_unstable();
        nodes.dedup();
        Interests((!nodes.is_empty()).then(|| nodes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::Interests;

    #[test]
    fn nodes_are_found_and_told_apart() {
        let all: Interests = ["tune", "mood", "tune"].into_iter().collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), ["mood", "tune"]);
        assert!(all.has("tune") && !all.has("tun") && !Interests::default().has("tune"));
        let earlier: Interests = ["mood"].into_iter().collect();
        assert_eq!(all.beyond(&earlier).iter().collect::<Vec<_>>(), ["tune"]);
        assert_eq!(all.beyond(&Interests::default()), all);
        assert!(all.beyond(&all).is_empty());
    }
}
