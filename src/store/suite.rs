//! How every driver behaves: one specification, run over each of them.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use iris_core::store::{
    Entry, EntryId, LogQuery, MemoryStore, OwnerId, Page, Progress, Read, Rows, Shelf, Store, StoreError, Ticket, Write,
    WriteSet,
};

use crate::{SqliteOptions, SqliteStore};

mod search;
use search::*;

pub(crate) const VCARD: Shelf = Shelf::record("vcard");
pub(crate) const ROSTER: Shelf = Shelf::map("roster");
pub(crate) const BLOCKED: Shelf = Shelf::map("blocked");
pub(crate) const ARCHIVE: Shelf = Shelf::log("archive").searchable(text);
pub(crate) const OFFLINE: Shelf = Shelf::log("offline");

fn text(entry: &[u8]) -> Option<String> {
    std::str::from_utf8(entry).ok().map(str::to_owned)
}

pub(crate) const ROMEO: OwnerId = OwnerId(1_001);
pub(crate) const JULIET: OwnerId = OwnerId(1_002);

/// Nothing here takes longer, except on a machine that stands still.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store, and what it takes to wait for it.
pub(crate) struct Client<S> {
    pub store: S,
    changed: Arc<(Mutex<()>, Condvar)>,
    _keep: Box<dyn std::any::Any + Send + Sync>,
}

impl<S: Store> Client<S> {
    pub fn new(store: S, keep: impl std::any::Any + Send + Sync) -> Client<S> {
        let changed = Arc::new((Mutex::new(()), Condvar::new()));
        let tell = Arc::clone(&changed);
        store.on_progress(Box::new(move || {
            let _held = tell.0.lock().unwrap();
            tell.1.notify_all();
        }));
        Client { store, changed, _keep: Box::new(keep) }
    }

    pub fn submit(&self, writes: impl IntoIterator<Item = Write>) -> Ticket {
        self.store.submit(set(writes), self.store.progress().epoch)
    }

    /// Wait until it is resolved.
    pub fn resolve(&self, ticket: Ticket) -> Progress {
        let end = Instant::now() + PATIENCE;
        let mut held = self.changed.0.lock().unwrap();
        loop {
            let progress = self.store.progress();
            if progress.resolved >= ticket {
                return progress;
            }
            let left = end.checked_duration_since(Instant::now()).expect("the store resolves each ticket");
            held = self.changed.1.wait_timeout(held, left).unwrap().0;
        }
    }

    pub fn commit(&self, writes: impl IntoIterator<Item = Write>) -> Ticket {
        let ticket = self.submit(writes);
        assert!(!self.resolve(ticket).is_refused(ticket), "ticket {ticket} is refused");
        ticket
    }

    pub fn ask(&self, after: Ticket, read: Read) -> Receiver<Result<Rows, StoreError>> {
        let (send, receive) = channel();
        self.store.read(after, read, Box::new(move |rows| drop(send.send(rows))));
        receive
    }

    pub fn try_read(&self, after: Ticket, read: Read) -> Result<Rows, StoreError> {
        self.ask(after, read).recv_timeout(PATIENCE).expect("the store answers each question")
    }

    pub fn read(&self, read: Read) -> Rows {
        self.try_read(0, read).unwrap()
    }

    pub fn value(&self, owner: OwnerId, shelf: Shelf, key: &str) -> Option<String> {
        match self.read(Read::Value { owner, shelf, key: key.into() }) {
            Rows::Value(value) => value.map(|value| String::from_utf8(value.to_vec()).unwrap()),
            rows => panic!("{rows:?}"),
        }
    }

    pub fn page(&self, owner: OwnerId, shelf: Shelf, query: LogQuery) -> Page {
        match self.read(Read::Log { owner, shelf, query }) {
            Rows::Log(page) => page,
            rows => panic!("{rows:?}"),
        }
    }

