//! Prefixes of repositories, and whether a repository is below one.
//!
//! There are two questions, because they must treat doubt differently. A rule that
//! *demands* something ([`Prefix::fits`]) has to match a repository in every spelling of its
//! name. A rule that *permits* something ([`Prefix::permits`]) must not match another one.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;

/// The names of Docker Hub.
const HUB: [&str; 4] = ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];
/// The ports that a URL may omit.
const DEFAULT_PORTS: [u16; 2] = [443, 80];

/// A prefix of repositories. Bounded by `/`: `ghcr.io/acme` is not a prefix of
/// `ghcr.io/acme-evil`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(Option<Below>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Below {
    host: String,
    /// None: any.
    port: Option<u16>,
    path: String,
}

/// How specific a prefix is: the longer, the more specific.
pub type Closeness = (usize, bool, bool);

impl Prefix {
    /// Reads `host[:port][/path]`, or `*` for every repository. Without a port a demand
    /// applies to every port of the host, since one registry may have several, and a
    /// permission only to the default ones.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self(None));
        }
        let bare = text.trim_start_matches("oci://").trim_end_matches('/');
        let (authority, path) = bare.split_once('/').unwrap_or((bare, ""));
        let wrong = |why: &str| Err(format!("{text:?} is not a prefix such as ghcr.io/acme: {why}"));
        let Some((host, port)) = split(authority) else { return wrong("the port is invalid") };
        let named = host.contains(['.', ':']) || host == "localhost" || port.is_some();
        if !named || host.contains(['*', '@', ' ']) || host.starts_with('.') {
            return wrong("it must begin with a registry host");
        }
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        if path.split('/').any(|part| !(path.is_empty() || (!part.is_empty() && part.chars().all(word)))) {
            return wrong("the path is not a repository path; wildcards are not supported");
        }
        Ok(Self(Some(Below { host, port: port.map(plain), path: path.to_owned() })))
    }

    /// Whether a repository is definitely below it.
    pub fn holds(&self, registry: &str, path: &str) -> bool {
        self.permits(registry, path).is_some()
    }

    /// How specific it is for a repository that is definitely below it: the port is that of
    /// the prefix, or a default one if the prefix has none, and nothing is added to the
    /// path. Another port of the host may be another owner's registry.
    pub fn permits(&self, registry: &str, path: &str) -> Option<Closeness> {
        let Some(below) = &self.0 else { return Some((0, false, false)) };
        let (host, port) = split(registry)?;
        let same_port = plain(port.unwrap_or(DEFAULT_PORTS[0])) == below.port.unwrap_or(DEFAULT_PORTS[0]);
        let is_below = host == below.host && same_port && starts(path, &below.path);
        is_below.then_some((below.path.len(), below.port.is_some(), true))
    }

    /// How specific it is for a repository that is or may be below it, on any port if it
    /// has none.
    pub fn fits(&self, registry: &str, path: &str) -> Option<Closeness> {
        let Some(below) = &self.0 else { return Some((0, false, false)) };
        let (host, port) = split(registry)?;
        if host != below.host {
            return None;
        }
        // A URL without a port uses a default one.
        let port = plain(port.unwrap_or(DEFAULT_PORTS[0]));
        if below.port.is_some_and(|p| p != port) {
            return None;
        }
        let direct = starts(path, &below.path);
        // Docker Hub's short names: `docker.io/nginx` is `docker.io/library/nginx`.
        let short = host == HUB[0] && path.strip_prefix("library/").is_some_and(|p| starts(p, &below.path));
        (direct || short).then_some((below.path.len(), below.port.is_some(), true))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Below { host, port, path }) = &self.0 else { return f.write_str("*") };
        f.write_str(host)?;
        port.map_or(Ok(()), |port| write!(f, ":{port}"))?;
        if path.is_empty() { Ok(()) } else { write!(f, "/{path}") }
    }
}

