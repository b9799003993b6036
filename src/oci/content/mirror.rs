//! Mirrors of registries: content by digest is read there first.
//!
//! Tags are never resolved at a mirror: it may be behind, and a release would silently go
//! back to an older revision. A digest is the same everywhere.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::oci::credentials::{Access, AccessParts, Fingerprint, split_key};
use crate::oci::error::OciError;
use crate::oci::limits::MAX_REMEMBERED;
use crate::oci::reference::{Repository, is_host};

/// How long a mirror is skipped after it was unavailable or sent wrong bytes.
const REST: Duration = Duration::from_secs(60);

/// A mirror, for repositories with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    host: String,
    path: String,
    /// `host/path` of the mirror.
    to: String,
    /// Plain HTTP.
    plain: bool,
}

impl Mirror {
    /// The repository in the mirror, if the prefix matches whole segments.
    fn repository(&self, repository: &Repository) -> Option<Repository> {
        let rest = match self.path.as_str() {
            "" => repository.path(),
            path => repository.path().strip_prefix(path).filter(|r| r.is_empty() || r.starts_with('/'))?,
        };
        let rest = rest.trim_start_matches('/');
        let text = if rest.is_empty() { self.to.clone() } else { format!("{}/{rest}", self.to) };
        let here = self.host == repository.registry();
        here.then(|| Repository::parse(&format!("oci://{text}")).ok()).flatten()
    }
}

impl FromStr for Mirror {
    type Err = String;

    /// Reads `PREFIX=oci://host[/path]`, or `http://` for one without TLS.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || "must be PREFIX=oci://HOST[/PATH], such as docker.io=oci://mirror.example/hub".to_owned();
        let (prefix, to) = text.split_once('=').ok_or_else(bad)?;
        let (host, path) = split_key(prefix);
        let (to, plain) = match (to.strip_prefix("oci://"), to.strip_prefix("http://")) {
            (Some(to), _) => (to, false),
            (None, Some(to)) => (to, true),
            (None, None) => return Err(bad()),
        };
        let to = to.trim_end_matches('/').to_owned();
        // Any repository in it must form a reference.
        let probe = Repository::parse(&format!("oci://{to}/x")).map_err(|_| bad())?;
        if !is_host(&host) || probe.registry() == host {
            return Err(bad());
        }
        Ok(Self { host, path, to, plain })
    }
}

/// A repository in a mirror, and how to reach it.
pub(in crate::oci) struct MirrorSource {
    pub repository: Repository,
    pub access: Access,
}

/// Why a mirror failed.
#[derive(Debug)]
pub(in crate::oci) enum Fault {
    /// It sent bytes that do not match the digest.
    Lied(OciError),
    /// Anything else. The release may be the cause: its credentials, its proxy, a
    /// manifest with a wrong size of its blob.
    Failed(OciError),
}

impl From<OciError> for Fault {
    fn from(error: OciError) -> Self {
        Self::Failed(error)
    }
}

impl Fault {
    /// The error, whatever the cause.
    pub fn error(self) -> OciError {
        let (Self::Lied(error) | Self::Failed(error)) = self;
        error
    }
}

/// The mirrors, and which of them are paused for which access.
pub(in crate::oci) struct Mirrors {
    all: Vec<Mirror>,
    resting: Mutex<HashMap<(String, Fingerprint), Instant>>,
}

impl Mirrors {
    /// The most specific first; among equals in the given order.
    pub fn new(mut all: Vec<Mirror>) -> Self {
        all.sort_by_key(|mirror| std::cmp::Reverse(mirror.path.len()));
        Self { all, resting: Mutex::default() }
    }

    /// The mirrors of the repository that are not paused.
    pub fn of(&self, repository: &Repository, access: &Access) -> Vec<MirrorSource> {
        let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let rests = |source: &MirrorSource, whose: Fingerprint| {
            let key = (source.repository.registry().to_owned(), whose);
            resting.get(&key).is_some_and(|until| *until > now)
        };
        let found = self.all.iter().filter_map(|m| Some((m, m.repository(repository)?)));
        found
            .map(|(mirror, there)| MirrorSource {
                access: there_access(access, mirror, &there),
                repository: there,
            })
            .filter(|source| !rests(source, source.access.transport()) && !rests(source, source.access.id()))
            .collect()
    }

    /// The mirror failed. An unavailable mirror is paused for this access. One that sends
    /// wrong bytes is paused for every access with the same transport: a release cannot
    /// cause that, but its proxy and trusted certificates can.
    pub fn failed(&self, source: &MirrorSource, fault: &Fault) {
        let whose = match fault {
            Fault::Lied(_) => source.access.transport(),
            Fault::Failed(OciError::Unavailable { .. }) => source.access.id(),
            Fault::Failed(_) => return,
        };
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if resting.len() >= MAX_REMEMBERED {
            resting.clear();
        }
        resting.insert((source.repository.registry().to_owned(), whose), Instant::now() + REST);
    }
}

