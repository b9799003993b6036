//! Which container images must be signed, and by whom.
//!
//! Names are parsed as Docker and the kubelet parse them, because a name that is
//! parsed differently here would be another image there.

use std::fmt;

use super::policy::Policy;
use crate::domain::artifact::digest::is_digest;
use crate::domain::artifact::prefix;

/// The registry of images without one.
const HUB: &str = "docker.io";
/// The prefix of an image that is computed where it runs (Tekton).
const VARIABLE: &str = "$(";

/// The parsed name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    written: String,
    repository: String,
    tag: String,
    digest: Option<String>,
}

impl ImageName {
    /// Reads it as Docker does: `nginx` is `docker.io/library/nginx:latest`.
    ///
    /// # Errors
    /// When no kubelet would accept it as an image.
    pub fn parse(written: &str) -> Result<Self, String> {
        let fail = || format!("{:?} is not a valid image name", short(written));
        let (rest, digest) = match written.split_once('@') {
            Some((rest, digest)) if is_digest(digest) => (rest, Some(digest.to_owned())),
            Some(_) => return Err(fail()),
            None => (written, None),
        };
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[slash..].split_once(':') {
            Some((last, tag)) if is_tag(tag) => (&rest[..slash + last.len()], tag),
            Some(_) => return Err(fail()),
            None => (rest, ""),
        };
        let (host, path) = split_host(name);
        let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        let empty = path.split('/').any(str::is_empty);
        let odd_host = !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c));
        if empty || odd_host || !path.chars().all(sound) {
            return Err(fail());
        }
        let repository = normal(host, path);
        Ok(Self { written: written.to_owned(), repository, tag: tag.to_owned(), digest })
    }

    /// `host/path`, without tag and digest.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` if there is none.
    pub fn tag(&self) -> &str {
        if self.tag.is_empty() { "latest" } else { &self.tag }
    }

    /// The digest, if it is written.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The same image, pinned to a digest: as written, with a tag and the digest. One that
    /// has a digest does not change.
    pub fn pinned(&self, digest: &str) -> String {
        match (&self.digest, self.tag.is_empty()) {
            (Some(_), _) => self.written.clone(),
            (None, false) => format!("{}@{digest}", self.written),
            // With the implied tag, which also decides the pull policy.
            (None, true) => format!("{}:latest@{digest}", self.written),
        }
    }
}

/// The first part is a host only if it looks like one.
fn split_host(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((host, path)) if is_host(host) => (host, path),
        _ => ("", name),
    }
}

/// Docker's rule (`reference.splitDockerDomain`).
fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.chars().any(|c| c.is_ascii_uppercase())
}

