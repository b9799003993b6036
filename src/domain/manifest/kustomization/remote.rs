//! Which paths kustomize takes for a file or a repository on another machine.

/// Whether kustomize would download it as a file.
pub(super) fn is_url(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("https://")
}

/// Whether kustomize would clone it: a URL for git, a host of SSH with a user, or GitHub with the
/// name of a repository.
pub(super) fn is_repository(path: &str) -> bool {
    let rest = without(path, "git::").unwrap_or(path);
    if ["ssh://", "file://", "https://", "http://"].iter().any(|scheme| without(rest, scheme).is_some()) {
        return true;
    }
    let named = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    if let Some((_, host)) = rest.split_once('@').filter(|(user, _)| named(user)) {
        return host.split_once([':', '/']).is_some_and(|(host, path)| !host.is_empty() && !path.is_empty());
    }
    let rest = without(rest, "www.").unwrap_or(rest);
    let Some(path) = without(rest, "github.com").and_then(|rest| rest.strip_prefix([':', '/'])) else {
        return false;
    };
    let path = path.split('?').next().unwrap_or_default();
    path.contains('/') || path.contains(".git")
}

/// The rest after a prefix in any case.
fn without<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let head = path.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &path[prefix.len()..])
}

/// Whether it looks like an address for other programs, and not like a path.
pub(super) fn has_scheme(path: &str) -> bool {
    path.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.:".contains(c))
    })
}

/// An address without what may be a password in it.
pub(super) fn shown(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit_once('@').filter(|_| !scheme.is_empty()).map_or(host, |(_, host)| host);
    let separator = if scheme.is_empty() { "" } else { "://" };
    let path = path.map(|path| format!("/{path}")).unwrap_or_default();
    let whole = format!("{scheme}{separator}{host}{path}");
    whole.split('?').next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_recognized_as_kustomize_does() {
        let check = |expected: bool, paths: &[&str]| {
            for path in paths {
                let found = is_url(path) || is_repository(path);
                assert_eq!(found, expected, "{path}");
            }
        };
        check(
            true,
            &[
                "https://github.com/acme/config//base?ref=v1",
                "https://example.com/a.yaml",
                "HTTPS://example.com/a.yaml",
                "github.com/acme/config",
                "github.com/acme/config?ref=main",
                "GitHub.com/acme/config/base",
                "git@github.com:acme/config.git",
                "git@gitlab.example.com:acme/config",
                "ci@git.example.com/acme/config",
                "https://example.com/acme/config.git",
                "file:///srv/config.git",
                "www.github.com/acme/config",
                "git::https://git.example.com/acme/config.git",
                "git::ssh://git@example.com/acme/config",
                "ssh://git@example.com/acme/config.git//base",
                "https://fabrikam.visualstudio.com/team/_git/config",
                "git::github.com/acme/config",
            ],
        );
        check(
            false,
            &[
                "../base",
                "base",
                "./a.yaml",
                "github.com",
                "apps/github.com/acme",
                "config.git",
                "a?ref=b",
                "/abs/github.com/a/b",
                "git@file",
                "a.b@c/d",
                "github.com/acme",
                "",
            ],
        );
    }

    #[test]
    fn passwords_in_addresses_are_not_shown() {
        let check = |address: &str, expected: &str| assert_eq!(shown(address), expected);
        check("https://user:secret@example.com/a/b?ref=v1&token=x", "https://example.com/a/b");
        check("git@github.com:acme/config.git", "git@github.com:acme/config.git");
        check("github.com/acme/config?ref=main", "github.com/acme/config");
    }
}
