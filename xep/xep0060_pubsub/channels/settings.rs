//! The table `[xep.pubsub]`, and what it makes of the state machine.

use serde::Deserialize;

use super::super::{Access, Config, ItemReply, MaxItems, Quotas, SendLast};

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
            nodes_per_user_max: 500,
            items_per_user_max: 20_000,
            bytes_per_user_max: 256 * 1024 * 1024,
            items_per_node_max: 1_000,
            item_size_bytes_max: 192 * 1024,
            subscriptions_per_node_max: 10_000,
            nodes_max: 50_000,
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
# Nodes that one user has made (a post that can be commented on has one of its own); items in all of them, and their size in bytes.
nodes_per_user_max = 500
items_per_user_max = 20000
bytes_per_user_max = 268435456
# Items of one node, which is also the meaning of pubsub#max_items = max; one item, in bytes; subscriptions of one node, of which
# one person has at most 16, and the people of one other server together at most half.
items_per_node_max = 1000
item_size_bytes_max = 196608
subscriptions_per_node_max = 10000
# Of everybody together. Which items there are is kept in memory, about 200 bytes for each.
nodes_max = 50000
items_max = 500000
";
}

const CHILDREN_MAX: usize = 1_000;

impl Settings {
    pub fn quotas(&self) -> Quotas {
        Quotas {
            all_nodes_max: self.nodes_max,
            all_items_max: self.items_max,
            nodes_max: self.nodes_per_user_max,
            items_max: self.items_per_user_max,
            items_per_node_max: self.items_per_node_max,
            total_size_bytes_max: self.bytes_per_user_max,
            item_size_bytes_max: self.item_size_bytes_max,
            subscriptions_per_node_max: self.subscriptions_per_node_max,
            subscriptions_per_server_max: (self.subscriptions_per_node_max / 2).max(1),
            children_max: CHILDREN_MAX,
            ..Quotas::NONE
        }
    }

    /// A new node is a channel: everybody may follow it, its owner speaks, and what was said can be read later.
    pub fn default_node(&self) -> Config {
        Config {
            max_items: MaxItems::Max,
            access: Access::Open,
            send_last: SendLast::OnSub,
            notify_retract: true,
            item_reply: ItemReply::Publisher,
            ..Config::base(self.item_size_bytes_max)
        }
    }
}
