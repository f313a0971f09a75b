//! XEP-0248 8.1: the root of a service, named by no name. What is in no collection is in it. It is the service's own: others follow it.

use std::sync::Arc;

use iris_core::{BareJid, Bounce, Condition};

use super::config::{Config, NodeType};
use super::node::Node;
use super::service::Service;
use super::{Request, error};

pub const ROOT: &str = "";

/// Before all nodes that anybody makes, so its subscriptions lie where no other's do.
pub fn root(service: BareJid, default: &Config) -> (Arc<str>, Node) {
    let config = Config { node_type: NodeType::Collection, ..default.clone() };
    (Arc::from(ROOT), Node::new(config, 0, service))
}

/// As an attribute: the root is known by having none.
pub fn named(node: &str) -> Option<&str> {
    Some(node).filter(|node| *node != ROOT)
}

impl Service {
    pub(super) fn has_root(&self) -> bool {
        self.nodes.contains_key(ROOT)
    }

    /// May this be asked of the root?
    pub(super) fn may_ask_root(&self, request: &Request) -> Result<(), Bounce> {
        use Request as R;
        match request {
            _ if !self.has_root() => Err(error::bad_request("nodeid-required")),
            // 7.4.3.1.
            R::Delete { .. } => Err(Bounce::new(Condition::NotAllowed).text("the root stays")),
            R::Items { .. } => Err(error::unsupported("retrieve-items")),
            R::Subscribe { .. }
            | R::Unsubscribe { .. }
            | R::GetOptions { .. }
            | R::SetOptions { .. }
            | R::GetSubscriptions { .. }
            | R::SetSubscriptions { .. } => Ok(()),
            _ => Err(error::bad_request("nodeid-required")),
        }
    }

    /// Where a node is that is in these collections.
    pub(super) fn parents<'a>(&self, collections: &'a [String]) -> Vec<&'a str> {
        match collections {
            [] if self.has_root() => vec![ROOT],
            _ => collections.iter().map(String::as_str).collect(),
        }
    }
}