    /// The ids of a page of Romeo's archive, and whether it is complete.
    pub fn ids(&self, query: LogQuery) -> (Vec<u64>, bool) {
        let page = self.page(ROMEO, ARCHIVE, query);
        (page.entries.iter().map(|entry| entry.id.0).collect(), page.complete)
    }

    pub fn names(&self, suffix: &str, after: Option<&str>, max: u32) -> Vec<String> {
        match self.read(Read::Owners { suffix: suffix.into(), after: after.map(Into::into), max, shelf: VCARD }) {
            Rows::Owners(owners) => owners.iter().map(|owned| owned.name.to_string()).collect(),
            rows => panic!("{rows:?}"),
        }
    }
}

pub(crate) fn set(writes: impl IntoIterator<Item = Write>) -> WriteSet {
    let mut set = WriteSet::default();
    writes.into_iter().for_each(|write| set.push(write));
    set
}

pub(crate) fn own(owner: OwnerId, name: &str) -> Write {
    Write::Own { owner, name: name.into() }
}

pub(crate) fn put(owner: OwnerId, shelf: Shelf, key: &str, value: &str) -> Write {
    Write::Put { owner, shelf, key: key.into(), value: value.as_bytes().to_vec().into() }
}

pub(crate) fn append(owner: OwnerId, id: u64, peer: u64, tag: u64) -> Write {
    Write::Append { owner, shelf: ARCHIVE, id: EntryId(id), peer, tag, entry: format!("entry {id}").into() }
}

/// The first `max` of a log.
pub(crate) fn first(max: u32) -> LogQuery {
    LogQuery { max, ..LogQuery::default() }
}

pub(crate) fn last(max: u32) -> LogQuery {
    LogQuery { max, last: true, ..LogQuery::default() }
}

/// Romeo's archive: ids 10, 20 … 100, peers 7 and 8 in turn.
fn archive<S: Store>(client: &Client<S>) {
    for id in (10..=100).step_by(10) {
        client.commit([append(ROMEO, id, 7 + id / 10 % 2, 0), append(JULIET, id + 1, 7, 0)]);
    }
}

fn a_record_is_put_replaced_and_deleted<S: Store>(client: &Client<S>) {
    assert_eq!(client.value(ROMEO, VCARD, ""), None);
    client.commit([put(ROMEO, VCARD, "", "first"), put(JULIET, VCARD, "", "hers")]);
    client.commit([put(ROMEO, VCARD, "", "second")]);
    assert_eq!(client.value(ROMEO, VCARD, "").as_deref(), Some("second"));
    client.commit([Write::Delete { owner: ROMEO, shelf: VCARD, key: "".into() }]);
    client.commit([Write::Delete { owner: ROMEO, shelf: VCARD, key: "".into() }]);
    assert_eq!(client.value(ROMEO, VCARD, ""), None);
    assert_eq!(client.value(JULIET, VCARD, "").as_deref(), Some("hers"));
}

fn a_map_is_read_ascending_by_key_and_by_its_owner_only<S: Store>(client: &Client<S>) {
    client.commit([put(ROMEO, ROSTER, "nurse", "n"), put(ROMEO, ROSTER, "Zoë", "z"), put(ROMEO, ROSTER, "juliet", "j")]);
    client.commit([put(JULIET, ROSTER, "romeo", "r"), put(ROMEO, BLOCKED, "tybalt", "t")]);
    let map = |owner| client.read(Read::Map { owner, shelf: ROSTER });
    let expected = [("Zoë", "z"), ("juliet", "j"), ("nurse", "n")].map(|(key, value)| (key.into(), value.into()));
    assert_eq!(map(ROMEO), Rows::Map(expected.to_vec()));
    assert_eq!(map(OwnerId(5)), Rows::Map(Vec::new()));
    assert_eq!(client.value(ROMEO, ROSTER, "nurse").as_deref(), Some("n"));
    let some = |keys: &[&str]| {
        let keys = keys.iter().map(|key| Arc::from(*key)).collect();
        client.read(Read::Values { owner: ROMEO, shelf: ROSTER, keys })
    };
    let found = [("nurse", "n"), ("Zoë", "z")].map(|(key, value)| (key.into(), value.into()));
    assert_eq!(some(&["nurse", "tybalt", "Zoë", ""]), Rows::Map(found.to_vec()), "in the order of the question");
    assert_eq!(some(&[]), Rows::Map(Vec::new()));
}

