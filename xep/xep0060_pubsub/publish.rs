//! 7: publishers put items into a node and take them out.

use std::sync::Arc;

use bytes::Bytes;
use iris_core::Bounce;

use super::config::NodeFull;
use super::form::Filled;
use super::node::{Entry, Node};
use super::request::NewItem;
use super::service::{Context, Notice, Outcome, Service, open_answer};
use super::{Subject, error, event, social};

impl Service {
    /// 7.1.
    pub(super) fn publish(
        &mut self,
        cx: &Context<'_>,
        name: &str,
        item: Option<NewItem>,
        options: Option<&Filled>,
    ) -> Result<Outcome, Bounce> {
        let mut outcome = Outcome::empty();
        let (name, is_new): (Arc<str>, bool) = match self.known(name) {
            Ok((_, node)) if node.config.is_collection() => return Err(error::unsupported("publish")),
            Ok((name, node)) => {
                node.may_publish(cx.who)?;
                if let Some(options) = options {
                    node.config.meets(options, cx.quotas)?;
                }
                (name, false)
            }
            // 7.1.4: made on the way, by its owner. At a service, who cannot make nodes is told that this one is not there (7.1.3.3).
            Err(why) if cx.host.is_none() && cx.may_create.is_err() => return Err(why),
            Err(_) => (Arc::from(name), true),
        };
        let config = match self.node(&name) {
            Some(node) => node.config.clone(),
            None => {
                self.may_create(cx, &name)?;
                options.map_or_else(|| Ok(cx.default.clone()), |options| cx.default.relied_on(options, cx.quotas))?
            }
        };
        // 4.3, 7.1.3.7: what has to be there, and what must not.
        let (id, payload) = match (item, config.persist_items, config.deliver_payloads) {
            (None, true, _) => return Err(error::bad_request("item-required")),
            (None, false, true) => return Err(error::bad_request("payload-required")),
            (None, false, false) => (None, None),
            (Some(_), false, false) => return Err(error::bad_request("item-forbidden")),
            (Some(NewItem { payload: None, .. }), _, true) => return Err(error::bad_request("payload-required")),
            (Some(NewItem { id, payload }), ..) => (Some(id), payload),
        };
        let payload = Bytes::from(payload.unwrap_or_default());
        if config.is_collection() {
            return Err(error::unsupported("publish"));
        }
        cx.may_leave(&config, &cx.who.bare)?;
        let is_picture = id.iter().flatten().any(|id| social::is_picture_of_node(id, &payload));
        if !is_picture {
            social::check_type(&config, &payload)?;
            social::check(&config, &payload)?;
        }
        let (of_node, of_service) = (config.max_payload_size_bytes as usize, cx.quotas.item_size_bytes_max);
        if payload.len() > of_node.min(of_service) {
            return Err(error::payload_too_big(of_node, of_service));
        }
        let serial = (cx.mint)();
        let given = id.is_some() && id.as_ref().is_some_and(Option::is_some);
        let id: Option<Arc<str>> = id.map(|id| id.map_or_else(|| Arc::from(format!("{serial:x}")), Arc::from));
        let posted = id.as_ref().filter(|_| !is_picture);
        let payload = posted.and_then(|id| social::linked(&config, &payload, cx.service, &name, id)).unwrap_or(payload);
        let Some(id) = id else {
            // Transient and without payloads: the news is that there is news.
            if is_new {
                self.begin(cx, &name, config.clone(), serial, &mut outcome)?;
            }
            let (xml, kind) = (event::no_item(&name), config.notification);
            outcome.notices.push(Notice::News { node: name.clone(), xml, kind, subject: Subject::Items, body: None });
            outcome.answer = super::Answer::Payload(super::service::text(open_answer("publish", &name)));
            return Ok(outcome);
        };
        // 7.1.2.3: one or the other; many may read it, and what device somebody uses is nobody's business.
        let publisher: Arc<str> = Arc::from(cx.who.bare.as_str());
        let size_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let entry = Entry { serial, id: id.clone(), size_bytes, publisher };
        let mut retracted = Vec::new();
        if config.persist_items {
            let replaced = self.replaced(cx, &name, &id, &config)?;
            let freed = replaced.and_then(|at| Some(self.node(&name)?.entries.get(at)?.weight()));
            let creator = self.node(&name).map_or(&cx.who.bare, |node| &node.creator);
            self.has_room(cx.quotas, creator, entry.weight(), freed)?;
            if is_new {
                self.begin(cx, &name, config.clone(), serial, &mut outcome)?;
            }
            if let Some(at) = replaced
                && let Some(old) = self.drop_entry(&name, at, &mut outcome.changes)
                && *old.id != *id
            {
                retracted.push(old.id);
            }
            self.add(&name, entry.clone(), &payload, &mut outcome.changes);
        } else if is_new {
            self.begin(cx, &name, config.clone(), serial, &mut outcome)?;
        }
        if config.deliver_notifications {
            let xml = event::item(&name, &entry, config.deliver_payloads.then_some(&payload), &config, cx.service);
            let kind = config.notification;
            let body = social::body(&name, &config, &payload);
            outcome.notices.push(Notice::News { node: name.clone(), xml, kind, subject: Subject::Items, body });
            if config.notify_retract && config.node_full == NodeFull::RetractOldest && !retracted.is_empty() {
                let xml = event::retracted(&name, retracted.iter().map(|id| &**id));
                outcome.notices.push(Notice::News { node: name.clone(), xml, kind, subject: Subject::Items, body: None });
            }
        }
        let mut xml = open_answer("publish", &name);
        if !given || config.persist_items {
            xml.open("item").attr("id", &id).close();
        }
        outcome.answer = super::Answer::Payload(super::service::text(xml));
        Ok(outcome)
    }

