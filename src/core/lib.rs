//! Words and contracts of Iris. No IO, no clock, no threads, no tokio: everything here is a value or a promise.
//!
//! Read in this order: [`xml`] (bytes become stanzas), [`envelope`] (what travels), [`effects`] (what a turn may cause),
//! [`store`] (what is kept), [`room`], [`mount`], [`turn`] (the door of every extension).

pub mod ask;
pub mod blobs;
pub mod clients;
pub mod command;
pub mod connected;
pub mod conversation;
pub mod effects;
pub mod enrolled;
pub mod entitlements;
pub mod envelope;
pub mod error;
pub mod event;
pub mod form;
pub mod hash;
pub mod hex;
pub mod host;
pub mod ids;
pub mod interest;
pub mod invitation;
pub mod jids;
pub mod keyed;
pub mod limit;
pub mod limits;
pub mod login;
pub mod mailing;
pub mod metrics;
pub mod mount;
pub mod ns;
pub mod ports;
pub mod receipt;
pub mod registration;
pub mod room;
pub mod step;
pub mod store;
pub mod task;
pub mod time;
pub mod turn;
pub mod xml;

pub use ask::{Ask, AskAnswer, AskReply};
pub use connected::{Connected, Connections};
pub use enrolled::Enrolled;
pub use entitlements::{Entitlements, Plan};
pub use envelope::{Envelope, Said, Sent};
pub use error::{Bounce, Condition, ErrorType};
pub use event::Event;
pub use host::{Fact, HostTurn};
pub use interest::Interests;
pub use jid::{BareJid, FullJid, Jid};
pub use limit::Changed;
pub use mount::{At, Disco, GetOrSet, Mount, MountError, When};
pub use receipt::{Receipt, SessionRef};
pub use room::{Card, Room, Status};
pub use step::{Flow, Step};
pub use task::{Cx, Finish};
pub use time::{HouseClock, Now};
pub use turn::{Caller, Relation, Reply, SessionCard, SessionFlag, StateSlot, Turn};
pub use xml::stanza::{Kind, Stanza, StanzaType};
