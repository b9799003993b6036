//! The hosts to which releases may send notifications. The administrator lists them, and nothing in a release
//! can extend the list.

use core::net::IpAddr;
use std::fmt;

use url::{Host, Url};

use crate::domain::message::List;
use crate::domain::process::zone::Zone;

/// Why a name is refused that only a wildcard allows: nobody here sees which address a proxy finds for it.
const PROXIED: &str = "names a host that only a wildcard allows, and the operator's proxy would resolve the name: ask the \
     administrator to list the host itself, or its domain in NO_PROXY";
/// The most hosts that a message names.
const NAMED: usize = 8;

/// A host, or all hosts below a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    text: String,
    host: Host,
    is_wildcard: bool,
    port: Option<u16>,
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl HostPattern {
    /// Reads `host[:port]` or `*.domain[:port]`. Without a port, it is the one of https.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{text:?} is not a host such as hooks.slack.com: {why}"));
        let (is_wildcard, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (name, port) =
            match rest.rsplit_once(':').filter(|(name, _)| !name.contains(':') || name.ends_with(']')) {
                Some((name, port)) => match port.parse::<u16>() {
                    Ok(port) if port > 0 => (name, Some(port)),
                    _ => return wrong("the port is invalid"),
                },
                None => (rest, None),
            };
        let known = |c: char| c.is_ascii_alphanumeric() || "-.:[]_".contains(c);
        let parsed = Host::parse(name).ok().filter(|_| name.chars().all(known));
        let Some(host) = parsed else { return wrong("use letters, digits, '-' and '.', or an address") };
        if Zone::of_host(name) == Some(Zone::Forbidden) {
            return wrong("nothing is sent to link-local, metadata and reserved addresses");
        }
        let host = match host {
            Host::Domain(name) => Host::Domain(plain(&name)),
            address if is_wildcard => return wrong(&format!("{address} is an address")),
            address => address,
        };
        if is_wildcard && !matches!(&host, Host::Domain(name) if name.contains('.')) {
            return wrong("a wildcard needs a domain such as *.example.com");
        }
        Ok(Self { text: text.to_owned(), host, is_wildcard, port })
    }

    fn holds(&self, host: &Host, port: u16) -> bool {
        if self.port.unwrap_or(443) != port {
            return false;
        }
        match (&self.host, host) {
            (Host::Domain(own), Host::Domain(name)) if self.is_wildcard => {
                name.strip_suffix(own.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (own, other) => !self.is_wildcard && own == other,
        }
    }
}

/// Without the dot of the root.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The hosts to which releases may send notifications; none by default.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts {
    patterns: Vec<HostPattern>,
    /// The addresses of the API server.
    guarded: Vec<IpAddr>,
}

impl AllowedHosts {
    /// These, but never at `guarded`.
    pub fn new(patterns: Vec<HostPattern>, guarded: Vec<IpAddr>) -> Self {
        Self { patterns, guarded }
    }

    /// Whether no release may send any.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Where a URL may lead, if it may be used. `is_proxied`: a proxy resolves the name of its host.
    ///
    /// # Errors
    /// Why it may not. The message has nothing of the URL.
    pub fn reach(&self, url: &Url, is_proxied: bool) -> Result<Reachable, String> {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err("is not a URL such as https://hooks.example/path".to_owned());
        };
        let host = match host.to_owned() {
            Host::Domain(name) => Host::Domain(plain(&name)),
            address => address,
        };
        let found: Vec<&HostPattern> = self.patterns.iter().filter(|one| one.holds(&host, port)).collect();
        if found.is_empty() {
            let allowed = List::Names.few(&self.patterns, NAMED);
            return Err(format!(
                "names a host that is not allowed (--allow-release-notifications): use {allowed}, or ask the \
                 administrator to allow it"
            ));
        }
        let zone = match Zone::of_host(&host.to_string()) {
            Some(zone) => zone,
            // The owner of a domain decides where the names below it lead. A proxy would go anywhere with them.
            None if found.iter().all(|one| one.is_wildcard) => match is_proxied {
                true => return Err(PROXIED.to_owned()),
                false => Zone::Public,
            },
            None => Zone::Private,
        };
        let reachable = Reachable { zone, guarded: self.guarded.clone() };
        let address = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        };
        if zone == Zone::Forbidden || address.is_some_and(|address| !reachable.admits(address)) {
            return Err("names an address to which nothing is sent".to_owned());
        }
        match url.scheme() {
            "https" => Ok(reachable),
            // Only tests have a receiver there.
            "http" if zone == Zone::Loopback => Ok(reachable),
            _ => Err("is not an https URL".to_owned()),
        }
    }
}

/// Which addresses a name may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reachable {
    /// The nearest zone.
    pub zone: Zone,
    /// But never these.
    pub guarded: Vec<IpAddr>,
}

impl Reachable {
    /// What the administrator names in a file.
    pub fn named_by_administrator() -> Self {
        Self { zone: Zone::Loopback, guarded: Vec::new() }
    }