/// The mirror gets the credentials for its own host. The client certificate and plain
/// HTTP are only for the registry.
fn there_access(access: &Access, mirror: &Mirror, there: &Repository) -> Access {
    let parts = access.parts().clone();
    let provider = Access::provider_at(parts.provider, there);
    Access::new(AccessParts { client_cert: None, insecure: mirror.plain, provider, ..parts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::credentials::{Keyring, Proxy};

    #[test]
    fn a_mirror_stands_for_a_prefix_of_whole_segments() {
        let check = |mirror: &str, url: &str, expected: Option<&str>| {
            let mirror: Mirror = mirror.parse().unwrap();
            let found = mirror.repository(&Repository::parse(url).unwrap()).map(|r| r.to_string());
            assert_eq!(found.as_deref(), expected, "{mirror:?} {url}");
        };
        let hub = "docker.io=oci://mirror.example/hub";
        check(hub, "oci://docker.io/nginx", Some("mirror.example/hub/library/nginx"));
        check(hub, "oci://index.docker.io/a/b", Some("mirror.example/hub/a/b"));
        check(hub, "oci://ghcr.io/a/b", None);
        check("ghcr.io/acme=http://mirror:5000", "oci://ghcr.io/acme/app", Some("mirror:5000/app"));
        check("ghcr.io/acme=oci://mirror:5000/x", "oci://ghcr.io/acme", Some("mirror:5000/x"));
        check("ghcr.io/acme=oci://mirror:5000", "oci://ghcr.io/acme-evil/app", None);
        check("ghcr.io/acme=oci://mirror:5000", "oci://ghcr.io/other/app", None);
        for wrong in ["", "docker.io", "docker.io=mirror", "=oci://m.io", "a b=oci://m.io", "m.io=oci://m.io"]
        {
            assert!(wrong.parse::<Mirror>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_most_specific_goes_first_and_who_lied_rests_for_all_who_go_there_alike() {
        let mirror = |text: &str| text.parse::<Mirror>().unwrap();
        let mirrors = Mirrors::new(vec![
            mirror("h.io=oci://one.io"),
            mirror("h.io/team=oci://two.io"),
            mirror("h.io=oci://three.io"),
        ]);
        let repository = Repository::parse("oci://h.io/team/app").unwrap();
        let hosts = |access: &Access| -> Vec<String> {
            let sources = mirrors.of(&repository, access);
            sources.iter().map(|s| s.repository.registry().to_owned()).collect()
        };
        let with_proxy = |address: &str| {
            let proxy = Proxy::new(address, "", "").ok();
            Access::new(AccessParts { proxy, ..AccessParts::default() })
        };
        let mut keyring = Keyring::default();
        keyring.add_password("h.io", "me", "secret");
        let (all, known) =
            (Access::anonymous(), Access::new(AccessParts { keyring, ..AccessParts::default() }));
        let strange = with_proxy("http://proxy.example:3128");
        assert_eq!(hosts(&all), ["two.io", "one.io", "three.io"]);
        let unavailable = || OciError::Unavailable { host: String::new(), why: "".into() };
        let mismatch = || OciError::Mismatch { subject: String::new() };
        let fail = |access: &Access, at: usize, fault: Fault| {
            mirrors.failed(&mirrors.of(&repository, access)[at], &fault);
        };
        fail(&all, 0, Fault::Failed(OciError::NotFound { subject: String::new() }));
        // A wrong size in the manifest.
        fail(&all, 0, Fault::Failed(mismatch()));
        assert_eq!(hosts(&all), ["two.io", "one.io", "three.io"]);
        // The proxy of one release does not affect others.
        fail(&strange, 0, Fault::Failed(unavailable()));
        fail(&strange, 0, Fault::Lied(mismatch()));
        assert_eq!(hosts(&strange), ["three.io"]);
        assert_eq!(hosts(&all), ["two.io", "one.io", "three.io"]);
        // Nor do its credentials.
        fail(&known, 0, Fault::Failed(unavailable()));
        assert_eq!(hosts(&known), ["one.io", "three.io"]);
        assert_eq!(hosts(&all), ["two.io", "one.io", "three.io"]);
        fail(&all, 1, Fault::Lied(mismatch()));
        assert_eq!(hosts(&all), ["two.io", "three.io"]);
        assert_eq!(hosts(&known), ["three.io"]);
    }
}
