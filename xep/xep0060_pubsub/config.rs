//! A node's options (8.2), as they are kept, offered, submitted and held against publish-options (7.1.5).

use iris_core::xml::Build;
use iris_core::{Bounce, Condition};

use super::error;
use super::form::{self, Filled, boolean};
use super::request::NAME_SIZE_BYTES_MAX;
use super::service::Quotas;
use super::{NODE_CONFIG, PUBLISH_OPTIONS};

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($variant:ident $word:literal),* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($variant),* }
        impl $name {
            pub const WORDS: &'static [&'static str] = &[$($word),*];
            pub const fn as_str(self) -> &'static str { match self { $($name::$variant => $word),* } }
            pub fn parse(word: &str) -> Option<$name> { match word { $($word => Some($name::$variant),)* _ => None } }
        }
    };
}

words! {
    /// 4.5: who may subscribe and retrieve.
    Access { Authorize "authorize", Open "open", Presence "presence", Roster "roster", Whitelist "whitelist" }
}
words! {
    /// Who may publish.
    PublishModel { Publishers "publishers", Subscribers "subscribers", Open "open" }
}
words! {
    /// When the last item goes to a subscriber (6.1.7).
    SendLast { Never "never", OnSub "on_sub", OnSubAndPresence "on_sub_and_presence" }
}
words! {
    /// The type of the messages that bring news.
    Notification { Headline "headline", Normal "normal", Chat "chat" }
}
words! {
    /// 12.14: whose address an item carries.
    ItemReply { None "none", Owner "owner", Publisher "publisher" }
}
words! {
    /// XEP-0248: does it hold items, or other nodes?
    NodeType { Leaf "leaf", Collection "collection" }
}
words! {
    /// XEP-0248 7.2.1: who may put nodes into a collection.
    Children { All "all", Owners "owners", Whitelist "whitelist" }
}
words! {
    /// 7.1.2.5: what makes room in a full node.
    NodeFull { RetractOldest "retract-oldest", DiscardOldest "discard-oldest", Reject "reject" }
}

/// How many items a node keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxItems {
    /// As many as the service allows.
    Max,
    Count(u32),
}

