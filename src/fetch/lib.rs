//! Whom the house connects to. Requests over HTTP: to a store of files (S3), to push services, and whoever else speaks it. One client:
//! HTTP/1.1, TLS by rustls; it knows whose certificates are believed (`trust.rs`) and whom it may connect to (`reach.rs`), follows no
//! redirect, and every wait has an end. Servers of other domains (`servers.rs`): where they are found, and a connection to one; what is
//! spoken there is not known here.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{Request, Response};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
pub use rustls::ClientConfig;
use tokio::time::{Sleep, sleep, timeout};

mod reach;
mod servers;
mod trust;

pub use reach::Reach;
pub use servers::{NoServer, Rules, Servers, Target};
pub use trust::Trust;

/// From the first byte of a request to the head of the answer: the request may be some megabytes, and the way slow.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);
/// Between two pieces of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);
const IDLE_CONNECTIONS_MAX: usize = 16;
/// Of the head of an answer, from somebody of whom nothing is known.
const HEAD_BYTES_MAX: usize = 16 * 1_024;

/// Why there is no answer. Never says what was asked: an address may be a secret.
#[derive(Debug)]
pub enum Failed {
    /// It is nobody whom this client may speak to. Nothing was sent.
    Forbidden,
    /// Nothing was sent.
    Connect(String),
    /// It took too long.
    Late,
    /// The connection broke; what was asked may have been done.
    Broken(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Forbidden => reach::Forbidden.fmt(f),
            Failed::Connect(why) => write!(f, "it cannot be reached: {why}"),
            Failed::Late => f.write_str("it does not answer in time"),
            Failed::Broken(why) => write!(f, "the connection broke: {why}"),
        }
    }
}

impl std::error::Error for Failed {}

/// `B`: the bodies of its requests.
pub struct Client<B> {
    pool: Pool<HttpsConnector<reach::Connector>, B>,
}

impl<B> fmt::Debug for Client<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl<B> Client<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Requests are made on the runtime that is current when they are.
    pub fn new(mut tls: ClientConfig, reach: Reach) -> Client<B> {
        // Whoever speaks something else behind the same certificate says no (RFC 7301, ALPACA).
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut pool = Pool::builder(TokioExecutor::new());
        pool.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIME_MAX);
        match reach {
            Reach::Named => pool.pool_max_idle_per_host(IDLE_CONNECTIONS_MAX),
            // There may be any number of them, so nothing stays open; and of what they say little is read.
            Reach::Public { .. } => pool.pool_max_idle_per_host(0).http1_max_buf_size(HEAD_BYTES_MAX),
        };
        Client { pool: pool.build(HttpsConnector::from((reach::Connector(Arc::new(reach)), tls))) }
    }

    /// # Errors
    /// There is no answer, or not in time. One that says no is an answer.
    pub async fn call(&self, request: Request<B>) -> Result<Response<Answer>, Failed> {
        match timeout(ANSWER_TIME_MAX, self.pool.request(request)).await {
            Err(_) => Err(Failed::Late),
            Ok(Err(error)) if root(&error).is::<reach::Forbidden>() => Err(Failed::Forbidden),
            Ok(Err(error)) if error.is_connect() => Err(Failed::Connect(root(&error).to_string())),
            Ok(Err(error)) => Err(Failed::Broken(root(&error).to_string())),
            Ok(Ok(response)) => Ok(response.map(|body| Answer { body, silence: None })),
        }
    }
}

/// The innermost reason: the outer ones say only that it failed.
fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut last = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    last
}

/// The body of an answer, as it comes.
#[derive(Debug)]
pub struct Answer {
    body: Incoming,
    /// While somebody waits for it.
    silence: Option<Pin<Box<Sleep>>>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Failed;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.silence = None;
                Poll::Ready(frame.map(|frame| frame.map_err(|error| Failed::Broken(root(&error).to_string()))))
            }
            Poll::Pending => {
                let silence = this.silence.get_or_insert_with(|| Box::pin(sleep(SILENCE_MAX)));
                silence.as_mut().poll(cx).map(|()| Some(Err(Failed::Late)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use rustls::RootCertStore;

    use super::*;

    /// Answers one connection with this, whatever is asked.
    fn served(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a client");
            let _ = socket.read(&mut [0; 1024]);
            let _ = socket.write_all(answer);
        });
        format!("http://{address}/secret-path")
    }

    /// Nothing is listening here.
    const NOBODY: &str = "http://127.0.0.1:1/secret-path";

    fn fetched(uri: &str, reach: Reach) -> Result<(u16, Vec<u8>), Failed> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let file = tempfile::NamedTempFile::new().expect("a file");
            assert!(Trust::Authorities(file.path()).tls().is_err(), "a file without a certificate is no authority");
            let tls = Trust::System.tls().unwrap_or_else(|_| nobody());
            let client = Client::<String>::new(tls, reach);
            let request = Request::get(uri).body(String::new()).expect("a request");
            let (head, mut body) = client.call(request).await?.into_parts();
            let mut all = Vec::new();
            while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                all.extend_from_slice(&frame?.into_data().unwrap_or_default());
            }
            Ok((head.status.as_u16(), all))
        })
    }

    /// A machine without authorities can run these tests too.
    fn nobody() -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS");
        config.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    }

    #[test]
    fn an_answer_is_an_answer_and_a_failure_does_not_say_what_was_asked() {
        let answer = served(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        assert_eq!(fetched(&answer, Reach::Named).expect("an answer"), (403, b"no".to_vec()));
        let short = fetched(&served(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nno"), Reach::Named)
            .expect_err("cut short");
        assert!(matches!(short, Failed::Broken(_)), "{short}");
        let nobody = fetched(NOBODY, Reach::Named).expect_err("nobody is there");
        assert!(matches!(nobody, Failed::Connect(_)), "{nobody}");
        let nonsense = fetched(&served(b"SSH-2.0-OpenSSH\r\n"), Reach::Named).expect_err("no HTTP");
        let within = fetched(NOBODY, Reach::Public { allowed: Vec::new() }).expect_err("it is loopback");
        assert!(matches!(within, Failed::Forbidden), "{within}");
        for failed in [short, nobody, nonsense, within] {
            assert!(!format!("{failed} {failed:?}").contains("secret-path"), "{failed}");
        }
    }
}
