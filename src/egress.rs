//! The proxy of the environment, on the way to registries and to receivers of notifications: which requests go
//! through it.

use std::sync::LazyLock;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use crate::domain::proxy::is_service;
use crate::domain::zone::Zone;

/// The proxy settings of the environment.
pub struct EgressProxy {
    matcher: Matcher,
    /// Whether this is a pod, which reaches the Services of its cluster directly.
    in_pod: bool,
}

impl EgressProxy {
    /// Those of this process, read once.
    pub fn of_process() -> &'static Self {
        static SETTINGS: LazyLock<EgressProxy> = LazyLock::new(|| {
            let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
            EgressProxy { matcher: Matcher::from_system(), in_pod }
        });
        &SETTINGS
    }

    /// Whether the proxy connects to this host, and resolves its name. The HTTP client decides by the same rules
    /// (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), but for what is not for it: hosts on this machine, or
    /// only on its network (a cloud's metadata), and Services.
    pub fn concerns(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let is_local = matches!(Zone::of_host(host), Some(Zone::Loopback | Zone::Forbidden));
        let is_near = is_local || self.in_pod && is_service(host);
        !is_near && url.as_str().parse::<Uri>().is_ok_and(|uri| self.matcher.intercept(&uri).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_reaches_the_services_of_its_cluster_and_itself_without_a_proxy() {
        let check = |in_pod: bool, url: &str, expected: bool| {
            let matcher = Matcher::builder().all("http://proxy:3128").no("exempt.example").build();
            let proxy = EgressProxy { matcher, in_pod };
            assert_eq!(proxy.concerns(&Url::parse(url).unwrap()), expected, "{in_pod} {url}");
        };
        check(true, "https://registry.apps.svc:5000/v2/", false);
        check(false, "https://registry.apps.svc:5000/v2/", true);
        check(true, "https://registry.example.com/v2/", true);
        check(true, "https://exempt.example/v2/", false);
        check(false, "http://127.0.0.1:8080/", false);
        check(false, "https://localhost/", false);
        check(false, "https://169.254.169.254/", false);
        check(false, "https://10.0.0.1/", true);
    }
}