fn starts(path: &str, prefix: &str) -> bool {
    prefix.is_empty()
        || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The same value for both default ports.
pub(in crate::domain) fn plain(port: u16) -> u16 {
    if DEFAULT_PORTS.contains(&port) { DEFAULT_PORTS[0] } else { port }
}

/// Host and port, the host in one spelling.
pub(in crate::domain) fn split(authority: &str) -> Option<(String, Option<u16>)> {
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[end..].split_once(':') {
        Some((rest, port)) => (&authority[..end + rest.len()], Some(port.parse().ok()?)),
        None => (authority, None),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if HUB.contains(&host.as_str()) {
        return Some((HUB[0].to_owned(), port));
    }
    if let Some(v6) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        let v6: Ipv6Addr = v6.parse().ok()?;
        return Some((v6.to_ipv4_mapped().map_or_else(|| format!("[{v6}]"), |v4| v4.to_string()), port));
    }
    Some((ipv4(&host).map_or(host, |v4| v4.to_string()), port))
}

/// An IPv4 address as URLs may write it: one to four numbers, decimal, octal or
/// hexadecimal, the last of which fills what is left (WHATWG URL, IPv4 parser).
fn ipv4(host: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = host.split('.').collect();
    let numbers: Vec<u64> = parts.iter().map(|part| number(part)).collect::<Option<_>>()?;
    let (last, rest) = numbers.split_last()?;
    if rest.len() > 3 || rest.iter().any(|n| *n > 255) {
        return None;
    }
    let room = 1_u64 << (8 * (4 - rest.len()));
    if *last >= room {
        return None;
    }
    let high = rest.iter().enumerate().map(|(at, n)| n << (8 * (3 - at))).sum::<u64>();
    u32::try_from(high + last).ok().map(Ipv4Addr::from)
}

fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    match digits {
        "" if radix == 16 => Some(0),
        digits if digits.chars().all(|c| c.is_digit(radix)) => u64::from_str_radix(digits, radix).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_a_name_ends() {
        let check = |prefix: &str, repository: &str, expected: bool| {
            let (registry, path) = repository.split_once('/').unwrap();
            let fits = Prefix::parse(prefix).unwrap().fits(registry, path).is_some();
            assert_eq!(fits, expected, "{prefix} {repository}");
        };
        for inside in ["ghcr.io/acme/app", "ghcr.io/acme/a/b", "GHCR.io/acme/app", "ghcr.io:443/acme/app"] {
            check("ghcr.io/acme", inside, true);
            check("oci://GHCR.IO/acme/", inside, true);
            check("ghcr.io", inside, true);
            check("ghcr.io:443/acme", inside, true);
            check("*", inside, true);
        }
        check("ghcr.io/acme/app", "ghcr.io/acme/app", true);
        // Another port of the host may be the same registry.
        check("ghcr.io/acme", "ghcr.io:5000/acme/app", true);
        check("ghcr.io/acme", "ghcr.io./acme/app", true);
        for outside in [
            "ghcr.io/acme-evil/app",
            "ghcr.io/acmeevil",
            "ghcr.io/other/acme",
            "ghcr.io.evil.com/acme/app",
            "evil-ghcr.io/acme/app",
            "sub.ghcr.io/acme/app",
            "evil.com/ghcr.io/acme/app",
        ] {
            check("ghcr.io/acme", outside, false);
        }
        check("ghcr.io:5000/acme", "ghcr.io:5000/acme/app", true);
        check("ghcr.io:5000/acme", "ghcr.io:5001/acme/app", false);
        check("ghcr.io:5000/acme", "ghcr.io/acme/app", false);
        check("ghcr.io:443/acme", "ghcr.io:80/acme/app", true);
        check("ghcr.io:443/acme", "ghcr.io:8443/acme/app", false);
    }

    #[test]
    fn a_permission_ends_where_doubt_begins() {
        let check = |prefix: &str, repository: &str, expected: bool| {
            let (registry, path) = repository.split_once('/').unwrap();
            assert_eq!(
                Prefix::parse(prefix).unwrap().holds(registry, path),
                expected,
                "{prefix} {repository}"
            );
        };
        check("ghcr.io/acme", "ghcr.io/acme/app", true);
        check("ghcr.io/acme", "ghcr.io/acme", true);
        check("ghcr.io/acme", "GHCR.io:443/acme/app", true);
        check("ghcr.io/acme", "ghcr.io:5000/acme/app", false);
        check("ghcr.io:5000", "ghcr.io:5000/acme/app", true);
        check("ghcr.io:5000", "ghcr.io/acme/app", false);
        check("ghcr.io/acme", "ghcr.io/acme-evil/app", false);
        check("ghcr.io/acme", "ghcr.io.evil.example/acme/app", false);
        check("ghcr.io/acme", "ghcr.io:x/acme/app", false);
        check("docker.io/library/nginx", "docker.io/library/nginx", true);
        check("index.docker.io/acme", "docker.io/acme/app", true);
        // An organisation is not an official image.
        check("docker.io/acme", "docker.io/library/acme", false);
        check("*", "any.example/app", true);
        check("127.0.0.1/playground", "127.0.0.1/playground/app", true);
        check("127.0.0.1/playground", "127.1/playground/app", true);
        check("127.0.0.1/playground", "127.0.0.1:32207/playground/app", false);
        check("127.0.0.1:32207/playground", "127.1:32207/playground/app", true);
    }

    #[test]
    fn other_spellings_of_a_host_are_the_host() {
        let check = |prefix: &str, registry: &str, path: &str| {
            assert!(Prefix::parse(prefix).unwrap().fits(registry, path).is_some(), "{prefix} {registry}");
        };
        for alias in HUB {
            check("docker.io/acme", alias, "acme/app");
            check(&format!("{alias}/acme"), "docker.io", "acme/app");
        }
        check("docker.io/nginx", "docker.io", "library/nginx");
        check("docker.io/library/nginx", "docker.io", "library/nginx");
        for spelling in ["127.0.0.1", "127.1", "0x7f.1", "0177.0.0.1", "2130706433", "[::ffff:127.0.0.1]"] {
            check("127.0.0.1:5000/acme", &format!("{spelling}:5000"), "acme/app");
        }
        check("[::1]:5000/acme", "[0:0:0:0:0:0:0:1]:5000", "acme/app");
        assert_eq!(ipv4("1.2.3.4.5"), None);
        assert_eq!(ipv4("256.1.1.1"), None);
        assert_eq!(ipv4("1.2.3.256"), None);
        assert_eq!(ipv4("ghcr.io"), None);
    }

    #[test]
    fn the_longer_prefix_is_closer() {
        let close = |prefix: &str| Prefix::parse(prefix).unwrap().fits("a.io:5000", "b/c/d");
        let order = ["*", "a.io", "a.io:5000", "a.io/b", "a.io:5000/b", "a.io/b/c", "a.io/b/c/d"];
        for pair in order.windows(2) {
            assert!(close(pair[0]) < close(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for wrong in [
            "",
            "/",
            "acme",
            "acme/app",
            "ghcr.io/*",
            "*.io",
            "ghcr.io//a",
            "ghcr.io/A",
            "a.io:x/b",
            "a.io:99999",
            "user@ghcr.io/a",
            ".io",
        ] {
            assert!(Prefix::parse(wrong).is_err(), "{wrong}");
        }
    }
}
