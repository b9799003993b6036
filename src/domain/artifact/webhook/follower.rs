//! Which releases a push is about.

use super::push::{Push, PushedRepository};
use crate::api::release::Reference;
use crate::domain::artifact::tags::is_attached;
use crate::domain::artifact::version::{Range, TagFilter};
use crate::domain::artifact::wanted::split_tag;

/// The parts of a release that a push can affect.
#[derive(Clone, Debug)]
pub struct Follower {
    /// Its repository.
    place: PushedRepository,
    /// What it follows there.
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// Nothing that can change.
    Nothing,
    Tag(String),
    /// Expensive to compile: done once for all pushes.
    Range(Range, Option<TagFilter>),
    /// Invalid; the run reports why.
    Broken,
}

impl Follower {
    /// A follower of this reference in a repository. A suspended release would run once
    /// if a run were requested, so it follows nothing. A digest never changes.
    pub fn new(place: PushedRepository, reference: &Reference, suspended: bool) -> Self {
        let what = match &reference.semver {
            _ if suspended || reference.digest.is_some() => What::Nothing,
            // Also where a digest is written with it: the release says what the tag names.
            None => What::Tag(split_tag(reference.tag.as_deref().unwrap_or("latest")).0.to_owned()),
            Some(range) => {
                let filter = reference.semver_filter.as_deref().map(TagFilter::parse).transpose();
                match (Range::parse(range), filter) {
                    (Ok(range), Ok(filter)) => What::Range(range, filter),
                    _ => What::Broken,
                }
            }
        };
        Self { place, what }
    }

    /// Whether the push may have changed what the release follows. Something attached to
    /// an artifact, such as a signature, may be what a release of that repository waits
    /// for.
    pub fn is_concerned(&self, push: &Push) -> bool {
        if matches!(self.what, What::Nothing) || self.place != push.place {
            return false;
        }
        let Some(tag) = push.tag.as_deref().filter(|tag| !is_attached(tag)) else { return true };
        match &self.what {
            What::Tag(followed) => followed == tag,
            What::Range(range, filter) => range.highest([tag], filter.as_ref()).is_some(),
            What::Nothing | What::Broken => false,
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
            let follows: Reference = serde_json::from_value(reference.clone()).unwrap();
            let follower = Follower::new(PushedRepository::parse(url).unwrap(), &follows, false);
            let (place, tag) = push.rsplit_once('@').map_or((push, None), |(p, t)| (p, Some(t)));
            let push = Push::new(PushedRepository::parse(place).unwrap(), tag);
            assert_eq!(follower.is_concerned(&push), expected, "{url} {reference} by {push}");
            let suspended = Follower::new(PushedRepository::parse(url).unwrap(), &follows, true);
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
        check(url, json!({"tag": "v1@sha256:x"}), "ghcr.io/acme/app@v1", true);
        check(url, json!({"tag": "v1@sha256:x"}), "ghcr.io/acme/app@v2", false);
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
