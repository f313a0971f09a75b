//! A connection whose other end has to take what it is sent: who asks for a large file and then reads nothing would otherwise hold
//! it, and what of it lies in memory, for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Without a byte being taken.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Patient<Io> {
    io: Io,
    stall_max: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<Io> Patient<Io> {
    pub fn new(io: Io, stall_max: Duration) -> Patient<Io> {
        Patient { io, stall_max, stalled: None }
    }

    pub fn into_inner(self) -> Io {
        self.io
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let stall_max = self.stall_max;
        match self.stalled.get_or_insert_with(|| Box::pin(sleep(stall_max))).as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Patient<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, out)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Patient<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.judge(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_flush(cx);
        self.judge(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_shutdown(cx);
        self.judge(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes this many pieces and then nothing.
    struct Deaf(u32);

    impl AsyncWrite for Deaf {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            if self.0 == 0 {
                return Poll::Pending;
            }
            self.0 -= 1;
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn d5_who_takes_nothing_is_let_go() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let mut io = Patient::new(Deaf(2), Duration::from_millis(20));
            let mut write = async || std::future::poll_fn(|cx| Pin::new(&mut io).poll_write(cx, b"hello")).await;
            assert_eq!(write().await.expect("taken"), 5);
            assert_eq!(write().await.expect("taken"), 5);
            assert_eq!(write().await.expect_err("nobody takes it").kind(), io::ErrorKind::TimedOut);
        });
    }
}
