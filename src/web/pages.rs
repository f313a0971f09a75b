//! Pages for people. One file each in `pages/`, and a line here.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use crate::App;

mod apps;
mod form;
pub mod invite;
pub mod register;
pub mod start;

pub(crate) fn routes(app: &App) -> Router {
    Router::new()
        .route("/style.css", get(style))
        .route("/icon.svg", get(icon))
        .merge(invite::routes(app))
        .merge(register::routes(app))
        .merge(start::routes(app))
}

/// The one frame of all pages. `title` and `domain` (may be empty) are text, `body` is HTML: what comes from outside goes through
/// [`escape`] first.
pub(crate) fn page(status: StatusCode, title: &str, domain: &str, body: &str) -> Response {
    let (title, domain) = (escape(title), escape(domain));
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n<link rel=\"icon\" href=\"/icon.svg\" type=\"image/svg+xml\">\n</head>\n\
         <body>\n<header>{MARK}<span>{domain}</span></header>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    );
    (status, Html(html)).into_response()
}

/// The mark of the house: an iris, six petals.
const MARK: &str = "<svg class=\"mark\" viewBox=\"0 0 32 32\" aria-hidden=\"true\"><g fill=\"currentColor\">\
    <path d=\"M16 2c3 4 4 8 0 13-4-5-3-9 0-13z\"/><path d=\"M16 17c4 5 3 9 0 13-3-4-4-8 0-13z\" opacity=\".55\"/>\
    <path d=\"M3.9 9c5-.6 8.9.5 11.1 6.4-6.3 1-9.2-2-11.1-6.4z\" opacity=\".8\"/>\
    <path d=\"M28.1 9c-5-.6-8.9.5-11.1 6.4 6.3 1 9.2-2 11.1-6.4z\" opacity=\".8\"/>\
    <path d=\"M3.9 23c5 .6 8.9-.5 11.1-6.4-6.3-1-9.2 2-11.1 6.4z\" opacity=\".4\"/>\
    <path d=\"M28.1 23c-5 .6-8.9-.5-11.1-6.4 6.3-1 9.2 2 11.1 6.4z\" opacity=\".4\"/></g></svg>";

/// Text as HTML, in elements and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// `3 December 2026`, of an XEP-0082 date-time; what is none stays as it is.
pub(crate) fn day(datetime: &str) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let mut parts = datetime.split('T').next().unwrap_or_default().split('-').map(|part| part.parse::<usize>().ok());
    match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
        (Some(year), Some(month @ 1..=12), Some(day)) => format!("{day} {} {year}", MONTHS[month - 1]),
        _ => datetime.to_owned(),
    }
}

async fn style() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    (kind, include_str!("pages/style.css")).into_response()
}

/// The mark, for the tab of a browser.
async fn icon() -> Response {
    let kind = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "max-age=86400")];
    let svg = MARK.replacen("<svg class=\"mark\"", "<svg xmlns=\"http://www.w3.org/2000/svg\" color=\"#7d5fd3\"", 1);
    (kind, svg).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_cannot_become_markup() {
        assert_eq!(escape("<a b=\"c\" d='e'>&</a>"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;&lt;/a&gt;");
    }

    #[test]
    fn a_day_is_written_for_people() {
        assert_eq!(day("2026-12-03T14:05:00Z"), "3 December 2026");
        assert_eq!(day("soon"), "soon");
    }
}
