//! XEP-0060: Publish-Subscribe - nodes to which some publish and of which others hear.
//! Spec 1.30.0, https://xmpp.org/extensions/xep-0060.html. Not done, because the text leaves it to the service: digests (`pubsub#digest`: what is
//! new since a moment can be asked for in pages, of the node or of its archive), several subscriptions of
//! one address and their numbers (6.1.6): each of these is refused where it is asked for, and a number is passed over. What depends on
//! presence is for accounts of this house, at a service: what a subscriber wants (`pubsub#show-values`, `pubsub#expire` = presence, the last
//! item on presence) and what a node wants of all of them (`pubsub#tempsub`, 12.5; `pubsub#presence_based_delivery`, 12.6) or of those who
//! publish (`pubsub#purge_offline`, 16.4.4: items go with whoever has published them, also when that one was not there to begin with).
//! For that a service "needs to subscribe to the subscriber's presence" (12.6). Accounts of this house say it by themselves; of others it
//! is not asked, so it is refused them: to subscribe to such a node, and to publish in it. When the options of a node become such, nobody's
//! presence is shown by it who has not wanted that: subscriptions that were to last end, and items of others have to go first; what a node
//! shows of presence stands in its meta-data (5.4). An account's nodes need none of it: their news go by what sessions ask for
//! (XEP-0163), and 9 says of an account that nothing is zeroed out when its owner goes offline. Filtered notifications (`+notify`, 9.2) and
//! subscriptions by presence alone (9.1) are of accounts: 9 is about "IM Account Integration", 9.2 about "the account owner's server" and
//! works "only if the account owner has a presence subscription to the contact and the contact has a presence subscription to the account
//! owner", which a service's node has not; 12.2 (3, 4) speaks of "a service that supports filtered notifications", which 10 has as
//! OPTIONAL. Changes of
//! affiliations that the chart of 4.1 makes in two steps (an owner who becomes a publisher) are granted in one. A service's nodes send
//! their last item on subscription unless their options say otherwise, and not on presence too, as 4.3 wants of who sends it at all: a
//! person follows many channels. Who asks for a node that was deleted with a redirect is led there (6.1.3.11), if the node was one to
//! which everybody could ask to subscribe. Not done: `pubsub#type` held
//! against the payload's namespace (but for XEP-0472). Subscriptions end when their address says it is gone, and not at other errors.
//! Nodes of the models `presence` and `roster` are not in the service's list of nodes for those whom a roster lets in (5.2).
//! At a service an owner subscribes nobody who has neither subscribed nor an affiliation (8.8.2); one person has 16 subscriptions to a node.
//! Whoever is subscribed when a node becomes one of the model `authorize` stays so: 6.1.3.8 speaks of requests, they have made theirs
//! when none had to be approved, and the owner sees them (8.8.1) and can end them. All other models end what they would not grant.
//!
//! The state machine of a service: nodes, affiliations, subscriptions and which items there are, without payloads. It knows no
//! account, no shelf and no session: whoever mounts it (XEP-0163 on an account; `channels`, the service of a domain) tells who asks,
//! keeps what is to be kept and carries the news.
//!
//! ```text
//! request   what is asked, read once and completely            config fields   a node's options as forms
//! service   the service: dispatch and what it holds            access   who may do what
//! node      one node and its index of items                    error    the conditions of section 11
//! publish retrieve subscribe own   the use cases               stored   how nodes and index are kept      lists   long answers
//! event     what subscribers are told                          form     XEP-0004 as far as it is needed here
//! subscription options   who hears of a node, and how          presence   what goes with it
//!          moved   nodes that went elsewhere          collection below root   XEP-0248     social   XEP-0472     public   XEP-0465
//! channels  the service of a domain, with its doors
//! ```

use iris_core::{Card, Room, Status};

mod access;
mod below;
pub mod channels;
mod collection;
mod config;
pub mod error;
pub mod event;
mod fields;
pub mod form;
mod lists;
mod moved;
mod node;
mod options;
mod own;
mod presence;
mod public;
mod publish;
mod request;
mod retrieve;
mod root;
mod service;
pub mod social;
mod stored;
mod subscribe;
mod subscription;
#[cfg(test)]
mod tests;

pub use access::{Affiliation, Asker, Standing};
pub use collection::Circle;
pub use config::{Access, Config, ItemReply, MaxItems, NodeType, Notification, SendLast};
pub use node::{Entry, Node};
pub use options::{Shows, Subject};
pub use presence::Turned;
pub use request::{Approval, NewItem, Request};
pub use root::root;
pub use service::{Answer, Change, Context, Fetch, Kept, Notice, Outcome, PAGE_ITEMS_MAX, Quotas, Service, text};
pub use stored::{
    Shelves, decode_entry, decode_node, decode_subscription, encode_entry, encode_node, encode_subscription, serial_key,
    subscription_key,
};
pub use subscription::{State, Subscription, Subscriptions};

pub const NS: &str = "http://jabber.org/protocol/pubsub";
pub const OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
pub const EVENT: &str = "http://jabber.org/protocol/pubsub#event";
pub const ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
pub const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
pub const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
pub const META_DATA: &str = "http://jabber.org/protocol/pubsub#meta-data";
pub const SUBSCRIBE_OPTIONS: &str = "http://jabber.org/protocol/pubsub#subscribe_options";
/// XEP-0465.
pub const PUBLIC: &str = "urn:xmpp:pps:0";
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
    "leased-subscription",
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
    "retrieve-default-sub",
    "retrieve-items",
    "retrieve-subscriptions",
    "rsm",
    "subscribe",
    "subscription-notifications",
    "subscription-options",
];

pub const ROOM: Room = Room {
    card: Card { xep: Some(60), name: "Publish-Subscribe", version: "1.30.0", status: Status::Partial, needs: &[30, 59] },
    mount: channels::mount,
};