fn wake_brings_the_shelves_asked_for_in_their_order<S: Store>(client: &Client<S>) {
    client.commit([own(ROMEO, "romeo@house"), put(ROMEO, BLOCKED, "tybalt", "t"), put(ROMEO, VCARD, "", "card")]);
    client.commit([put(ROMEO, ROSTER, "juliet", "j"), put(ROMEO, ROSTER, "benvolio", "b"), append(ROMEO, 5, 0, 0)]);
    let wake = |name: &str, shelves: &[Shelf]| match client.read(Read::Wake { name: name.into(), shelves: shelves.into() }) {
        Rows::Woken(woken) => woken.map(|woken| {
            let items = woken.items.iter().map(|item| format!("{}/{}", item.shelf.name, item.key));
            (woken.owner, items.collect::<Vec<_>>())
        }),
        rows => panic!("{rows:?}"),
    };
    let (owner, items) = wake("romeo@house", &[VCARD, ROSTER, ARCHIVE, OFFLINE]).unwrap();
    assert_eq!((owner, items), (ROMEO, vec!["vcard/".into(), "roster/benvolio".into(), "roster/juliet".into()]));
    assert_eq!(wake("romeo@house", &[]), Some((ROMEO, vec![])));
    assert_eq!(wake("mercutio@house", &[VCARD]), None);
    assert_eq!(wake("romeo", &[VCARD]), None);
}

fn a_page_is_ascending_from_either_end_and_says_whether_it_is_complete<S: Store>(client: &Client<S>) {
    archive(client);
    assert_eq!(client.ids(first(3)), (vec![10, 20, 30], false));
    assert_eq!(client.ids(last(3)), (vec![80, 90, 100], false));
    assert!(client.ids(first(10)).1);
    assert!(client.ids(last(10)).1);
    assert!(!client.ids(last(9)).1);
    assert_eq!(client.ids(first(0)), (vec![], false));
    assert_eq!(client.ids(last(u32::MAX)).0.len(), 10);
    let page = client.page(ROMEO, ARCHIVE, first(1));
    assert_eq!(page.entries, [Entry { id: EntryId(10), entry: "entry 10".into() }]);
    assert_eq!(page.count, None);
    assert_eq!(client.page(ROMEO, OFFLINE, first(5)), Page { entries: vec![], complete: true, count: None });
    assert!(client.page(OwnerId(5), ARCHIVE, first(0)).complete);
}

fn paging_both_ways_meets_each_entry_once<S: Store>(client: &Client<S>) {
    archive(client);
    for (peer, expected) in [(None, 10), (Some(7), 5)] {
        let (mut forth, mut back) = (Vec::new(), Vec::new());
        let mut query = LogQuery { peer, ..first(3) };
        loop {
            let (ids, complete) = client.ids(query.clone());
            query.after = ids.last().copied().map(EntryId);
            forth.extend(ids);
            if complete {
                break;
            }
        }
        let mut query = LogQuery { peer, ..last(3) };
        loop {
            let (ids, complete) = client.ids(query.clone());
            query.before = ids.first().copied().map(EntryId);
            back.splice(0..0, ids);
            if complete {
                break;
            }
        }
        assert_eq!(forth, back);
        assert_eq!(forth.len(), expected);
    }
}

