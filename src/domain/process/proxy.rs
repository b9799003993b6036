//! Which proxy is used for a URL, as Go's golang.org/x/net/http/httpproxy decides it:
//! kubectl is written in Go, and the same environment should have the same effect in both.

use core::net::IpAddr;
use std::fmt;

use ipnet::{IpNet, Ipv4Net};

/// The protocol of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// SOCKS 5; the proxy resolves names.
    Socks5,
}

/// A proxy and our credentials for it. Shown without the credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    /// Its protocol.
    pub scheme: Scheme,
    /// Its host, an IPv6 address in brackets, and its port.
    pub address: String,
    /// User and password.
    pub user: Option<(String, String)>,
}

/// What the environment says about proxies.
#[derive(Clone, Default)]
pub struct Environment {
    /// `HTTPS_PROXY`: for URLs with `https`.
    pub https: String,
    /// `HTTP_PROXY`: for those with `http`.
    pub http: String,
    /// `NO_PROXY`: hosts that need no proxy.
    pub exempt: String,
}

impl ProxyUrl {
    /// Reads the URL of a proxy; the default scheme is `http`.
    ///
    /// # Errors
    /// Says what it has to look like, and quotes nothing: it may contain a password.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const BAD: &str = "is not a proxy URL such as http://host:3128";
        let (scheme, rest) = text.trim().split_once("://").unwrap_or(("http", text.trim()));
        let (scheme, default) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            "socks5" | "socks5h" => (Scheme::Socks5, 1080),
            _ => return Err("has an unsupported proxy scheme: use http, https or socks5"),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => {
                let (name, password) = user.split_once(':').unwrap_or((user, ""));
                let decoded = decode(name).zip(decode(password)).ok_or(BAD)?;
                (Some(decoded), address)
            }
            None => (None, authority),
        };
        let (host, port) = split(address).ok_or(BAD)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let fine = match host.parse::<IpAddr>() {
            Ok(_) => true,
            Err(_) => !host.is_empty() && host.chars().all(plain),
        };
        let port = if port.is_empty() { Ok(default) } else { port.parse::<u16>() };
        match (fine, port) {
            (true, Ok(port)) => {
                let address =
                    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
                Ok(Self { scheme, address, user })
            }
            _ => Err(BAD),
        }
    }
}

impl ProxyUrl {
    /// The URL with user and password. A secret.
    pub fn url(&self) -> String {
        let scheme = self.scheme.as_str();
        match &self.user {
            Some((name, password)) => {
                format!("{scheme}://{}:{}@{}/", encode(name), encode(password), self.address)
            }
            None => format!("{scheme}://{}/", self.address),
        }
    }
}

impl Scheme {
    /// As in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
        }
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.address)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

impl Environment {
    /// The proxy for a host, if there is one. An invalid value is ignored, as in Go: it may
    /// be meant for another program.
    pub fn proxy(&self, scheme: &str, host: &str, port: u16) -> Option<ProxyUrl> {
        let proxy = match scheme {
            "https" => &self.https,
            "http" => &self.http,
            _ => return None,
        };
        if proxy.trim().is_empty() || is_exempt(&self.exempt, host, port) {
            return None;
        }
        ProxyUrl::parse(proxy).ok()
    }
}

/// Whether a name is that of a Service of the cluster: from a pod no proxy is used for
/// it, whatever the environment says.
pub fn is_service(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    [".svc", ".svc.cluster.local"].iter().any(|end| host.ends_with(end))
}

/// Whether a host needs no proxy: it is this machine, or the list names it. The
/// list has hosts, domains with their subdomains (`.domain` and `*.domain` without
/// the domain itself), addresses and networks, each but the last with an optional
/// port; `*` is all.
fn is_exempt(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    if host == "localhost" || address.is_some_and(|a| a.is_loopback()) {
        return true;
    }
    let host = host.to_ascii_lowercase();
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
        if entry.is_empty() {
            return false;
        }
        if entry == "*" {
            return true;
        }
        if let Some(network) = network(&entry) {
            return address.is_some_and(|a| network.contains(&a));
        }
        // Brackets are for an address with a port.
        let (named, named_port) = match split(&entry) {
            Some((_, "")) if entry.ends_with(']') => return false,
            Some(parts) => parts,
            None => return false,
        };
        if !(named_port.is_empty() || named_port == port.to_string()) {
            return false;
        }
        if let Ok(named) = named.parse::<IpAddr>() {
            return address == Some(named.to_canonical());
        }
        if address.is_some() {
            return false;
        }
        let domain = named.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(named);
        match domain.strip_prefix('.') {
            Some("") => false,
            Some(_) => host.ends_with(domain),
            None if domain.is_empty() => false,
            None => {
                host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }
        }
    })
}

/// A network; an IPv4-mapped IPv6 network becomes IPv4.
fn network(text: &str) -> Option<IpNet> {
    match text.parse().ok()? {
        IpNet::V6(net) => match (net.addr().to_ipv4_mapped(), net.prefix_len().checked_sub(96)) {
            (Some(address), Some(prefix)) => Ipv4Net::new(address, prefix).ok().map(IpNet::V4),
            _ => Some(IpNet::V6(net)),
        },
        net => Some(net),
    }
}

/// Host, without brackets, and port, which may be empty.
fn split(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, port)),
            None => after.is_empty().then_some((host, "")),
        };
    }
    match text.matches(':').count() {
        0 => Some((text, "")),
        1 => text.split_once(':'),
        // An IPv6 address without brackets.
        _ => Some((text, "")),
    }
}

