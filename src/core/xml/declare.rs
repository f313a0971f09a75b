//! Namespace declarations in scope, and which of them a slice needs to stand alone.

use smallvec::SmallVec;

use super::ns;
use super::walk::{self, Tag, Tags};

/// Declarations in scope. Later entries hide earlier ones of the same prefix.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope<'a> {
    /// Empty: no default namespace.
    pub(super) default_ns: &'a str,
    /// Prefix, namespace name.
    pub(super) prefixes: SmallVec<[(&'a str, &'a str); 2]>,
    /// The content namespace on the wire and what the rooms call it.
    pub(super) alias: Option<(&'a str, &'a str)>,
}

impl<'a> Scope<'a> {
    /// Takes in the declarations of a start tag.
    pub(super) fn enter(&mut self, tag: &'a str) {
        for attribute in walk::attributes(tag) {
            let uri = match self.alias {
                Some((wire, known)) if wire == attribute.value => known,
                _ => attribute.value,
            };
            match attribute.declares() {
                Some("") => self.default_ns = uri,
                Some(prefix) => self.prefixes.push((prefix, uri)),
                None => {}
            }
        }
    }

    /// The namespace name of an element's prefix; empty for none, or an unknown prefix.
    pub(super) fn element_ns(&self, prefix: &str) -> &'a str {
        if prefix.is_empty() { self.default_ns } else { self.prefix_ns(prefix) }
    }

    /// The namespace name of a prefix.
    pub(super) fn prefix_ns(&self, prefix: &str) -> &'a str {
        if prefix == "xml" {
            return ns::XML;
        }
        self.prefixes.iter().rev().find(|(p, _)| *p == prefix).map_or("", |(_, uri)| uri)
    }
}

/// The declarations an element uses but does not make: prefix (empty: the default namespace) and
/// namespace name, from the scope it stood in.
pub(super) fn missing<'a>(element: &str, scope: &Scope<'a>) -> SmallVec<[(&'a str, &'a str); 2]> {
    let mut missing: SmallVec<[(&'a str, &'a str); 2]> = SmallVec::new();
    // Prefixes declared inside, with the depth at which they go out of scope.
    let mut inside: Vec<(&str, usize)> = Vec::new();
    let mut depth = 0usize;
    for (_, _, tag) in Tags::new(element) {
        let Tag::Start(tag, empty) = tag else {
            depth = depth.saturating_sub(1);
            inside.retain(|(_, d)| *d <= depth);
            continue;
        };
        depth += 1;
        inside.extend(walk::attributes(tag).filter_map(|a| Some((a.declares()?, depth))));
        let mut uses = |prefix: &str| {
            if prefix == "xml" || inside.iter().any(|(p, _)| *p == prefix) {
                return;
            }
            let found = if prefix.is_empty() {
                (!scope.default_ns.is_empty()).then_some(("", scope.default_ns))
            } else {
                scope.prefixes.iter().rev().find(|(p, _)| *p == prefix).copied()
            };
            if let Some(found) = found
                && !missing.contains(&found)
            {
                missing.push(found);
            }
        };
        uses(walk::split(walk::name(tag)).0);
        for attribute in walk::attributes(tag) {
            let (prefix, _) = walk::split(attribute.name);
            if !prefix.is_empty() && attribute.declares().is_none() {
                uses(prefix);
            }
        }
        if empty {
            depth -= 1;
            inside.retain(|(_, d)| *d <= depth);
        }
    }
    missing
}
