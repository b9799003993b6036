//! Names of things in registries: repositories, tags, digests.
//!
//! Parsed once; every part that ends in a URL or a file name has been checked
//! here.

use std::fmt;

use sha2::{Digest as _, Sha256, Sha512};

use super::OciError;
use crate::domain::version::{Range, TagFilter};

const SCHEME: &str = "oci://";
/// The distribution specification's advice for the whole of host and path.
const MAX_REPOSITORY_BYTES: usize = 255;

/// A repository: a registry and a path in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository {
    registry: String,
    path: String,
}

impl Repository {
    /// Reads `oci://host[:port]/path`, as it stands in `spec.url`.
    ///
    /// # Errors
    /// When the scheme is missing, when there is a tag or digest, or when host
    /// or path hold characters that no registry accepts.
    pub fn parse(url: &str) -> Result<Self, OciError> {
        let reference = Reference::parse(url)?;
        if reference.tag.is_some() || reference.digest.is_some() {
            return Err(spec(url, "a tag or digest does not belong into the URL, use spec.ref"));
        }
        Ok(reference.repository)
    }

    fn new(url: &str, rest: &str) -> Result<Self, OciError> {
        let Some((host, path)) = rest.split_once('/') else {
            return Err(spec(url, "it has no repository after the registry host"));
        };
        let host = host.to_ascii_lowercase();
        if !is_host(&host) {
            return Err(spec(url, "the registry is not a host name with an optional port"));
        }
        let named = host.contains(['.', ':']) || host == "localhost";
        if !named {
            let why = format!("{host:?} is not a registry host; for Docker Hub write oci://docker.io/{rest}");
            return Err(spec(url, &why));
        }
        let hub = matches!(host.as_str(), "docker.io" | "index.docker.io" | "registry-1.docker.io");
        let registry = if hub { "docker.io".to_owned() } else { host };
        let path = if hub && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
        if !path.split('/').all(is_path_segment) {
            let why =
                "the repository holds something other than lower case letters, digits and single separators";
            return Err(spec(url, why));
        }
        if registry.len() + path.len() > MAX_REPOSITORY_BYTES {
            return Err(spec(url, &format!("it is longer than {MAX_REPOSITORY_BYTES} bytes")));
        }
        Ok(Self { registry, path })
    }

    /// The registry as people name it, with its port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path in the registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host that serves the registry's API: Docker Hub's is another than
    /// its name.
    pub fn api_host(&self) -> &str {
        if self.registry == "docker.io" { "registry-1.docker.io" } else { &self.registry }
    }

