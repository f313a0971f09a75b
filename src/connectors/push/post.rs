//! One request, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper_util::rt::TokioIo;
use iris_core::ports::WebPush;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::endpoint::{Endpoint, Policy};

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Of the head of an answer; of its body nothing is read.
const HEAD_BYTES_MAX: usize = 16 * 1_024;
/// RFC 8030 5.2: services take at most four weeks.
const TTL_MAX: Duration = Duration::from_secs(28 * 86_400);

pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
}

#[derive(Debug)]
pub enum Failed {
    /// It is no address that is spoken to.
    Refused,
    /// One word for the debug log.
    Unreachable(&'static str),
}

/// RFC 8030 5. The caller limits the time.
pub async fn post(
    tls: Arc<ClientConfig>,
    policy: &Policy,
    endpoint: &Endpoint,
    push: &WebPush,
    body: Vec<u8>,
    authorization: String,
) -> Result<Answer, Failed> {
    let stream = connect(policy, endpoint).await?;
    let name = ServerName::try_from(endpoint.host.clone()).map_err(|_| Failed::Refused)?;
    let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(|_| Failed::Unreachable("TLS"))?;

    let origin = endpoint.origin();
    let host = origin.strip_prefix("https://").unwrap_or(&endpoint.host);
    let ttl = push.ttl.min(TTL_MAX).as_secs();
    let mut request = Request::post(endpoint.path.as_str())
        .header(HOST, host)
        .header(AUTHORIZATION, authorization)
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_ENCODING, "aes128gcm")
        .header("TTL", ttl)
        .header("Urgency", if push.urgent { "high" } else { "normal" });
    if let Some(topic) = push.topic {
        request = request.header("Topic", topic);
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|_| Failed::Refused)?;

    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failed::Unreachable("HTTP"))?;
    // It lives as long as its sender and the answer; a body is not waited for.
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    let answer = answer.map(|answer| Answer {
        status: answer.status().as_u16(),
        retry_after: answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|it| Some(Duration::from_secs(it.to_str().ok()?.trim().parse().ok()?))),
    });
    connection.abort();
    answer.map_err(|_| Failed::Unreachable("no answer"))
}

/// To the first of its addresses that may be spoken to and answers. The address that was looked at is the one that is connected to.
async fn connect(policy: &Policy, endpoint: &Endpoint) -> Result<TcpStream, Failed> {
    let found = lookup_host((endpoint.host.as_str(), endpoint.port)).await.map_err(|_| Failed::Unreachable("no such name"))?;
    let (mut refused, mut silent) = (false, false);
    for address in found.take(ADDRESSES_MAX) {
        if !policy.lets(address.ip(), endpoint.port) {
            refused = true;
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(_) => silent = true,
        }
    }
    if refused && !silent { Err(Failed::Refused) } else { Err(Failed::Unreachable("no connection")) }
}
