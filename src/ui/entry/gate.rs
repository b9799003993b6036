//! What every request passes, and what every answer carries.
//!
//! A page on loopback can be called by every other site that the browser has open. So its name is checked (another
//! name that resolves to loopback is refused), a request that changes anything has to come from the page itself, and
//! no other page may show it in a frame, load its parts or read its answers.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::hosts::PageHosts;
use super::sign_in::{cookies, own_path, token_of_header};
use super::token::EntryRefusal;
use super::viewer::{EntryProof, Viewer};
use crate::cluster::error::ApiError;
use crate::domain::message::chain;
use crate::ui::site::{Entrance, SharedSite};
use crate::ui::view::problem;

/// By what a browser says from where a request comes.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a browser may do on the page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'";

/// The headers of every answer.
const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The largest form, in bytes: a sign-in has a token.
const MAX_FORM: usize = 16 << 10;
/// How long it may take.
const FORM_PATIENCE: Duration = Duration::from_secs(10);

/// What anyone may load: it tells nothing.
const OPEN: [&str; 6] =
    ["/assets/icon.svg", "/assets/page.css", "/assets/page.js", "/enter", "/sign-in", "/sign-out"];

/// Ends a stream of changes: the page is loaded again, and says why it shows nothing.
pub const END: &str = "event: end\ndata: \n\n";