fn bounds_of_a_query_combine<S: Store>(client: &Client<S>) {
    archive(client);
    let id = |id| Some(EntryId(id));
    let inclusive = LogQuery { from: id(20), until: id(50), ..first(99) };
    let exclusive = LogQuery { after: id(20), before: id(50), ..inclusive.clone() };
    assert_eq!(client.ids(inclusive.clone()), (vec![20, 30, 40, 50], true));
    assert_eq!(client.ids(exclusive.clone()), (vec![30, 40], true));
    assert_eq!(client.ids(LogQuery { peer: Some(8), ..inclusive.clone() }), (vec![30, 50], true));
    assert_eq!(client.ids(LogQuery { max: 1, last: true, ..exclusive.clone() }), (vec![40], false));
    let chosen = Some([60, 30, 999, 21, 30, 40].map(EntryId).to_vec());
    assert_eq!(client.ids(LogQuery { ids: chosen.clone(), ..first(99) }), (vec![30, 40, 60], true));
    assert_eq!(client.ids(LogQuery { ids: chosen.clone(), ..last(1) }), (vec![60], false));
    assert_eq!(client.ids(LogQuery { ids: chosen.clone(), peer: Some(7), ..exclusive }), (vec![40], true));
    assert_eq!(client.ids(LogQuery { ids: Some(vec![]), ..first(9) }), (vec![], true));
    // Ends that leave nothing, and ends beyond all times.
    assert_eq!(client.ids(LogQuery { from: id(50), until: id(20), ..first(9) }), (vec![], true));
    assert_eq!(client.ids(LogQuery { before: id(0), ..last(9) }), (vec![], true));
    assert_eq!(client.ids(LogQuery { after: id(u64::MAX), ..first(9) }), (vec![], true));
    assert_eq!(client.ids(LogQuery { until: id(u64::MAX), ..last(1) }).0, [100]);
}

fn count_is_of_all_that_matches<S: Store>(client: &Client<S>) {
    archive(client);
    let count = |query: LogQuery| client.page(ROMEO, ARCHIVE, LogQuery { count: true, ..query }).count;
    assert_eq!(count(first(0)), Some(10));
    assert_eq!(count(LogQuery { peer: Some(7), ..last(1) }), Some(5));
    assert_eq!(count(LogQuery { peer: Some(0), ..last(1) }), Some(0));
    assert_eq!(count(LogQuery { after: Some(EntryId(30)), ..first(2) }), Some(7));
    assert_eq!(count(LogQuery { ids: Some([10, 20, 25].map(EntryId).to_vec()), ..first(1) }), Some(2));
    assert_eq!(count(LogQuery { after: Some(EntryId(300)), ..first(2) }), Some(0));
}

fn entries_are_replaced_removed_and_trimmed<S: Store>(client: &Client<S>) {
    archive(client);
    let (owner, shelf) = (ROMEO, ARCHIVE);
    client.commit([Write::Replace { owner, shelf, id: EntryId(20), entry: "gone".into() }]);
    client.commit([Write::Remove { owner, shelf, id: EntryId(30) }, Write::Remove { owner, shelf, id: EntryId(100) }]);
    // Somebody else's, another shelf's, nobody's.
    client.commit([
        Write::Remove { owner: JULIET, shelf, id: EntryId(40) },
        Write::Replace { owner, shelf: OFFLINE, id: EntryId(40), entry: "no".into() },
        Write::Remove { owner, shelf, id: EntryId(999) },
        Write::Replace { owner, shelf, id: EntryId(999), entry: "no".into() },
    ]);
    let page = client.page(owner, shelf, first(2));
    assert_eq!(page.entries.last(), Some(&Entry { id: EntryId(20), entry: "gone".into() }));
    assert_eq!(client.ids(first(99)).0, [10, 20, 40, 50, 60, 70, 80, 90]);
    client.commit([append(ROMEO, 110, 7, 0), Write::Trim { owner, shelf, upto: EntryId(50) }]);
    assert_eq!(client.ids(first(99)).0, [60, 70, 80, 90, 110]);
    assert_eq!(client.page(JULIET, shelf, first(99)).entries.len(), 10);
    let all = LogQuery { peer: Some(7), count: true, ..first(99) };
    assert_eq!(client.page(owner, shelf, all).count, Some(3));
    // Appended and trimmed within one set.
    client.commit([append(ROMEO, 120, 7, 0), Write::Trim { owner, shelf, upto: EntryId(120) }, append(ROMEO, 130, 7, 0)]);
    assert_eq!(client.ids(first(99)), (vec![130], true));
}

