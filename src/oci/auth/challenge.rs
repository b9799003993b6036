//! The challenge of a registry in `WWW-Authenticate`, and whether its token service may
//! receive our credentials.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;
use reqwest::Url;

use crate::oci::reference::{Zone, authority, is_loopback};

/// Most challenges that are read from one answer.
const MAX_CHALLENGES: usize = 8;

/// How to authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// The challenge to follow: a bearer token where one is offered.
pub(super) fn read(headers: &HeaderMap) -> Option<Challenge> {
    let found: Vec<Challenge> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .take(MAX_CHALLENGES)
        .filter_map(|value| value.to_str().ok())
        .flat_map(parse)
        .take(MAX_CHALLENGES)
        .collect();
    let bearer = found.iter().find(|c| matches!(c, Challenge::Bearer { .. })).cloned();
    bearer.or_else(|| found.into_iter().next())
}

/// Reads `Scheme key="value", key=value, Scheme …` (RFC 9110 §11.6.1).
fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header.trim_start_matches([' ', ',']);
    while !rest.is_empty() && found.len() < MAX_CHALLENGES {
        let end = rest.find([' ', ',']).unwrap_or(rest.len());
        let (scheme, after) = rest.split_at(end);
        rest = after;
        let (mut realm, mut service) = (None, None);
        while let Some((key, value, after)) = parameter(rest) {
            match key.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                _ => {}
            }
            rest = after;
        }
        match (scheme.to_ascii_lowercase().as_str(), realm) {
            ("basic", _) => found.push(Challenge::Basic),
            ("bearer", Some(realm)) => found.push(Challenge::Bearer { realm, service }),
            _ => {}
        }
        rest = rest.trim_start_matches([' ', ',']);
    }
    found
}

/// One `key=value` at the start of the text, if the next word is one.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let text = text.trim_start_matches([' ', ',']);
    let (key, rest) = text.split_once('=')?;
    if key.is_empty() || key.contains([' ', ',', '"']) {
        return None;
    }
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([' ', ',']).unwrap_or(rest.len());
        return Some((key, rest[..end].to_owned(), &rest[end..]));
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((key, value, &quoted[at + 1..])),
            _ => value.push(c),
        }
    }
    None
}

