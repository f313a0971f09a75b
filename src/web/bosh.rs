//! `/http-bind`: the HTTP of BOSH (XEP-0124). What the bodies say is for the workers; here only size, origin and CORS. There is no
//! JSONP: what is asked for by GET is refused.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use crate::answer::problem;
use crate::{App, Visitor};

pub(crate) const PATH: &str = "/http-bind";

/// For the whole body of a request.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// A request, its origin allowed.
#[derive(Clone, Debug)]
pub struct BoshRequest {
    pub body: Bytes,
    pub visitor: Visitor,
    pub origin: Option<String>,
    pub host: Option<String>,
}

/// What to send back.
#[derive(Clone, Debug)]
pub struct BoshAnswer {
    pub status: u16,
    pub content_type: String,
    pub body: Bytes,
}

pub(crate) fn routes(app: &App) -> Router {
    Router::new().route(PATH, post(bind).options(preflight)).with_state(app.clone())
}

/// The origin of the page that asks. `Err`: it may not.
fn origin(app: &App, visitor: &Visitor, headers: &HeaderMap) -> Result<Option<HeaderValue>, Box<Response>> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(None) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let allowed = origin.to_str().is_ok_and(|origin| app.streams.page_may_speak(origin, host, visitor.peer));
    match allowed {
        true => Ok(Some(origin.clone())),
        false => Err(Box::new(problem(StatusCode::FORBIDDEN, "Pages of that origin may not speak here.", headers))),
    }
}

/// The page may read the answer.
fn readable(mut response: Response, origin: Option<HeaderValue>) -> Response {
    if let Some(origin) = origin {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin"));
    response
}

/// What a browser asks before a page may ask.
async fn preflight(State(app): State<App>, Extension(visitor): Extension<Visitor>, headers: HeaderMap) -> Response {
    match origin(&app, &visitor, &headers) {
        Err(refusal) => *refusal,
        Ok(origin) => {
            let head = [
                (header::ACCESS_CONTROL_ALLOW_METHODS, "POST, OPTIONS"),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type"),
                (header::ACCESS_CONTROL_MAX_AGE, "7200"),
                (header::ALLOW, "POST, OPTIONS"),
            ];
            readable((StatusCode::NO_CONTENT, head).into_response(), origin)
        }
    }
}

async fn bind(State(app): State<App>, Extension(visitor): Extension<Visitor>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let origin = match origin(&app, &visitor, &head.headers) {
        Ok(origin) => origin,
        Err(refusal) => return *refusal,
    };
    let body = match whole(body, app.streams.bosh_body_bytes_max()).await {
        Ok(body) => body,
        Err((status, why)) => return readable(problem(status, why, &head.headers), origin),
    };
    let text = |value: Option<&HeaderValue>| value.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let request = BoshRequest { body, visitor, origin: text(origin.as_ref()), host: text(head.headers.get(header::HOST)) };
    let answer = app.streams.bosh(request).await;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_str(&answer.content_type).unwrap_or(HeaderValue::from_static("text/xml; charset=utf-8"));
    let head = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    readable((status, head, answer.body).into_response(), origin)
}

async fn whole(body: Body, most: usize) -> Result<Bytes, (StatusCode, &'static str)> {
    match tokio::time::timeout(BODY_TIME_MAX, axum::body::to_bytes(body, most)).await {
        Ok(Ok(body)) => Ok(body),
        // Too large, most likely; or the client went away, and nobody reads this.
        Ok(Err(_)) => Err((StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.")),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "The body took too long.")),
    }
}
