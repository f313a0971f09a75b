//! Pages of an archive that is no log: which entries there are is known, ascending, and where each lies (a node of an account,
//! XEP-0442).

use iris_core::Bounce;
use iris_core::store::EntryId;

use super::query::{Query, not_there};

/// Which entries a page holds.
#[derive(Debug, PartialEq)]
pub struct Page {
    pub ids: Vec<EntryId>,
    /// Nothing more matches in the direction of paging.
    pub complete: bool,
    /// How many match, where only that was asked.
    pub count: Option<u64>,
}

/// `is_with`: is this one of those with whom the query is about?
///
/// # Errors
/// Sections 4.1.3 and 4.3.2: an id that the query stands on is not in the archive.
pub fn page(query: &Query, all: &[EntryId], is_with: impl Fn(EntryId) -> bool) -> Result<Page, Bounce> {
    if query.must_exist.iter().any(|id| all.binary_search(id).is_err()) {
        return Err(not_there());
    }
    let log = &query.log;
    let mut ids: Vec<EntryId> = all
        .iter()
        .copied()
        .filter(|id| log.from.is_none_or(|from| *id >= from) && log.until.is_none_or(|until| *id <= until))
        .filter(|id| log.after.is_none_or(|after| *id > after) && log.before.is_none_or(|before| *id < before))
        .filter(|id| log.ids.as_ref().is_none_or(|ids| ids.contains(id)) && is_with(*id))
        .collect();
    let (found, max) = (ids.len(), log.max as usize);
    if query.only_count {
        return Ok(Page { ids: Vec::new(), complete: found == 0, count: Some(found as u64) });
    }
    match log.last {
        true => drop(ids.drain(..found.saturating_sub(max))),
        false => ids.truncate(max),
    }
    Ok(Page { complete: ids.len() == found, ids, count: None })
}
