//! The proxy of the environment, for an access without its own.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use crate::domain::proxy::is_service;

/// The proxy settings of the environment, read once.
pub(super) struct Environment {
    matcher: Matcher,
    /// Whether this is a pod, which reaches the Services of its cluster directly.
    in_pod: bool,
}

impl Environment {
    pub fn read() -> Self {
        let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        Self { matcher: Matcher::from_system(), in_pod }
    }

    /// Whether the client will send this through a proxy. It decides by the same
    /// rules: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`.
    pub fn concerns(&self, url: &Url) -> bool {
        let near = self.in_pod && url.host_str().is_some_and(is_service);
        !near && url.as_str().parse::<Uri>().is_ok_and(|uri| self.matcher.intercept(&uri).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_reaches_the_services_of_its_cluster_without_a_proxy() {
        let check = |in_pod: bool, url: &str, expected: bool| {
            let matcher = Matcher::builder().all("http://proxy:3128").build();
            let environment = Environment { matcher, in_pod };
            assert_eq!(environment.concerns(&Url::parse(url).unwrap()), expected, "{in_pod} {url}");
        };
        check(true, "https://registry.apps.svc:5000/v2/", false);
        check(false, "https://registry.apps.svc:5000/v2/", true);
        check(true, "https://registry.example.com/v2/", true);
    }
}
