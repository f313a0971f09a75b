//! What happens to a stanza. Read `shard.rs` first (the value that turns), then `account/mod.rs`.

pub mod account;
mod component;
mod domain;
pub mod known;
pub mod negotiate;
mod path;
#[cfg(test)]
mod plays;
pub mod remote;
mod router;
pub mod sessions;
pub mod shard;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use iris_core::login::Login;
#[cfg(any(test, feature = "testing"))]
use iris_core::turn as turn_house;
pub use iris_core::{Ask, AskAnswer};
pub use known::Known;
pub use router::{Hosts, Peers, Route, bare_str, decide, shard_of};
pub use shard::{
    Bind, BindReply, Census, Counters, HostReply, Inbound, LinkReply, Post, ResumeReply, Shard, TurnReply, Unreached,
};
