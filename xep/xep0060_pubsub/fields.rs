//! The fields of a node's options: how each is called, shown, read and set.

use iris_core::Changed;

use super::config::{Access, Children, Config, ItemReply, MaxItems, NodeFull, NodeType, Notification, PublishModel, SendLast};
use super::form::boolean;
use super::request::NAME_SIZE_BYTES_MAX;
use super::service::Quotas;

/// A text of a node's description; longer ones belong into an item.
const TEXT_SIZE_BYTES_MAX: usize = 1_024;
const GROUPS_MAX: usize = 64;
/// XEP-0248: collections that one node is in, and what one form may put into one.
pub const PARENTS_MAX: usize = 8;
const CHILDREN_PER_FORM_MAX: usize = 1_000;

type Get = fn(&Config) -> Vec<String>;
type Set = fn(&mut Config, &[String], &Quotas) -> Option<()>;

/// Which nodes have a field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Every,
    Leaf,
    /// Of a service alone: those of accounts are leaves (XEP-0163).
    Service,
    Collection,
}

/// One field of the form.
pub struct Field {
    pub of: Of,
    pub var: &'static str,
    pub kind: &'static str,
    pub label: &'static str,
    pub options: &'static [&'static str],
    pub get: Get,
    /// `None`: such a value is none.
    pub set: Set,
}

macro_rules! addresses {
    ($of:ident, $var:literal, $label:literal, $at:ident) => {
        Field {
            of: Of::$of,
            var: $var,
            kind: "jid-multi",
            label: $label,
            options: &[],
            get: |config| config.$at.clone(),
            set: |config, values, _| {
                config.$at = jids(values)?;
                Some(())
            },
        }
    };
}

macro_rules! text {
    ($var:literal, $label:literal, $field:ident) => {
        Field {
            of: Of::Every,
            var: $var,
            kind: "text-single",
            label: $label,
            options: &[],
            get: |config| if config.$field.is_empty() { Vec::new() } else { vec![config.$field.clone()] },
            set: |config, values, _| {
                let value = one(values).unwrap_or_default();
                (value.len() <= TEXT_SIZE_BYTES_MAX).then(|| config.$field = value.to_owned())
            },
        }
    };
}
macro_rules! switch {
    ($of:ident, $var:literal, $label:literal, $field:ident) => {
        Field {
            of: Of::$of,
            var: $var,
            kind: "boolean",
            label: $label,
            options: &[],
            get: |config| vec![if config.$field { "1" } else { "0" }.to_owned()],
            set: |config, values, _| boolean(one(values)?).map(|on| config.$field = on),
        }
    };
}
macro_rules! choice {
    ($of:ident, $var:expr, $label:literal, $field:ident, $words:ident) => {
        Field {
            of: Of::$of,
            var: $var,
            kind: "list-single",
            label: $label,
            options: $words::WORDS,
            get: |config| vec![config.$field.as_str().to_owned()],
            set: |config, values, _| $words::parse(one(values)?).map(|word| config.$field = word),
        }
    };
}

pub const ACCESS_MODEL: &str = "pubsub#access_model";
pub const CHILDREN: &str = "pubsub#children";
pub const NODE_TYPE: &str = "pubsub#node_type";

impl Of {
    pub fn offered(self, is_service: bool) -> bool {
        is_service || matches!(self, Of::Every | Of::Leaf)
    }

    pub fn has(self, node_type: NodeType) -> bool {
        match node_type {
            NodeType::Leaf => self != Of::Collection,
            NodeType::Collection => self != Of::Leaf,
        }
    }
}

/// Names of nodes; an empty one is that of the root (XEP-0248 7.2), and everything is in the root.
fn names(values: &[String], max: usize) -> Option<Vec<String>> {
    let mut names: Vec<String> = values.iter().filter(|name| !name.is_empty()).cloned().collect();
    names.sort_unstable();
    names.dedup();
    (names.len() <= max && names.iter().all(|name| name.len() <= NAME_SIZE_BYTES_MAX)).then_some(names)
}

/// People.
fn jids(values: &[String]) -> Option<Vec<String>> {
    let values = values.iter().filter(|jid| !jid.is_empty());
    let jids: Option<Vec<String>> = values.map(|jid| Some(iris_core::Jid::new(jid).ok()?.to_bare().to_string())).collect();
    jids.filter(|jids| jids.len() <= GROUPS_MAX)
}

