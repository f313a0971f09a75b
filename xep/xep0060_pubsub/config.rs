//! A node's options (8.2), as they are kept, offered, submitted and held against publish-options (7.1.5).

use iris_core::xml::Build;
use iris_core::{Bounce, Condition};

use super::error;
use super::fields::{ACCESS_MODEL, CHILDREN, FIELDS, FIXED, NODE_TYPE, Of, limit, one};
use super::form::{self, Filled};
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
    /// Whom to ask about it.
    pub contact: Vec<String>,
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
    /// Seconds after which an item goes.
    pub item_expire_s: Option<u32>,
    /// 12.5: every subscription ends when its subscriber is not online any more.
    pub temporary: bool,
    /// 12.6: news are for those who are online.
    pub by_presence: bool,
    /// Items go when whoever has published them goes offline.
    pub purge_offline: bool,
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
    /// What nodes of accounts are (XEP-0163 5); a service says what is else.
    pub fn base(item_size_bytes_max: usize) -> Config {
        Config {
            title: String::new(),
            description: String::new(),
            language: String::new(),
            payload_type: String::new(),
            contact: Vec::new(),
            deliver_notifications: true,
            deliver_payloads: true,
            persist_items: true,
            max_items: MaxItems::Count(1),
            max_payload_size_bytes: u32::try_from(item_size_bytes_max).unwrap_or(u32::MAX),
            access: Access::Presence,
            groups: Vec::new(),
            publish_model: PublishModel::Publishers,
            send_last: SendLast::OnSubAndPresence,
            notification: Notification::Headline,
            notify_config: false,
            notify_delete: true,
            notify_retract: false,
            notify_sub: false,
            item_reply: ItemReply::None,
            node_full: NodeFull::RetractOldest,
            subscribe: true,
            item_expire_s: None,
            temporary: false,
            by_presence: false,
            purge_offline: false,
            node_type: NodeType::Leaf,
            collections: Vec::new(),
            children: None,
            children_by: Children::Owners,
            children_whitelist: Vec::new(),
            children_max: None,
        }
    }

    pub fn is_collection(&self) -> bool {
        self.node_type == NodeType::Collection
    }
}

/// Why a field cannot be had.
enum Wrong {
    Unknown,
    Value,
    /// This service knows the option and does not have it: what it does all the same.
    Fixed(&'static str),
}

impl Config {
    /// 8.2.4: all of it or nothing. A cancelled form changes nothing. XEP-0004 3.2: who processes a form "MUST ignore any fields that it
    /// does not understand".
    pub fn apply(&self, filled: &Filled, quotas: &Quotas) -> Result<Config, Bounce> {
        let mut config = self.clone();
        if filled.cancelled {
            return Ok(config);
        }
        for (var, values) in &filled.fields {
            match config.set(var, values, quotas) {
                Ok(()) | Err(Wrong::Unknown) => {}
                // 8.1.2.
                Err(Wrong::Value) if var == ACCESS_MODEL => return Err(error::not_acceptable("unsupported-access-model")),
                // XEP-0248 7.1.3.
                Err(Wrong::Value) if var == NODE_TYPE && !quotas.is_service => return Err(error::unsupported("collections")),
                Err(Wrong::Value) => {
                    let refused = Bounce::new(Condition::NotAcceptable);
                    return Err(match limit(var, values, quotas) {
                        Some((what, changed)) => refused.limit(what, changed),
                        None => refused.text(format!("{var} cannot have that value")),
                    });
                }
                Err(Wrong::Fixed(only)) => {
                    let why = if only.is_empty() {
                        format!("there is no {var} here")
                    } else {
                        format!("{var} can only be {only} here")
                    };
                    return Err(Bounce::new(Condition::NotAcceptable).text(why));
                }
            }
        }
        super::social::shape(&mut config, self, filled)?;
        Ok(config)
    }

    /// 7.1.5: a node that is made by a publication has what the publisher relies on. "It MUST reject the publication upon encountering
    /// unknown fields."
    pub fn relied_on(&self, filled: &Filled, quotas: &Quotas) -> Result<Config, Bounce> {
        let is_unknown = |var: &str| {
            let is_field = FIELDS.iter().any(|field| field.var == var && field.of.offered(quotas.is_service));
            !is_field && !FIXED.iter().any(|(name, _)| *name == var)
        };
        match filled.fields.iter().find(|(var, _)| is_unknown(var)) {
            Some((var, _)) => Err(Bounce::new(Condition::NotAcceptable).text(format!("there is no option {var}"))),
            None => self.apply(filled, quotas),
        }
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
            // XEP-0248 7.1.3.
            Some((NODE_TYPE, _)) => Err(Wrong::Value),
            Some((_, fixed)) => Err(Wrong::Fixed(fixed.first().copied().unwrap_or_default())),
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
            // A leaf in no collection that asks for nobody's presence is what all nodes of accounts are: that needs no word.
            let is_plain = || match values.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                [] | [""] | ["leaf"] => true,
                ["0"] => field.kind == "boolean",
                _ => false,
            };
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
            "pubsub#contact",
            "pubsub#access_model",
            "pubsub#publish_model",
            "pubsub#max_items",
            // Whoever follows, or publishes, is to know what others see by it.
            "pubsub#tempsub",
            "pubsub#purge_offline",
        ];
        for field in FIELDS.iter().filter(|field| PUBLIC.contains(&field.var)) {
            let values = (field.get)(self);
            if !values.is_empty() && (field.of != Of::Service || values[0] == "1") {
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

/// 7.1.5 wants this FORM_TYPE; some clients write that of the configuration, or none, where there is only one thing a form can be.
pub fn is_publish_options(form_type: &str) -> bool {
    matches!(form_type, PUBLISH_OPTIONS | NODE_CONFIG | "")
}
