//! What the house speaks to outside of XMPP: one file or folder per outside world.

pub mod push;
pub mod smtp;
