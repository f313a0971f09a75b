//! One request, on a connection of its own.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use iris_core::ports::WebPush;
use iris_fetch::{Client, Failed};

use super::endpoint::Endpoint;

/// RFC 8030 5.2: services take at most four weeks.
const TTL_MAX: Duration = Duration::from_secs(28 * 86_400);

pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
}

/// RFC 8030 5. The caller limits the time. `None`: that makes no request.
pub async fn post(
    client: &Client<Full<Bytes>>,
    endpoint: &Endpoint,
    push: &WebPush,
    body: Vec<u8>,
    authorization: String,
) -> Option<Result<Answer, Failed>> {
    let ttl = push.ttl.min(TTL_MAX).as_secs();
    let mut request = Request::post(format!("{}{}", endpoint.origin(), endpoint.path))
        .header(AUTHORIZATION, authorization)
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_ENCODING, "aes128gcm")
        .header("TTL", ttl)
        .header("Urgency", if push.urgent { "high" } else { "normal" });
    if let Some(topic) = push.topic {
        request = request.header("Topic", topic);
    }
    let request = request.body(Full::new(Bytes::from(body))).ok()?;
    // Of the body of the answer nothing is read.
    Some(client.call(request).await.map(|answer| Answer {
        status: answer.status().as_u16(),
        retry_after: answer.headers().get(RETRY_AFTER).and_then(|it| retry_after(it.to_str().ok()?, SystemTime::now())),
    }))
}

/// RFC 9110 10.2.3: seconds, or a date; one that is over means now.
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_s10_2_3_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_799);
        let after = |value| retry_after(value, now).map(|it| it.as_secs());
        assert_eq!(after("120"), Some(120));
        assert_eq!(after(" 0 "), Some(0));
        assert_eq!(after("Sat, 01 Jan 2000 00:00:00 GMT"), Some(1));
        assert_eq!(after("Fri, 31 Dec 1999 23:00:00 GMT"), Some(0));
        for nonsense in ["", "-1", "soon", "1.5", "99999999999999999999999"] {
            assert_eq!(after(nonsense), None, "{nonsense}");
        }
    }
}
