//! The table `[xep.pubsub]`, and what it makes of the state machine.

use serde::Deserialize;

use super::super::{
    Access, Children, Config, ItemReply, MaxItems, NodeFull, NodeType, Notification, PublishModel, Quotas, SendLast,
};

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub service: String,
    pub name: String,
    pub nodes_per_user_max: usize,
    pub items_per_user_max: usize,
    pub bytes_per_user_max: usize,
    pub items_per_node_max: usize,
    pub item_size_bytes_max: usize,
    pub subscriptions_per_node_max: usize,
    pub nodes_max: usize,
    pub items_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            service: "pubsub".into(),
            name: "Channels".into(),
            nodes_per_user_max: 100,
            items_per_user_max: 20_000,
            bytes_per_user_max: 256 * 1024 * 1024,
            items_per_node_max: 1_000,
            item_size_bytes_max: 192 * 1024,
            subscriptions_per_node_max: 10_000,
            nodes_max: 20_000,
            items_max: 500_000,
        }
    }
}

impl iris_core::mount::Settings for Settings {
    const TABLE: &'static str = "pubsub";
    const REFERENCE: &'static str = "\
# The first part of the address of the service, pubsub.DOMAIN, and what clients show of it. Who may make channels there says the
# plan ([plans], channels_create); everybody may follow them, as their owners let them.
service = \"pubsub\"
name = \"Channels\"
# Nodes that one user has made; items in all of them, and their size in bytes.
nodes_per_user_max = 100
items_per_user_max = 20000
bytes_per_user_max = 268435456
# Items of one node, which is also the meaning of pubsub#max_items = max; one item, in bytes; subscriptions of one node, of which
# one person has at most 16.
items_per_node_max = 1000
item_size_bytes_max = 196608
subscriptions_per_node_max = 10000
# Of everybody together. Which items there are is kept in memory, about 200 bytes for each.
nodes_max = 20000
items_max = 500000
";
}

const AFFILIATIONS_PER_NODE_MAX: usize = 1_000;
const CHILDREN_MAX: usize = 1_000;
/// One answer: well below what a session's queue holds.
pub const PAGE_ITEMS_MAX: usize = 1_000;
const PAGE_SIZE_BYTES_MAX: usize = 1024 * 1024;

impl Settings {
    pub fn quotas(&self) -> Quotas {
        Quotas {
            is_service: true,
            all_nodes_max: self.nodes_max,
            all_items_max: self.items_max,
            nodes_max: self.nodes_per_user_max,
            items_max: self.items_per_user_max,
            items_per_node_max: self.items_per_node_max,
            total_size_bytes_max: self.bytes_per_user_max,
            item_size_bytes_max: self.item_size_bytes_max,
            subscriptions_per_node_max: self.subscriptions_per_node_max,
            subscriptions_per_person_max: super::super::SUBSCRIPTIONS_PER_PERSON_MAX,
            affiliations_per_node_max: AFFILIATIONS_PER_NODE_MAX,
            children_max: CHILDREN_MAX,
            page_items_max: PAGE_ITEMS_MAX,
            page_size_bytes_max: PAGE_SIZE_BYTES_MAX,
        }
    }

    /// A new node is a channel: everybody may follow it, its owner speaks, and what was said can be read later.
    pub fn default_node(&self) -> Config {
        Config {
            title: String::new(),
            description: String::new(),
            language: String::new(),
            payload_type: String::new(),
            deliver_notifications: true,
            deliver_payloads: true,
            persist_items: true,
            max_items: MaxItems::Max,
            max_payload_size_bytes: u32::try_from(self.item_size_bytes_max).unwrap_or(u32::MAX),
            access: Access::Open,
            groups: Vec::new(),
            publish_model: PublishModel::Publishers,
            send_last: SendLast::OnSub,
            notification: Notification::Headline,
            notify_config: false,
            notify_delete: true,
            notify_retract: true,
            notify_sub: false,
            item_reply: ItemReply::Publisher,
            node_full: NodeFull::RetractOldest,
            subscribe: true,
            item_expire_s: None,
            node_type: NodeType::Leaf,
            collections: Vec::new(),
            children: None,
            children_by: Children::Owners,
            children_whitelist: Vec::new(),
            children_max: None,
        }
    }
}