pub const FIELDS: &[Field] = &[
    text!("pubsub#title", "A short name of the node", title),
    text!("pubsub#description", "A description of the node", description),
    text!("pubsub#language", "The language of the node", language),
    text!("pubsub#type", "The semantic type of the payloads, usually their namespace", payload_type),
    addresses!(Every, "pubsub#contact", "People to contact with questions", contact),
    switch!(Every, "pubsub#deliver_notifications", "Deliver event notifications", deliver_notifications),
    switch!(Leaf, "pubsub#deliver_payloads", "Deliver payloads with event notifications", deliver_payloads),
    switch!(Every, "pubsub#notify_config", "Notify subscribers when the configuration changes", notify_config),
    switch!(Every, "pubsub#notify_delete", "Notify subscribers when the node is deleted", notify_delete),
    switch!(Leaf, "pubsub#notify_retract", "Notify subscribers when items are removed", notify_retract),
    switch!(Every, "pubsub#notify_sub", "Notify owners about new subscribers and unsubscribes", notify_sub),
    switch!(Leaf, "pubsub#persist_items", "Keep items", persist_items),
    Field {
        of: Of::Leaf,
        var: "pubsub#max_items",
        kind: "text-single",
        label: "How many items to keep at most; 'max' for as many as the service allows",
        options: &[],
        get: |config| {
            vec![match config.max_items {
                MaxItems::Max => "max".to_owned(),
                MaxItems::Count(count) => count.to_string(),
            }]
        },
        set: |config, values, quotas| {
            let value = one(values)?;
            config.max_items = match value {
                "max" => MaxItems::Max,
                // Never silently less than was asked for.
                value => MaxItems::Count(number(value).filter(|n| (1..=quotas.items_per_node_max).contains(&(*n as usize)))?),
            };
            Some(())
        },
    },
    switch!(Every, "pubsub#subscribe", "Allow subscriptions", subscribe),
    choice!(Every, "pubsub#access_model", "Who may subscribe and retrieve items", access, Access),
    Field {
        of: Of::Every,
        var: "pubsub#roster_groups_allowed",
        kind: "list-multi",
        label: "Roster groups that may subscribe",
        options: &[],
        get: |config| config.groups.clone(),
        set: |config, values, _| {
            let fits = values.len() <= GROUPS_MAX && values.iter().all(|group| group.len() <= TEXT_SIZE_BYTES_MAX);
            fits.then(|| config.groups = values.to_vec())
        },
    },
    choice!(Leaf, "pubsub#publish_model", "Who may publish", publish_model, PublishModel),
    Field {
        of: Of::Leaf,
        var: "pubsub#max_payload_size",
        kind: "text-single",
        label: "The largest payload, in bytes",
        options: &[],
        get: |config| vec![config.max_payload_size_bytes.to_string()],
        set: |config, values, quotas| {
            let size = number(one(values)?).filter(|n| (1..=quotas.item_size_bytes_max).contains(&(*n as usize)))?;
            config.max_payload_size_bytes = size;
            Some(())
        },
    },
    choice!(Leaf, "pubsub#send_last_published_item", "When to send the last published item", send_last, SendLast),
    choice!(Every, "pubsub#notification_type", "The type of notification messages", notification, Notification),
    choice!(Leaf, "pubsub#itemreply", "Whose address an item carries for replies", item_reply, ItemReply),
    choice!(Leaf, "pubsub#publish_node_full", "What makes room in a full node", node_full, NodeFull),
    Field {
        of: Of::Leaf,
        var: "pubsub#item_expire",
        kind: "text-single",
        label: "Seconds after which an item is removed; 'max' for never",
        options: &[],
        get: |config| vec![config.item_expire_s.map_or_else(|| "max".to_owned(), |seconds| seconds.to_string())],
        set: |config, values, _| {
            config.item_expire_s = match one(values).unwrap_or_default() {
                "max" | "" => None,
                seconds => Some(number(seconds).filter(|seconds| *seconds > 0)?),
            };
            Some(())
        },
    },
    switch!(Service, "pubsub#tempsub", "Subscriptions end when the subscriber goes offline", temporary),
    switch!(Service, "pubsub#presence_based_delivery", "Notify only subscribers who are online", by_presence),
    switch!(Service, "pubsub#purge_offline", "Remove a publisher's items when the publisher goes offline", purge_offline),
    choice!(Service, NODE_TYPE, "Whether the node holds items or other nodes", node_type, NodeType),
    Field {
        of: Of::Service,
        var: "pubsub#collection",
        kind: "text-multi",
        label: "The collections that the node is in",
        options: &[],
        // XEP-0248 8.1: what is in the root says so.
        get: |config| if config.collections.is_empty() { vec![String::new()] } else { config.collections.clone() },
        set: |config, values, _| {
            config.collections = names(values, PARENTS_MAX)?;
            Some(())
        },
    },
    Field {
        of: Of::Collection,
        var: "pubsub#children",
        kind: "text-multi",
        label: "The nodes in this collection",
        options: &[],
        get: |config| config.children.clone().unwrap_or_default(),
        set: |config, values, _| {
            config.children = Some(names(values, CHILDREN_PER_FORM_MAX)?);
            Some(())
        },
    },
    choice!(Collection, "pubsub#children_association_policy", "Who may put nodes into this collection", children_by, Children),
    addresses!(
        Collection,
        "pubsub#children_association_whitelist",
        "Who else may put nodes into this collection",
        children_whitelist
    ),
    Field {
        of: Of::Collection,
        var: "pubsub#children_max",
        kind: "text-single",
        label: "How many nodes may be in this collection; empty for as many as the service allows",
        options: &[],
        get: |config| config.children_max.map(|max| max.to_string()).into_iter().collect(),
        set: |config, values, _| {
            config.children_max = match one(values).unwrap_or_default() {
                "" => None,
                max => Some(number(max)?),
            };
            Some(())
        },
    },
];