fn what_moves_in_lies_at_its_own_time_and_is_there_once<S: Store>(client: &Client<S>) {
    let insert = |id, peer, entry: &str| Write::Insert {
        owner: ROMEO,
        shelf: ARCHIVE,
        id: EntryId(id),
        peer,
        tag: 0,
        entry: entry.to_owned().into(),
    };
    for id in [100, 200, 300] {
        client.commit([append(ROMEO, id, 7, 0)]);
    }
    client.commit([append(JULIET, 150, 7, 0)]);
    // Between what is there, at a place that is taken by one's own and by somebody else's, and twice.
    let all = [insert(50, 8, "old"), insert(150, 7, "shared"), insert(200, 8, "second"), insert(200, 8, "third")];
    client.commit(all.clone());
    client.commit(all);
    assert_eq!(client.ids(first(99)).0, [50, 100, 151, 200, 201, 202, 300]);
    assert_eq!(client.ids(LogQuery { peer: Some(8), ..last(99) }).0, [50, 201, 202]);
    assert_eq!(client.page(ROMEO, ARCHIVE, LogQuery { count: true, ..first(1) }).count, Some(7));
    let page = client.page(ROMEO, ARCHIVE, LogQuery { from: Some(EntryId(202)), ..first(1) });
    assert_eq!(page.entries, [Entry { id: EntryId(202), entry: "third".into() }]);
    assert_eq!(client.page(JULIET, ARCHIVE, first(99)).entries.len(), 1);
    client.commit([append(ROMEO, 400, 7, 0), Write::Trim { owner: ROMEO, shelf: ARCHIVE, upto: EntryId(201) }]);
    assert_eq!(client.ids(first(99)).0, [202, 300, 400]);
    // Later than everything: the house clock goes on above it.
    client.commit([insert(900, 7, "later")]);
    assert_eq!((client.ids(last(1)).0, client.store.floor()), (vec![900], 900));
}

fn tags_are_the_newest_at_or_after_a_time<S: Store>(client: &Client<S>) {
    for (id, tag) in [(10, 1), (20, 0), (30, 3), (40, u64::MAX), (50, 3)] {
        client.commit([append(ROMEO, id, 7, tag)]);
    }
    let tags = |since, max| match client.read(Read::Tags { owner: ROMEO, shelf: ARCHIVE, since: EntryId(since), max }) {
        Rows::Tags(tags) => tags.into_iter().map(|(tag, id)| (tag, id.0)).collect::<Vec<_>>(),
        rows => panic!("{rows:?}"),
    };
    assert_eq!(tags(0, 9), [(1, 10), (3, 30), (u64::MAX, 40), (3, 50)]);
    assert_eq!(tags(30, 9), [(3, 30), (u64::MAX, 40), (3, 50)]);
    assert_eq!(tags(0, 2), [(u64::MAX, 40), (3, 50)]);
    assert_eq!(tags(51, 9), []);
    client.commit([Write::Remove { owner: ROMEO, shelf: ARCHIVE, id: EntryId(50) }]);
    assert_eq!(tags(31, 9), [(u64::MAX, 40)]);
}

