//! The three shapes of storage, and the whole surface that a driver implements.
//!
//! A room stores through shelves: a *Record* (one value per owner), a *Map* (owner -> key -> value) or a *Log* (owner ->
//! ordered entries). `Read` and `Write` are everything a database must understand, so a driver is written once, not once
//! per feature. One behaviour suite (`iris-store/suite.rs`) holds for every driver.

use std::sync::Arc;

use bytes::Bytes;

use crate::metrics::Distribution;

mod memory;
pub mod words;
pub use memory::MemoryStore;

/// A promise about writes: a counter, ascending per store; tickets are resolved in order. 0 depends on nothing.
pub type Ticket = u64;

/// How often the store has refused writes. A set that was made from memory older than the last refusal is refused too:
/// what it builds on may not exist.
pub type Epoch = u64;

/// Who owns stored things: minted once from the house clock when the owner is made, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(pub u64);

/// The place of an entry in time and in its log: microseconds of the house clock, unique in the process, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u64);

/// The three shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    Record,
    Map,
    Log,
}

/// A named place for one feature's data. The name is part of the stored format: it never changes.
#[derive(Clone, Copy, Debug)]
pub struct Shelf {
    pub name: &'static str,
    pub shape: Shape,
    /// Log: where the text of an entry stands, if it can be searched.
    pub text: Option<words::TextOf>,
}

impl PartialEq for Shelf {
    fn eq(&self, other: &Shelf) -> bool {
        (self.name, self.shape) == (other.name, other.shape)
    }
}

impl Eq for Shelf {}

impl std::hash::Hash for Shelf {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.name, self.shape).hash(state);
    }
}

impl Shelf {
    pub const fn record(name: &'static str) -> Shelf {
        Shelf { name, shape: Shape::Record, text: None }
    }
    pub const fn map(name: &'static str) -> Shelf {
        Shelf { name, shape: Shape::Map, text: None }
    }
    pub const fn log(name: &'static str) -> Shelf {
        Shelf { name, shape: Shape::Log, text: None }
    }
    /// `LogQuery::words` finds entries by their text. A driver indexes it when it has time; what it has not indexed yet is found
    /// all the same, and what is replaced or removed is gone from the index with the same commit.
    pub const fn searchable(self, text: words::TextOf) -> Shelf {
        Shelf { text: Some(text), ..self }
    }
    pub const fn is_searchable(&self) -> bool {
        self.text.is_some()
    }
}

/// One change. All changes of one turn form a [`WriteSet`]: kept together or not at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A new owner under a unique name (a bare JID). A name that is taken refuses the whole set.
    Own { owner: OwnerId, name: Arc<str> },
    /// Forget an owner and everything on every shelf that is theirs.
    Disown { owner: OwnerId },
    /// Record (empty key) or Map: set the value.
    Put { owner: OwnerId, shelf: Shelf, key: Arc<str>, value: Bytes },
    /// Record (empty key) or Map: forget the value; nothing there is not an error.
    Delete { owner: OwnerId, shelf: Shelf, key: Arc<str> },
    /// Log: append. `id` is greater than every id appended before. `peer` is a hash that pages can be filtered by (0: none);
    /// `tag` a hash that tells a message sent again (0: none).
    Append { owner: OwnerId, shelf: Shelf, id: EntryId, peer: u64, tag: u64, entry: Bytes },
    /// Log: an entry that was kept elsewhere before, at its own time or, when that place is taken, at the next free one. The same
    /// entry in one of these places already is nothing: what moves in twice is there once.
    Insert { owner: OwnerId, shelf: Shelf, id: EntryId, peer: u64, tag: u64, entry: Bytes },
    /// Log: put another entry in the place of one (a tombstone); no such id is not an error.
    Replace { owner: OwnerId, shelf: Shelf, id: EntryId, entry: Bytes },
    /// Log: forget one entry; no such id is not an error.
    Remove { owner: OwnerId, shelf: Shelf, id: EntryId },
    /// Log: forget every entry up to and including `upto`.
    Trim { owner: OwnerId, shelf: Shelf, upto: EntryId },
    /// Log: of every owner forget each entry up to and including `upto`. Not in this commit: oldest first, in small steps, when the
    /// driver has time. What is left at a restart is left until this is written again.
    Expire { shelf: Shelf, upto: EntryId },
}

