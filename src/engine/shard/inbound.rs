//! What crosses threads: everything another shard, the store or the house has for a shard, taken in batches.

use std::sync::{Arc, Mutex};

use iris_core::ask::Present;
use iris_core::effects::Out;
use iris_core::host::Known;
use iris_core::receipt::Settled;
use iris_core::store::{Entry, OwnerId, Rows, Shelf, StoreError, Woken};
use iris_core::task::{AccountFn, Answered, HostFn};
use iris_core::turn::House;
use iris_core::{Ask, AskReply, BareJid, Envelope, Jid};

use super::{Census, Counters, HostReply, TurnReply};
use crate::router::Hosts;

pub enum Post {
    Stanza(Box<Envelope>),
    Settled(Settled),
    Ask(BareJid, Ask, AskReply),
    /// The account of this name was read.
    Woken(Arc<str>, Result<Rows, StoreError>),
    /// Recent tags of one of its logs.
    Tags(Arc<str>, Shelf, Result<Rows, StoreError>),
    /// Everybody was told that the account of this name has ended; who owns the record of it.
    Parted(Arc<str>, OwnerId, Result<(), StoreError>),
    /// A task's question has its answer.
    Answer {
        task: u64,
        question: u32,
        answer: Answered,
    },
    /// A stanza for a domain of ours.
    Host(Box<Envelope>),
    /// A stanza for another server, by the pair of domains.
    Remote(Arc<str>, Box<Envelope>),
    /// Something for that pair is on disk.
    WakeRemote(Arc<str>),
    /// The same to each of these accounts, which live on this shard.
    FanOut(Box<Envelope>, Vec<Jid>),
    /// See `Effect::Burst`.
    Burst(Jid, Vec<Out>),
    /// The last entries of the log of something behind a service, which was read before.
    Tail(Arc<str>, Box<Woken>, Result<Rows, StoreError>),
    /// What of that log may be sent again, beside those entries.
    TailTags(Arc<str>, Box<Woken>, Vec<Entry>, Result<Rows, StoreError>),
    /// To be done in the turn of a domain of ours, of a service or of what lives behind one.
    InHost(Arc<str>, HostFn, HostReply),
    /// To be done in the turn of an account.
    InAccount(BareJid, AccountFn, TurnReply),
    /// Who of this domain has a session here?
    Survey(Arc<str>, Box<dyn FnOnce(Vec<Present>) + Send>),
    /// How many are there of everything?
    Census(Box<dyn FnOnce(Census) + Send>),
    /// The house is about to close: `Shard::closing`.
    Closing(Box<dyn FnOnce(usize) + Send>),
    /// What a domain lets its accounts know.
    Published(Arc<str>, usize, Known),
    /// The configuration was read anew: doors and limits from now on.
    Reloaded(Hosts, Arc<House>),
}

/// A shard's door for other threads. Its length is bounded by the credits of all senders: no sender has more than
/// `unsettled_stanzas_max` stanzas anywhere in the house.
pub struct Inbound {
    posts: Mutex<Vec<Post>>,
    wake: Box<dyn Fn() + Send + Sync>,
    pub counters: Counters,
}

impl Inbound {
    /// `wake` is called, on any thread, when the first post of a batch arrives.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Inbound {
        Inbound { posts: Mutex::new(Vec::new()), wake: Box::new(wake), counters: Counters::default() }
    }

    pub fn post(&self, batch: &mut Vec<Post>) {
        let mut posts = self.posts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let first = posts.is_empty();
        posts.append(batch);
        drop(posts);
        if first {
            (self.wake)();
        }
    }

    pub fn post_one(&self, post: Post) {
        self.post(&mut vec![post]);
    }

    /// Look at the shard again without a post (the store has come further).
    pub fn nudge(&self) {
        (self.wake)();
    }

    pub(super) fn has_posts(&self) -> bool {
        !self.posts.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
    }

    pub(super) fn take(&self) -> Vec<Post> {
        std::mem::take(&mut *self.posts.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
