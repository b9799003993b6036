//! The container images of a revision, as they were verified, and bound in its objects
//! to the digests that were verified.

use std::collections::BTreeMap;

use crate::api::reason::Reason;
use crate::api::status::VerifiedImage;
use crate::api::verify::ImageMode;
use crate::domain::images::{distinct_images, doubtful_places, pin};
use crate::domain::object::Object;
use crate::domain::outcome::Outcome;
use crate::domain::verify::images::{ImageName, ImageNeed, ImagePolicies};
use crate::reconcile::error::{RunFailure, failure};
use crate::reconcile::scope::revision::Revision;

/// The required signatures of images.
#[derive(Clone, Debug)]
pub struct ImageDemand {
    /// What happens without a signature.
    pub mode: ImageMode,
    /// The required signers.
    pub policies: ImagePolicies,
}

impl ImageDemand {
    /// Identifies it with all keys and roots.
    pub fn name(&self) -> String {
        format!("{:?}{}", self.mode, self.policies.fingerprint())
    }
}

/// The images of a revision, as they were verified.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// Digest and options of the revision.
    pub key: String,
    /// [`ImageDemand::name`].
    pub demand: String,
    /// Whether they were verified after the last verification of the artifact.
    pub fresh: bool,
    /// The images, as the status lists them.
    pub shown: Vec<VerifiedImage>,
    /// The warning about unsigned images, in Warn mode.
    pub warning: Option<String>,
}

impl Pinned {
    /// The replacement for each image name.
    pub fn pins(&self) -> BTreeMap<String, String> {
        self.shown.iter().map(|image| (image.name.clone(), image.pinned.clone())).collect()
    }

    /// Adds it to the outcome.
    pub fn report(&self, outcome: &mut Outcome) {
        outcome.images = Some(self.shown.clone());
        if let (Some(warning), Some(verified)) = (&self.warning, &mut outcome.verified) {
            verified.message.push_str(&format!("; {warning}"));
        }
    }

    /// Whether it is for that revision and the current demand, and up to date.
    pub fn is_of(&self, revision: &Revision, demand: Option<&ImageDemand>) -> bool {
        self.key == revision.key && demand.is_some_and(|d| d.name() == self.demand) && self.fresh
    }

    /// Whether it has everything that is demanded for these objects. A result under other rules
    /// does not count, nor one without an image.
    pub fn answers(&self, demand: &ImageDemand, objects: &[Object]) -> bool {
        let whole = || self.warning.is_none() && lacking(demand, objects, &self.pins()).is_none();
        self.demand == demand.name() && (demand.mode == ImageMode::Warn || whole())
    }
}

/// The digest of each image, by its name in the artifact. Another client may have written the
/// status: only a digest for exactly the same name counts, and it is verified like any other.
pub fn digests(shown: &[VerifiedImage]) -> BTreeMap<String, String> {
    let digest = |image: &VerifiedImage| {
        let (name, pinned) = (ImageName::parse(&image.name).ok()?, ImageName::parse(&image.pinned).ok()?);
        let digest = pinned.digest()?;
        (name.pinned(digest) == image.pinned).then(|| (image.name.clone(), digest.to_owned()))
    };
    shown.iter().filter_map(digest).collect()
}

/// An image that has to be signed and was not verified.
fn lacking(demand: &ImageDemand, objects: &[Object], pins: &BTreeMap<String, String>) -> Option<String> {
    let unsigned = |image: &String| match demand.policies.demand(image) {
        ImageNeed::Exempt => false,
        ImageNeed::Signed(..) | ImageNeed::Unmatched | ImageNeed::Unknown(_) => !pins.contains_key(image),
    };
    let doubtful = || {
        let images = objects.iter().flat_map(doubtful_places).map(|place| place.image);
        images.into_iter().find(|image| !demand.policies.exempts(image))
    };
    distinct_images(objects).into_iter().find(unsigned).or_else(doubtful)
}

