//! 5 and 6.5: what there is to be read, and by whom.

use iris_core::time::datetime;
use iris_core::xml::Build;
use iris_core::{BareJid, Bounce};

use super::form;
use super::node::{Entry, Node};
use super::service::{Answer, Context, Fetch, Outcome, Quotas, Service};
use super::{Affiliation, Asker, META_DATA, NS, error};
use crate::xep0059_rsm as rsm;

impl Service {
    /// 6.5.
    pub(super) fn retrieve(
        &mut self,
        cx: &Context<'_>,
        name: &str,
        ids: &[String],
        newest: Option<usize>,
        page: Option<rsm::Wanted>,
    ) -> Result<Outcome, Bounce> {
        let (name, node) = self.known(name)?;
        node.may_read(cx.who)?;
        // XEP-0248 6.2.3.
        if node.config.is_collection() {
            return Err(error::unsupported("retrieve-items"));
        }
        if !node.config.persist_items {
            return Err(error::unsupported("persistent-items"));
        }
        let (entries, page) = if !ids.is_empty() {
            // 6.5.9.12: what is not there is left out.
            let wanted = ids.iter().filter_map(|id| node.entries.get(node.find(id)?)).cloned().collect();
            (cut(wanted, cx.quotas).0, None)
        } else {
            self.page(node, newest, page, cx.quotas)?
        };
        let mut outcome = Outcome::empty();
        outcome.answer = Answer::Items(Fetch { node: name, entries, page });
        Ok(outcome)
    }

    fn page(
        &self,
        node: &Node,
        newest: Option<usize>,
        wanted: Option<rsm::Wanted>,
        quotas: &Quotas,
    ) -> Result<(Vec<Entry>, Option<rsm::Given>), Bounce> {
        // 6.5.7: the newest N of them are the whole that pages are made of.
        let first = node.entries.len() - newest.unwrap_or(usize::MAX).min(node.entries.len());
        let all = node.entries.get(first..).unwrap_or_default();
        let asked = wanted.is_some();
        let wanted = wanted.unwrap_or_default();
        let place = |id: &str| all.iter().position(|entry| *entry.id == *id).ok_or_else(error::not_found);
        let from = wanted.after.as_deref().map(place).transpose()?.map_or(0, |at| at + 1);
        let until = match wanted.before.as_deref() {
            Some(id) if !id.is_empty() => place(id)?,
            _ => all.len(),
        };
        let range = all.get(from..until.max(from)).unwrap_or_default();
        let max = wanted.max.map_or(quotas.page_items_max, |max| (max as usize).min(quotas.page_items_max));
        let count = Some(all.len() as u64);
        if wanted.max == Some(0) {
            return Ok((Vec::new(), Some(rsm::Given { count, ..rsm::Given::default() })));
        }
        let backward = wanted.backward();
        let skipped = if backward { range.len() - range.len().min(max) } else { 0 };
        let chosen: Vec<Entry> = range.iter().skip(skipped).take(max).cloned().collect();
        let (chosen, dropped) = if backward { cut_front(chosen, quotas) } else { cut(chosen, quotas) };
        let index = from + skipped + if backward { dropped } else { 0 };
        // 6.5.4: whoever gets less than there is, is told.
        if !asked && chosen.len() == all.len() {
            return Ok((chosen, None));
        }
        let ends = chosen.first().zip(chosen.last()).map(|(first, last)| (first.id.to_string(), last.id.to_string()));
        let index = ends.is_some().then_some(index as u64);
        Ok((chosen, Some(rsm::Given { ends, index, count })))
    }

    /// 5.6.
    pub(super) fn own_subscriptions(&self, cx: &Context<'_>, only: Option<&str>) -> Result<Outcome, Bounce> {
        if let Some(name) = only {
            self.known(name)?;
        }
        let mut xml = Build::new();
        xml.open_ns("pubsub", NS).open("subscriptions").attr_opt("node", only);
        for (name, node) in self.nodes.iter().filter(|(name, _)| only.is_none_or(|only| only == &***name)) {
            for it in node.subscriptions.of(&cx.who.bare) {
                xml.open("subscription").attr("node", name).attr("jid", it.jid.as_str());
                xml.attr_opt("expiry", it.options.expire_us.map(datetime).as_deref());
                xml.attr("subscription", it.state.as_str()).close();
            }
        }
        Ok(Outcome::build(xml))
    }

