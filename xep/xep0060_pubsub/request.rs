//! What is asked of a service: read once and completely. What is malformed is named.

use iris_core::jids::address;
use iris_core::xml::El;
use iris_core::{Bounce, Changed, Condition, Jid};

use super::form::Filled;
use super::root::ROOT;
use super::{Affiliation, NODE_CONFIG, NS, OWNER, PUBLIC, SUBSCRIBE_AUTHORIZATION, SUBSCRIBE_OPTIONS, config, error, moved};
use crate::xep0059_rsm as rsm;

/// No resource of a JID is longer (RFC 7622 3.4), and a node may be addressed as one.
pub const NAME_SIZE_BYTES_MAX: usize = 1_023;
/// Items named in one request.
const ITEMS_MAX: usize = 1_000;
/// Entries of a list that one request changes.
const CHANGES_MAX: usize = 1_000;

#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Subscribe {
        node: String,
        jid: Jid,
        /// 6.3.7.
        options: Option<Filled>,
        /// XEP-0465.
        public: bool,
    },
    /// 6.2.3.5: subscriptions have no numbers here, so one that is given is passed over, here and below.
    Unsubscribe {
        node: String,
        jid: Jid,
    },
    /// The asker's own, of one node or of all.
    Subscriptions {
        node: Option<String>,
        page: Option<rsm::Wanted>,
    },
    Affiliations {
        node: Option<String>,
        page: Option<rsm::Wanted>,
    },
    /// 6.3.
    GetOptions {
        node: String,
        jid: Jid,
    },
    SetOptions {
        node: String,
        jid: Jid,
        form: Filled,
    },
    /// 6.4.
    DefaultOptions {
        node: Option<String>,
    },
    Items {
        node: String,
        ids: Vec<String>,
        newest: Option<usize>,
        page: Option<rsm::Wanted>,
    },
    Publish {
        node: String,
        item: Option<NewItem>,
        options: Option<Filled>,
    },
    Retract {
        node: String,
        ids: Vec<String>,
        notify: bool,
    },
    Create {
        node: Option<String>,
        config: Option<Filled>,
    },
    // 8: owners only.
    GetConfig {
        node: String,
    },
    SetConfig {
        node: String,
        form: Filled,
    },
    GetDefault {
        collection: bool,
    },
    Delete {
        node: String,
        redirect: Option<String>,
    },
    Purge {
        node: String,
    },
    GetSubscriptions {
        node: String,
        page: Option<rsm::Wanted>,
    },
    SetSubscriptions {
        node: String,
        changes: Vec<(Jid, Option<super::State>)>,
    },
    GetAffiliations {
        node: String,
        page: Option<rsm::Wanted>,
    },
    SetAffiliations {
        node: String,
        changes: Vec<(Jid, Affiliation)>,
    },
    /// XEP-0248 7.5, 7.6: put a node into a collection, or take it out.
    Associate {
        collection: String,
        node: String,
        is: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewItem {
    pub id: Option<String>,
    /// An element of its own.
    pub payload: Option<Vec<u8>>,
}

impl Request {
    /// The one node it is about; `ROOT`: the root.
    pub fn node(&self) -> Option<&str> {
        use Request as R;
        match self {
            R::Subscriptions { node, .. }
            | R::Affiliations { node, .. }
            | R::DefaultOptions { node }
            | R::Create { node, .. } => node.as_deref(),
            R::GetDefault { .. } => None,
            R::Subscribe { node, .. }
            | R::Unsubscribe { node, .. }
            | R::GetOptions { node, .. }
            | R::SetOptions { node, .. }
            | R::Associate { collection: node, .. }
            | R::Items { node, .. }
            | R::Publish { node, .. }
            | R::Retract { node, .. }
            | R::GetConfig { node }
            | R::SetConfig { node, .. }
            | R::Delete { node, .. }
            | R::Purge { node }
            | R::GetSubscriptions { node, .. }
            | R::SetSubscriptions { node, .. }
            | R::GetAffiliations { node, .. }
            | R::SetAffiliations { node, .. } => Some(node),
        }
    }

    /// Is it one of section 8 that only owners may make?
    pub fn is_of_owner(&self) -> bool {
        use Request as R;
        matches!(
            self,
            R::GetConfig { .. }
                | R::SetConfig { .. }
                | R::Delete { .. }
                | R::Purge { .. }
                | R::GetSubscriptions { .. }
                | R::SetSubscriptions { .. }
                | R::GetAffiliations { .. }
                | R::SetAffiliations { .. }
        )
    }

    /// A `<pubsub/>` of either namespace; `set`: the type of the iq.
    pub fn parse(pubsub: &El<'_>, set: bool) -> Result<Request, Bounce> {
        // Beside the action there are a form, options and a page.
        let mut actions = pubsub.children().filter(|child| {
            let beside = child.local() == "publish-options" || (child.local() == "configure" && pubsub.ns() == NS);
            child.ns() == pubsub.ns() && !beside
        });
        let Some(action) = actions.next() else {
            return Err(Bounce::bad_request("nothing is asked"));
        };
        // The schema: one of them. 6.3.7: "The <options/> element MUST follow the <subscribe/> element".
        if actions.any(|it| action.local() != "subscribe" || it.local() != "options") {
            return Err(Bounce::bad_request("one thing at a time"));
        }
        if pubsub.ns() == OWNER { owner(pubsub, &action, set) } else { entity(pubsub, &action, set) }
    }
}

fn entity(pubsub: &El<'_>, action: &El<'_>, set: bool) -> Result<Request, Bounce> {
    match (action.local(), set) {
        ("subscribe", true) => {
            let options = match pubsub.child(NS, "options") {
                // 6.3.7.
                Some(options) if options.attr("node").is_some() || options.attr("jid").is_some() => {
                    return Err(Bounce::bad_request("node and subscriber are named twice"));
                }
                Some(options) => Filled::within(&options, SUBSCRIBE_OPTIONS)?,
                None => None,
            };
            let public = action.child(PUBLIC, "public").is_some();
            Ok(Request::Subscribe { node: node_or_root(action)?, jid: jid(action)?, options, public })
        }
        ("unsubscribe", true) => Ok(Request::Unsubscribe { node: node_or_root(action)?, jid: jid(action)? }),
        ("options", false) => Ok(Request::GetOptions { node: node_or_root(action)?, jid: jid(action)? }),
        ("options", true) => {
            let form = Filled::within(action, SUBSCRIBE_OPTIONS)?.ok_or_else(|| Bounce::bad_request("there is no form"))?;
            Ok(Request::SetOptions { node: node_or_root(action)?, jid: jid(action)?, form })
        }
        ("subscriptions", false) => Ok(Request::Subscriptions { node: optional_node(action)?, page: page(pubsub)? }),
        ("affiliations", false) => Ok(Request::Affiliations { node: optional_node(action)?, page: page(pubsub)? }),
        ("items", false) => items(pubsub, action),
        ("publish", true) => publish(pubsub, action),
        ("retract", true) => {
            let ids = ids(action)?;
            if ids.is_empty() {
                return Err(error::bad_request("item-required"));
            }
            let notify = action.attr("notify").is_some_and(|it| it == "1" || it == "true");
            Ok(Request::Retract { node: node(action)?, ids, notify })
        }
        ("create", true) => {
            let config = match pubsub.child(NS, "configure") {
                // 8.1.3: the node is named by <create/> alone.
                Some(configure) if configure.attr("node").is_some() => {
                    return Err(Bounce::bad_request("the node is named twice"));
                }
                Some(configure) => Filled::within(&configure, NODE_CONFIG)?,
                None => None,
            };
            Ok(Request::Create { node: optional_node(action)?, config })
        }
        ("default", false) => Ok(Request::DefaultOptions { node: optional_node(action)? }),
        _ => Err(Bounce::bad_request("that cannot be asked")),
    }
}

fn owner(pubsub: &El<'_>, action: &El<'_>, set: bool) -> Result<Request, Bounce> {
    match (action.local(), set) {
        ("configure", false) => Ok(Request::GetConfig { node: node(action)? }),
        ("configure", true) => {
            let node = node(action)?;
            let form = Filled::within(action, NODE_CONFIG)?.ok_or_else(|| Bounce::bad_request("there is no form"))?;
            Ok(Request::SetConfig { node, form })
        }
        ("default", false) => match action.attr("type").as_deref() {
            None | Some("leaf" | "") => Ok(Request::GetDefault { collection: false }),
            Some("collection") => Ok(Request::GetDefault { collection: true }),
            Some(_) => Err(Bounce::bad_request("there is no such type of nodes")),
        },
        ("delete", true) => {
            let redirect = action.child(OWNER, "redirect").map(|it| it.attr("uri").unwrap_or_default().into_owned());
            if let Some(uri) = redirect.as_deref().filter(|uri| !moved::is_uri(uri) || uri.len() > moved::URI_SIZE_BYTES_MAX) {
                return Err(match moved::is_uri(uri) {
                    true => Bounce::new(Condition::NotAcceptable).limit(
                        format!("the address of a redirect has at most {} bytes", moved::URI_SIZE_BYTES_MAX),
                        Changed::ByNobody("name a shorter one"),
                    ),
                    false => Bounce::bad_request("a redirect names an address, such as xmpp:SERVICE?;node=NODE"),
                });
            }
            Ok(Request::Delete { node: node_or_root(action)?, redirect })
        }
        ("purge", true) => Ok(Request::Purge { node: node(action)? }),
        ("subscriptions", false) => Ok(Request::GetSubscriptions { node: node_or_root(action)?, page: page(pubsub)? }),
        ("subscriptions", true) => {
            let changes = changes(action, "subscription", |word| match word {
                "subscribed" => Some(Some(super::State::Subscribed)),
                "pending" => Some(Some(super::State::Pending)),
                "none" => Some(None),
                _ => None,
            })?;
            Ok(Request::SetSubscriptions { node: node_or_root(action)?, changes })
        }
        ("affiliations", false) => Ok(Request::GetAffiliations { node: node(action)?, page: page(pubsub)? }),
        ("affiliations", true) => {
            let changes = changes(action, "affiliation", Affiliation::parse)?;
            Ok(Request::SetAffiliations { node: node(action)?, changes })
        }
        ("collection", true) => {
            let child = |name: &str| action.child(OWNER, name);
            let (which, is) = match (child("associate"), child("disassociate").or_else(|| child("dissociate"))) {
                (Some(which), None) => (which, true),
                (None, Some(which)) => (which, false),
                _ => return Err(Bounce::bad_request("one node is put in or taken out")),
            };
            Ok(Request::Associate { collection: node(action)?, node: node(&which)?, is })
        }
        _ => Err(Bounce::bad_request("that cannot be asked")),
    }
}

/// 8.8.2, 8.9.2: `<subscription jid='…' subscription='…'/>`, and the same with affiliations.
fn changes<T>(list: &El<'_>, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<(Jid, T)>, Bounce> {
    let mut changes = Vec::new();
    for change in list.children().filter(|child| child.is(OWNER, name)) {
        if changes.len() >= CHANGES_MAX {
            let what = format!("one request changes at most {CHANGES_MAX} of them");
            return Err(Bounce::new(Condition::BadRequest).limit(what, Changed::ByNobody("ask several times")));
        }
        let jid = jid(&change)?;
        // "If the attribute is not specified, then the value MUST NOT be changed."
        let Some(word) = change.attr(name) else { continue };
        let value = read(&word).ok_or_else(|| Bounce::bad_request("there is no such state"))?;
        changes.push((jid, value));
    }
    Ok(changes)
}

fn items(pubsub: &El<'_>, action: &El<'_>) -> Result<Request, Bounce> {
    let newest = match action.attr("max_items") {
        None => None,
        Some(text) => {
            let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
            // A number that is too large to be one is as good as "all".
            let number = is_number.then(|| text.parse().unwrap_or(usize::MAX));
            let wrong = || Bounce::bad_request("max_items is not a number greater than 0");
            Some(number.filter(|number| *number > 0).ok_or_else(wrong)?)
        }
    };
    Ok(Request::Items { node: node_or_root(action)?, ids: ids(action)?, newest, page: page(pubsub)? })
}

fn page(pubsub: &El<'_>) -> Result<Option<rsm::Wanted>, Bounce> {
    pubsub.child(rsm::NS, "set").map(|set| rsm::Wanted::parse(&set)).transpose()
}

fn publish(pubsub: &El<'_>, action: &El<'_>) -> Result<Request, Bounce> {
    let node = node(action)?;
    let mut items = action.children().filter(|child| child.is(NS, "item"));
    let item = match items.next() {
        None => None,
        Some(item) => {
            let id = item.attr("id").map(|id| id.into_owned()).filter(|id| !id.is_empty());
            if id.as_ref().is_some_and(|id| id.len() > NAME_SIZE_BYTES_MAX) {
                return Err(too_long("an item's id"));
            }
            let mut payloads = item.children();
            let payload = payloads.next().map(|payload| payload.closed().into_owned());
            // 7.1.3.6.
            if payloads.next().is_some() {
                return Err(error::bad_request("invalid-payload"));
            }
            Some(NewItem { id, payload })
        }
    };
    // 7.1.1: batches are no more.
    if items.next().is_some() {
        return Err(error::bad_request("invalid-payload").text("one item at a time"));
    }
    let options = match pubsub.child(NS, "publish-options") {
        None => None,
        Some(options) => {
            let form = options.child(iris_core::ns::DATA_FORMS, "x");
            let form = form.ok_or_else(|| Bounce::bad_request("publish-options need a form"))?;
            let filled = Filled::parse(&form)?;
            if !config::is_publish_options(&filled.form_type) {
                return Err(Bounce::bad_request("that form does not hold publish-options"));
            }
            Some(filled)
        }
    };
    Ok(Request::Publish { node, item, options })
}

fn ids(action: &El<'_>) -> Result<Vec<String>, Bounce> {
    let mut ids = Vec::new();
    for item in action.children().filter(|child| child.is(NS, "item")) {
        let id = item.attr("id").filter(|id| !id.is_empty()).ok_or_else(|| error::bad_request("item-required"))?;
        if ids.len() >= ITEMS_MAX {
            let what = format!("one request names at most {ITEMS_MAX} items");
            return Err(Bounce::new(Condition::NotAcceptable).limit(what, Changed::ByNobody("ask several times")));
        }
        ids.push(id.into_owned());
    }
    Ok(ids)
}

fn optional_node(action: &El<'_>) -> Result<Option<String>, Bounce> {
    match action.attr("node").filter(|node| !node.is_empty()) {
        Some(node) if node.len() > NAME_SIZE_BYTES_MAX => Err(too_long("a node's name")),
        node => Ok(node.map(|node| node.into_owned())),
    }
}

fn node(action: &El<'_>) -> Result<String, Bounce> {
    optional_node(action)?.ok_or_else(|| error::bad_request("nodeid-required"))
}

/// 6.3.2, XEP-0248 8.1: who names no node means the root.
fn node_or_root(action: &El<'_>) -> Result<String, Bounce> {
    Ok(optional_node(action)?.unwrap_or_else(|| ROOT.to_owned()))
}

fn too_long(what: &str) -> Bounce {
    let what = format!("{what} has at most {NAME_SIZE_BYTES_MAX} bytes");
    Bounce::new(Condition::NotAcceptable).limit(what, Changed::ByNobody("take a shorter one"))
}

fn jid(element: &El<'_>) -> Result<Jid, Bounce> {
    let jid = element.attr("jid").ok_or_else(|| error::bad_request("jid-required"))?;
    address(&jid).map_err(|_| error::bad_request("invalid-jid"))
}

/// 8.6: an owner's answer to a request for a subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Approval {
    pub node: String,
    pub subscriber: Jid,
    pub allow: bool,
}

impl Approval {
    /// `None`: another form, a cancelled one, or one that is not filled in: the request stays pending.
    pub fn parse(form: &El<'_>) -> Option<Approval> {
        let filled = Filled::parse(form).ok()?;
        if filled.form_type != SUBSCRIBE_AUTHORIZATION || filled.cancelled || form.attr("type").as_deref() != Some("submit") {
            return None;
        }
        let subscriber = Jid::new(filled.value("pubsub#subscriber_jid")?).ok()?;
        let allow = super::form::boolean(filled.value("pubsub#allow")?)?;
        Some(Approval { node: filled.value("pubsub#node")?.to_owned(), subscriber, allow })
    }
}
