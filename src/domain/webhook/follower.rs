//! Which releases a push is about.

use super::push::{Place, Push};
use crate::api::release::Reference;
use crate::domain::tags::is_attached;
use crate::domain::version::{Range, TagFilter};

/// A release, as far as a push can be about it.
#[derive(Clone, Debug)]
pub struct Follower {
    /// Its repository.
    pub place: Place,
    /// What it follows there.
    pub reference: Reference,
    /// Whether it is suspended: being asked for a run, it would run once.
    pub suspended: bool,
}

impl Follower {
    /// Whether the push may have changed what the release follows. What it
    /// follows by digest never changes. What is attached to artifacts, a
    /// signature for example, may be what a release of that repository waits
    /// for.
    pub fn is_concerned(&self, push: &Push) -> bool {
        if self.suspended || self.reference.digest.is_some() || self.place != push.place {
            return false;
        }
        let Some(tag) = push.tag.as_deref().filter(|tag| !is_attached(tag)) else { return true };
        let Some(range) = &self.reference.semver else {
            return self.reference.tag.as_deref().unwrap_or("latest") == tag;
        };
        let filter = self.reference.semver_filter.as_deref().map(TagFilter::parse).transpose();
        match (Range::parse(range), filter) {
            (Ok(range), Ok(filter)) => range.highest([tag], filter.as_ref()).is_some(),
            // The run will say what is wrong with it.
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_release_is_concerned_by_what_can_move_it() {
        let check = |url: &str, reference: Value, push: &str, expected: bool| {
            let follower = Follower {
                place: Place::parse(url).unwrap(),
                reference: serde_json::from_value(reference.clone()).unwrap(),
                suspended: false,
            };
            let (place, tag) = push.rsplit_once('@').map_or((push, None), |(p, t)| (p, Some(t)));
            let push = Push::new(Place::parse(place).unwrap(), tag);
            assert_eq!(follower.is_concerned(&push), expected, "{url} {reference} by {push}");
            let suspended = Follower { suspended: true, ..follower };
            assert!(!suspended.is_concerned(&push), "suspended: {url} {reference} by {push}");
        };
        let url = "oci://ghcr.io/acme/app";
        let attached = format!("ghcr.io/acme/app@sha256-{}.sig", "a".repeat(64));
        check(url, json!({}), "ghcr.io/acme/app@latest", true);
        check(url, json!({"tag": "v1"}), "ghcr.io/acme/app@v1", true);
        check(url, json!({"tag": "v1"}), "ghcr.io:443/acme/app@v1", true);
        check(url, json!({"tag": "v1"}), "ghcr.io/acme/app@v2", false);
        check(url, json!({"tag": "v1"}), "ghcr.io/acme/app", true);
        check(url, json!({"tag": "v1"}), &attached, true);
        check(url, json!({"tag": "v1"}), "ghcr.io/acme/other@v1", false);
        check(url, json!({"tag": "v1"}), "quay.io/acme/app@v1", false);
        check(url, json!({"tag": "v1"}), "ghcr.io:5000/acme/app@v1", false);
        check(url, json!({"tag": "v1", "semver": "1.x"}), "ghcr.io/acme/app@1.2.3", true);
        check(url, json!({"semver": "1.x"}), "ghcr.io/acme/app@2.0.0", false);
        check(url, json!({"semver": "1.x"}), "ghcr.io/acme/app@latest", false);
        check(url, json!({"semver": "1.x"}), "ghcr.io/acme/app", true);
        check(url, json!({"semver": "1.x"}), &attached, true);
        check(url, json!({"semver": "*", "semverFilter": "^v"}), "ghcr.io/acme/app@1.2.3", false);
        check(url, json!({"semver": "*", "semverFilter": "^v"}), "ghcr.io/acme/app@v1.2.3", true);
        check(url, json!({"semver": "no range"}), "ghcr.io/acme/app@1.2.3", false);
        check(url, json!({"digest": "sha256:x"}), "ghcr.io/acme/app", false);
        check(url, json!({"digest": "sha256:x", "tag": "v1"}), "ghcr.io/acme/app@v1", false);
        check("oci://docker.io/nginx", json!({}), "index.docker.io/library/nginx@latest", true);
        check("oci://127.0.0.1:5000/app", json!({}), "127.0.0.1:5000/app@latest", true);
    }
}
