//! What a webhook says: that something was pushed to a repository.

use std::fmt;

use crate::domain::artifact::prefix::{plain, split};
use crate::domain::artifact::tags::is_attached;

/// The longest host and path of a repository, together.
const MAX_REPOSITORY_BYTES: usize = 255;
/// The longest tag (distribution specification).
const MAX_TAG_BYTES: usize = 128;
/// The port of a URL without one; that of plain HTTP counts as the same.
const DEFAULT_PORT: u16 = 443;

/// A repository, with the normalized name of its registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PushedRepository {
    host: String,
    port: u16,
    path: String,
}

/// A registry, with a normalized name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: u16,
}

/// A push to a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Push {
    /// Where.
    pub place: PushedRepository,
    /// The tag that moved, if the sender names one.
    pub tag: Option<String>,
    /// What was pushed, if the sender says so.
    pub digest: Option<String>,
}

impl Host {
    /// Reads `host[:port]`; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = split(text).filter(|_| text.len() <= MAX_REPOSITORY_BYTES)?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        let sound = !name.is_empty() && name.bytes().all(allowed);
        sound.then(|| Self { name, port: plain(port.unwrap_or(DEFAULT_PORT)) })
    }
}

impl PushedRepository {
    /// The repository of a path on a registry; none when the path is invalid.
    pub fn new(host: &Host, path: &str) -> Option<Self> {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let sound = |part: &str| !part.is_empty() && part.bytes().all(word) && part != "." && part != "..";
        if host.name.len() + path.len() > MAX_REPOSITORY_BYTES || !path.split('/').all(sound) {
            return None;
        }
        // Docker Hub's short names.
        let short = host.name == "docker.io" && !path.contains('/');
        let path = if short { format!("library/{path}") } else { path.to_owned() };
        Some(Self { host: host.name.clone(), port: host.port, path })
    }

    /// Reads `host[:port]/path`, with or without `oci://` before it.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, path) = text.strip_prefix("oci://").unwrap_or(text).split_once('/')?;
        Self::new(&Host::parse(host)?, path)
    }
}

impl fmt::Display for PushedRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            DEFAULT_PORT => write!(f, "{}/{}", self.host, self.path),
            port => write!(f, "{}:{port}/{}", self.host, self.path),
        }
    }
}

impl Push {
    /// A push; without a tag if the tag of the sender is invalid.
    pub fn new(place: PushedRepository, tag: Option<&str>) -> Self {
        let word = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let sound = |tag: &&str| !tag.is_empty() && tag.len() <= MAX_TAG_BYTES && tag.bytes().all(word);
        Self { place, tag: tag.filter(sound).map(str::to_owned), digest: None }
    }

    /// With the digest that the sender names, if it is valid.
    #[must_use]
    pub fn of(self, digest: Option<&str>) -> Self {
        let hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let sound = |text: &&str| text.strip_prefix("sha256:").is_some_and(hex);
        Self { digest: digest.filter(sound).map(str::to_owned), ..self }
    }

    /// The revision of the tag once the registry has moved it: CNCF distribution sends the
    /// notification before it moves the tag.
    pub fn outcome(&self) -> Option<&str> {
        let tag = self.tag.as_deref().filter(|tag| !is_attached(tag));
        tag.and(self.digest.as_deref())
    }
}

impl fmt::Display for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_has_one_spelling() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(PushedRepository::parse(text).map(|p| p.to_string()).as_deref(), expected, "{text}");
        };
        check("oci://ghcr.io/acme/app", Some("ghcr.io/acme/app"));
        check("GHCR.io:443/acme/app", Some("ghcr.io/acme/app"));
        check("ghcr.io:80/acme/app", Some("ghcr.io/acme/app"));
        check("registry.example.:5000/app", Some("registry.example:5000/app"));
        check("docker.io/nginx", Some("docker.io/library/nginx"));
        check("registry-1.docker.io/acme/app", Some("docker.io/acme/app"));
        check("[::1]:5000/app", Some("[::1]:5000/app"));
        check("ghcr.io", None);
        check("ghcr.io/", None);
        check("/app", None);
        check("ghcr.io/acme//app", None);
        check("ghcr.io/acme/../app", None);
        check("ghcr.io/Acme", None);
        check("ghcr.io/acme:tag", None);
        check("gh cr.io/acme", None);
        check("ghcr.io:x/acme", None);
        check("user@ghcr.io/acme", None);
        check(&format!("ghcr.io/{}", "a".repeat(300)), None);
        check(&format!("{}/a", "a".repeat(300)), None);
    }

    #[test]
    fn what_is_no_tag_is_not_taken_for_one() {
        let check = |tag: &str, expected: Option<&str>| {
            let push = Push::new(PushedRepository::parse("ghcr.io/app").unwrap(), Some(tag));
            assert_eq!(push.tag.as_deref(), expected, "{tag}");
        };
        check("v1.0_x-y", Some("v1.0_x-y"));
        check("", None);
        check("sha256:abc", None);
        check("a/b", None);
        check(&"a".repeat(129), None);
    }

    #[test]
    fn what_is_attached_is_not_what_a_release_comes_to() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let check = |tag: Option<&str>, named: &str, expected: Option<&str>| {
            let push = Push::new(PushedRepository::parse("ghcr.io/app").unwrap(), tag).of(Some(named));
            assert_eq!(push.outcome(), expected, "{push}");
        };
        check(Some("v1"), &digest, Some(&digest));
        check(Some("v1"), "sha256:short", None);
        check(Some(&digest.replace(':', "-")), &digest, None);
        check(None, &digest, None);
    }
}