    /// Whether a connection to that address is allowed.
    pub fn admits(&self, address: IpAddr) -> bool {
        self.zone.admits(Zone::of(address)) && !self.guarded.contains(&address.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(patterns: &[&str]) -> AllowedHosts {
        let patterns = patterns.iter().map(|text| HostPattern::parse(text).unwrap()).collect();
        AllowedHosts::new(patterns, vec!["10.96.0.1".parse().unwrap()])
    }

    fn zone(patterns: &[&str], url: &str) -> Option<Zone> {
        let url = Url::parse(url).ok()?;
        hosts(patterns).reach(&url, false).ok().map(|reach| reach.zone)
    }

    #[test]
    fn only_listed_hosts_are_reached() {
        let listed = ["hooks.slack.com", "*.example.com", "chat.internal:8443", "10.0.0.5", "127.0.0.1:8080"];
        let check = |url: &str, expected: Option<Zone>| assert_eq!(zone(&listed, url), expected, "{url}");
        check("https://hooks.slack.com/services/x", Some(Zone::Private));
        check("https://HOOKS.slack.com./x", Some(Zone::Private));
        check("https://a.example.com/", Some(Zone::Public));
        check("https://a.b.example.com/", Some(Zone::Public));
        check("https://chat.internal:8443/", Some(Zone::Private));
        check("https://10.0.0.5/", Some(Zone::Private));
        check("https://0xa000005/", Some(Zone::Private));
        check("http://127.0.0.1:8080/", Some(Zone::Loopback));
        for refused in [
            "http://hooks.slack.com/",
            "https://hooks.slack.com:8443/",
            "https://example.com/",
            "https://evilexample.com/",
            "https://.example.com/",
            "https://a.example.com.evil.test/",
            "https://hooks.slack.com@evil.test/",
            "https://evil.test/hooks.slack.com",
            "https://evil.test\\@hooks.slack.com/",
            "https://chat.internal/",
            "http://127.0.0.1:8081/",
            "http://127.1:8081/",
            "https://localhost/",
            "https://169.254.169.254/",
            "https://2852039166/",
            "https://[::ffff:a9fe:a9fe]/",
            "https://metadata.google.internal/",
            "https://10.96.0.1/",
            "ftp://hooks.slack.com/",
            "data:x",
        ] {
            check(refused, None);
        }
        assert_eq!(zone(&[], "https://hooks.slack.com/"), None);
    }

    #[test]
    fn a_name_does_not_lead_nearer_than_it_may() {
        let admits = |patterns: &[&str], url: &str, address: &str| {
            let reach = hosts(patterns).reach(&Url::parse(url).unwrap(), false).unwrap();
            reach.admits(address.parse().unwrap())
        };
        for (address, by_name, by_wildcard) in [
            ("93.184.216.34", true, true),
            ("10.1.2.3", true, false),
            ("fd00::1", true, false),
            ("127.0.0.1", false, false),
            ("::1", false, false),
            ("169.254.169.254", false, false),
            ("::ffff:169.254.169.254", false, false),
            ("10.96.0.1", false, false),
            ("::ffff:10.96.0.1", false, false),
        ] {
            assert_eq!(admits(&["a.example"], "https://a.example/", address), by_name, "{address}");
            assert_eq!(
                admits(&["*.example.com"], "https://a.example.com/", address),
                by_wildcard,
                "{address}"
            );
        }
        assert!(!admits(&["10.96.0.1", "a.example"], "https://a.example/", "10.96.0.1"));
        assert!(hosts(&["10.96.0.1"]).reach(&Url::parse("https://10.96.0.1/").unwrap(), false).is_err());
    }

    #[test]
    fn behind_a_proxy_a_name_is_listed_itself() {
        let check = |url: &str, expected: &str| {
            let listed = ["*.example.com", "chat.example.com", "10.0.0.5"];
            let found = hosts(&listed).reach(&Url::parse(url).unwrap(), true);
            let found = found.map_or_else(|problem| problem, |reach| format!("{:?}", reach.zone));
            assert!(found.starts_with(expected), "{url}: {found}");
        };
        check("https://a.example.com/", "names a host that only a wildcard allows");
        check("https://chat.example.com/", "Private");
        check("https://10.0.0.5/", "Private");
        check("https://10.96.0.1/", "names a host that is not allowed");
        check("https://evil.example/", "names a host that is not allowed");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in [
            "",
            "*",
            "*.",
            "*.com",
            "*.10.0.0.1",
            "a.*.com",
            "https://a.example",
            "a.example/path",
            "a.example:0",
            "a.example:x",
            "a@b.example",
            "169.254.169.254",
            "2852039166",
            "metadata.google.internal",
        ] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
        for good in ["a", "a.example:8443", "[::1]:8080", "*.a.example", "10.0.0.5"] {
            assert_eq!(HostPattern::parse(good).unwrap().to_string(), good);
        }
    }
}