/// Writes the digests into the objects.
///
/// # Errors
/// When a required one is missing; nothing is written then.
pub fn bind(
    demand: &ImageDemand,
    objects: &mut [Object],
    pins: &BTreeMap<String, String>,
) -> Result<(), Box<RunFailure>> {
    if let Some(image) = lacking(demand, objects, pins).filter(|_| demand.mode == ImageMode::Enforce) {
        let message = format!("{image} is not verified (required by spec.verify.images)");
        return Err(failure(Reason::ImageNotVerified, message));
    }
    for object in objects {
        pin(object, pins);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::verify::images::{ImageSigners, Pattern};

    const DIGEST: &str = "sha256:da22257afd34a87caf724df11afd8c5dd39df668d561463d26aee337970fc701";

    fn demand(mode: ImageMode) -> ImageDemand {
        let pattern = |text: &str| Pattern::parse(text).unwrap();
        let rules = vec![ImageSigners { pattern: pattern("*/library/nginx"), policies: Vec::new() }];
        ImageDemand { mode, policies: ImagePolicies { exempt: vec![pattern("free.io/*")], rules } }
    }

    fn pod(images: &[&str]) -> Object {
        let containers: Vec<_> = images.iter().map(|image| json!({"image": image})).collect();
        let metadata = json!({"name": "a", "namespace": "b"});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}});
        Object::new(pod).unwrap()
    }

    fn shown(name: &str, pinned: &str) -> VerifiedImage {
        VerifiedImage { name: name.into(), pinned: pinned.into(), signer: String::new() }
    }

    #[test]
    fn a_digest_of_the_status_is_believed_for_its_own_name_only() {
        let check = |name: &str, pinned: &str, expected: bool| {
            let found = digests(&[shown(name, pinned)]);
            let known = BTreeMap::from([(name.to_owned(), DIGEST.to_owned())]);
            assert_eq!(found, if expected { known } else { BTreeMap::new() }, "{name} {pinned}");
        };
        let at = |name: &str| format!("{name}@{DIGEST}");
        check("nginx", &at("nginx:latest"), true);
        check("nginx:1", &at("nginx:1"), true);
        check(&at("nginx:1"), &at("nginx:1"), true);
        check("nginx:1", &at("evil.io/x"), false);
        check("nginx:1", &at("nginx:2"), false);
        check("nginx:1", &at("nginx"), false);
        check("nginx:1", "nginx:1", false);
        check("nginx:1", "nginx:1@sha256:abc", false);
        check("nginx:1@sha256:abc", &at("nginx:1"), false);
        check(&format!("nginx:1@sha256:{}", "0".repeat(64)), &at("nginx:1"), false);
        check("$(image)", &at("nginx:1"), false);
    }

    #[test]
    fn every_spelling_of_an_image_is_bound() {
        let pinned = format!("nginx:latest@{DIGEST}");
        let shown = [shown("nginx", &pinned), shown("nginx:latest", &pinned), shown(&pinned, &pinned)];
        let found = found(&demand(ImageMode::Enforce), &shown);
        assert_eq!(digests(&shown).len(), 3);
        let mut objects = [pod(&["nginx", "nginx:latest", &pinned, "free.io/nginx", "free.io/a:1"])];
        bind(&demand(ImageMode::Enforce), &mut objects, &found.pins()).unwrap();
        assert_eq!(distinct_images(&objects), ["free.io/a:1", "free.io/nginx", pinned.as_str()]);
    }

    fn found(demand: &ImageDemand, shown: &[VerifiedImage]) -> Pinned {
        let (key, demand) = (String::new(), demand.name());
        Pinned { key, demand, fresh: true, shown: shown.to_vec(), warning: None }
    }

    #[test]
    fn what_was_found_under_other_rules_is_no_answer() {
        let (enforced, warned) = (demand(ImageMode::Enforce), demand(ImageMode::Warn));
        let mut others = enforced.clone();
        others.policies.exempt.clear();
        let shown = [shown("nginx", &format!("nginx:latest@{DIGEST}"))];
        let check = |pinned: &Pinned, demand: &ImageDemand, images: &[&str], expected: bool| {
            assert_eq!(pinned.answers(demand, &[pod(images)]), expected, "{demand:?} {images:?}");
        };
        let found = |demand: &ImageDemand| found(demand, &shown);
        check(&found(&enforced), &enforced, &["nginx", "free.io/a:1"], true);
        check(&found(&enforced), &enforced, &["nginx", "other:1"], false);
        check(&found(&warned), &enforced, &["nginx"], false);
        check(&found(&enforced), &warned, &["nginx"], false);
        check(&found(&enforced), &others, &["nginx"], false);
        check(&found(&enforced), &enforced, &["nginx", "nginx:2"], false);
        check(&found(&warned), &warned, &["nginx", "nginx:2"], true);
        let doubtful = |demand: &ImageDemand| Pinned { warning: Some("not signed".into()), ..found(demand) };
        check(&doubtful(&enforced), &enforced, &["nginx"], false);
        check(&doubtful(&warned), &warned, &["nginx"], true);
    }

    #[test]
    fn nothing_is_written_while_a_digest_is_missing() {
        let pins = BTreeMap::from([("nginx".to_owned(), format!("nginx:latest@{DIGEST}"))]);
        let check = |image: &str, mode: ImageMode, expected: bool| {
            let mut objects = [pod(&["nginx", image])];
            let bound = bind(&demand(mode), &mut objects, &pins);
            assert_eq!(bound.is_ok(), expected, "{image}");
            assert_eq!(distinct_images(&objects).contains(&"nginx".to_owned()), !expected, "{image}");
            if let Err(failed) = bound {
                assert_eq!(failed.reason, Reason::ImageNotVerified);
            }
        };
        check("nginx:latest", ImageMode::Enforce, false);
        check("$(image)", ImageMode::Enforce, false);
        check("nginx:latest", ImageMode::Warn, true);
        check("free.io/a:1", ImageMode::Enforce, true);
        check("other:1", ImageMode::Enforce, false);
        check("other:1", ImageMode::Warn, true);
    }
}
