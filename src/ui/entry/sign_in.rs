//! The page on which a person shows a token, and the cookie that keeps it.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use jiff::Timestamp;

use super::hosts::is_local;
use super::seal::{MAX_TOKEN, Sealed};
use super::token::{EntryRefusal, Token};
use crate::domain::message::chain;
use crate::ui::answer::{field, parameter};
use crate::ui::site::{Entrance, SharedSite};
use crate::ui::view::problem::{nothing_here, sign_in_form};

/// The cookie: over TLS no other host can set it, on this machine there is no TLS.
const SECURE_COOKIE: &str = "__Host-supercargo";
const LOCAL_COOKIE: &str = "supercargo";
/// The cookies of this name that are tried.
const MAX_COOKIES: usize = 4;

/// The cookie of a host that is reached by HTTPS, or of this machine.
fn cookie_of(host: &str) -> (&'static str, &'static str) {
    match is_local(host) {
        true => (LOCAL_COOKIE, "HttpOnly; SameSite=Strict; Path=/"),
        false => (SECURE_COOKIE, "Secure; HttpOnly; SameSite=Strict; Path=/"),
    }
}

/// The cookies of the page that a request to this host has.
pub fn cookies<'h>(headers: &'h HeaderMap, host: &str) -> Vec<&'h str> {
    let (name, _) = cookie_of(host);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let ours = pairs.filter(|(found, _)| *found == name);
    ours.map(|(_, value)| value).take(MAX_COOKIES).collect()
}

/// The token of an `Authorization` header, which a proxy sends.
pub fn token_of_header(headers: &HeaderMap) -> Option<Token> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Token::parse(token)).flatten()
}

/// A path of this page, to go on to; the first view for anything else.
pub fn own_path(to: &str) -> &str {
    let is_path = to.starts_with('/')
        && !to.starts_with("//")
        && to.len() <= 1024
        && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path && !to.starts_with("/live/") && !to.starts_with("/sign-") { to } else { "/" }
}

/// Asks for a token.
pub async fn ask(State(site): State<SharedSite>, RawQuery(query): RawQuery) -> Response {
    if !matches!(site.entrance, Entrance::Tokens(_)) {
        return nothing_here();
    }
    let to = parameter(query.as_deref(), "to").unwrap_or_default();
    sign_in_form(own_path(&to), None).into_response()
}

/// What the form says when the API server has not answered.
const NO_ANSWER: &str = "The token cannot be checked now. Try again; the log of the operator has the cause.";

/// Takes a token, and gives the cookie for it.
pub async fn enter(State(site): State<SharedSite>, headers: HeaderMap, body: Bytes) -> Response {
    let Entrance::Tokens(door) = &site.entrance else { return nothing_here() };
    let to = field(&body, "to").unwrap_or_default();
    let to = own_path(&to);
    let again = |status: StatusCode, why: &str| (status, sign_in_form(to, Some(why))).into_response();
    let Some(token) = Token::parse(&field(&body, "token").unwrap_or_default()) else {
        return again(StatusCode::BAD_REQUEST, "This is no token: paste one line without spaces.");
    };
    match door.person(&token).await {
        Ok(Some(_)) => {}
        Ok(None) | Err(EntryRefusal::Unknown) => {
            let why =
                "The API server does not accept this token: it has expired, or it is for another audience.";
            return again(StatusCode::UNAUTHORIZED, why);
        }
        Err(EntryRefusal::NoAnswer(error)) => {
            // It may name the account of the operator, and nobody is known yet.
            tracing::warn!(error = chain(&error), "cannot check a token for the page");
            return again(StatusCode::SERVICE_UNAVAILABLE, NO_ANSWER);
        }
    }
    let (sealed, host) = (Sealed::of(token, Timestamp::now()), host_of(&headers));
    if sealed.ends <= Timestamp::now() {
        return again(StatusCode::UNAUTHORIZED, "The token has expired, by the clock of the operator.");
    }
    let cookie = match door.keys.seal(&sealed, host).await {
        Ok(cookie) => cookie,
        Err(error) => {
            tracing::warn!(error = chain(&error), "cannot read the key for the cookies of the page");
            return again(StatusCode::SERVICE_UNAVAILABLE, NO_ANSWER);
        }
    };
    let Some(value) = cookie else {
        let why = format!(
            "The token is longer than {MAX_TOKEN} bytes, and a browser would not keep it. Let a proxy in front of the \
             page send it in the Authorization header."
        );
        return again(StatusCode::BAD_REQUEST, &why);
    };
    let (name, attributes) = cookie_of(host);
    let cookie = format!("{name}={value}; {attributes}");
    (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, to.to_owned())]).into_response()
}

/// Takes the cookie away.
pub async fn leave(headers: HeaderMap) -> Response {
    let (name, attributes) = cookie_of(host_of(&headers));
    let cookie = format!("{name}=; Max-Age=0; {attributes}");
    (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, "/sign-in".to_owned())])
        .into_response()
}

/// The host of a request; the gate has checked it.
fn host_of(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_to_this_page_only() {
        let check = |to: &str, expected: &str| assert_eq!(own_path(to), expected, "{to}");
        check("/release/apps/web?wait=objects", "/release/apps/web?wait=objects");
        check("", "/");
        check("https://evil.example", "/");
        check("//evil.example", "/");
        check("/\\evil.example", "/");
        check("/a\r\nset-cookie: x", "/");
        check("/live/wrong", "/");
        check("/sign-in?to=/", "/");
        check(&format!("/{}", "a".repeat(2000)), "/");
    }

    #[test]
    fn a_cookie_is_of_its_host() {
        let check = |host: &str, text: &str, expected: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, text.parse().unwrap());
            assert_eq!(cookies(&headers, host), expected, "{host} {text}");
        };
        check("page.example.com", "a=b; __Host-supercargo=x; c", &["x"]);
        check("page.example.com", "supercargo=x", &[]);
        check("localhost:8090", "supercargo=x", &["x"]);
        check("localhost:8090", "supercargo=AAAA; supercargo=x", &["AAAA", "x"]);
        check("localhost:8090", &"supercargo=x;".repeat(100), &["x"; MAX_COOKIES]);
        check("localhost:8090", "", &[]);
        assert!(cookie_of("page.example.com:443").1.starts_with("Secure; HttpOnly; SameSite=Strict"));
    }

    #[test]
    fn a_proxy_sends_a_bearer_token() {
        let check = |value: &str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            let token = token_of_header(&headers);
            assert_eq!(token.as_ref().map(Token::secret), expected, "{value}");
        };
        check("Bearer eyJ.a.b", Some("eyJ.a.b"));
        check("bearer eyJ.a.b", Some("eyJ.a.b"));
        check("Basic eyJ", None);
        check("Bearer", None);
        check("Bearer a b", None);
    }
}
