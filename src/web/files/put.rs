//! PUT: a file comes in as fast as the disk takes it, and never lies in memory as a whole.

use std::pin::Pin;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{Files, Put, Receiver, bearer};
use crate::answer::problem;

/// How slow an upload may be.
struct Pace {
    /// Between two pieces of a file.
    silence_max: Duration,
    /// Afterwards the whole upload has to have been as fast as this.
    grace: Duration,
    bytes_per_second_min: u64,
}

const PACE: Pace = Pace { silence_max: Duration::from_secs(30), grace: Duration::from_secs(60), bytes_per_second_min: 1_024 };

/// Given to the disk at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Of a body that nobody wants, so that its sender hears why: a connection that is closed on somebody who speaks says nothing.
const UNWANTED_BYTES_MAX: u64 = 1024 * 1024;
const UNWANTED_TIME_MAX: Duration = Duration::from_secs(3);

pub async fn put(files: &dyn Files, id: &str, name: &str, request: Request) -> Response {
    let (head, mut body) = request.into_parts();
    let refusal = match wanted(&head.headers) {
        Err((status, why)) => problem(status, why, &head.headers),
        Ok(put) => {
            let size_bytes = put.size_bytes;
            match files.put(id, name, put).await {
                Ok(receiver) => match receive(receiver, &mut body, size_bytes, &PACE).await {
                    Ok(()) => return StatusCode::CREATED.into_response(),
                    Err(Lost::Refused(refused)) => refused.answer(&head.headers),
                    Err(Lost::Slow) => {
                        return problem(
                            StatusCode::REQUEST_TIMEOUT,
                            "It came too slowly. Nothing of it is kept.",
                            &head.headers,
                        );
                    }
                    Err(Lost::Broken) => {
                        return problem(
                            StatusCode::BAD_REQUEST,
                            "It did not come whole. Nothing of it is kept.",
                            &head.headers,
                        );
                    }
                },
                Err(refused) => refused.answer(&head.headers),
            }
        }
    };
    // Whoever asks first (RFC 9110 10.1.1) has sent nothing yet, and listening would be the invitation to do so.
    if !head.headers.contains_key(header::EXPECT) {
        let _ = tokio::time::timeout(UNWANTED_TIME_MAX, let_pass(&mut body)).await;
    }
    refusal
}

/// Section 6 of XEP-0363: a PUT says how long it is, and it is just the length that was promised. So a body without a length is
/// refused (RFC 9110 15.5.12), and one that is encoded is none of ours.
fn wanted(headers: &HeaderMap) -> Result<Put, (StatusCode, &'static str)> {
    let token = bearer(headers).ok_or((StatusCode::UNAUTHORIZED, "Put the headers of the slot into the request."))?;
    let length = headers.get(header::CONTENT_LENGTH).filter(|_| !headers.contains_key(header::TRANSFER_ENCODING));
    let length = length.and_then(|length| length.to_str().ok()).and_then(|length| length.parse().ok());
    let size_bytes = length.ok_or((StatusCode::LENGTH_REQUIRED, "Say how long it is (Content-Length)."))?;
    if headers.contains_key(header::CONTENT_RANGE) {
        // RFC 9110 14.5.
        return Err((StatusCode::BAD_REQUEST, "A file is put as a whole."));
    }
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "A file is put as it is, without an encoding."));
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok(Put { token, size_bytes, content_type })
}

enum Lost {
    Refused(super::Refused),
    Slow,
    /// The client went away, or sent another length than it said.
    Broken,
}

