//! 5 and 6.5: what there is to be read, and by whom.

use std::ops::Range;

use iris_core::time::datetime;
use iris_core::xml::Build;
use iris_core::{BareJid, Bounce};

use super::form;
use super::node::{Entry, Node};
use super::root::named;
use super::service::{Answer, Context, Fetch, Listed, Outcome, Quotas, Service};
use super::stored::subscription_key;
use super::{Affiliation, Asker, META_DATA, NS, Subscription, error, lists, public};
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
        if node.config.is_collection() && !ids.is_empty() {
            return Err(error::unsupported("retrieve-items").text("an item has its name in its node"));
        }
        if node.config.is_collection() {
            let fetch = self.retrieve_below(cx.who, name, newest, page, cx.quotas)?;
            return Ok(Outcome { answer: Answer::Items(fetch), ..Outcome::empty() });
        }
        if !node.config.persist_items {
            return Err(error::unsupported("persistent-items"));
        }
        let (entries, page) = if !ids.is_empty() {
            // 6.5.9.12: what is not there is left out.
            let mut wanted: Vec<Entry> = ids.iter().filter_map(|id| node.entries.get(node.find(id)?)).cloned().collect();
            wanted
                .truncate(fit(&rsm::Wanted::default(), &wanted, 0..wanted.len().min(cx.quotas.page_items_max), cx.quotas).end);
            (wanted, None)
        } else {
            self.page(node, newest, page, cx.quotas)?
        };
        let lists = vec![Listed::new(&name, node, entries)];
        Ok(Outcome { answer: Answer::Items(Fetch { node: name, lists, page }), ..Outcome::empty() })
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
        let place = |id: &str| all.iter().position(|entry| *entry.id == *id);
        let range = fit(&wanted, all, wanted.range(all.len(), quotas.page_items_max, place)?, quotas);
        let chosen = all.get(range.clone()).unwrap_or_default().to_vec();
        // 6.5.4: whoever gets less than there is, is told.
        if !asked && chosen.len() == all.len() {
            return Ok((chosen, None));
        }
        let id = |at: usize| all.get(at).map(|entry| entry.id.to_string()).unwrap_or_default();
        Ok((chosen, Some(rsm::Given::of(&range, all.len(), id))))
    }

    /// The nodes that a question about "mine" is about.
    fn one_or_all<'a>(&'a self, only: Option<&str>) -> Result<impl Iterator<Item = (&'a str, &'a Node)> + use<'a>, Bounce> {
        if let Some(name) = only {
            self.known(public::subject(name))?;
        }
        let one = only.and_then(|name| self.nodes.get_key_value(name));
        let all = only.is_none().then(|| self.nodes.iter());
        Ok(one.into_iter().chain(all.into_iter().flatten()).map(|(name, node)| (&**name, node)))
    }

    /// 5.6.
    pub(super) fn own_subscriptions(
        &self,
        cx: &Context<'_>,
        only: Option<&str>,
        page: Option<&rsm::Wanted>,
    ) -> Result<Outcome, Bounce> {
        let rows: Vec<(&str, &Node, &Subscription)> = self
            .one_or_all(only)?
            .flat_map(|(name, node)| node.subscriptions.of(&cx.who.bare).iter().map(move |it| (name, node, it)))
            .collect();
        let mut xml = Build::new();
        xml.open_ns("pubsub", NS).open("subscriptions").attr_opt("node", only);
        lists::write(
            &mut xml,
            &rows,
            page,
            cx.quotas,
            |(_, node, it)| subscription_key(node, &it.jid),
            |xml, (name, _, it)| {
                xml.open("subscription").attr_opt("node", named(name)).attr("jid", it.jid.as_str());
                xml.attr_opt("expiry", it.options.expire_us.map(datetime).as_deref());
                xml.attr("subscription", it.state.as_str()).close();
            },
        )?;
        Ok(Outcome::build(xml))
    }

    /// 5.7.
    pub(super) fn own_affiliations(
        &self,
        cx: &Context<'_>,
        only: Option<&str>,
        page: Option<&rsm::Wanted>,
    ) -> Result<Outcome, Bounce> {
        let all = self.one_or_all(only)?.map(|(name, node)| (name, node.affiliation_of(cx.who)));
        let rows: Vec<(&str, Affiliation)> = all.filter(|(_, affiliation)| *affiliation != Affiliation::None).collect();
        let mut xml = Build::new();
        xml.open_ns("pubsub", NS).open("affiliations").attr_opt("node", only);
        lists::write(
            &mut xml,
            &rows,
            page,
            cx.quotas,
            |(name, _)| (*name).to_owned(),
            |xml, (name, affiliation)| {
                xml.open("affiliation").attr("node", name).attr("affiliation", affiliation.as_str()).close();
            },
        )?;
        Ok(Outcome::build(xml))
    }

    /// 5.2: the nodes that this one may subscribe to or read (XEP-0163 6.2).
    pub fn visible<'a>(&'a self, who: &'a Asker) -> impl Iterator<Item = (&'a str, &'a Node)> {
        self.nodes().filter(|(_, node)| node.may_subscribe(who).is_ok()).map(|(name, node)| (&**name, node))
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

/// As many as fit into one answer.
fn fit(wanted: &rsm::Wanted, entries: &[Entry], range: Range<usize>, quotas: &Quotas) -> Range<usize> {
    wanted.fit(range, quotas.page_size_bytes_max, |at| entries.get(at).map_or(0, Entry::weight))
}