/// Checks the realm that a registry names. The registry is not trusted to send our
/// credentials anywhere: the realm is on the registry's own host, or on HTTPS on a host
/// of the same owner, as far as names show, or on one that the operator of this process
/// has allowed. Without credentials any HTTPS host name is accepted (a mirror with the
/// token service of another registry), but never an address.
pub(super) fn realm(
    registry: &Url,
    realm: &str,
    with_credentials: bool,
    allowed: impl Fn(&str) -> bool,
) -> Result<Url, String> {
    let shown: String = realm.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect();
    let url =
        Url::parse(realm).map_err(|_| format!("the registry names an invalid token service, {shown:?}"))?;
    let (Some(host), Some(own)) = (url.host_str(), registry.host_str()) else {
        return Err(format!("the registry names an invalid token service, {shown:?}"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the registry names a token service with credentials in its URL".into());
    }
    let secure = url.scheme() == "https";
    let plain = url.scheme() == "http" && registry.scheme() == "http";
    let same_host = host == own || is_loopback(host) && is_loopback(own);
    let trusted = if same_host {
        secure || plain
    } else {
        let anonymous = !with_credentials && url.domain().is_some_and(|d| d.contains('.'));
        secure && (related(own, host) || allowed(&authority(&url)) || anonymous)
    };
    if trusted {
        return Ok(url);
    }
    let at = format!("{}://{host}", url.scheme());
    Err(format!(
        "no credentials were sent to the token service {at}: it is neither on the registry's host nor HTTPS in its \
         domain. If you trust it, allow it with --allowed-token-hosts"
    ))
}

/// Whether two hosts belong to one owner, as far as names show.
fn related(registry: &str, other: &str) -> bool {
    if (registry, other) == ("registry-1.docker.io", "auth.docker.io") {
        return true;
    }
    if Zone::of_host(registry).is_some() || Zone::of_host(other).is_some() {
        return false;
    }
    match registrable(registry) {
        Some(domain) => !SHARED.contains(&domain) && registrable(other) == Some(domain),
        None => is_sibling(registry, other),
    }
}

/// Domains where different owners have registries, and which the Public Suffix List
/// lacks, at least in part: each name below one is a separate owner.
const SHARED: [&str; 8] = [
    "azurecr.io",
    "azurecr.cn",
    "azurecr.us",
    "amazonaws.com",
    "amazonaws.com.cn",
    "on.aws",
    "jfrog.io",
    "pkg.dev",
];

/// The domain that one owner has registered, by the Public Suffix List; `None` for names
/// of a private network, which the list does not contain.
fn registrable(host: &str) -> Option<&str> {
    let domain = psl::domain(host.trim_end_matches('.').as_bytes())?;
    let text = std::str::from_utf8(domain.as_bytes()).ok()?;
    domain.suffix().is_known().then_some(text)
}

/// Whether a host is in the domain that holds the registry, or below the registry itself
/// where its domain has no more labels.
fn is_sibling(registry: &str, other: &str) -> bool {
    let parent = registry.split_once('.').map(|(_, parent)| parent).filter(|p| p.contains('.'));
    let domain = parent.unwrap_or(registry);
    let below = other.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    registrable(other).is_none() && (other == domain || below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.map(Into::into) })
        };
        let check = |lines: &[&str], expected: Option<Challenge>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(WWW_AUTHENTICATE, line.parse().unwrap());
            }
            assert_eq!(read(&headers), expected, "{lines:?}");
        };
        check(&[r#"Bearer realm="https://a/t",service="s",scope="x:y,z""#], bearer("https://a/t", Some("s")));
        check(&["bearer realm=https://a/t , service=s"], bearer("https://a/t", Some("s")));
        check(&[r#"Basic realm="x", Bearer realm="r""#], bearer("r", None));
        check(&[r#"Basic realm="x""#, r#"Bearer realm="r""#], bearer("r", None));
        check(&["Basic"], Some(Challenge::Basic));
        check(&[r#"Bearer service="no realm""#], None);
        check(&[r#"Bearer realm="unended"#], None);
        check(&["Negotiate", "===", "\"", ",,,"], None);
        check(&[], None);
    }

    #[test]
    fn credentials_go_only_where_the_registry_is() {
        let check = |registry: &str, to: &str, with: bool, expected: bool| {
            let registry = Url::parse(registry).unwrap();
            let allowed = |host: &str| host == "auth.other.example:8443";
            assert_eq!(realm(&registry, to, with, allowed).is_ok(), expected, "{registry} {to} {with}");
        };
        check("https://ghcr.io/v2/", "https://ghcr.io/token", true, true);
        check("https://registry-1.docker.io/v2/", "https://auth.docker.io/token", true, true);
        check("https://registry.gitlab.com/v2/", "https://gitlab.com/jwt/auth", true, true);
        check("https://registry.example.com/v2/", "https://auth.example.com/t", true, true);
        check("https://example.com/v2/", "https://auth.example.com/t", true, true);
        check("http://127.0.0.1:5000/v2/", "http://127.0.0.1:5001/token", true, true);
        check("http://10.0.0.1/v2/", "http://10.0.0.1/token", true, true);
        check("https://ghcr.io/v2/", "https://evil.com/token", true, false);
        check("https://ghcr.io/v2/", "https://evil.com/token", false, true);
        check("https://ghcr.io/v2/", "http://ghcr.io/token", true, false);
        check("https://ghcr.io/v2/", "http://169.254.169.254/latest", false, false);
        check("https://ghcr.io/v2/", "https://169.254.169.254/latest", false, false);
        check("https://ghcr.io/v2/", "https://localhost/latest", false, false);
        check("https://registry.a.example/v2/", "https://auth.other.example:8443/t", true, true);
        check("https://registry.a.example/v2/", "https://auth.other.example/t", true, false);
        check("https://registry.a.example/v2/", "http://auth.other.example:8443/t", true, false);
        check("https://registry.a.example/v2/", "https://xauth.other.example:8443/t", true, false);
        check("https://acme.jfrog.io/v2/", "https://evil.jfrog.io/t", true, false);
        check("https://acme.github.io/v2/", "https://evil.github.io/t", true, false);
        check("https://r.eu.acme.com.au/v2/", "https://auth.acme.com.au/t", true, true);
        check("https://r.acme.com.au/v2/", "https://auth.evil.com.au/t", true, false);
        let aws = "https://1.dkr.ecr.eu-west-1.amazonaws.com/v2/";
        check(aws, "https://evil.s3.eu-west-1.amazonaws.com/t", true, false);
        check(aws, "https://2.dkr.ecr.eu-west-1.amazonaws.com/t", true, false);
        check("https://harbor.corp.internal/v2/", "https://auth.corp.internal/t", true, true);
        check("https://harbor.corp.internal/v2/", "https://evilcorp.internal/t", true, false);
        let cluster = "https://harbor.a.svc.cluster.local/v2/";
        check(cluster, "https://auth.b.svc.cluster.local/t", true, false);
        check(cluster, "https://auth.a.svc.cluster.local/t", true, true);
        check("https://registry.lan/v2/", "https://evil.lan/t", true, false);
        check("https://registry.lan/v2/", "https://auth.registry.lan/t", true, true);
        check("https://com/v2/", "https://evil.com/t", true, false);
        check("https://shop.co.uk/v2/", "https://evil.co.uk/token", true, false);
        check("https://mine.azurecr.io/v2/", "https://theirs.azurecr.io/token", true, false);
        check("https://10.0.0.1/v2/", "https://10.1.0.0.1/token", true, false);
        check("https://registry.example.com/v2/", "https://evilexample.com/t", true, false);
        check("https://registry.example.com/v2/", "https://u:p@auth.example.com/t", true, false);
        check("https://ghcr.io/v2/", "file:///etc/passwd", false, false);
        check("https://ghcr.io/v2/", "/relative", false, false);
    }
}