fn bounds_are_the_first_and_the_last_entry<S: Store>(client: &Client<S>) {
    let bounds = || match client.read(Read::Bounds { owner: ROMEO, shelf: ARCHIVE }) {
        Rows::Bounds(bounds) => bounds.map(|(first, last)| (first.id.0, last.id.0)),
        rows => panic!("{rows:?}"),
    };
    assert_eq!(bounds(), None);
    client.commit([append(ROMEO, 10, 0, 0)]);
    assert_eq!(bounds(), Some((10, 10)));
    client.commit([append(ROMEO, 20, 0, 0)]);
    client.commit([append(ROMEO, 30, 0, 0)]);
    assert_eq!(bounds(), Some((10, 30)));
    client.commit([Write::Trim { owner: ROMEO, shelf: ARCHIVE, upto: EntryId(10) }]);
    assert_eq!(bounds(), Some((20, 30)));
}

fn ids_in_another_order_than_submitted_are_found_all_the_same<S: Store>(client: &Client<S>) {
    // Two shards take ids from one clock, and submit when their turns end.
    for id in [20, 10, 40, 30, 60, 50, 80, 70, 5] {
        client.commit([append(ROMEO, id, id % 20, id)]);
    }
    assert_eq!(client.ids(first(99)).0, [5, 10, 20, 30, 40, 50, 60, 70, 80]);
    assert_eq!(client.ids(LogQuery { peer: Some(10), ..last(99) }).0, [10, 30, 50, 70]);
    assert_eq!(client.ids(LogQuery { peer: Some(0), ..first(99) }).0, [20, 40, 60, 80]);
}

fn disown_forgets_everything_and_frees_the_name<S: Store>(client: &Client<S>) {
    client.commit([own(ROMEO, "romeo@house"), own(JULIET, "juliet@house")]);
    client.commit([put(ROMEO, VCARD, "", "v"), put(ROMEO, ROSTER, "j", "j"), put(JULIET, VCARD, "", "hers")]);
    archive(client);
    client.commit([append(ROMEO, 110, 7, 0), Write::Disown { owner: ROMEO }]);
    let wake = Read::Wake { name: "romeo@house".into(), shelves: [VCARD].into() };
    assert_eq!(client.read(wake), Rows::Woken(None));
    assert_eq!(client.value(ROMEO, VCARD, ""), None);
    assert_eq!(client.read(Read::Map { owner: ROMEO, shelf: ROSTER }), Rows::Map(vec![]));
    assert_eq!(client.ids(first(99)), (vec![], true));
    assert_eq!(client.page(JULIET, ARCHIVE, first(99)).entries.len(), 10);
    assert_eq!(client.value(JULIET, VCARD, "").as_deref(), Some("hers"));
    client.commit([own(OwnerId(2_000), "romeo@house")]);
    assert_eq!(client.names("@house", None, 9), ["juliet@house", "romeo@house"]);
}

fn owners_are_listed_by_suffix_in_pages_with_their_record<S: Store>(client: &Client<S>) {
    for (number, name) in ["b@house", "a@house", "c@house", "a@garden", "x@my.house", "house"].into_iter().enumerate() {
        client.commit([own(OwnerId(100 + number as u64), name), put(OwnerId(100 + number as u64), VCARD, "", name)]);
    }
    assert_eq!(client.names("@house", None, 9), ["a@house", "b@house", "c@house"]);
    assert_eq!(client.names("@house", None, 2), ["a@house", "b@house"]);
    assert_eq!(client.names("@house", Some("b@house"), 2), ["c@house"]);
    assert_eq!(client.names("house", Some("b@house"), 9), ["c@house", "house", "x@my.house"]);
    assert_eq!(client.names("@nowhere", None, 9), [] as [&str; 0]);
    match client.read(Read::Owners { suffix: "@garden".into(), after: None, max: 1, shelf: VCARD }) {
        Rows::Owners(owners) => assert_eq!(owners[0].value.as_deref(), Some(&b"a@garden"[..])),
        rows => panic!("{rows:?}"),
    }
}

