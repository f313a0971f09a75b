//! Other servers, as a play sees them: what is said to them, and what they say. There are no sockets, so a stream is open when somebody
//! looks.

use std::sync::Arc;

use iris_core::limits::Limits;
use iris_core::store::MemoryStore;
use iris_core::xml::scan::{Scanned, Scanner, XmlLimits};
use iris_core::xml::wire::Output;
use iris_core::{Condition, FullJid, SessionRef, Stanza};

use super::{Client, House};
use crate::account::session::Pulled;
use crate::router::Peers;
use crate::shard::Unreached;

/// A stream to another server.
pub struct Link {
    pub at: SessionRef,
    pub pipe: u64,
    key: Arc<str>,
}

impl House {
    /// It speaks with all other servers.
    pub fn federated(limits: Limits, store: MemoryStore) -> House {
        House::build_with(&[], "", limits, Arc::new(store), Peers::AllBut(Arc::default()))
    }

    /// From here on it speaks with others.
    pub fn federate(&mut self) {
        self.peers = Peers::AllBut(Arc::default());
        for shard in &mut self.shards {
            let hosts = shard.hosts().clone().with_peers(self.peers.clone());
            shard.set_hosts(hosts);
        }
    }

    /// As SIGHUP does: this one no more.
    pub fn exclude(&mut self, domain: &str) {
        self.peers = Peers::AllBut(Arc::new([domain.to_owned()].into()));
        for shard in &mut self.shards {
            let hosts = shard.hosts().clone().with_peers(self.peers.clone());
            let house = shard.house().clone();
            shard.reload(hosts, house);
        }
        self.run();
    }

    /// The pairs of domains (`theirs/ours`) for which streams are wanted since the last time.
    pub fn dials(&mut self) -> Vec<Arc<str>> {
        self.run();
        let mut all = Vec::new();
        self.shards.iter_mut().for_each(|shard| shard.take_dials(&mut all));
        all
    }

    /// One of them is open: what the other server hears.
    pub fn linked(&mut self, pair: &Arc<str>) -> Client {
        self.open_link(pair, false);
        let link = self.links.pop().expect("it was opened");
        Client { jid: FullJid::new(pair).expect("a full JID"), at: link.at, pipe: link.pipe }
    }

    /// Would a stream that is opened now be of any use?
    pub fn is_wanted(&mut self, pair: &Arc<str>) -> bool {
        self.shard(pair).wants_link(pair)
    }

    /// It could not be had.
    pub fn unreached(&mut self, pair: &Arc<str>, condition: Condition, for_good: bool) {
        self.fail_link(pair, &Unreached { condition, for_good, why: "nobody is there".to_owned() });
    }

    /// One of them is open; `far` hears what is said on it.
    pub fn open_link(&mut self, key: &Arc<str>, acknowledges: bool) {
        let (now, pipe) = (self.now, self.next_pipe);
        self.next_pipe += 1;
        let at = self.shard(key).linked_to(now, key, pipe, acknowledges).expect("somebody needs it");
        self.links.push(Link { at, pipe, key: key.clone() });
        self.run();
    }

    /// One of them cannot be had.
    pub fn fail_link(&mut self, key: &Arc<str>, unreached: &Unreached) {
        let now = self.now;
        self.shard(key).not_reached(now, key, unreached);
        self.run();
    }

    /// Streams to this server that the house has ended: their connections are closed.
    #[track_caller]
    pub fn links_that_ended(&mut self, domain: &str) {
        let is_over = |link: &Link| self.shards[usize::from(link.at.shard)].session(link.at).is_none_or(|it| it.over.is_some());
        let ours = |link: &&Link| link.key.starts_with(&format!("{domain}/"));
        assert!(self.links.iter().filter(ours).all(is_over), "a stream goes on");
        self.cut_links(domain);
    }

    /// The connections of all streams to this server break.
    pub fn cut_links(&mut self, domain: &str) {
        let now = self.now;
        let links = std::mem::take(&mut self.links);
        let (cut, left) = links.into_iter().partition(|link| link.key.starts_with(&format!("{domain}/")));
        self.links = left;
        for link in Vec::<Link>::from_iter(cut) {
            self.shards[usize::from(link.at.shard)].gone(now, link.at, link.pipe, false);
        }
        self.run();
    }

    /// On a stream of ours: what is no stanza.
    pub fn link_says(&mut self, domain: &str, xml: &str) {
        let element = Stanza::parse(xml.as_bytes(), &self.names).unwrap_or_else(|error| panic!("{error:?}: {xml}"));
        let now = self.now;
        let link = self.links.iter().find(|link| link.key.starts_with(&format!("{domain}/"))).expect("a stream");
        let said = self.shards[usize::from(link.at.shard)].receive(now, link.at, element, String::new);
        said.expect("the stream goes on");
        self.run();
    }

    /// What other servers have been told since somebody last looked.
    pub fn far(&mut self) -> Vec<Stanza> {
        for key in self.dials() {
            self.open_link(&key, false);
        }
        let mut bytes = Vec::new();
        for link in &self.links {
            let mut out = Output::default();
            let shard = &mut self.shards[usize::from(link.at.shard)];
            while shard.pull(link.at, link.pipe, &mut out, usize::MAX).0 == Pulled::More {}
            bytes.extend_from_slice(&out.bytes);
        }
        self.run();
        let mut scanner = Scanner::for_fragments(XmlLimits::OWN, self.names.clone());
        let (mut stanzas, mut at) = (Vec::new(), 0);
        while let Ok(Scanned::Stanza { consumed, stanza }) = scanner.scan(&bytes[at..]) {
            stanzas.push(stanza);
            at += consumed;
        }
        assert_eq!(at, bytes.len(), "not XML: {}", String::from_utf8_lossy(&bytes[at..]));
        stanzas
    }

    /// On a stream of theirs: a stanza with its addresses, whose right to speak was seen.
    pub fn far_says(&mut self, xml: &str) {
        let stanza = Stanza::parse(xml.as_bytes(), &self.names).unwrap_or_else(|error| panic!("{error:?}: {xml}"));
        let address =
            |jid: Result<Option<iris_core::Jid>, _>| jid.ok().flatten().unwrap_or_else(|| panic!("no address: {xml}"));
        let (from, to) = (address(stanza.from_jid()), address(stanza.to_jid()));
        let (now, pipe) = (self.now, self.next_pipe);
        self.next_pipe += 1;
        let at = self.shards[0].hear_from(now, from.domain().as_str(), pipe);
        self.shards[0].heard_from(now, at, stanza, from, to);
        self.run();
        self.shards[0].gone(now, at, pipe, true);
        self.run();
    }
}
