//! One request, on a connection of its own.

use std::time::Duration;

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
        retry_after:
            answer.headers().get(RETRY_AFTER).and_then(|it| Some(Duration::from_secs(it.to_str().ok()?.trim().parse().ok()?))),
    }))
}
