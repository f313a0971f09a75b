//! HTTP of the house, on a thread and a runtime of its own. Connections come from the workers of `iris-net`, their handshake done;
//! one that asks for `/xmpp-websocket` goes back to them.
//!
//! A page is a file in `pages/` and a line in `pages.rs`; what it needs from the house is a trait in [`App`].

mod answer;
mod bosh;
mod discovery;
pub mod files;
mod forwarded;
mod malformed;
mod metrics;
mod pages;
mod patient;
mod png;
pub mod qr;
mod serve;
mod websocket;

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::io::{AsyncRead, AsyncWrite};

pub use bosh::{BoshAnswer, BoshRequest};
pub use discovery::{Discovery, Site};
pub use metrics::{Family, Health, MetricKind, Requests, Sample, Value};
pub use pages::{invite, register, start};
pub use serve::{Http, serve};

/// A connection that speaks HTTP.
pub trait Connection: Send + 'static {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Who is there.
    fn visitor(&self) -> Visitor;

    /// Its bytes, on the runtime that calls this.
    ///
    /// # Errors
    /// The runtime cannot watch the socket.
    fn attach(self) -> io::Result<Self::Io>;

    /// It is a WebSocket from here on. `read`: what came behind the request.
    fn websocket(io: Self::Io, read: &[u8], visitor: Visitor, origin: Option<&str>, host: Option<&str>);
}

/// XMPP, for those who come by HTTP.
pub trait Streams: Send + Sync {
    /// May a page of this origin speak to any domain, on a connection to `host` from `peer`?
    fn page_may_speak(&self, origin: &str, host: Option<&str>, peer: IpAddr) -> bool;

    /// One request of a BOSH session; the answer may take a minute.
    fn bosh(&self, request: BoshRequest) -> Pin<Box<dyn Future<Output = BoshAnswer> + Send>>;

    /// Bytes of a request of BOSH at most.
    fn bosh_body_bytes_max(&self) -> usize;
}

/// Who asks; an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    pub peer: IpAddr,
    /// The connection is encrypted.
    pub secure: bool,
    /// Nobody on the way hears what is said: by TLS, or because the operator vouches for the way from the proxy. Only then may a
    /// password be asked for.
    pub private: bool,
    /// It came in where the house shows its insides (`kind = "http"`).
    pub inside: bool,
    /// Rate limits and bans are lifted.
    pub unlimited: bool,
    /// It may ask for others, and say so (`forwarded.rs`).
    pub proxy: bool,
}

impl Visitor {
    /// The address whose limits count, if they do.
    fn limited(&self) -> Option<IpAddr> {
        (!self.unlimited).then_some(self.peer)
    }
}

/// What the requests are answered from.
#[derive(Clone)]
pub struct App {
    pub health: Arc<dyn Health>,
    /// Counted here, for whoever shows it.
    pub requests: Arc<Requests>,
    pub streams: Arc<dyn Streams>,
    pub discovery: Arc<Discovery>,
    pub invitations: Arc<dyn invite::Invitations>,
    pub accounts: Arc<dyn register::Accounts>,
    pub about: Arc<dyn start::About>,
    /// `None`: files are not taken here.
    pub files: Option<Arc<dyn files::Files>>,
}

fn router<C: Connection>(app: &App) -> Router {
    let requests = app.requests.clone();
    Router::new()
        .merge(metrics::routes(app.health.clone()).layer(middleware::from_fn(inside_only)))
        .merge(pages::routes(app))
        .merge(discovery::routes(app.discovery.clone()))
        .merge(websocket::routes::<C>(app).merge(bosh::routes(app)).layer(middleware::from_fn(private_only)))
        .merge(files::routes(app).layer(middleware::from_fn(private_only)))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(middleware::from_fn(well_formed))
        .layer(middleware::map_response(answer::secure_headers))
        .layer(middleware::map_response(move |response| count(requests.clone(), response)))
}

/// RFC 9112 3.2: a request of HTTP/1.1 names one host. RFC 9110 9.1: a method that nobody has heard of is not implemented.
async fn well_formed(request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let is_named = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.is_empty() || Authority::try_from(host.as_bytes()).is_ok(),
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    };
    if !is_named {
        return answer::problem(StatusCode::BAD_REQUEST, "The header Host names one host.", request.headers());
    }
    let known =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH, Method::TRACE];
    if !known.contains(request.method()) {
        return answer::problem(StatusCode::NOT_IMPLEMENTED, "This method is not known here.", request.headers());
    }
    next.run(request).await
}

async fn count(requests: Arc<Requests>, response: Response) -> Response {
    requests.answered(&response);
    response
}

/// To everybody else these paths do not exist.
async fn inside_only(Extension(visitor): Extension<Visitor>, request: Request, next: Next) -> Response {
    if visitor.inside { next.run(request).await } else { answer::not_found(request.headers().clone()).await }
}

/// XEP-0388 7, RFC 7590: whoever logs in here, or shows a token, does so where nobody listens (XEP-0363 3).
async fn private_only(Extension(visitor): Extension<Visitor>, request: Request, next: Next) -> Response {
    match visitor.private {
        true => next.run(request).await,
        false => answer::problem(StatusCode::FORBIDDEN, "That is done here by HTTPS only.", request.headers()),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower_service::Service;

    use super::*;

    /// The connection of somebody on this machine.
    pub(crate) const NEAR: Visitor = Visitor {
        peer: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        secure: false,
        private: true,
        inside: true,
        unlimited: true,
        proxy: true,
    };

    #[test]
    fn rfc9112_3_2_a_request_names_one_host_and_rfc9110_9_1_its_method_is_known() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let status = |version: Version, method: &str, hosts: &[&str]| {
            let mut routes = Router::new().route("/", get(|| async { "" })).layer(middleware::from_fn(well_formed));
            let mut request = Request::builder().version(version).method(method);
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            runtime.block_on(routes.call(request.body(Body::empty()).expect("a request"))).expect("an answer").status()
        };
        for host in ["example.org", "example.org:5443", "[::1]:5280", "127.0.0.1", ""] {
            assert_eq!(status(Version::HTTP_11, "GET", &[host]), StatusCode::OK, "{host}");
        }
        for hosts in [&[][..], &["a", "b"], &["><\"bad host"], &["a/b"]] {
            assert_eq!(status(Version::HTTP_11, "GET", hosts), StatusCode::BAD_REQUEST, "{hosts:?}");
        }
        assert_eq!(status(Version::HTTP_10, "GET", &[]), StatusCode::OK);
        assert_eq!(status(Version::HTTP_11, "FROB", &["a"]), StatusCode::NOT_IMPLEMENTED);
        assert_eq!(status(Version::HTTP_11, "PATCH", &["a"]), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn b2_no_stream_begins_where_somebody_may_listen() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for (private, status) in [(true, StatusCode::OK), (false, StatusCode::FORBIDDEN)] {
            let mut routes = Router::new().route("/", get(|| async { "" })).layer(middleware::from_fn(private_only));
            let mut request = Request::new(Body::empty());
            request.extensions_mut().insert(Visitor { private, ..NEAR });
            let response = runtime.block_on(routes.call(request)).expect("an answer");
            assert_eq!(response.status(), status);
        }
    }
}
