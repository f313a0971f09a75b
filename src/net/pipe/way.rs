//! What a pipe's bytes travel on: a socket, or the requests of a BOSH session.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::bosh::Link;

pub(crate) enum Way {
    Socket(TcpStream),
    Bosh(Arc<Link>),
}

/// A way that no runtime watches.
pub(crate) enum Detached {
    Socket(std::net::TcpStream),
    Bosh(Arc<Link>),
}

impl Detached {
    pub fn attach(self) -> io::Result<Way> {
        match self {
            Detached::Socket(socket) => TcpStream::from_std(socket).map(Way::Socket),
            Detached::Bosh(link) => Ok(Way::Bosh(link)),
        }
    }
}

impl Way {
    /// Until it can be read from or written to; which of both. One task asks, so the runtime keeps no list of who waits.
    pub async fn ready(&self, readable: bool, writable: bool) -> io::Result<(bool, bool)> {
        match self {
            Way::Socket(socket) => {
                let ready = |cx: &mut Context<'_>| {
                    let is_readable = readable && is_ready(socket.poll_read_ready(cx))?;
                    let is_writable = writable && is_ready(socket.poll_write_ready(cx))?;
                    match is_readable || is_writable {
                        true => Poll::Ready(Ok((is_readable, is_writable))),
                        false => Poll::Pending,
                    }
                };
                std::future::poll_fn(ready).await
            }
            Way::Bosh(link) => Ok(link.ready(readable, writable).await),
        }
    }

    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Way::Socket(socket) => {
                let n = socket.try_read(into)?;
                if 0 < n && n < into.len() {
                    is_drained(socket);
                }
                Ok(n)
            }
            // Elements are pulled.
            Way::Bosh(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    pub fn try_write(&self, from: &[u8]) -> io::Result<usize> {
        match self {
            Way::Socket(socket) => socket.try_write(from),
            // Elements are pushed.
            Way::Bosh(_) => Ok(from.len()),
        }
    }

    /// Nothing more will be written.
    pub async fn shut(&mut self) -> io::Result<()> {
        match self {
            Way::Socket(socket) => tokio::io::AsyncWriteExt::shutdown(socket).await,
            Way::Bosh(_) => Ok(()),
        }
    }

    /// Does it take nothing more for now? Of a socket that is known when it is written to.
    pub fn is_full(&self) -> bool {
        matches!(self, Way::Bosh(link) if link.is_full())
    }

    /// To another thread. The socket is registered with this thread's runtime: it leaves it as a second descriptor.
    pub fn detach(&self) -> io::Result<Detached> {
        use std::os::fd::AsFd;
        match self {
            Way::Socket(socket) => Ok(Detached::Socket(socket.as_fd().try_clone_to_owned()?.into())),
            Way::Bosh(link) => Ok(Detached::Bosh(link.clone())),
        }
    }
}

fn is_ready(poll: Poll<io::Result<()>>) -> io::Result<bool> {
    match poll {
        Poll::Ready(ready) => ready.map(|()| true),
        Poll::Pending => Ok(false),
    }
}

/// A read that did not fill its buffer has emptied the socket (epoll(7), edge-triggered): the runtime is told, and need not find out
/// by a second read.
fn is_drained(socket: &TcpStream) {
    let told: io::Result<()> = socket.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
    debug_assert!(told.is_err());
}
