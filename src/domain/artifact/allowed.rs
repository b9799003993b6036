//! Which registries releases may use. The administrator sets them with a flag of the
//! controller, and nothing in a release can extend them.

use super::prefix::Prefix;
use crate::domain::message::List;

/// The most prefixes that a message names.
const NAMED: usize = 8;

/// The registries that releases may use. The default is every registry.
#[derive(Clone, Debug, Default)]
pub struct Allowed(Vec<Prefix>);

/// Why a repository or proxy is not allowed. The message has the allowed prefixes: the
/// user needs them, and they are not secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// A repository in another registry.
    #[error(
        "{repository} is not in an allowed registry (--allowed-registries): use one below {allowed}, or ask the \
         administrator to allow it"
    )]
    Repository {
        /// `host/path`.
        repository: String,
        /// The prefixes.
        allowed: String,
    },
    /// A proxy that the release sets.
    #[error(
        "a proxy is not allowed with --allowed-registries (it could impersonate any registry): remove it, and ask the \
         administrator to set the proxy for the controller"
    )]
    Proxy,
}

impl Allowed {
    /// Only repositories below these; every one if there are none.
    pub fn below(prefixes: Vec<Prefix>) -> Self {
        Self(prefixes)
    }

    /// Whether anything is forbidden.
    pub fn is_limited(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether a repository may be used. `registry` is its host with its port.
    ///
    /// # Errors
    /// When it is not below an allowed prefix.
    pub fn repository(&self, registry: &str, path: &str) -> Result<(), NotAllowed> {
        if !self.is_limited() || self.0.iter().any(|prefix| prefix.holds(registry, path)) {
            return Ok(());
        }
        let allowed = List::Names.few(&self.0, NAMED);
        Err(NotAllowed::Repository { repository: format!("{registry}/{path}"), allowed })
    }

    /// Whether a release may set a proxy: not if registries are restricted, because the
    /// owner of a proxy decides which registry is behind it.
    ///
    /// # Errors
    /// When it is not allowed.
    pub fn proxy(&self) -> Result<(), NotAllowed> {
        if self.is_limited() { Err(NotAllowed::Proxy) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(prefixes: &[&str]) -> Allowed {
        Allowed::below(prefixes.iter().map(|prefix| Prefix::parse(prefix).unwrap()).collect())
    }

    #[test]
    fn only_what_is_below_a_prefix_is_allowed() {
        let check = |repository: &str, expected: bool| {
            let (registry, path) = repository.split_once('/').unwrap();
            let allowed = below(&["ghcr.io/acme", "registry.example:5000"]);
            assert_eq!(allowed.repository(registry, path).is_ok(), expected, "{repository}");
            assert!(Allowed::default().repository(registry, path).is_ok());
        };
        check("ghcr.io/acme/app", true);
        check("registry.example:5000/any/thing", true);
        check("registry.example/any/thing", false);
        check("ghcr.io/other/app", false);
        check("ghcr.io/acme-evil/app", false);
        check("ghcr.io.evil.example/acme/app", false);
        check("evil.example/ghcr.io/acme/app", false);
        check("docker.io/acme/app", false);
    }

    #[test]
    fn the_refusal_says_what_to_use_instead() {
        let refused = |prefixes: &[&str]| below(prefixes).repository("e.io", "x").unwrap_err().to_string();
        let message = refused(&["ghcr.io/acme", "quay.io"]);
        for part in ["e.io/x is not in an allowed registry", "below ghcr.io/acme, quay.io, or ask"] {
            assert!(message.contains(part), "{message}");
        }
        let many: Vec<String> = (0..12).map(|n| format!("r{n}.io")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(refused(&many).contains("r7.io and 4 more"));
    }

    #[test]
    fn a_proxy_is_no_way_around() {
        assert_eq!(Allowed::default().proxy(), Ok(()));
        assert_eq!(below(&["ghcr.io"]).proxy(), Err(NotAllowed::Proxy));
    }
}
