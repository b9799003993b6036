//! The names by which the page may be called. Another name that leads here is one of another site (DNS rebinding).

/// The names of this machine.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The names by which the page may be called.
#[derive(Clone, Debug)]
pub enum PageHosts {
    /// These, each with its port.
    Exact(Vec<String>),
    /// These and the names of this machine (for `kubectl port-forward`), on any port.
    Named(Vec<String>),
}

impl PageHosts {
    /// Whether a request for this host is for the page.
    pub fn knows(&self, host: &str) -> bool {
        match self {
            Self::Exact(hosts) => hosts.iter().any(|known| known == host),
            Self::Named(names) => {
                let name = without_port(host);
                is_local(host) || names.iter().any(|known| known.eq_ignore_ascii_case(name))
            }
        }
    }
}

/// Whether a host is this machine: there, the page is reached without TLS.
pub fn is_local(host: &str) -> bool {
    LOCAL.iter().any(|local| local.eq_ignore_ascii_case(without_port(host)))
}

/// The name of a host.
pub fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// A name of the page, as an administrator gives it.
///
/// # Errors
/// Why it is none.
pub fn host_name(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    match is_name {
        true => Ok(text.to_owned()),
        false => Err("must be a host without scheme and port, such as supercargo.example.com".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_names_that_were_given() {
        let named = PageHosts::Named(vec!["page.example.com".into(), "10.1.2.3".into()]);
        let check = |host: &str, expected: bool| assert_eq!(named.knows(host), expected, "{host}");
        check("page.example.com", true);
        check("Page.Example.com:443", true);
        check("10.1.2.3:9494", true);
        check("localhost:4711", true);
        check("127.0.0.1:1", true);
        check("[::1]:1", true);
        check("[::1]", true);
        check("example.com", false);
        check("page.example.com.evil.example", false);
        check("evil.example:9494", false);
        check("localhost.evil.example", false);
        check("page.example.com:x", false);
        check("::1", false);
        check("", false);
        let exact = PageHosts::Exact(vec!["127.0.0.1:8090".into()]);
        assert!(exact.knows("127.0.0.1:8090") && !exact.knows("127.0.0.1:8091") && !exact.knows("localhost"));
    }

    #[test]
    fn a_name_of_the_page_has_no_scheme_and_no_port() {
        let check = |text: &str, expected: bool| assert_eq!(host_name(text).is_ok(), expected, "{text}");
        check("page.example.com", true);
        check("localhost", true);
        check("https://page.example.com", false);
        check("page.example.com:8443", false);
        check("*", false);
        check("", false);
    }
}