/// Normalizes the ways to write one repository: another spelling of the host must not
/// bypass a rule.
fn normal(host: &str, path: &str) -> String {
    let host = match prefix::split(host) {
        Some((host, port)) => match port.filter(|port| prefix::plain(*port) != prefix::plain(443)) {
            Some(port) => format!("{host}:{port}"),
            None => host,
        },
        // Not a host with a port: compared as it is.
        None => host.to_ascii_lowercase(),
    };
    let hub = host.is_empty() || host == HUB;
    match (hub, path.contains('/') || path.starts_with('*')) {
        (true, false) => format!("{HUB}/library/{path}"),
        (true, true) => format!("{HUB}/{path}"),
        (false, _) => format!("{host}/{path}"),
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Repositories: `ghcr.io/acme/*`. A star matches any characters, including slashes; but
/// a star in the host matches only the host, without the port. A host without a port
/// means the default ports, a star as the host means every host on every port, and a star
/// alone means every repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    written: String,
    whole: String,
}

impl Pattern {
    /// Reads a pattern. Its host is normalized like that of an image.
    ///
    /// # Errors
    /// When it could never match: a rule that matches nothing lets everything
    /// through.
    pub fn parse(written: &str) -> Result<Self, String> {
        let shown = || format!("{:?}", short(written));
        if written.contains(VARIABLE) {
            return Ok(Self { written: written.to_owned(), whole: written.to_owned() });
        }
        let last = &written[written.rfind('/').map_or(0, |at| at + 1)..];
        let tagged = written.contains('/') && last.contains(':');
        if written.contains('@') || tagged {
            return Err(format!("{} has a tag or digest; a pattern matches repositories", shown()));
        }
        let (host, path) = split_host(written);
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/*".contains(c);
        let odd_host = !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]*".contains(c));
        let empty = path.split('/').any(str::is_empty);
        if empty || odd_host || !path.chars().all(known) {
            return Err(format!("{} is not a repository pattern such as ghcr.io/acme/*", shown()));
        }
        // A star in place of a host stands for hosts.
        let first = written.split('/').next().unwrap_or_default();
        let whole = match first.contains('*') {
            true if written != "*" && first == written => {
                let other = format!("{}/{written}", normal("", "x").trim_end_matches("/x"));
                return Err(format!("{} has no registry host: use {other} or HOST/*", shown()));
            }
            true => {
                let (host, path) = written.split_once('/').unwrap_or((written, ""));
                let host = host.to_ascii_lowercase();
                let default =
                    |port: &str| port.parse().is_ok_and(|port| prefix::plain(port) == prefix::plain(443));
                match (with_port(&host), path) {
                    (_, "") => host,
                    ((name, port), path) if default(port) => format!("{name}/{path}"),
                    (_, path) => format!("{host}/{path}"),
                }
            }
            false => normal(host, path),
        };
        Ok(Self { written: written.to_owned(), whole })
    }

    /// Whether `host/path` is one of them.
    pub fn matches(&self, repository: &str) -> bool {
        match (self.whole.split_once('/'), repository.split_once('/')) {
            _ if self.whole == "*" => true,
            (Some((hosts, paths)), Some((host, path))) => fits_host(hosts, host) && fits(paths, path),
            _ => self.whole == repository,
        }
    }
}

/// Whether a host with its port matches a pattern. Another port may belong to another
/// owner's registry.
fn fits_host(pattern: &str, host: &str) -> bool {
    let ((names, ports), (name, port)) = (with_port(pattern), with_port(host));
    pattern == "*" || (fits(names, name) && fits(ports, port))
}

/// A host, and its port if there is one.
fn with_port(host: &str) -> (&str, &str) {
    let name = host.rfind(']').map_or(0, |at| at + 1);
    match host[name..].split_once(':') {
        Some((rest, port)) => (&host[..name + rest.len()], port),
        None => (host, ""),
    }
}

/// Whether a text matches a pattern with stars.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Who must sign which images, with keys and roots.
#[derive(Clone, Debug, Default)]
pub struct ImagePolicies {
    /// Images that need no signature; checked before the rules.
    pub exempt: Vec<Pattern>,
    /// The first that matches counts.
    pub rules: Vec<ImageSigners>,
}

/// Who must sign the images of some repositories.
#[derive(Clone, Debug)]
pub struct ImageSigners {
    /// Which.
    pub pattern: Pattern,
    /// All of these have to be satisfied: the rule's own, or those of the artifact.
    pub policies: Vec<Policy>,
}

/// What is required of an image.
#[derive(Clone, Debug)]
pub enum ImageNeed<'a> {
    /// Nothing: a pattern says so.
    Exempt,
    /// It is refused: no rule and no exemption matches it.
    Unmatched,
    /// It has to satisfy these policies.
    Signed(ImageName, &'a [Policy]),
    /// The name of the image is unknown or invalid, so that no rule can match it; has the
    /// message.
    Unknown(String),
}

impl ImagePolicies {
    /// Identifies the policies with all keys and roots: different ones have different
    /// fingerprints.
    pub fn fingerprint(&self) -> String {
        let rules = self.rules.iter().map(|rule| {
            let policies: Vec<String> = rule.policies.iter().map(Policy::fingerprint).collect();
            format!("{}={}", rule.pattern, policies.join("+"))
        });
        let exempt = self.exempt.iter().map(ToString::to_string);
        rules.chain(exempt).collect::<Vec<_>>().join(" ")
    }

    /// Whether an image, as it is written in an object, needs no signature.
    pub fn exempts(&self, written: &str) -> bool {
        matches!(self.demand(written), ImageNeed::Exempt)
    }

    /// What is required of an image, as it is written in an object.
    pub fn demand(&self, written: &str) -> ImageNeed<'_> {
        let name = match ImageName::parse(written) {
            Ok(name) => name,
            // It may be a variable of Tekton: that can be exempted as it is written.
            Err(_) if self.exempt.iter().any(|pattern| pattern.matches(written)) => return ImageNeed::Exempt,
            Err(why) => return ImageNeed::Unknown(why),
        };
        if self.exempt.iter().any(|pattern| pattern.matches(name.repository())) {
            return ImageNeed::Exempt;
        }
        match self.rules.iter().find(|rule| rule.pattern.matches(name.repository())) {
            Some(rule) => ImageNeed::Signed(name, &rule.policies),
            None => ImageNeed::Unmatched,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let check = |written: &str, repository: &str, tag: &str, pinned: &str| {
            let name = ImageName::parse(written).unwrap();
            assert_eq!((name.repository(), name.tag()), (repository, tag), "{written}");
            assert_eq!(name.pinned(&digest), format!("{pinned}@{digest}"), "{written}");
        };
        check("nginx", "docker.io/library/nginx", "latest", "nginx:latest");
        check("nginx:1", "docker.io/library/nginx", "1", "nginx:1");
        check("acme/app:1", "docker.io/acme/app", "1", "acme/app:1");
        check("docker.io/nginx", "docker.io/library/nginx", "latest", "docker.io/nginx:latest");
        check("index.docker.io/acme/app:1", "docker.io/acme/app", "1", "index.docker.io/acme/app:1");
        check("ghcr.io/acme/app:1", "ghcr.io/acme/app", "1", "ghcr.io/acme/app:1");
        check("GHCR.io:443/acme/app:1", "ghcr.io/acme/app", "1", "GHCR.io:443/acme/app:1");
        check("r.io:5000/app", "r.io:5000/app", "latest", "r.io:5000/app:latest");
        check("localhost/app:1", "localhost/app", "1", "localhost/app:1");
        check("[::1]:5000/app:1", "[::1]:5000/app", "1", "[::1]:5000/app:1");
        check(&format!("r.io/app:1@{digest}"), "r.io/app", "1", "r.io/app:1");
        check(&format!("r.io/app@{digest}"), "r.io/app", "latest", "r.io/app");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for wrong in [
            "",
            "$(params.image)",
            "ghcr.io/Acme/app",
            "ghcr.io/acme/app:",
            "ghcr.io/acme/app:-x",
            "ghcr.io/acme//app",
            "ghcr.io/acme/app@sha256:abc",
            "ghcr.io/acme/app@",
            "ghcr.io/acme/app 1",
            "oci://ghcr.io/acme/app",
            "ghcr.io/",
            "ghcr.io/acmé/app",
        ] {
            let error = ImageName::parse(wrong).unwrap_err();
            assert_eq!(error, format!("{wrong:?} is not a valid image name"));
        }
    }

    #[test]
    fn patterns_match_whole_repositories() {
        let check = |pattern: &str, image: &str, expected: bool| {
            let name = ImageName::parse(image).unwrap();
            let pattern = Pattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(name.repository()), expected, "{pattern} {image}");
        };
        check("ghcr.io/acme/*", "ghcr.io/acme/app:1", true);
        check("ghcr.io/acme/*", "ghcr.io/acme/team/app:1", true);
        check("ghcr.io/acme/*", "GHCR.IO:443/acme/app", true);
        check("ghcr.io/acme/*", "ghcr.io./acme/app", true);
        check("ghcr.io/acme/*", "ghcr.io:80/acme/app", true);
        check("docker.io/*", "registry.hub.docker.com/acme/app", true);
        check("GHCR.io:443/acme/*", "ghcr.io/acme/app", true);
        check("ghcr.io/acme/*", "ghcr.io/acme-evil/app", false);
        check("ghcr.io/acme/*", "evil.io/ghcr.io/acme/app", false);
        check("ghcr.io/acme/app", "ghcr.io/acme/app-evil", false);
        check("ghcr.io/acme/app", "ghcr.io/acme/app/evil", false);
        check("ghcr.io/acme/app", "ghcr.io/acme/app:2", true);
        check("*/acme/*", "r.io:5000/acme/app", true);
        check("*", "nginx", true);
        check("nginx", "docker.io/library/nginx:1", true);
        check("acme/*", "docker.io/acme/app", true);
        check("acme/*", "acme.io/app", false);
        check("docker.io/*", "nginx", true);
        check("docker.io/*", "registry-1.docker.io/acme/app", true);
        check("docker.io/library/*", "acme/app", false);
        check("*.gcr.io/*/app", "eu.gcr.io/a/b/app", true);
        check("*.gcr.io/*/app", "eu.gcr.io/app", false);
        check("ghcr.io/a*a", "ghcr.io/a", false);
        check("r.io:5000/*", "r.io/app", false);
        check("r.io/acme/*", "r.io:0443/acme/app", true);
        check("127.0.0.1:5000/*", "127.1:5000/app", true);
        check("*.corp.example/*", "a.corp.example/app", true);
        check("*.corp.example/*", "a.corp.example:5000/app", false);
        check("*.corp.example:5000/*", "a.corp.example:5000/app", true);
        check("*.corp.example:443/*", "a.corp.example/app", true);
        check("*.corp.example:*/*", "a.corp.example:5000/app", true);
        check("127.0.0.*/*", "127.0.0.1:32207/app", false);
        check("127.0.0.1/*", "127.0.0.1:32207/app", false);
        check("r.io*/*", "r.io:5000/app", false);
        check("[::1]:50*/*", "[::1]:5000/app", true);
        check("*:5000/*", "r.io:5000/app", true);
        check("*:5000/*", "r.io/app", false);
        check("*.corp.example/*", "evil.io/x.corp.example/y", false);
        check("*.corp.example/*", "evil.io/.corp.example/y", false);
    }

    #[test]
    fn a_pattern_that_could_never_match_is_refused() {
        let check = |pattern: &str, expected: &str| {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check("ghcr.io/acme/app:1.0", "a pattern matches repositories");
        check("ghcr.io/acme/*:1.0", "a pattern matches repositories");
        check("ghcr.io/acme/app@sha256:abc", "a pattern matches repositories");
        check("ghcr.io/Acme/*", "is not a repository pattern");
        check("oci://ghcr.io/acme/*", "is not a repository pattern");
        check("", "is not a repository pattern");
        check("ghcr.io/", "is not a repository pattern");
        check("ghcr.io/acme/?", "is not a repository pattern");
        check("ghcr.io*", "has no registry host");
        check("acme*", "has no registry host: use docker.io/library/acme* or HOST/*");
    }

    #[test]
    fn exemptions_come_first_then_the_first_rule() {
        let policy = |name: &str| Policy {
            origin: name.to_owned(),
            authorities: Vec::new(),
            threshold: 1,
            match_reference: false,
        };
        let rule = |pattern: &str, name: &str| ImageSigners {
            pattern: Pattern::parse(pattern).unwrap(),
            policies: vec![policy(name)],
        };
        let all = ImagePolicies {
            exempt: ["ghcr.io/acme/free", "$(params.free):1"].map(|p| Pattern::parse(p).unwrap()).to_vec(),
            rules: vec![rule("ghcr.io/acme/*", "first"), rule("ghcr.io/*", "second")],
        };
        let check = |image: &str, expected: &str| {
            let demand = match all.demand(image) {
                ImageNeed::Exempt => "exempt".to_owned(),
                ImageNeed::Unmatched => "unmatched".to_owned(),
                ImageNeed::Signed(_, policies) => policies[0].origin.clone(),
                ImageNeed::Unknown(why) => why,
            };
            assert_eq!(demand, expected, "{image}");
        };
        check("ghcr.io/acme/free:1", "exempt");
        check("ghcr.io/acme/app:1", "first");
        check("ghcr.io/other/app:1", "second");
        check("nginx", "unmatched");
        check("$(params.free):1", "exempt");
        check("$(params.image)", "\"$(params.image)\" is not a valid image name");
    }
}
