//! What every request passes, and what every answer carries.
//!
//! A page on loopback can be called by every other site that the browser has open. So its name is checked (another
//! name that resolves to loopback is refused), a request that changes anything has to come from the page itself, and
//! no other page may show it in a frame, load its parts or read its answers.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::session::Visitor;
use crate::ui::site::SharedSite;
use crate::ui::view::problem;

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

/// What anyone may load: it tells nothing.
const OPEN: [&str; 4] = ["/assets/icon.svg", "/assets/page.css", "/assets/page.js", "/enter"];

/// Lets a request in, with the browser that has sent it, or says why not.
pub async fn guard(State(site): State<SharedSite>, mut request: Request, next: Next) -> Response {
    let mut response = match judge(&site, &request) {
        Ok(visitor) => {
            if let Some(visitor) = visitor {
                request.extensions_mut().insert(visitor);
            }
            next.run(request).await
        }
        Err(refused) => *refused,
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The browser of a request; none where anyone may come.
fn judge(site: &SharedSite, request: &Request) -> Result<Option<Visitor>, Box<Response>> {
    let headers = request.headers();
    let Some(host) = host(request).filter(|host| site.hosts.iter().any(|known| known == host)) else {
        let why = "this page answers only to the address that supercargo ui has printed";
        return Err((StatusCode::MISDIRECTED_REQUEST, why).into_response().into());
    };
    if !is_read(request.method()) && !is_own(headers, host) {
        return Err((StatusCode::FORBIDDEN, "this request comes from another page").into_response().into());
    }
    if OPEN.contains(&request.uri().path()) {
        return Ok(None);
    }
    let mut cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    match cookies.find_map(|cookies| site.sessions.visitor(cookies)) {
        Some(visitor) => Ok(Some(visitor)),
        None => Err((StatusCode::UNAUTHORIZED, problem::locked()).into_response().into()),
    }
}

/// The name that the request is for: of its target, or the only `Host`.
fn host(request: &Request) -> Option<&str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next()?.to_str().ok()?, hosts.next());
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
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
    let is_host = origin.and_then(|origin| origin.strip_prefix("http://")) == Some(host);
    match text(&HeaderName::from_static("sec-fetch-site")) {
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
        check(&[("origin", "https://evil.example")], false);
        check(&[("origin", "null"), ("sec-fetch-site", "same-origin")], true);
        check(&[("origin", "null"), ("sec-fetch-site", "cross-site")], false);
        check(&[("origin", "null")], false);
        check(&[], false);
    }

    #[test]
    fn a_request_has_one_name() {
        let check = |headers: &[(&str, &str)], expected: Option<&str>| {
            assert_eq!(host(&request(headers)), expected, "{headers:?}");
        };
        check(&[("host", "127.0.0.1:1")], Some("127.0.0.1:1"));
        check(&[("host", "127.0.0.1:1"), ("host", "evil.example")], None);
        check(&[], None);
        let mut other = request(&[("host", "127.0.0.1:1")]);
        *other.uri_mut() = "http://evil.example/".parse().unwrap();
        assert_eq!(host(&other), None);
    }
}
