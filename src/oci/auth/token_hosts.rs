//! Additional token services that get a registry's credentials, as configured for this
//! process.

use std::str::FromStr;

use crate::oci::credentials::split_key;
use crate::oci::reference::is_host;

/// A registry, and another host that issues its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHost {
    registry: String,
    host: String,
}

impl TokenHost {
    /// Whether the registry's credentials may go to the host. Names and ports are
    /// compared literally, without patterns.
    pub(super) fn allows(&self, registry: &str, host: &str) -> bool {
        self.registry == registry && self.host == host
    }
}

impl FromStr for TokenHost {
    type Err = String;

    /// Reads `registry.example=auth.example`, each with an optional port.
    fn from_str(text: &str) -> Result<Self, String> {
        let (registry, host) = text.split_once('=').unwrap_or((text, ""));
        let (registry, path) = split_key(registry);
        let host = host.to_ascii_lowercase();
        if !path.is_empty() || !is_host(&registry) || !is_host(&host) {
            return Err("must be REGISTRY=HOST, such as registry.example=auth.other.example".into());
        }
        // A URL omits the default port.
        let host = host.strip_suffix(":443").map(str::to_owned).unwrap_or(host);
        Ok(Self { registry, host })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_a_registry_and_a_host() {
        let check = |text: &str, registry: &str, host: &str, expected: bool| {
            let allows = text.parse::<TokenHost>().is_ok_and(|pair| pair.allows(registry, host));
            assert_eq!(allows, expected, "{text} {registry} {host}");
        };
        check("R.example=Auth.example", "r.example", "auth.example", true);
        check("r.example:5000=auth.example:8443", "r.example:5000", "auth.example:8443", true);
        check("index.docker.io=auth.example:443", "docker.io", "auth.example", true);
        check("r.example=auth.example", "x.r.example", "auth.example", false);
        check("r.example=auth.example", "r.example", "x.auth.example", false);
        check("r.example=auth.example", "r.example:5000", "auth.example", false);
        for wrong in ["", "r.example", "=a", "r=", "r.example=*.example", "r/x=a", "r=https://a", "*=a"] {
            assert!(wrong.parse::<TokenHost>().is_err(), "{wrong}");
        }
    }
}