impl MaxItems {
    pub fn within(self, quotas: &Quotas) -> usize {
        match self {
            MaxItems::Max => quotas.items_per_node_max,
            MaxItems::Count(count) => (count as usize).min(quotas.items_per_node_max),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub title: String,
    pub description: String,
    pub language: String,
    pub payload_type: String,
    pub deliver_notifications: bool,
    pub deliver_payloads: bool,
    pub persist_items: bool,
    pub max_items: MaxItems,
    pub max_payload_size_bytes: u32,
    pub access: Access,
    pub groups: Vec<String>,
    pub publish_model: PublishModel,
    pub send_last: SendLast,
    pub notification: Notification,
    pub notify_config: bool,
    pub notify_delete: bool,
    pub notify_retract: bool,
    pub notify_sub: bool,
    pub item_reply: ItemReply,
    pub node_full: NodeFull,
    pub subscribe: bool,
    /// Seconds after which an item goes (a service's nodes only).
    pub item_expire_s: Option<u32>,
    pub node_type: NodeType,
    /// The collections this node is in.
    pub collections: Vec<String>,
    /// Of a collection, in a form alone: what is in it. Kept is that by each of these.
    pub children: Option<Vec<String>>,
    pub children_by: Children,
    pub children_whitelist: Vec<String>,
    /// `None`: as many as the service allows.
    pub children_max: Option<u32>,
}

impl Config {
    pub fn is_collection(&self) -> bool {
        self.node_type == NodeType::Collection
    }
}

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
enum Of {
    Every,
    Leaf,
    /// Of a service alone: those of accounts are leaves that nobody sweeps (XEP-0163).
    Service,
    ServiceLeaf,
    Collection,
}

/// One field of the form.
struct Field {
    of: Of,
    var: &'static str,
    kind: &'static str,
    label: &'static str,
    options: &'static [&'static str],
    get: Get,
    /// `None`: such a value is none.
    set: Set,
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
    ($of:ident, $var:literal, $label:literal, $field:ident, $words:ident) => {
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

const ACCESS_MODEL: &str = "pubsub#access_model";
const CHILDREN: &str = "pubsub#children";

impl Of {
    fn offered(self, is_service: bool) -> bool {
        is_service || matches!(self, Of::Every | Of::Leaf)
    }

    fn has(self, node_type: NodeType) -> bool {
        match node_type {
            NodeType::Leaf => self != Of::Collection,
            NodeType::Collection => !matches!(self, Of::Leaf | Of::ServiceLeaf),
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

const FIELDS: &[Field] = &[
    text!("pubsub#title", "A short name of the node", title),
    text!("pubsub#description", "A description of the node", description),
    text!("pubsub#language", "The language of the node", language),
    text!("pubsub#type", "The semantic type of the payloads, usually their namespace", payload_type),
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
        of: Of::ServiceLeaf,
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
    choice!(Service, "pubsub#node_type", "Whether the node holds items or other nodes", node_type, NodeType),
    Field {
        of: Of::Service,
        var: "pubsub#collection",
        kind: "text-multi",
        label: "The collections that the node is in",
        options: &[],
        get: |config| config.collections.clone(),
        set: |config, values, _| Some(config.collections = names(values, PARENTS_MAX)?),
    },
    Field {
        of: Of::Collection,
        var: "pubsub#children",
        kind: "text-multi",
        label: "The nodes in this collection",
        options: &[],
        get: |config| config.children.clone().unwrap_or_default(),
        set: |config, values, _| Some(config.children = Some(names(values, CHILDREN_PER_FORM_MAX)?)),
    },
    choice!(Collection, "pubsub#children_association_policy", "Who may put nodes into this collection", children_by, Children),
    Field {
        of: Of::Collection,
        var: "pubsub#children_association_whitelist",
        kind: "jid-multi",
        label: "Who else may put nodes into this collection",
        options: &[],
        get: |config| config.children_whitelist.clone(),
        set: |config, values, _| {
            let jids: Option<Vec<String>> =
                values.iter().map(|jid| Some(iris_core::Jid::new(jid).ok()?.to_bare().to_string())).collect();
            config.children_whitelist = jids.filter(|jids| jids.len() <= GROUPS_MAX)?;
            Some(())
        },
    },
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

/// Options of the registry that this service does not have, with the value that says what it does all the same.
const FIXED: &[(&str, &[&str])] = &[
    ("pubsub#node_type", &["leaf"]),
    ("pubsub#collection", &[""]),
    ("pubsub#children", &[""]),
    ("pubsub#item_expire", &["max", ""]),
    ("pubsub#purge_offline", &["0", "false"]),
    ("pubsub#presence_based_delivery", &["0", "false"]),
    ("pubsub#tempsub", &["0", "false"]),
    ("pubsub#body_xslt", &[""]),
    ("pubsub#dataform_xslt", &[""]),
];

/// Why a field cannot be had.
enum Wrong {
    Unknown,
    Value,
}

impl Config {
    /// 8.2.4: all of it or nothing. A cancelled form changes nothing.
    pub fn apply(&self, filled: &Filled, quotas: &Quotas) -> Result<Config, Bounce> {
        let mut config = self.clone();
        if filled.cancelled {
            return Ok(config);
        }
        for (var, values) in &filled.fields {
            config.set(var, values, quotas).map_err(|wrong| match wrong {
                // 8.1.2.
                Wrong::Value if var == ACCESS_MODEL => error::not_acceptable("unsupported-access-model"),
                Wrong::Value => Bounce::new(Condition::NotAcceptable).text(format!("{var} cannot have that value")),
                Wrong::Unknown => Bounce::new(Condition::NotAcceptable).text(format!("there is no option {var}")),
            })?;
        }
        super::social::shape(&mut config, self, filled)?;
        Ok(config)
    }

    /// 7.1.5: does the node have every option that the publisher relies on? An unknown one is never met.
    pub fn meets(&self, filled: &Filled, quotas: &Quotas) -> Result<(), Bounce> {
        for (var, values) in &filled.fields {
            let mut wanted = self.clone();
            let met = wanted.set(var, values, quotas).is_ok() && same(&wanted, self);
            if !met {
                return Err(error::precondition_not_met(&format!("{var} is not what you rely on")));
            }
        }
        Ok(())
    }

    fn set(&mut self, var: &str, values: &[String], quotas: &Quotas) -> Result<(), Wrong> {
        if let Some(field) = FIELDS.iter().find(|field| field.var == var && field.of.offered(quotas.is_service)) {
            return (field.set)(self, values, quotas).ok_or(Wrong::Value);
        }
        match FIXED.iter().find(|(name, _)| *name == var) {
            Some((_, fixed)) if fixed.contains(&one(values).unwrap_or_default()) => Ok(()),
            Some(_) => Err(Wrong::Value),
            None => Err(Wrong::Unknown),
        }
    }

    /// The form with everything there is to choose, as it is now.
    pub fn write_form(&self, xml: &mut Build, quotas: &Quotas) {
        form::open(xml, "form", NODE_CONFIG);
        for field in FIELDS.iter().filter(|field| field.of.offered(quotas.is_service) && field.of.has(self.node_type)) {
            form::field(xml, field.var, Some(field.kind), Some(field.label), field.options, &(field.get)(self));
        }
        xml.close();
    }

    /// What is kept, and what subscribers are shown (8.2.5.3).
    pub fn write_values(&self, xml: &mut Build, kind: &str) {
        form::open(xml, kind, NODE_CONFIG);
        for field in FIELDS.iter().filter(|field| field.var != CHILDREN && field.of.has(self.node_type)) {
            let values = (field.get)(self);
            // A leaf in no collection whose items stay is what all nodes of accounts are: that needs no word.
            let is_plain = || matches!(values.iter().map(String::as_str).collect::<Vec<_>>()[..], [] | ["leaf"] | ["max"]);
            if field.of.offered(false) || !is_plain() {
                form::field(xml, field.var, None, None, &[], &values);
            }
        }
        xml.close();
    }

    /// Those fields that describe the node to whoever may read it (5.4).
    pub fn write_public(&self, xml: &mut Build) {
        const PUBLIC: &[&str] = &[
            "pubsub#title",
            "pubsub#description",
            "pubsub#language",
            "pubsub#type",
            "pubsub#access_model",
            "pubsub#publish_model",
            "pubsub#max_items",
        ];
        for field in FIELDS.iter().filter(|field| PUBLIC.contains(&field.var)) {
            let values = (field.get)(self);
            if !values.is_empty() {
                form::field(xml, field.var, Some(field.kind), Some(field.label), &[], &values);
            }
        }
    }

    /// What was kept: an option that is none any more is passed over.
    pub fn restore(&mut self, filled: &Filled, quotas: &Quotas) {
        for (var, values) in &filled.fields {
            let _ = self.set(var, values, quotas);
        }
    }
}

/// `max` and the number that it stands for are kept apart: a client that relies on the one does not want the other.
fn same(a: &Config, b: &Config) -> bool {
    a == b
}

/// 7.1.5 wants this FORM_TYPE; some clients write that of the configuration.
pub fn is_publish_options(form_type: &str) -> bool {
    matches!(form_type, PUBLISH_OPTIONS | NODE_CONFIG)
}

fn one(values: &[String]) -> Option<&str> {
    match values {
        [value] => Some(value),
        _ => None,
    }
}

fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())).then(|| text.parse().ok())?
}
