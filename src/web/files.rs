//! Files: put once into a slot, fetched by everybody who knows the address (`/upload/ID/NAME`, XEP-0363), and looked through by their
//! owner (`/files`). Who may, and where they lie, the house knows ([`Files`]); here is what HTTP has to say about it.
//!
//! What somebody has uploaded is never trusted: nothing is guessed, run or framed, and only what cannot do anything is shown inside
//! a page (security D5).

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get};

use crate::App;
use crate::answer::{self, problem};

mod disposition;
mod get;
mod put;
mod range;

/// An answer of the house that takes its time.
pub type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Who knows what may be put and fetched.
pub trait Files: Send + Sync {
    /// Somebody shows a token and wants to put a file there.
    fn put(&self, id: &str, name: &str, put: Put) -> Answer<Result<Box<dyn Receiver>, Refused>>;

    /// What is there. `Ok(None)`: nothing.
    fn fetch(&self, id: &str, name: &str) -> Answer<Result<Option<Found>, Refused>>;

    /// All files of whoever this token was given to, as JSON.
    fn list(&self, token: &str) -> Answer<Result<String, Refused>>;

    fn remove(&self, token: &str, id: &str) -> Answer<Result<(), Refused>>;
}

/// What a PUT says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    pub token: String,
    pub size_bytes: u64,
    pub content_type: Option<String>,
}

/// Takes a file. Dropped before `finish`: nothing is left of it.
pub trait Receiver: Send {
    fn write(self: Box<Self>, bytes: Vec<u8>) -> Answer<Result<Box<dyn Receiver>, Refused>>;

    /// Everything has come: from now on it can be fetched.
    fn finish(self: Box<Self>) -> Answer<Result<(), Refused>>;
}

/// A file that can be fetched.
pub struct Found {
    pub name: String,
    pub content_type: String,
    pub size_bytes: u64,
    /// Seconds since 1970.
    pub time: u64,
    /// Seconds since 1970; `None`: it stays.
    pub expires: Option<u64>,
    /// Another one for another content.
    pub tag: String,
    pub source: Box<dyn Source>,
}

/// What came of a read, and whoever reads on.
pub type Chunk = (Box<dyn Source>, io::Result<Bytes>);

pub trait Source: Send {
    /// Bytes from there, `bytes_max` at most; none: there are no more.
    fn read(self: Box<Self>, offset: u64, bytes_max: usize) -> Answer<Chunk>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The token is none, or late, or of somebody who may not any more.
    Forbidden,
    /// Not what the slot is for: another size.
    WrongSize { larger: bool },
    /// Not what the slot is for: another type.
    WrongType,
    /// It was used.
    Used,
    /// More than may be kept: which limit that is, and who can change it.
    Full(String),
    /// There is nothing there.
    NotFound,
    /// So many at once.
    Busy,
    /// The disk is full.
    DiskFull,
    /// For us to find out.
    Failed,
}

impl Refused {
    fn answer(self, asked: &HeaderMap) -> Response {
        let (status, detail) = match self {
            Refused::Forbidden => (StatusCode::FORBIDDEN, "The token is not good, or not any more. Ask for a new one."),
            Refused::WrongSize { larger: true } => (StatusCode::PAYLOAD_TOO_LARGE, "That is more than the slot is for."),
            Refused::WrongSize { larger: false } => (StatusCode::BAD_REQUEST, "That is not the size that the slot is for."),
            Refused::WrongType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "That is not the type that the slot is for."),
            Refused::Used => (StatusCode::CONFLICT, "This slot was used. Ask for another one."),
            Refused::Full(why) => return problem(StatusCode::PAYLOAD_TOO_LARGE, &why, asked),
            Refused::NotFound => (StatusCode::NOT_FOUND, "There is nothing here."),
            Refused::Busy => (StatusCode::TOO_MANY_REQUESTS, "So many uploads are underway. Try again later."),
            Refused::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "The server has no room for this now."),
            Refused::Failed => (StatusCode::SERVICE_UNAVAILABLE, "The server cannot do that now."),
        };
        problem(status, detail, asked)
    }
}

const FILE: &str = "/upload/{id}/{name}";
const METHODS: &str = "OPTIONS, HEAD, GET, PUT";

pub(crate) fn routes(app: &App) -> Router {
    let Some(files) = app.files.clone() else { return Router::new() };
    Router::new()
        .route(FILE, any(file))
        .route("/files", get(list).options(preflight_list))
        .route("/files/{id}", delete(remove).options(preflight_list))
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(middleware::map_response(readable))
        .with_state(files)
}

/// Pages of any origin may fetch and put: what they need for it is in the address and in the token, never in a cookie.
async fn readable(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag"),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn file(State(files): State<Arc<dyn Files>>, Path((id, name)): Path<(String, String)>, request: Request) -> Response {
    match request.method().clone() {
        method @ (Method::GET | Method::HEAD) => {
            let (head, _) = request.into_parts();
            get::get(&*files, &id, &name, method, &head.headers).await
        }
        Method::PUT => put::put(&*files, &id, &name, request).await,
        Method::OPTIONS => preflight(METHODS, "Authorization, Content-Type, Range, If-Range"),
        _ => {
            let mut response = answer::method_not_allowed(request.headers().clone()).await;
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(METHODS));
            response
        }
    }
}

fn preflight(methods: &'static str, headers: &'static str) -> Response {
    let head = [
        (header::ALLOW, methods),
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, headers),
        (header::ACCESS_CONTROL_MAX_AGE, "7200"),
    ];
    (StatusCode::NO_CONTENT, head).into_response()
}

async fn preflight_list() -> Response {
    preflight("OPTIONS, GET, HEAD, DELETE", "Authorization")
}

/// RFC 6750 2.1.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

async fn list(State(files): State<Arc<dyn Files>>, headers: HeaderMap) -> Response {
    let Some(token) = bearer(&headers) else { return unauthorized(&headers) };
    match files.list(&token).await {
        Ok(json) => {
            let head = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (head, json).into_response()
        }
        Err(refused) => refused.answer(&headers),
    }
}

async fn remove(State(files): State<Arc<dyn Files>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(token) = bearer(&headers) else { return unauthorized(&headers) };
    match files.remove(&token, &id).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refused) => refused.answer(&headers),
    }
}

/// RFC 6750 3.
fn unauthorized(headers: &HeaderMap) -> Response {
    let mut response = problem(StatusCode::UNAUTHORIZED, "This needs a token, as Authorization: Bearer.", headers);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
