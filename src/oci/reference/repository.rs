//! A repository in a registry, and a reference to something in it.

use std::fmt;

use super::digest::Digest;
use super::host::{host_only, is_host, is_loopback};
use super::tag::Tag;
use super::wanted::Wanted;
use crate::oci::error::OciError;

const SCHEME: &str = "oci://";
/// The limit that the distribution specification recommends for host and path together.
const MAX_REPOSITORY_BYTES: usize = 255;

/// A repository: a registry and a path in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository {
    registry: String,
    path: String,
}

impl Repository {
    /// Reads `oci://host[:port]/path`, as in `spec.url`.
    ///
    /// # Errors
    /// When the scheme is missing, when there is a tag or digest, or when host or path
    /// contain characters that no registry accepts.
    pub fn parse(url: &str) -> Result<Self, OciError> {
        let reference = ArtifactReference::parse(url)?;
        if reference.tag.is_some() || reference.digest.is_some() {
            return Err(spec(url, "the URL must not contain a tag or digest, use spec.ref"));
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
            let why = "the repository can contain only lower case letters, digits and single separators";
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

    /// The host that serves the registry's API: Docker Hub's differs from its name.
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

/// What the command line takes: `oci://host/path[:tag][@digest]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactReference {
    /// The repository.
    pub repository: Repository,
    /// The tag, if one is given.
    pub tag: Option<Tag>,
    /// The digest, if one is given; it wins over the tag.
    pub digest: Option<Digest>,
}

impl ArtifactReference {
    /// Reads the whole form.
    ///
    /// # Errors
    /// Says which part is missing or malformed.
    pub fn parse(url: &str) -> Result<Self, OciError> {
        let Some(rest) = url.strip_prefix(SCHEME) else {
            return Err(spec(url, "it must start with oci://"));
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

    /// What to resolve: the digest, with the tag that should name it, else the tag, else `latest`.
    ///
    /// # Errors
    /// Never in practice; `latest` is a tag.
    pub fn wanted(&self) -> Result<Wanted, OciError> {
        match (&self.digest, &self.tag) {
            (Some(digest), Some(tag)) => Ok(Wanted::Pinned { tag: tag.clone(), digest: digest.clone() }),
            (Some(digest), None) => Ok(Wanted::Digest(digest.clone())),
            (None, Some(tag)) => Ok(Wanted::Tag(tag.clone())),
            (None, None) => Ok(Wanted::Tag(Tag::parse("latest")?)),
        }
    }
}

impl fmt::Display for ArtifactReference {
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
    OciError::Spec(format!("{shown:?} is invalid: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_whole() {
        let check = |text: &str, expected: &str| {
            let shown = match ArtifactReference::parse(text) {
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
        check("ghcr.io/acme/app", "must start with oci://");
        check("https://ghcr.io/acme/app", "must start with oci://");
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
        assert!(
            !ArtifactReference::parse("oci://user:secret@h.io/a").unwrap_err().to_string().contains("secret")
        );
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
}
