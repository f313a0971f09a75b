//! `/xmpp-websocket`: the opening handshake (RFC 6455 4.2, RFC 7395 3.1). What follows is not HTTP any more: the connection goes back
//! to the workers.

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};

use crate::answer::problem;
use crate::malformed::Explained;
use crate::patient::Patient;
use crate::{App, Connection, Visitor};

/// RFC 7395 4 asks for no path; this one is what everybody uses.
pub(crate) const PATH: &str = "/xmpp-websocket";

/// RFC 6455 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

pub(crate) fn routes<C: Connection>(app: &App) -> Router {
    Router::new().route(PATH, any(open::<C>)).with_state(app.clone())
}

async fn open<C: Connection>(State(app): State<App>, Extension(visitor): Extension<Visitor>, mut request: Request) -> Response {
    let headers = request.headers();
    let accept = match judge(request.method(), headers) {
        Ok(accept) => accept,
        Err((status, why)) => {
            let mut response = problem(status, why, headers);
            if status == StatusCode::UPGRADE_REQUIRED {
                response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            }
            return response;
        }
    };
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
    let host = text(header::HOST);
    let origin = match headers.get(header::ORIGIN) {
        None => None,
        Some(_) => {
            match text(header::ORIGIN).filter(|origin| app.streams.page_may_speak(origin, host.as_deref(), visitor.peer)) {
                Some(origin) => Some(origin),
                None => return problem(StatusCode::FORBIDDEN, "Pages of that origin may not speak here.", headers),
            }
        }
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return problem(StatusCode::BAD_REQUEST, "This connection cannot become a WebSocket.", request.headers());
    };
    tokio::spawn(async move {
        match upgrade.await.map(hyper::upgrade::Upgraded::downcast::<TokioIo<Explained<Patient<C::Io>>>>) {
            Ok(Ok(parts)) => {
                let io = parts.io.into_inner().into_inner().into_inner();
                C::websocket(io, &parts.read_buf, visitor, origin.as_deref(), host.as_deref());
            }
            Ok(Err(_)) => tracing::error!("an upgraded connection is not the one that came in"),
            Err(error) => tracing::debug!(%error, peer = %visitor.peer, "a WebSocket did not come about"),
        }
    });
    let head = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("xmpp")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, head).into_response()
}

/// The value of `Sec-WebSocket-Accept`, or what is wrong with the request. No extension is ever agreed to.
fn judge(method: &Method, headers: &HeaderMap) -> Result<HeaderValue, (StatusCode, &'static str)> {
    let lists = |name, token: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value: &HeaderValue| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    if method != Method::GET || !lists(header::CONNECTION, "upgrade") || !lists(header::UPGRADE, "websocket") {
        return Err((StatusCode::UPGRADE_REQUIRED, "This address speaks WebSocket (RFC 7395)."));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err((StatusCode::UPGRADE_REQUIRED, "This address speaks version 13 of WebSocket."));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if STANDARD.decode(key).is_ok_and(|key| key.len() == 16) {
        // RFC 7395 3.1: the client MUST ask for the subprotocol "xmpp".
        if !lists(header::SEC_WEBSOCKET_PROTOCOL, "xmpp") {
            return Err((StatusCode::BAD_REQUEST, "The WebSocket subprotocol here is xmpp."));
        }
        let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
        HeaderValue::from_str(&STANDARD.encode(digest)).map_err(|_| (StatusCode::BAD_REQUEST, "That key cannot be answered."))
    } else {
        Err((StatusCode::BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in Base64."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(change: &[(&'static str, &'static str)]) -> Result<HeaderValue, StatusCode> {
        let mut headers = HeaderMap::new();
        let good = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "xmpp"),
        ];
        for (name, value) in good.iter().chain(change) {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        judge(&Method::GET, &headers).map_err(|(status, _)| status)
    }

    #[test]
    fn rfc6455_s1_3_the_answer_to_the_example_of_the_text() {
        assert_eq!(asked(&[]).expect("good"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(asked(&[("sec-websocket-protocol", "chat, xmpp")]).is_ok());
    }

    #[test]
    fn d6_a_handshake_that_lacks_anything_is_refused() {
        for (header, value, status) in [
            ("sec-websocket-protocol", "chat", StatusCode::BAD_REQUEST),
            ("sec-websocket-protocol", "", StatusCode::BAD_REQUEST),
            ("sec-websocket-key", "c2hvcnQ=", StatusCode::BAD_REQUEST),
            ("sec-websocket-key", "?", StatusCode::BAD_REQUEST),
            ("sec-websocket-version", "8", StatusCode::UPGRADE_REQUIRED),
            ("upgrade", "h2c", StatusCode::UPGRADE_REQUIRED),
            ("connection", "close", StatusCode::UPGRADE_REQUIRED),
        ] {
            assert_eq!(asked(&[(header, value)]), Err(status), "{header}: {value}");
        }
    }
}