    /// Whether the registry is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(host_only(&self.registry))
    }

    /// The repository with a digest: `host/path@sha256:…`.
    pub fn at(&self, digest: &Digest) -> String {
        format!("{self}@{digest}")
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

/// Whether a host name or address is this machine's own.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The host without its port.
pub(super) fn host_only(host: &str) -> &str {
    if host.starts_with('[') {
        return host.find(']').map_or(host, |end| &host[..=end]);
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// Whether it is a host name or address with an optional port.
pub(super) fn is_host(host: &str) -> bool {
    let name = host_only(host);
    let port = &host[name.len()..];
    let port_ok =
        port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok_and(|p| p > 0));
    let name_ok = match name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }),
    };
    port_ok && name_ok
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`, as the
/// distribution specification has it.
fn is_path_segment(segment: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !segment.starts_with(alphanumeric) || !segment.ends_with(alphanumeric) {
        return false;
    }
    segment
        .split(alphanumeric)
        .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

/// A tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Checks the characters and the length.
    ///
    /// # Errors
    /// When no registry would accept the tag.
    pub fn parse(text: &str) -> Result<Self, OciError> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let ok = text.len() <= 128
            && text.bytes().next().is_some_and(word)
            && text.bytes().all(|b| word(b) || b == b'.' || b == b'-');
        if ok { Ok(Self(text.to_owned())) } else { Err(OciError::Spec(format!("{text:?} is not a tag"))) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The digest of some bytes: `sha256:` or `sha512:` and lower case hex.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// Checks algorithm and length.
    ///
    /// # Errors
    /// When the algorithm is another one or the hex digits are not what it
    /// gives.
    pub fn parse(text: &str) -> Result<Self, OciError> {
        let hex =
            |s: &str, len: usize| s.len() == len && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let ok = match text.split_once(':') {
            Some(("sha256", digits)) => hex(digits, 64),
            Some(("sha512", digits)) => hex(digits, 128),
            _ => false,
        };
        if ok {
            Ok(Self(text.to_owned()))
        } else {
            let shown: String = text.chars().take(80).collect();
            Err(OciError::Spec(format!("{shown:?} is not a digest of the form sha256:<64 hex digits>")))
        }
    }

    /// The sha256 digest of the bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex::encode(Sha256::digest(bytes))))
    }

    /// Whether this is the digest of the bytes.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        match self.0.split_once(':') {
            Some(("sha512", digits)) => hex::encode(Sha512::digest(bytes)) == digits,
            Some((_, digits)) => hex::encode(Sha256::digest(bytes)) == digits,
            None => false,
        }
    }

    /// The text, `algorithm:hex`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hex digits alone: safe as a file name.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, digits)| digits)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a release follows in its repository.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Whatever the tag points at.
    Tag(Tag),
    /// The highest tag in a range.
    Semver {
        /// The range.
        range: Range,
        /// What a tag must match to be considered.
        filter: Option<TagFilter>,
    },
    /// Exactly these bytes.
    Digest(Digest),
}

impl Wanted {
    /// For people: `tag 1.0.0`, `semver ^1`, a digest.
    pub fn describe(&self) -> String {
        match self {
            Self::Tag(tag) => format!("tag {tag}"),
            Self::Semver { range, filter: None } => format!("semver {:?}", range.as_str()),
            Self::Semver { range, filter: Some(filter) } => {
                format!("semver {:?} with semverFilter {:?}", range.as_str(), filter.as_str())
            }
            Self::Digest(digest) => digest.to_string(),
        }
    }
}

/// What the command line takes: `oci://host/path[:tag][@digest]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The repository.
    pub repository: Repository,
    /// The tag, if one is given.
    pub tag: Option<Tag>,
    /// The digest, if one is given; it wins over the tag.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Reads the whole form.
    ///
    /// # Errors
    /// Says which part is missing or malformed.
    pub fn parse(url: &str) -> Result<Self, OciError> {
        let Some(rest) = url.strip_prefix(SCHEME) else {
            return Err(spec(url, "it has to start with oci://"));
        };
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest)?)),
            None => (rest, None),
        };
        let slash = rest.rfind('/').unwrap_or(0);
        let (rest, tag) = match rest[slash..].split_once(':') {
            Some((_, tag)) if slash > 0 => (&rest[..rest.len() - tag.len() - 1], Some(Tag::parse(tag)?)),
            _ => (rest, None),
        };
        Ok(Self { repository: Repository::new(url, rest)?, tag, digest })
    }

    /// What to resolve: the digest, else the tag, else `latest`.
    ///
    /// # Errors
    /// Never in practice; `latest` is a tag.
    pub fn wanted(&self) -> Result<Wanted, OciError> {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Ok(Wanted::Digest(digest.clone())),
            (None, Some(tag)) => Ok(Wanted::Tag(tag.clone())),
            (None, None) => Ok(Wanted::Tag(Tag::parse("latest")?)),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(f)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn spec(url: &str, why: &str) -> OciError {
    let shown: String = url.chars().take(300).collect();
    OciError::Spec(format!("{shown:?} cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_whole() {
        let check = |text: &str, expected: &str| {
            let shown = match Reference::parse(text) {
                Ok(reference) => reference.to_string(),
                Err(e) => e.to_string(),
            };
            assert!(shown.contains(expected), "{text}: {shown:?} does not contain {expected:?}");
        };
        let hex = "a".repeat(64);
        check("oci://ghcr.io/acme/app", "ghcr.io/acme/app");
        check("oci://GHCR.io/acme/app:v1.0", "ghcr.io/acme/app:v1.0");
        check("oci://localhost:5000/app:1", "localhost:5000/app:1");
        check("oci://localhost/app", "localhost/app");
        check("oci://[::1]:5000/app:1", "[::1]:5000/app:1");
        check(&format!("oci://h.io/a@sha256:{hex}"), &format!("h.io/a@sha256:{hex}"));
        check(&format!("oci://h.io/a:t@sha256:{hex}"), &format!("h.io/a:t@sha256:{hex}"));
        check("oci://docker.io/nginx:1", "docker.io/library/nginx:1");
        check("oci://index.docker.io/acme/app", "docker.io/acme/app");
        check("oci://h.io/a/b__c/d-e--f/g.h", "h.io/a/b__c/d-e--f/g.h");
        check("ghcr.io/acme/app", "has to start with oci://");
        check("https://ghcr.io/acme/app", "has to start with oci://");
        check("oci://ghcr.io", "no repository");
        check("oci://acme/app", "oci://docker.io/acme/app");
        check("oci://h.io:0/a", "host name with an optional port");
        check("oci://h_x.io/a", "host name with an optional port");
        check("oci://h.io/A", "lower case");
        check("oci://h.io/a/../b", "lower case");
        check("oci://h.io/a//b", "lower case");
        check("oci://h.io/a?x=y", "lower case");
        check("oci://h.io/a:b/c", "lower case");
        check("oci://h.io/a:-x", "is not a tag");
        check("oci://h.io/a@sha256:../../x", "is not a digest");
        check("oci://h.io/a@sha256:AAAA", "is not a digest");
        check("oci://user:secret@h.io/a", "is not a digest");
        assert!(!Reference::parse("oci://user:secret@h.io/a").unwrap_err().to_string().contains("secret"));
        assert!(Repository::parse("oci://h.io/a:1").unwrap_err().to_string().contains("spec.ref"));
    }

    #[test]
    fn docker_hub_is_asked_at_its_api_host() {
        assert_eq!(Repository::parse("oci://docker.io/nginx").unwrap().api_host(), "registry-1.docker.io");
        assert_eq!(Repository::parse("oci://ghcr.io/a").unwrap().api_host(), "ghcr.io");
    }

    #[test]
    fn loopback_is_recognised() {
        for (url, expected) in [
            ("oci://localhost:5000/a", true),
            ("oci://127.0.0.1:5000/a", true),
            ("oci://127.9.9.9/a", true),
            ("oci://[::1]:5000/a", true),
            ("oci://10.0.0.1/a", false),
            ("oci://localhost.evil.com/a", false),
        ] {
            assert_eq!(Repository::parse(url).unwrap().is_loopback(), expected, "{url}");
        }
    }

    #[test]
    fn digests_are_of_bytes() {
        let digest = Digest::of(b"abc");
        assert!(digest.is_of(b"abc") && !digest.is_of(b"abd"));
        let sha512 = format!("sha512:{}", hex::encode(Sha512::digest(b"abc")));
        assert!(Digest::parse(&sha512).unwrap().is_of(b"abc"));
    }
}