    /// 5.7.
    pub(super) fn own_affiliations(&self, cx: &Context<'_>, only: Option<&str>) -> Result<Outcome, Bounce> {
        if let Some(name) = only {
            self.known(name)?;
        }
        let mut xml = Build::new();
        xml.open_ns("pubsub", NS).open("affiliations").attr_opt("node", only);
        for (name, node) in self.nodes.iter().filter(|(name, _)| only.is_none_or(|only| only == &***name)) {
            let affiliation = node.affiliation_of(cx.who);
            if affiliation != Affiliation::None {
                xml.open("affiliation").attr("node", name).attr("affiliation", affiliation.as_str()).close();
            }
        }
        Ok(Outcome::build(xml))
    }

    /// 5.2: the nodes that this one may subscribe to or read (XEP-0163 6.2).
    pub fn visible<'a>(&'a self, who: &'a Asker) -> impl Iterator<Item = (&'a str, &'a Node)> {
        self.nodes.iter().filter(|(_, node)| node.may_subscribe(who).is_ok()).map(|(name, node)| (&**name, node))
    }

    /// 5.3, 5.4: the inside of a disco#info result of one node, with what else can be done with it. `host`: whose nodes all of
    /// these are.
    pub fn describe(&self, name: &str, who: &Asker, host: Option<&BareJid>, features: &[&str]) -> Option<String> {
        let node = self.node(name).filter(|node| node.may_subscribe(who).is_ok())?;
        let mut xml = Build::new();
        xml.open("identity").attr("category", "pubsub").attr("type", node.config.node_type.as_str());
        xml.attr_opt("name", some(&node.config.title)).close();
        xml.open("feature").attr("var", NS).close();
        for feature in features {
            xml.open("feature").attr("var", feature).close();
        }
        form::open(&mut xml, "result", META_DATA);
        let mut say = |var: &str, kind: &str, label: &str, values: &[String]| {
            form::field(&mut xml, var, Some(kind), Some(label), &[], values);
        };
        say("pubsub#creator", "jid-single", "Node creator", &[node.creator.to_string()]);
        say("pubsub#creation_date", "text-single", "Creation date", &[datetime(node.created_us / 1_000_000 * 1_000_000)]);
        let of = |wanted: Affiliation| {
            node.affiliations.iter().filter(move |(_, it)| **it == wanted).map(|(jid, _)| jid.to_string())
        };
        let owners: Vec<String> = host.map(ToString::to_string).into_iter().chain(of(Affiliation::Owner)).collect();
        say("pubsub#owner", "jid-multi", "Node owners", &owners);
        let publishers: Vec<String> = of(Affiliation::Publisher).collect();
        if !publishers.is_empty() {
            say("pubsub#publisher", "jid-multi", "Publishers to this node", &publishers);
        }
        let subscribers = node.subscriptions.iter().filter(|it| it.is_active()).count();
        say("pubsub#num_subscribers", "text-single", "Number of subscribers to this node", &[subscribers.to_string()]);
        node.config.write_public(&mut xml);
        xml.close();
        Some(super::service::text(xml))
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// As many as fit into one answer, from the beginning, but at least one; and how many were left out.
fn cut(entries: Vec<Entry>, quotas: &Quotas) -> (Vec<Entry>, usize) {
    let before = entries.len();
    let mut bytes = 0;
    let fits = |entry: &Entry| {
        bytes += entry.weight();
        bytes <= quotas.page_size_bytes_max || bytes == entry.weight()
    };
    let kept: Vec<Entry> = entries.into_iter().take(quotas.page_items_max).take_while(fits).collect();
    let left = before - kept.len();
    (kept, left)
}

/// The same from the end.
fn cut_front(mut entries: Vec<Entry>, quotas: &Quotas) -> (Vec<Entry>, usize) {
    entries.reverse();
    let (mut kept, left) = cut(entries, quotas);
    kept.reverse();
    (kept, left)
}