/// Percent-encodes the text for the user information of a URL.
fn encode(text: &str) -> String {
    let encode = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Undoes the percent encoding of a URL's user information.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_no_proxy_is_what_go_says() {
        let list = "foobar.com, .barbaz.net, *.wildcard.io, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, \
                    2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64, port.io:80, \
                    port.org:443, UPPER.io";
        let check = |host: &str, exempt: bool| assert_eq!(is_exempt(list, host, 80), exempt, "{host}");
        // The table of httpproxy's own tests (proxy_test.go, UseProxyTests).
        check("localhost", true);
        check("127.0.0.1", true);
        check("127.0.0.2", true);
        check("[::1]", true);
        check("[::2]", false);
        check("192.168.1.1", true);
        check("192.168.1.2", false);
        check("192.168.1.3", true);
        check("192.168.1.4", false);
        check("10.0.0.2", true);
        check("[2001:db8::52:0:1]", true);
        check("[2001:db8::52:0:2]", false);
        check("[2001:db8::52:0:3]", true);
        check("[2002:db8:a::123]", true);
        check("[fe80::424b:c8be:1643:a1b6]", false);
        check("barbaz.net", false);
        check("www.barbaz.net", true);
        check("foobar.com", true);
        check("www.foobar.com", true);
        check("foofoobar.com", false);
        check("baz.com", false);
        check("localhost.net", false);
        check("local.localhost", false);
        check("barbarbaz.net", false);
        check("wildcard.io", false);
        check("nested.wildcard.io", true);
        check("awildcard.io", false);
        // Not in that table.
        check("port.io", true);
        check("a.port.io", true);
        check("port.org", false);
        check("Upper.IO", true);
        check("[::ffff:127.0.0.1]", true);
        check("[::ffff:192.168.1.1]", true);
    }

    #[test]
    fn every_list_is_read_as_go_reads_it() {
        // What Go's own code says; tests/fixtures/proxies/README.md says how.
        let table = include_str!("../../../tests/fixtures/proxies/no_proxy.json");
        let table: serde_json::Value = serde_json::from_str(table).unwrap();
        let texts =
            |value: &serde_json::Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
        let hosts = texts(&table["hosts"]);
        let lists = table["lists"].as_array().unwrap();
        assert!(hosts.len() > 20 && lists.len() > 50);
        for row in lists {
            let list = row["list"].as_str().unwrap();
            let found: Vec<&String> = hosts.iter().filter(|host| is_exempt(list, host, 6443)).collect();
            assert_eq!(found, texts(&row["exempt"]).iter().collect::<Vec<_>>(), "{list:?}");
        }
    }

    #[test]
    fn services_of_the_cluster_are_known_by_their_names() {
        let check = |host: &str, expected: bool| assert_eq!(is_service(host), expected, "{host}");
        check("registry.apps.svc", true);
        check("Registry.apps.svc.cluster.local.", true);
        check("registry.apps.svc.example.com", false);
        check("svc", false);
        check("registry.apps", false);
    }

    #[test]
    fn a_list_that_makes_no_sense_is_read_as_far_as_it_does() {
        let check =
            |list: &str, exempt: bool| assert_eq!(is_exempt(list, "api.example.com", 6443), exempt, "{list}");
        check("", false);
        check("*", true);
        check("a.io,*", true);
        check("api.example.com,", true);
        check(",, api.example.com ,", true);
        check("example.com:6443", true);
        check("example.com:443", false);
        check(":6443", false);
        check(".", false);
        check("10.0.0.0/99,com", true);
        check("[", false);
        check("xample.com", false);
        check("[::1]", false);
        let address = |list: &str| is_exempt(list, "10.0.0.1", 443);
        assert!(!address("1") && !address(".0.0.1") && address("10.0.0.1,"));
    }

    #[test]
    fn a_proxy_is_what_its_scheme_and_the_targets_say() {
        let environment = |https: &str| Environment {
            https: https.into(),
            http: "http://plain:1".into(),
            exempt: ".svc".into(),
        };
        let check = |https: &str, target: (&str, &str), expected: &str| {
            let found = environment(https).proxy(target.0, target.1, 443).map(|proxy| proxy.to_string());
            assert_eq!(found.unwrap_or_default(), expected, "{https} {target:?}");
        };
        let api = ("https", "api.example.com");
        check("http://proxy:3128", api, "http://proxy:3128");
        check("proxy:3128", api, "http://proxy:3128");
        check("proxy", api, "http://proxy:80");
        check("https://user:s3cret@proxy/", api, "https://proxy:443");
        check("socks5://[fd00::1]", api, "socks5://[fd00::1]:1080");
        check("", api, "");
        check("http://", api, "");
        check("ftp://proxy", api, "");
        check("http://proxy:3128", ("https", "a.b.svc"), "");
        check("http://proxy:3128", ("https", "127.0.0.1"), "");
        check("http://proxy:3128", ("http", "api.example.com"), "http://plain:1");
    }

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let proxy = ProxyUrl::parse("http://us%65r:s3cret%21@proxy:3128").unwrap();
        assert_eq!(proxy.user, Some(("user".into(), "s3cret!".into())));
        assert_eq!(format!("{proxy} {proxy:?}"), "http://proxy:3128 ProxyUrl(http://proxy:3128)");
        assert_eq!(proxy.url(), "http://user:s3cret%21@proxy:3128/");
        assert_eq!(ProxyUrl::parse(&proxy.url()), Ok(proxy));
        for bad in [
            "http://user:s3cret%2@proxy",
            "http://user:s3cret@",
            "http://u:s3cret@proxy:x",
            "http://a b",
            "ftp://s3cret@p",
        ] {
            let why = ProxyUrl::parse(bad).unwrap_err();
            assert!(!why.contains("s3cret"), "{bad}: {why}");
        }
    }
}
