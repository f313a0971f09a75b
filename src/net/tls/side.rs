//! Which end of a connection we are: rustls has a type for each, we have one session for both.

use std::ops::Deref;

use rustls::CommonState;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::UnbufferedStatus;

/// A connection of rustls. What works on records is compiled once for each, and chosen by one `match` a call.
pub(super) enum Side {
    Server(UnbufferedServerConnection),
    Client {
        connection: UnbufferedClientConnection,
        /// Records with the first pieces of a message that the server sent after the handshake; empty but for moments.
        pieces: Box<[u8]>,
    },
}

/// What both connections can do; rustls has it as methods of the same name, but behind no trait.
pub(super) trait Records {
    type Data;

    fn records<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// Is there something that rustls wants to have sent?
    fn wants_write(&self) -> bool;
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn records<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn wants_write(&self) -> bool {
        CommonState::wants_write(self)
    }
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn records<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn wants_write(&self) -> bool {
        CommonState::wants_write(self)
    }
}

impl Deref for Side {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        match self {
            Self::Server(connection) => connection,
            Self::Client { connection, .. } => connection,
        }
    }
}