fn a_set_is_kept_together_or_not_at_all<S: Store>(client: &Client<S>) {
    client.commit([own(ROMEO, "romeo@house")]);
    let taken = client.submit([
        put(JULIET, VCARD, "", "v"),
        append(JULIET, 10, 7, 0),
        own(JULIET, "romeo@house"),
        append(JULIET, 11, 7, 0),
    ]);
    let progress = client.resolve(taken);
    assert!(progress.is_refused(taken));
    assert_eq!(progress.epoch, 1);
    assert_eq!(client.value(JULIET, VCARD, ""), None);
    assert_eq!(client.page(JULIET, ARCHIVE, first(9)).entries, []);
    // An id that exists, in whichever log.
    client.commit([append(ROMEO, 20, 0, 0)]);
    let again = client.submit([append(JULIET, 20, 0, 0)]);
    assert!(client.resolve(again).is_refused(again));
    // And an owner that exists.
    let twice = client.submit([own(ROMEO, "montague@house")]);
    assert!(client.resolve(twice).is_refused(twice));
    client.commit([own(JULIET, "juliet@house")]);
}

fn a_refusal_reaches_what_was_submitted_after_it_and_nothing_before<S: Store>(client: &Client<S>) {
    let kept = client.submit([own(ROMEO, "romeo@house"), put(ROMEO, VCARD, "", "kept")]);
    let refused = client.store.submit(set([own(JULIET, "romeo@house")]), 0);
    let builds_on_it = client.store.submit(set([put(JULIET, VCARD, "", "lost")]), 0);
    let progress = client.resolve(builds_on_it);
    assert_eq!([kept, refused, builds_on_it].map(|ticket| progress.is_refused(ticket)), [false, true, true]);
    assert_eq!(progress.epoch, 1);
    assert_eq!(client.value(ROMEO, VCARD, "").as_deref(), Some("kept"));
    assert_eq!(client.value(JULIET, VCARD, ""), None);
    // Who has not seen it yet is refused without another epoch; who has is not.
    let stale = client.store.submit(set([put(JULIET, VCARD, "", "stale")]), 0);
    let fresh = client.store.submit(set([put(JULIET, ROSTER, "r", "fresh")]), 1);
    let progress = client.resolve(fresh);
    assert_eq!((progress.is_refused(stale), progress.is_refused(fresh), progress.epoch), (true, false, 1));
    assert_eq!(client.value(JULIET, VCARD, ""), None);
    assert_eq!(client.value(JULIET, ROSTER, "r").as_deref(), Some("fresh"));
}

fn a_read_sees_the_ticket_it_comes_after<S: Store>(client: &Client<S>) {
    for round in 0..50 {
        let ticket = client.submit([put(ROMEO, VCARD, "", &round.to_string()), append(ROMEO, 10 + round, 0, 0)]);
        let value = client.ask(ticket, Read::Value { owner: ROMEO, shelf: VCARD, key: "".into() });
        let page = client.ask(ticket, Read::Log { owner: ROMEO, shelf: ARCHIVE, query: last(1) });
        assert_eq!(value.recv_timeout(PATIENCE).unwrap(), Ok(Rows::Value(Some(round.to_string().into()))));
        match page.recv_timeout(PATIENCE).unwrap() {
            Ok(Rows::Log(page)) => assert_eq!(page.entries[0].id.0, 10 + round),
            rows => panic!("{rows:?}"),
        }
    }
}

fn a_read_after_a_refused_ticket_is_refused<S: Store>(client: &Client<S>) {
    client.commit([own(ROMEO, "romeo@house")]);
    let refused = client.submit([own(JULIET, "romeo@house")]);
    let read = || Read::Value { owner: ROMEO, shelf: VCARD, key: "".into() };
    let waiting = client.ask(refused, read());
    assert_eq!(waiting.recv_timeout(PATIENCE).unwrap(), Err(StoreError::Refused));
    assert_eq!(client.try_read(refused, read()), Err(StoreError::Refused));
    assert_eq!(client.try_read(0, read()), Ok(Rows::Value(None)));
}