    /// Which item goes for this one: the one of the same id (12.1), or the oldest of a full node (7.1.2.5).
    fn replaced(&self, cx: &Context<'_>, name: &str, id: &str, config: &super::Config) -> Result<Option<usize>, Bounce> {
        let Some(node) = self.node(name) else { return Ok(None) };
        if let Some(at) = node.find(id) {
            if let Some(entry) = node.entries.get(at) {
                node.may_touch(cx.who, entry)?;
            }
            return Ok(Some(at));
        }
        if node.entries.len() < config.max_items.within(cx.quotas) {
            return Ok(None);
        }
        match config.node_full {
            NodeFull::Reject => Err(error::node_full(config.max_items.within(cx.quotas))),
            NodeFull::RetractOldest | NodeFull::DiscardOldest => Ok(Some(0)),
        }
    }

    /// 7.2: all of them or none.
    pub(super) fn retract(&mut self, cx: &Context<'_>, name: &str, ids: &[String], notify: bool) -> Result<Outcome, Bounce> {
        let (name, node) = self.known(name)?;
        let config = node.config.clone();
        // 7.2.3.5.
        if config.is_collection() || !config.persist_items {
            node.may_publish(cx.who)?;
            return Err(error::unsupported("persistent-items"));
        }
        for id in ids {
            match node.find(id).and_then(|at| node.entries.get(at)) {
                Some(entry) => node.may_touch(cx.who, entry)?,
                None => {
                    // Who may not take out anything does not learn what there is.
                    node.may_publish(cx.who)?;
                    return Err(error::not_found());
                }
            }
        }
        let mut outcome = Outcome::empty();
        for id in ids {
            if let Some(at) = self.node(&name).and_then(|node| node.find(id)) {
                self.drop_entry(&name, at, &mut outcome.changes);
            }
        }
        if notify || config.notify_retract {
            let xml = event::retracted(&name, ids.iter().map(String::as_str));
            let kind = config.notification;
            outcome.notices.push(Notice::News { node: name, xml, kind, subject: Subject::Items, body: None });
        }
        Ok(outcome)
    }

    /// Items whose time is over (`pubsub#item_expire`).
    pub fn end_items(&mut self, now_us: u64) -> Option<Outcome> {
        let mut outcome = Outcome::empty();
        let expires = |(name, node): (&Arc<str>, &Node)| Some((name.clone(), u64::from(node.config.item_expire_s?)));
        let names: Vec<(Arc<str>, u64)> = self.nodes.iter().filter_map(expires).collect();
        for (name, seconds) in names {
            let limit = now_us.saturating_sub(seconds.saturating_mul(1_000_000));
            let mut gone = Vec::new();
            while self.node(&name).and_then(|node| node.entries.first()).is_some_and(|entry| entry.serial <= limit) {
                match self.drop_entry(&name, 0, &mut outcome.changes) {
                    Some(entry) => gone.push(entry.id),
                    None => break,
                }
            }
            if let Some(node) = self.node(&name).filter(|node| node.config.notify_retract && !gone.is_empty()) {
                let kind = node.config.notification;
                let xml = event::retracted(&name, gone.iter().map(|id| &**id));
                outcome.notices.push(Notice::News { node: name, xml, kind, subject: Subject::Items, body: None });
            }
        }
        (!outcome.changes.is_empty()).then_some(outcome)
    }
}
