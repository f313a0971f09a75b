//! Bytes that are no request: the parser answers them by itself, with a status and nothing else, and closes. Here a line of text is
//! put to that, so that whoever sent them reads why.
//!
//! What the parser says by itself is what it writes while no answer of ours is under way. An answer is under way from the call of the
//! service until its body has ended and everything was flushed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll};

use axum::body::Body;
use hyper::body::{Bytes, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const IDLE: u8 = 0;
const ANSWERING: u8 = 1;
/// The body has ended; its last bytes may wait to be written.
const ENDED: u8 = 2;

/// Whether an answer is under way. One connection lives on one thread.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<AtomicU8>);

impl Progress {
    pub fn begin(&self) {
        self.0.store(ANSWERING, Relaxed);
    }

    /// The answer ends with this body.
    pub fn until_end_of(&self, body: Body) -> Watched {
        Watched { body, progress: self.clone() }
    }

    fn flushed(&self) {
        let _ = self.0.compare_exchange(ENDED, IDLE, Relaxed, Relaxed);
    }
}

pub(crate) struct Watched {
    body: Body,
    progress: Progress,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.progress.0.compare_exchange(ANSWERING, ENDED, Relaxed, Relaxed);
    }
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pub(crate) struct Explained<Io> {
    io: Io,
    progress: Progress,
    /// Instead of what the parser wrote; not empty: the last thing that is said on this connection.
    own: Vec<u8>,
    written: usize,
}

impl<Io> Explained<Io> {
    pub fn new(io: Io, progress: Progress) -> Explained<Io> {
        Explained { io, progress, own: Vec::new(), written: 0 }
    }

    pub fn into_inner(self) -> Io {
        self.io
    }
}

impl<Io: AsyncWrite + Unpin> Explained<Io> {
    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.own.get(self.written..).filter(|rest| !rest.is_empty()) {
            match std::task::ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Explained<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, out)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Explained<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.own.is_empty() && self.progress.0.load(Relaxed) == IDLE {
            self.own = explained(bytes).unwrap_or_default();
        }
        if self.own.is_empty() {
            return Pin::new(&mut self.io).poll_write(cx, bytes);
        }
        std::task::ready!(self.poll_own(cx))?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_own(cx))?;
        std::task::ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.progress.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_own(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The parser's head, with a body. `None`: it is no error.
fn explained(head: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(head).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..)?.split("\r\n").next()?;
    let detail = match status.get(..3)? {
        "414" => "The address is too long.",
        "431" => "The head of the request is too large.",
        code if code.starts_with('4') => "This is not a request as RFC 9112 has it.",
        _ => return None,
    };
    let title = status.get(4..).unwrap_or_default();
    let body = format!("{title}: {detail}\n");
    // RFC 9110 6.6.1: whoever has a clock says the time.
    let date = head.split("\r\n").find(|line| line.starts_with("date:")).map_or(String::new(), |line| format!("{line}\r\n"));
    let head = format!(
        "HTTP/1.1 {status}\r\n{date}connection: close\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\
         content-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Some((head + &body).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_parser_says_gets_a_reason_and_what_we_say_does_not() {
        let said = explained(b"HTTP/1.1 431 Request Header Fields Too Large\r\ndate: now\r\ncontent-length: 0\r\n\r\n");
        let said = String::from_utf8(said.expect("an error")).expect("text");
        assert!(
            said.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\ndate: now\r\nconnection: close\r\n"),
            "{said}"
        );
        assert!(said.ends_with("\r\n\r\nRequest Header Fields Too Large: The head of the request is too large.\n"), "{said}");
        for other in ["HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 4", "body", ""] {
            assert_eq!(explained(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn nothing_of_an_answer_is_touched_until_its_last_byte_is_flushed() {
        const HEAD: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            use tokio::io::AsyncWriteExt;
            let progress = Progress::default();
            let mut io = Explained::new(Vec::new(), progress.clone());
            progress.begin();
            let body = progress.until_end_of(Body::empty());
            io.write_all(HEAD).await.expect("written");
            io.flush().await.expect("flushed");
            drop(body);
            // The last bytes of a file may look like this.
            io.write_all(HEAD).await.expect("written");
            assert_eq!(io.io, [HEAD, HEAD].concat());
            io.flush().await.expect("flushed");
            io.write_all(HEAD).await.expect("written");
            io.write_all(b"more").await.expect("written");
            io.flush().await.expect("flushed");
            let own = String::from_utf8(io.io.split_off(2 * HEAD.len())).expect("text");
            assert!(own.ends_with("\r\n\r\nBad Request: This is not a request as RFC 9112 has it.\n"), "{own}");
        });
    }
}