async fn receive(mut receiver: Box<dyn Receiver>, body: &mut Body, size_bytes: u64, pace: &Pace) -> Result<(), Lost> {
    let began = Instant::now();
    let chunk_of = |left: u64| Vec::with_capacity(usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES));
    let mut chunk: Vec<u8> = chunk_of(size_bytes);
    let mut received: u64 = 0;
    loop {
        let next = tokio::time::timeout(pace.silence_max, next(body)).await.map_err(|_| Lost::Slow)?;
        let Some(piece) = next? else { break };
        received += piece.len() as u64;
        if received > size_bytes {
            return Err(Lost::Broken);
        }
        let took = began.elapsed();
        if took > pace.grace && (received as f64) < pace.bytes_per_second_min as f64 * took.as_secs_f64() {
            return Err(Lost::Slow);
        }
        let mut piece = &*piece;
        while !piece.is_empty() {
            // Never more than it was made for, so it never grows.
            let (now, later) = piece.split_at(piece.len().min(CHUNK_BYTES - chunk.len()));
            chunk.extend_from_slice(now);
            piece = later;
            if chunk.len() == CHUNK_BYTES {
                let full = std::mem::replace(&mut chunk, chunk_of(size_bytes - received + later.len() as u64));
                receiver = receiver.write(full).await.map_err(Lost::Refused)?;
            }
        }
    }
    if received != size_bytes {
        return Err(Lost::Broken);
    }
    if !chunk.is_empty() {
        receiver = receiver.write(chunk).await.map_err(Lost::Refused)?;
    }
    receiver.finish().await.map_err(Lost::Refused)
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, Lost> {
    loop {
        match std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Lost::Broken),
            // Trailers are nothing to us.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

async fn let_pass(body: &mut Body) {
    let mut passed = 0;
    while let Ok(Some(piece)) = next(body).await {
        passed += piece.len() as u64;
        if passed > UNWANTED_BYTES_MAX {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::task::{Context, Poll};

    use hyper::body::Frame;

    use super::super::{Answer, Refused};
    use super::*;

    /// A client that says a piece, then waits.
    struct Slow {
        pieces: u32,
        pause: Duration,
        sleeping: Option<Pin<Box<tokio::time::Sleep>>>,
    }

    impl HttpBody for Slow {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            if self.pieces == 0 {
                return Poll::Ready(None);
            }
            let pause = self.pause;
            let sleeping = self.sleeping.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            if sleeping.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.sleeping = None;
            self.pieces -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"0123456789")))))
        }
    }

    /// Counts what it is given.
    struct Counts(u64);

    impl Receiver for Counts {
        fn write(mut self: Box<Self>, bytes: Vec<u8>) -> Answer<Result<Box<dyn Receiver>, Refused>> {
            self.0 += bytes.len() as u64;
            Box::pin(async move { Ok(self as Box<dyn Receiver>) })
        }
        fn finish(self: Box<Self>) -> Answer<Result<(), Refused>> {
            Box::pin(async move { if self.0 == 100 { Ok(()) } else { Err(Refused::Failed) } })
        }
    }

    fn upload(pieces: u32, pause_ms: u64, pace: &Pace) -> Result<(), Lost> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let mut body = Body::new(Slow { pieces, pause: Duration::from_millis(pause_ms), sleeping: None });
            receive(Box::new(Counts(0)), &mut body, 100, pace).await
        })
    }

    fn pace(silence_ms: u64, grace_ms: u64, bytes_per_second_min: u64) -> Pace {
        let of = Duration::from_millis;
        Pace { silence_max: of(silence_ms), grace: of(grace_ms), bytes_per_second_min }
    }

    #[test]
    fn d5_a_slow_loris_is_let_go() {
        assert!(matches!(upload(10, 1, &pace(5_000, 5_000, 1)), Ok(())));
        assert!(matches!(upload(10, 400, &pace(50, 5_000, 1)), Err(Lost::Slow)), "it says nothing");
        // Each piece comes in time, and all of it never would.
        assert!(matches!(upload(10, 30, &pace(5_000, 60, 1_000_000)), Err(Lost::Slow)));
    }

    #[test]
    fn d5_another_length_than_was_said_is_none() {
        assert!(matches!(upload(9, 1, &pace(5_000, 5_000, 1)), Err(Lost::Broken)));
        assert!(matches!(upload(11, 1, &pace(5_000, 5_000, 1)), Err(Lost::Broken)));
    }
}