/// Lets a request in, with what it may see, or says why not.
pub async fn guard(State(site): State<SharedSite>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let mut response = match judge(&site, &parts).await {
        Ok(viewer) => {
            if let Some(viewer) = viewer {
                parts.extensions.insert(viewer);
            }
            match form(&parts.method, body).await {
                Ok(body) => next.run(Request::from_parts(parts, body)).await,
                Err((status, why)) => (status, why).into_response(),
            }
        }
        Err(refused) => *refused,
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The form of a request, which has to come whole and soon: a client that sends a byte at a time would keep its
/// connection for an hour.
async fn form(method: &Method, body: Body) -> Result<Body, (StatusCode, &'static str)> {
    if is_read(method) {
        return Ok(Body::empty());
    }
    match tokio::time::timeout(FORM_PATIENCE, to_bytes(body, MAX_FORM)).await {
        Ok(Ok(form)) => Ok(form.into()),
        Ok(Err(_)) => Err((StatusCode::PAYLOAD_TOO_LARGE, "the form is too long, or not complete")),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the form has not come in time")),
    }
}

/// What a request may see; none where anyone may come.
async fn judge(site: &SharedSite, request: &Parts) -> Result<Option<Viewer>, Box<Response>> {
    let refused = |status: StatusCode, why: &'static str| Box::new((status, why).into_response());
    let headers = &request.headers;
    let Some(host) = host(request).filter(|host| site.hosts.knows(host)) else {
        let why = match site.hosts {
            PageHosts::Exact(_) => "this page answers only to the address that supercargo ui has printed",
            PageHosts::Named(_) => "this page does not answer to this host name; --ui-hosts has its names",
        };
        return Err(refused(StatusCode::MISDIRECTED_REQUEST, why));
    };
    if !is_read(&request.method) && !is_own(headers, host) {
        return Err(refused(StatusCode::FORBIDDEN, "this request comes from another page"));
    }
    if OPEN.contains(&request.uri.path()) {
        return Ok(None);
    }
    let known = match credential(&site.entrance, headers, host).await {
        Ok(credential) => site.viewer(&credential).await,
        Err(error) => Err(EntryRefusal::NoAnswer(error)),
    };
    match known {
        Ok(viewer) => Ok(Some(viewer)),
        Err(EntryRefusal::NoAnswer(error)) => {
            // It may name the account of the operator, and nobody is known yet.
            tracing::warn!(error = chain(&error), "cannot judge a request for the page");
            let page = problem::unjudged();
            Err((StatusCode::SERVICE_UNAVAILABLE, page).into_response().into())
        }
        Err(EntryRefusal::Unknown) => Err(unknown(site, request).into()),
    }
}

/// By what a request is known.
async fn credential(entrance: &Entrance, headers: &HeaderMap, host: &str) -> Result<EntryProof, ApiError> {
    Ok(match entrance {
        Entrance::Open(_) => EntryProof::None,
        Entrance::Link(visitors, _) => {
            let mut all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
            let visitor = all.find_map(|cookies| visitors.visitor(cookies));
            visitor.map_or(EntryProof::None, EntryProof::Visitor)
        }
        Entrance::Tokens(door) => {
            if let Some(token) = token_of_header(headers) {
                return Ok(EntryProof::Token(token, None));
            }
            let sealed = door.keys.open(&cookies(headers, host), host).await?;
            sealed.map_or(EntryProof::None, |sealed| EntryProof::Token(sealed.token, Some(sealed.ends)))
        }
    })
}

/// The answer to a request that is known by nothing.
fn unknown(site: &SharedSite, request: &Parts) -> Response {
    if matches!(site.entrance, Entrance::Link(..)) {
        return (StatusCode::UNAUTHORIZED, problem::locked()).into_response();
    }
    let has = |name: &HeaderName, value: &str| {
        request.headers.get(name).is_some_and(|found| found.as_bytes() == value.as_bytes())
    };
    if has(&header::ACCEPT, "text/event-stream") {
        return ([(header::CONTENT_TYPE, "text/event-stream")], END).into_response();
    }
    let to = own_path(request.uri.path_and_query().map_or("/", |to| to.as_str()));
    let is_link = has(&SITE, "cross-site") && has(&HeaderName::from_static("sec-fetch-mode"), "navigate");
    if is_link && request.method == Method::GET {
        // A browser sends the cookie only with what this page itself leads to.
        return problem::from_elsewhere(to).into_response();
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, problem::sign_in_form(to, None)).into_response()
}

/// The name that the request is for: of its target, or the only `Host`.
fn host(request: &Parts) -> Option<&str> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let (first, second) = (hosts.next()?.to_str().ok()?, hosts.next());
    let authority = request.uri.authority().map(http::uri::Authority::as_str);
    (second.is_none() && authority.is_none_or(|authority| authority == first)).then_some(first)
}

fn is_read(method: &Method) -> bool {
    [Method::GET, Method::HEAD].contains(method)
}

/// Whether a browser says that the page itself has sent it. Under `no-referrer`, the origin of a form is `null`;
/// `Sec-Fetch-Site`, which no script can set, then says it alone.
fn is_own(headers: &HeaderMap, host: &str) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(&header::ORIGIN);
    let is_host = origin.is_some_and(|origin| {
        ["http://", "https://"].iter().any(|scheme| origin.strip_prefix(scheme) == Some(host))
    });
    match text(&SITE) {
        Some(site) => site == "same-origin" && (is_host || origin.is_none_or(|origin| origin == "null")),
        None => is_host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn request(headers: &[(&str, &str)]) -> Request {
        let builder = Request::post("/x");
        headers
            .iter()
            .fold(builder, |builder, (name, value)| builder.header(*name, *value))
            .body(Body::empty())
            .unwrap()
    }

    #[test]
    fn a_change_comes_from_the_page_itself() {
        let check = |headers: &[(&str, &str)], expected: bool| {
            assert_eq!(is_own(request(headers).headers(), "127.0.0.1:1"), expected, "{headers:?}");
        };
        check(&[("origin", "http://127.0.0.1:1")], true);
        check(&[("origin", "http://127.0.0.1:1"), ("sec-fetch-site", "same-origin")], true);
        check(&[("origin", "http://127.0.0.1:1"), ("sec-fetch-site", "same-site")], false);
        check(&[("origin", "http://127.0.0.1:2"), ("sec-fetch-site", "same-site")], false);
        check(&[("origin", "https://127.0.0.1:1")], true);
        check(&[("origin", "https://evil.example")], false);
        check(&[("origin", "127.0.0.1:1")], false);
        check(&[("origin", "null"), ("sec-fetch-site", "same-origin")], true);
        check(&[("origin", "null"), ("sec-fetch-site", "cross-site")], false);
        check(&[("origin", "null")], false);
        check(&[], false);
    }

    #[test]
    fn a_request_has_one_name() {
        let check = |headers: &[(&str, &str)], expected: Option<&str>| {
            assert_eq!(host(&request(headers).into_parts().0), expected, "{headers:?}");
        };
        check(&[("host", "127.0.0.1:1")], Some("127.0.0.1:1"));
        check(&[("host", "127.0.0.1:1"), ("host", "evil.example")], None);
        check(&[], None);
        let mut other = request(&[("host", "127.0.0.1:1")]);
        *other.uri_mut() = "http://evil.example/".parse().unwrap();
        assert_eq!(host(&other.into_parts().0), None);
    }
}
