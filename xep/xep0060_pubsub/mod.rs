//! XEP-0060: Publish-Subscribe - nodes to which some publish and of which others hear.
//! Spec 1.30.0, https://xmpp.org/extensions/xep-0060.html. Not done: subscription options (6.3, 6.4), so no leases, digests or
//! several subscriptions of one address; collections (XEP-0248); items that expire; `get-pending` (8.7); forms in which
//! `pubsub#type` is held against the payload's namespace; subscriptions that end when notifications bounce (12.4).
//!
//! The state machine of a service: nodes, affiliations, subscriptions and which items there are, without payloads. It knows no
//! account, no shelf and no session: whoever mounts it (XEP-0163 on an account; a service on a domain) tells who asks, keeps
//! what is to be kept and carries the news.
//!
//! ```text
//! request   what is asked, read once and completely            config   a node's options as forms
//! service   the service: dispatch and what it holds            access   who may do what
//! node      one node and its index of items                    error    the conditions of section 11
//! publish retrieve subscribe own   the use cases               stored   how nodes and index are kept
//! event     what subscribers are told                          form     XEP-0004 as far as it is needed here
//! ```

use iris_core::{Card, Room, Status};

mod access;
mod config;
pub mod error;
pub mod event;
pub mod form;
mod node;
mod own;
mod publish;
mod request;
mod retrieve;
mod service;
mod stored;
mod subscribe;
#[cfg(test)]
mod tests;

pub use access::{Affiliation, Asker, Standing};
pub use config::{Access, Config, ItemReply, MaxItems, NodeFull, Notification, PublishModel, SendLast};
pub use node::{Entry, Node, State, Subscription};
pub use request::{Approval, NewItem, Request};
pub use service::{Answer, Change, Context, Fetch, Notice, Outcome, Quotas, Service};
pub use stored::{decode_entry, decode_node, encode_entry, encode_node, serial_key};

pub const NS: &str = "http://jabber.org/protocol/pubsub";
pub const OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
pub const EVENT: &str = "http://jabber.org/protocol/pubsub#event";
pub const ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
pub const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
pub const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
pub const META_DATA: &str = "http://jabber.org/protocol/pubsub#meta-data";
pub const SUBSCRIBE_AUTHORIZATION: &str = "http://jabber.org/protocol/pubsub#subscribe_authorization";

/// What the state machine can do, whoever mounts it (section 10).
pub const FEATURES: &[&str] = &[
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "instant-nodes",
    "item-ids",
    "last-published",
    "manage-subscriptions",
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "outcast-affiliation",
    "persistent-items",
    "publish",
    "publish-node-full",
    "publish-only-affiliation",
    "publish-options",
    "publisher-affiliation",
    "purge-nodes",
    "retract-items",
    "retrieve-affiliations",
    "retrieve-default",
    "retrieve-items",
    "retrieve-subscriptions",
    "rsm",
    "subscribe",
    "subscription-notifications",
];

pub const ROOM: Room = Room {
    card: Card { xep: Some(60), name: "Publish-Subscribe", version: "1.30.0", status: Status::Partial, needs: &[30, 59] },
    mount: Room::no_door,
};