fn tickets_ascend_and_resolve_in_order_also_of_empty_sets<S: Store>(client: &Client<S>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tickets: Vec<Ticket> = (0..100)
        .map(|number| {
            let ticket = if number % 10 == 0 { client.submit([]) } else { client.submit([append(ROMEO, 10 + number, 0, 0)]) };
            seen.lock().unwrap().push(client.store.progress().resolved);
            ticket
        })
        .collect();
    assert!(tickets.is_sorted_by(|earlier, later| earlier + 1 == *later));
    let progress = client.resolve(tickets[99]);
    assert_eq!((progress.resolved, progress.epoch, progress.refused.len()), (tickets[99], 0, 0));
    assert!(seen.lock().unwrap().is_sorted());
    assert_eq!(client.ids(first(100)).0.len(), 90);
}

fn the_floor_is_the_greatest_id_ever<S: Store>(client: &Client<S>) {
    assert_eq!(client.store.floor(), 0);
    client.commit([own(OwnerId(500), "romeo@house")]);
    assert_eq!(client.store.floor(), 500);
    client.commit([append(OwnerId(500), 900, 0, 0)]);
    client.commit([append(OwnerId(500), 800, 0, 0), Write::Disown { owner: OwnerId(500) }]);
    assert_eq!(client.store.floor(), 900);
}

/// The list of behaviours, instantiated for each driver.
macro_rules! behaviours {
    ($($name:ident)*) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&super::memory_client()) })*
        }
        mod sqlite {
            $(#[test] fn $name() { super::$name(&super::sqlite_client(32_768)) })*
        }
        /// The indices on disk are written all the time.
        mod sqlite_that_folds_at_once {
            $(#[test] fn $name() { super::$name(&super::sqlite_client(1)) })*
        }
    };
}

fn memory_client() -> Client<MemoryStore> {
    Client::new(MemoryStore::new(), ())
}

fn sqlite_client(fold_at: usize) -> Client<SqliteStore> {
    let dir = tempfile::tempdir().unwrap();
    let words_due_at = if fold_at == 1 { 0 } else { 8_192 };
    let options = SqliteOptions { fold_at, words_due_at, searchable: vec![ARCHIVE], ..SqliteOptions::default() };
    Client::new(SqliteStore::open(dir.path(), options).unwrap(), dir)
}

behaviours! {
    words_of_an_entry_find_it
    a_search_pages_both_ways_and_combines_with_every_bound
    a_search_finds_nothing_of_others_and_nothing_that_is_gone
    d4_what_is_asked_is_never_a_query_language
    a_shelf_without_text_has_no_words
    what_expires_goes_for_every_owner_and_the_rest_stays
    a_page_is_limited_in_bytes_too
    a_record_is_put_replaced_and_deleted
    a_map_is_read_ascending_by_key_and_by_its_owner_only
    wake_brings_the_shelves_asked_for_in_their_order
    a_page_is_ascending_from_either_end_and_says_whether_it_is_complete
    paging_both_ways_meets_each_entry_once
    bounds_of_a_query_combine
    count_is_of_all_that_matches
    entries_are_replaced_removed_and_trimmed
    what_moves_in_lies_at_its_own_time_and_is_there_once
    tags_are_the_newest_at_or_after_a_time
    bounds_are_the_first_and_the_last_entry
    ids_in_another_order_than_submitted_are_found_all_the_same
    disown_forgets_everything_and_frees_the_name
    owners_are_listed_by_suffix_in_pages_with_their_record
    a_set_is_kept_together_or_not_at_all
    a_refusal_reaches_what_was_submitted_after_it_and_nothing_before
    a_read_sees_the_ticket_it_comes_after
    a_read_after_a_refused_ticket_is_refused
    tickets_ascend_and_resolve_in_order_also_of_empty_sets
    the_floor_is_the_greatest_id_ever
}