/// The writes of one turn: one set, one ticket, one atomic unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteSet {
    pub writes: Vec<Write>,
    /// Whether the entity's own memory stands on this set (anything but an append to a log does).
    pub state: bool,
    /// Something in it is worth a commit of its own.
    pub hurried: bool,
}

impl WriteSet {
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
    pub fn push(&mut self, write: Write) {
        self.hurried = true;
        self.push_unhurried(write);
    }

    /// What nobody has been promised: it may wait a moment for the commit of something else, unless somebody waits for it.
    pub fn push_unhurried(&mut self, write: Write) {
        self.state |= !matches!(write, Write::Append { .. } | Write::Insert { .. } | Write::Expire { .. });
        self.writes.push(write);
    }
}

/// Which entries of a log, and which page of them. Bounds combine (all must hold).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogQuery {
    /// Only entries with this peer hash.
    pub peer: Option<u64>,
    /// Inclusive bounds (a time is an id: microseconds since 1970).
    pub from: Option<EntryId>,
    pub until: Option<EntryId>,
    /// Exclusive bounds, for paging.
    pub after: Option<EntryId>,
    pub before: Option<EntryId>,
    /// Only entries with, for each of these, a word that begins with it (made by `words::of`; only on a searchable shelf).
    pub words: Vec<String>,
    /// Only these; every bound above still holds.
    pub ids: Option<Vec<EntryId>>,
    /// At most this many entries.
    pub max: u32,
    /// Take the page from the end (the newest `max`). Entries of a page are ascending all the same.
    pub last: bool,
    /// Also count everything that matches, regardless of the page. Costs a walk: only when asked.
    pub count: bool,
}

/// A question to the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// Everything an entity needs to live: the owner of that name, and all records and maps on `shelves`. -> `Rows::Woken`
    Wake { name: Arc<str>, shelves: Arc<[Shelf]> },
    /// One value of a Record (empty key) or Map. -> `Rows::Value`
    Value { owner: OwnerId, shelf: Shelf, key: Arc<str> },
    /// Some values of a Map, those that are there, in the order of `keys`, out of one snapshot. -> `Rows::Map`
    Values { owner: OwnerId, shelf: Shelf, keys: Arc<[Arc<str>]> },
    /// All of a Map, ascending by key. -> `Rows::Map`
    Map { owner: OwnerId, shelf: Shelf },
    /// A page of a log. -> `Rows::Log`
    Log { owner: OwnerId, shelf: Shelf, query: LogQuery },
    /// The tags (not 0) of the entries at or after `since`, ascending by id, the newest `max` of them: read once when an
    /// account wakes soon after a restart, so that a message sent again is known. -> `Rows::Tags`
    Tags { owner: OwnerId, shelf: Shelf, since: EntryId, max: u32 },
    /// First and last entry of a log. -> `Rows::Bounds`
    Bounds { owner: OwnerId, shelf: Shelf },
    /// Owners whose name ends with `suffix` (`@domain`), ascending by name, after `after`, at most `max`, each with its value
    /// of `shelf` (a Record). -> `Rows::Owners`
    Owners { suffix: Arc<str>, after: Option<Arc<str>>, max: u32, shelf: Shelf },
}

/// One record or map item, as woken.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub shelf: Shelf,
    pub key: Arc<str>,
    pub value: Bytes,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Woken {
    pub owner: OwnerId,
    pub items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub id: EntryId,
    pub entry: Bytes,
}

/// A page of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Ascending by id.
    pub entries: Vec<Entry>,
    /// Nothing more matches beyond this page in the direction of paging.
    pub complete: bool,
    /// All that match, when counted.
    pub count: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Owned {
    pub name: Arc<str>,
    pub owner: OwnerId,
    pub value: Option<Bytes>,
}

