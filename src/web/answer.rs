//! What every answer has in common: errors that say no more than they should, and the headers of a careful server.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::pages;

/// An error: a page for people, `application/problem+json` (RFC 9457) for programs that ask for JSON, else a line of text.
/// `detail` is for strangers: no path, no name of anything inside.
pub(crate) fn problem(status: StatusCode, detail: &str, asked: &HeaderMap) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let accepts = |kind: &str| {
        let accept = asked.get_all(header::ACCEPT);
        accept.iter().filter_map(|value| value.to_str().ok()).any(|value| value.contains(kind))
    };
    if accepts("text/html") {
        return pages::page(
            status,
            title,
            "",
            &format!("<p class=\"lead\">{}</p><p><a href=\"/\">About this server</a></p>", pages::escape(detail)),
        );
    }
    if accepts("json") {
        let body = serde_json::json!({ "status": status.as_u16(), "title": title, "detail": detail }).to_string();
        return (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
    }
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{title}: {detail}\n")).into_response()
}

pub(crate) async fn not_found(asked: HeaderMap) -> Response {
    problem(StatusCode::NOT_FOUND, "There is nothing here.", &asked)
}

pub(crate) async fn method_not_allowed(asked: HeaderMap) -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, "This cannot be asked for in this way.", &asked)
}

/// Nothing is guessed, framed, run or told to other sites, and no cache answers for us, unless the handler said something else.
pub(crate) async fn secure_headers(mut response: Response) -> Response {
    const HEADERS: [(header::HeaderName, &str); 4] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ];
    // An error is of this moment; a page may be kept and is asked for anew.
    let cache = if response.status().is_success() { "no-cache" } else { "no-store" };
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static(cache));
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
