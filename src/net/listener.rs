//! Listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{Place, Service};

/// What listens where, for people to read.
#[derive(Clone, Debug)]
pub struct Listening {
    pub address: SocketAddr,
    pub service: Service,
}

pub(crate) struct Bound {
    pub socket: TcpListener,
    pub place: Place,
    address: SocketAddr,
}

impl Bound {
    pub fn listening(&self) -> Listening {
        Listening { address: self.address, service: self.place.service }
    }
}

/// An operator's mistake, or another program in the way; the command line knows how to say it.
#[derive(Debug)]
pub enum BindError {
    Address(SocketAddr, io::Error),
    Threads(io::Error),
}

/// Connections that wait to be accepted, per listener.
const BACKLOG: i32 = 4_096;

pub(crate) fn bind_all(places: &[Place]) -> Result<Vec<Bound>, BindError> {
    let mut bound = Vec::new();
    for place in places {
        match bind(place.address) {
            Ok(socket) => {
                let address = socket.local_addr().unwrap_or(place.address);
                bound.push(Bound { socket, place: place.clone(), address });
            }
            Err(why) if place.optional && why.kind() != io::ErrorKind::AddrInUse => {
                tracing::info!(address = %place.address, %why, "not listening here");
            }
            Err(why) => return Err(BindError::Address(place.address, why)),
        }
    }
    Ok(bound)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` stands for all addresses of the machine, IPv4 too; any other address is only itself.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