/// Answers, one variant per question.
#[derive(Clone, Debug, PartialEq)]
pub enum Rows {
    Woken(Option<Woken>),
    Value(Option<Bytes>),
    Map(Vec<(Arc<str>, Bytes)>),
    Log(Page),
    Tags(Vec<(u64, EntryId)>),
    Bounds(Option<(Entry, Entry)>),
    Owners(Vec<Owned>),
}

/// Why the store did not do it. All are local faults: `internal-server-error` or `resource-constraint` (wait) on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The writes this depends on were refused.
    Refused,
    /// No space, quota, or another process holds the database: later may work.
    Unavailable(String),
    /// The database cannot be read or written, or is not what we wrote.
    Broken(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Refused => f.write_str("it could not be written to disk (the log of the server says why)"),
            StoreError::Unavailable(why) => write!(f, "storage is unavailable: {why}"),
            StoreError::Broken(why) => write!(f, "storage is broken: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// How far the store is. Every ticket up to `resolved` is either on disk or refused, and which never changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    pub resolved: Ticket,
    pub epoch: Epoch,
    /// Inclusive ranges of tickets that were refused, ascending, the last 64 of them. After a failed fsync "refused" means
    /// *unknown*: whoever remembers anything from such a set reads it anew.
    pub refused: Arc<[(Ticket, Ticket)]>,
}

impl Progress {
    pub fn is_refused(&self, ticket: Ticket) -> bool {
        self.refused.iter().any(|&(low, high)| low <= ticket && ticket <= high)
    }
}

/// What a store has done, for `/metrics`. A driver that does not measure leaves it empty.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Sets that wait for the writer, and reads for a reader.
    pub sets_waiting: u64,
    pub reads_waiting: u64,
    /// Sets on disk.
    pub sets_committed: u64,
    /// Entries put into logs.
    pub entries_appended: u64,
    /// One transaction as a whole, with whatever the writer does beside it.
    pub transaction_us: Distribution,
    /// Its end alone: written to the log of the database, and synced.
    pub sync_us: Distribution,
    /// Sets that shared a transaction.
    pub sets_per_transaction: Distribution,
    /// Reading one answer, the waiting before it not included.
    pub read_us: Distribution,
    /// Of the write-ahead log since it began anew.
    pub wal_bytes: u64,
}

/// Called with the answer, on any thread.
pub type Answer = Box<dyn FnOnce(Result<Rows, StoreError>) + Send>;

/// A database, seen from the shards. Never blocks its caller.
pub trait Store: Send + Sync {
    /// Queue a set. Its ticket resolves later: committed (on disk, synced), or refused. Tickets are handed out and committed in
    /// the order of the calls. `epoch` is the one the caller last saw in `progress`; an older one than the store's is refused.
    fn submit(&self, set: WriteSet, epoch: Epoch) -> Ticket;

    /// Somebody waits for what was submitted and is not resolved, be it hurried or not.
    fn hurry(&self) {}

    /// Answer from a snapshot that contains every set up to `after`; [`StoreError::Refused`] when that one was refused.
    fn read(&self, after: Ticket, read: Read, answer: Answer);

    fn progress(&self) -> Progress;

    /// `wake` is called, on any thread, after each change of `progress`.
    fn on_progress(&self, wake: Box<dyn Fn() + Send + Sync>);

    /// The greatest id ever committed: the house clock starts above it.
    fn floor(&self) -> u64;

    /// What it has done so far.
    fn figures(&self) -> Figures {
        Figures::default()
    }

    /// Made at random with the database, the same as long as it lives: what must not be guessed and yet stay the same (`IdSeal`)
    /// is made of it.
    fn secret(&self) -> [u8; 16];
}

/// The largest page that a driver gives, whatever `LogQuery::max` says.
pub const PAGE_ENTRIES_MAX: u32 = 1_000;
/// The same in bytes; one entry is given in any case.
pub const PAGE_BYTES_MAX: usize = 4 << 20;
