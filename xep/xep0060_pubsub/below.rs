//! XEP-0248 6.2: the items of all leaves below a collection, as one list in the order of their publication. Nothing of it is made before it
//! is asked for: the newest of a large tree cost no more than a look at each of its leaves.

use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use iris_core::{Bounce, Condition};

use super::node::{Entry, Node};
use super::service::{Fetch, Listed, Quotas, Service};
use super::{Asker, Standing, error, serial_key};
use crate::xep0059_rsm as rsm;

impl Service {
    /// The nodes that hold items, by whatever way they are below it.
    fn leaves(&self, collection: &str) -> Vec<(&Arc<str>, &Node)> {
        let (mut open, mut seen, mut leaves) = (vec![collection], BTreeSet::new(), Vec::new());
        while let Some(at) = open.pop() {
            for child in self.children(at) {
                let Some(node) = self.node(child).filter(|_| seen.insert(child)) else { continue };
                match node.config.is_collection() {
                    true => open.push(child),
                    false => leaves.push((child, node)),
                }
            }
        }
        leaves
    }

    pub(super) fn retrieve_below(
        &self,
        who: &Asker,
        name: Arc<str>,
        newest: Option<usize>,
        page: Option<rsm::Wanted>,
        quotas: &Quotas,
    ) -> Result<Fetch, Bounce> {
        if newest.is_some() && page.is_some() {
            return Err(
                Bounce::new(Condition::NotAcceptable).text("of a collection: its newest items, or pages of all of them")
            );
        }
        // What they are to the owner of the collection they need not be to those of the nodes.
        let who = Asker { standing: Standing::Stranger, ..who.clone() };
        let is_shown = |node: &Node| node.config.persist_items && node.may_read(&who).is_ok();
        let leaves: Vec<(&Arc<str>, &Node)> = self.leaves(&name).into_iter().filter(|(_, node)| is_shown(node)).collect();
        let wanted = match newest {
            Some(newest) => rsm::Wanted { max: u32::try_from(newest).ok(), before: Some(String::new()), after: None },
            None => page.clone().unwrap_or_default(),
        };
        let chosen = choose(&leaves, &wanted, quotas)?;
        let count = leaves.iter().map(|(_, node)| node.entries.len()).sum::<usize>();
        let before = |serial: u64| leaves.iter().map(|(_, node)| node.entries.partition_point(|it| it.serial < serial)).sum();
        let is_all = page.is_none() && chosen.len() == count.min(newest.unwrap_or(count));
        let page = (!is_all).then(|| {
            let first: usize = chosen.first().map_or(0, |(_, entry)| before(entry.serial));
            let id = |at: usize| chosen.get(at - first).map(|(_, entry)| serial_key(entry.serial)).unwrap_or_default();
            rsm::Given::of(&(first..first + chosen.len()), count, id)
        });
        let mut lists: Vec<(usize, Listed)> = Vec::new();
        for (at, entry) in chosen {
            let Some((name, node)) = leaves.get(at) else { continue };
            match lists.iter_mut().find(|(of, _)| *of == at) {
                Some((_, list)) => list.entries.push(entry.clone()),
                None => lists.push((at, Listed::new(name, node, vec![entry.clone()]))),
            }
        }
        Ok(Fetch { node: name, lists: lists.into_iter().map(|(_, list)| list).collect(), page })
    }
}

/// The entries of a page, ascending, each with the place of its leaf.
fn choose<'a>(
    leaves: &[(&Arc<str>, &'a Node)],
    wanted: &rsm::Wanted,
    quotas: &Quotas,
) -> Result<Vec<(usize, &'a Entry)>, Bounce> {
    let serial = |id: &str| {
        let serial = u64::from_str_radix(id, 16).ok().filter(|serial| serial_key(*serial) == id)?;
        let has = |(_, node): &(&Arc<str>, &Node)| node.entries.binary_search_by_key(&serial, |it| it.serial).is_ok();
        leaves.iter().any(has).then_some(serial)
    };
    let serial = |id: &str| serial(id).ok_or_else(error::not_found);
    let after = wanted.after.as_deref().map(serial).transpose()?;
    let before = wanted.before.as_deref().filter(|id| !id.is_empty()).map(serial).transpose()?;
    let max = wanted.max.map_or(quotas.page_items_max, |max| (max as usize).min(quotas.page_items_max));
    let parts: Vec<&[Entry]> = leaves
        .iter()
        .map(|(_, node)| {
            let from = after.map_or(0, |after| node.entries.partition_point(|it| it.serial <= after));
            let until = before.map_or(node.entries.len(), |before| node.entries.partition_point(|it| it.serial < before));
            node.entries.get(from..until).unwrap_or_default()
        })
        .collect();
    // The next one of each leaf, from the end that the page is taken from.
    let backward = wanted.backward();
    let next = |at: usize, taken: usize| -> Option<(u64, usize, usize)> {
        let part = parts.get(at)?;
        let entry = if backward { part.iter().rev().nth(taken)? } else { part.get(taken)? };
        Some((if backward { entry.serial } else { !entry.serial }, at, taken))
    };
    let mut heap: BinaryHeap<_> = (0..parts.len()).filter_map(|at| next(at, 0)).collect();
    let (mut chosen, mut bytes) = (Vec::new(), 0_usize);
    while let Some((_, at, taken)) = heap.pop().filter(|_| chosen.len() < max) {
        let part = parts.get(at).copied().unwrap_or_default();
        let Some(entry) = (if backward { part.iter().rev().nth(taken) } else { part.get(taken) }) else { continue };
        bytes = bytes.saturating_add(entry.weight());
        if bytes > quotas.page_size_bytes_max && !chosen.is_empty() {
            break;
        }
        chosen.push((at, entry));
        heap.extend(next(at, taken + 1));
    }
    if backward {
        chosen.reverse();
    }
    Ok(chosen)
}
