//! GET and HEAD: whole or in part, resumable (RFC 9110 13, 14).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};

use super::disposition::disposition;
use super::range::{Part, part};
use super::{Answer, Chunk, Files, Found, Source};

/// Read at once, for each that is fetched: so much lies in memory.
const CHUNK_BYTES: usize = 64 * 1024;

/// Nothing of it runs, loads anything, or stands in somebody's frame (XEP-0363 9.1, security D5).
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

pub async fn get(files: &dyn Files, id: &str, name: &str, method: Method, asked: &HeaderMap) -> Response {
    let found = match files.fetch(id, name).await {
        Ok(Some(found)) => found,
        Ok(None) => return super::Refused::NotFound.answer(asked),
        Err(refused) => return refused.answer(asked),
    };
    let tag = format!("\"{}\"", found.tag);
    let mut head = about(&found, &tag);
    // RFC 9110 13.2.2: in this order.
    if asked.contains_key(header::IF_MATCH) && !names(asked, header::IF_MATCH, &tag, false) {
        return super::problem(StatusCode::PRECONDITION_FAILED, "Something else lies here.", asked);
    }
    let is_known = match asked.get(header::IF_NONE_MATCH) {
        Some(_) => names(asked, header::IF_NONE_MATCH, &tag, true),
        // 13.1.3, as most ask it: with the very date that we have said.
        None => asked.get(header::IF_MODIFIED_SINCE).is_some_and(|date| Some(date) == head.get(header::LAST_MODIFIED)),
    };
    if is_known {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    // 14.2: "A server MUST ignore a Range header field received with a request method" for which it means nothing: all but GET.
    let part = if method == Method::GET { wanted(asked, &tag, found.size_bytes) } else { Part::Whole };
    let (status, first, bytes) = match part {
        Part::Whole => (StatusCode::OK, 0, found.size_bytes),
        Part::Some { first, bytes } => {
            insert(&mut head, header::CONTENT_RANGE, &format!("bytes {first}-{}/{}", first + bytes - 1, found.size_bytes));
            (StatusCode::PARTIAL_CONTENT, first, bytes)
        }
        Part::Nothing => {
            let mut response = super::problem(StatusCode::RANGE_NOT_SATISFIABLE, "It is not so long.", asked);
            insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{}", found.size_bytes));
            return response;
        }
    };
    insert(&mut head, header::CONTENT_LENGTH, &bytes.to_string());
    let body = match method {
        Method::HEAD => Body::empty(),
        _ => Body::new(FileBody { reading: Reading::Waits(found.source), at: first, left: bytes }),
    };
    (status, head, body).into_response()
}

fn insert(head: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        head.insert(name, value);
    }
}

fn about(found: &Found, tag: &str) -> HeaderMap {
    let mut head = HeaderMap::new();
    insert(&mut head, header::CONTENT_TYPE, "application/octet-stream");
    insert(&mut head, header::CONTENT_TYPE, &found.content_type);
    insert(&mut head, header::CONTENT_DISPOSITION, &disposition(&found.content_type, &found.name));
    insert(&mut head, header::CONTENT_SECURITY_POLICY, POLICY);
    insert(&mut head, header::ETAG, tag);
    insert(&mut head, header::ACCEPT_RANGES, "bytes");
    insert(&mut head, header::LAST_MODIFIED, &http_date(found.time));
    let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let left = found.expires.map_or(31_536_000, |expires| expires.saturating_sub(now).min(31_536_000));
    // What lies at an address never changes; in no shared cache, which would not hear that it is gone.
    insert(&mut head, header::CACHE_CONTROL, &format!("private, max-age={left}, immutable"));
    head
}

/// RFC 9110 13.1.1 and 13.1.2: of several tags one is enough. `weakly`: one that is called weak is the same.
fn names(asked: &HeaderMap, header: HeaderName, tag: &str, weakly: bool) -> bool {
    let values = asked.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|it| {
        let it = it.trim();
        it == "*" || if weakly { it.strip_prefix("W/").unwrap_or(it) == tag } else { it == tag }
    })
}

/// RFC 9110 13.1.5: the part only of what the client has begun with. A date says nothing that the tag does not say better.
fn wanted(asked: &HeaderMap, tag: &str, size: u64) -> Part {
    let same = asked.get(header::IF_RANGE).is_none_or(|value| value.as_bytes() == tag.as_bytes());
    let range = asked.get(header::RANGE).and_then(|range| range.to_str().ok()).filter(|_| same);
    range.map_or(Part::Whole, |range| part(range, size))
}

/// RFC 9110 5.6.7.
fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let since = Duration::from_secs(seconds);
    // 2026-11-25T21:20:15Z
    let text = iris_core::time::datetime(since.as_micros() as u64 / 1_000_000 * 1_000_000);
    let field = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let month = field(5, 7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1))).unwrap_or(&"Jan");
    let day = DAYS[(seconds / 86_400 % 7) as usize];
    format!("{day}, {} {month} {} {} GMT", field(8, 10), field(0, 4), field(11, 19))
}

enum Reading {
    Waits(Box<dyn Source>),
    Reads(Answer<Chunk>),
    Over,
}

/// The bytes of a file, some at a time, as fast as the client takes them.
struct FileBody {
    reading: Reading,
    at: u64,
    left: u64,
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.left == 0 {
            this.reading = Reading::Over;
        }
        loop {
            match std::mem::replace(&mut this.reading, Reading::Over) {
                Reading::Over => return Poll::Ready(None),
                Reading::Waits(source) => {
                    let most = usize::try_from(this.left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
                    this.reading = Reading::Reads(source.read(this.at, most));
                }
                Reading::Reads(mut reading) => match reading.as_mut().poll(cx) {
                    Poll::Pending => {
                        this.reading = Reading::Reads(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready((source, chunk)) => {
                        let chunk = chunk?;
                        if chunk.is_empty() {
                            // The file is shorter than was said: the connection ends here, and the client sees that it is not all.
                            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                        }
                        this.at += chunk.len() as u64;
                        this.left = this.left.saturating_sub(chunk.len() as u64);
                        this.reading = Reading::Waits(source);
                        return Poll::Ready(Some(Ok(Frame::data(chunk))));
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_http_wants_it() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn rfc9110_s13_1_5_a_part_only_of_what_it_was_begun_with() {
        let asked = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            HeaderMap::from_iter(pairs)
        };
        let part = Part::Some { first: 1, bytes: 9 };
        assert_eq!(wanted(&asked(&[("range", "bytes=1-")]), "\"a\"", 10), part);
        assert_eq!(wanted(&asked(&[("range", "bytes=1-"), ("if-range", "\"a\"")]), "\"a\"", 10), part);
        for other in ["\"b\"", "W/\"a\"", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(wanted(&asked(&[("range", "bytes=1-"), ("if-range", other)]), "\"a\"", 10), Part::Whole, "{other}");
        }
        let weak = asked(&[("if-none-match", "\"x\", W/\"a\"")]);
        assert!(names(&weak, header::IF_NONE_MATCH, "\"a\"", true) && !names(&weak, header::IF_NONE_MATCH, "\"a\"", false));
        assert!(!names(&asked(&[("if-none-match", "\"x\"")]), header::IF_NONE_MATCH, "\"a\"", true));
    }
}