/// Which limit these values are beyond, if it is one, and who can change it.
pub fn limit(var: &str, values: &[String], quotas: &Quotas) -> Option<(String, Changed<'static>)> {
    let beyond = |most: usize| one(values).and_then(|value| value.parse::<u64>().ok()).is_some_and(|n| n > most as u64);
    let (is_over, what, changed) = match var {
        "pubsub#title" | "pubsub#description" | "pubsub#language" | "pubsub#type" => {
            let is_long = values.iter().any(|text| text.len() > TEXT_SIZE_BYTES_MAX);
            (is_long, format!("{TEXT_SIZE_BYTES_MAX} bytes"), Changed::ByNobody("a longer text is for an item"))
        }
        "pubsub#contact" | "pubsub#children_association_whitelist" => {
            (values.len() > GROUPS_MAX, format!("{GROUPS_MAX} addresses"), Changed::ByNobody("name fewer"))
        }
        "pubsub#roster_groups_allowed" => {
            let is_long = values.len() > GROUPS_MAX || values.iter().any(|group| group.len() > TEXT_SIZE_BYTES_MAX);
            let what = format!("{GROUPS_MAX} groups of {TEXT_SIZE_BYTES_MAX} bytes each");
            (is_long, what, Changed::ByNobody("name fewer"))
        }
        "pubsub#max_items" => {
            let most = quotas.items_per_node_max;
            (beyond(most), format!("{most} items"), Changed::ByOperator)
        }
        "pubsub#max_payload_size" => {
            let most = quotas.item_size_bytes_max;
            (beyond(most), format!("{most} bytes"), Changed::ByOperator)
        }
        "pubsub#collection" => (
            values.len() > PARENTS_MAX,
            format!("{PARENTS_MAX} collections"),
            Changed::ByNobody("put one of them into another"),
        ),
        "pubsub#children" => (
            values.len() > CHILDREN_PER_FORM_MAX,
            format!("{CHILDREN_PER_FORM_MAX} nodes in one form"),
            Changed::ByNobody("put the others in one by one"),
        ),
        _ => return None,
    };
    is_over.then(|| (format!("{var}: at most {what}"), changed))
}

/// Options of the registry that this service does not have, with the value that says what it does all the same.
pub const FIXED: &[(&str, &[&str])] = &[
    (NODE_TYPE, &["leaf"]),
    ("pubsub#collection", &[""]),
    ("pubsub#children", &[""]),
    ("pubsub#purge_offline", &["0", "false"]),
    ("pubsub#presence_based_delivery", &["0", "false"]),
    ("pubsub#tempsub", &["0", "false"]),
    ("pubsub#body_xslt", &[""]),
    ("pubsub#dataform_xslt", &[""]),
];

pub fn one(values: &[String]) -> Option<&str> {
    match values {
        [value] => Some(value),
        _ => None,
    }
}

fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())).then(|| text.parse().ok())?
}
