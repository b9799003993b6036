//! Releases that cannot be read, or whose spec is invalid: what can still be
//! read of them, which is enough to report them and to finalize them. Nothing here may
//! lead to a write of their objects.

use serde::Deserialize;
use serde_json::{Value, json};

use super::invalid::InvalidSpec;
use super::spec::Release;
use crate::api::keys;
use crate::api::kube_config::KubeConfig;
use crate::api::release::{DeletionPolicy, OCIArtifactRelease, OCIArtifactReleaseSpec};
use crate::domain::manifest::json::without_place;
use crate::domain::manifest::patch::allowance::Allowance;

/// A release as stored in the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedRelease {
    /// The resource. One that could not be read has the spec of
    /// [`placeholder_spec`].
    pub resource: OCIArtifactRelease,
    /// Why it could not be read.
    pub unreadable: Option<InvalidSpec>,
    /// Whether its spec says what deleting the release does, and as whom.
    pub deletable: bool,
}

/// The fields that decide what happens to the objects of a deleted release.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Last {
    suspend: bool,
    service_account_name: Option<String>,
    kube_config: Option<KubeConfig>,
    prune: bool,
    deletion_policy: DeletionPolicy,
}

impl ObservedRelease {
    /// Reads a release. One that does not match the schema, because it is older or
    /// newer, is parsed leniently.
    ///
    /// # Errors
    /// When not even its metadata can be read.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        let error = match serde_json::from_str(text) {
            Ok(resource) => return Ok(Self { resource, unreadable: None, deletable: true }),
            Err(error) => error,
        };
        let mut value: Value = serde_json::from_str(text)?;
        let spec = value["spec"].take();
        let (last, deletable) = match serde_json::from_value::<Last>(spec.clone()) {
            Ok(last) => (last, true),
            Err(_) if spec["deletionPolicy"] == "Orphan" => {
                (Last { deletion_policy: DeletionPolicy::Orphan, ..Last::default() }, true)
            }
            Err(_) => (Last::default(), false),
        };
        let resource = OCIArtifactRelease {
            metadata: serde_json::from_value(value["metadata"].take())?,
            spec: placeholder_spec(&last)?,
            status: serde_json::from_value(value["status"].take()).ok(),
        };
        let unreadable = Some(fault(&spec, &error));
        Ok(Self { resource, unreadable, deletable })
    }

    /// The release.
    ///
    /// # Errors
    /// What has to be corrected before it is reconciled.
    pub fn parse_within(&self, allowance: &mut Allowance) -> Result<Release, InvalidSpec> {
        match &self.unreadable {
            Some(error) => Err(error.clone()),
            None => Release::parse_within(&self.resource, allowance),
        }
    }

    /// The release with only the fields that its deletion needs: an invalid interval
    /// must not prevent deleting it.
    ///
    /// # Errors
    /// When even these fields are invalid.
    pub fn parse_leniently(&self) -> Result<Release, InvalidSpec> {
        let error = match self.without_rendering() {
            Ok(release) => return Ok(release),
            Err(error) => error,
        };
        let spec = &self.resource.spec;
        let last = Last {
            suspend: spec.suspend,
            // No account is used if the objects are kept.
            service_account_name: spec
                .service_account_name
                .clone()
                .filter(|_| spec.deletion_policy != DeletionPolicy::Orphan),
            // Its objects are nowhere else.
            kube_config: (spec.kube_config.clone())
                .filter(|_| spec.deletion_policy != DeletionPolicy::Orphan),
            prune: spec.prune,
            deletion_policy: spec.deletion_policy,
        };
        let unknown = |InvalidSpec { field, problem }| InvalidSpec {
            field,
            problem: format!(
                "{problem}; the release cannot be finalized: correct the spec, or set spec.deletionPolicy to \
                 Orphan to keep its objects"
            ),
        };
        if self.deletable { self.with(last).map_err(unknown) } else { Err(unknown(error)) }
    }

    /// The release without the fields that change objects: nothing is rendered.
    fn without_rendering(&self) -> Result<Release, InvalidSpec> {
        if let Some(error) = &self.unreadable {
            return Err(error.clone());
        }
        let mut resource = self.resource.clone();
        let spec = &mut resource.spec;
        (spec.patches, spec.images, spec.drift.ignore, spec.depends_on) = Default::default();
        (spec.schedule, spec.promotion, spec.minimum_age, spec.post_build) = Default::default();
        Release::parse(&resource)
    }

    /// The same release with a spec that does nothing, to report what is wrong with it.
    ///
    /// # Errors
    /// None is expected.
    pub fn placeholder(&self) -> Result<Release, InvalidSpec> {
        self.with(Last { suspend: self.resource.spec.suspend, ..Last::default() })
    }

    fn with(&self, last: Last) -> Result<Release, InvalidSpec> {
        let mut resource = self.resource.clone();
        // It may be what is invalid.
        resource.metadata.annotations.get_or_insert_default().remove(keys::PIN);
        resource.spec = placeholder_spec(&last)
            .map_err(|error| InvalidSpec { field: "*".to_owned(), problem: error.to_string() })?;
        Release::parse(&resource)
    }
}

/// Names the invalid field, which the error of the whole document does not.
fn fault(spec: &Value, whole: &serde_json::Error) -> InvalidSpec {
    for (field, value) in spec.as_object().into_iter().flatten() {
        let mut probe = json!({"url": "", "prune": true});
        probe[field] = value.clone();
        if let Err(error) = serde_json::from_value::<OCIArtifactReleaseSpec>(probe) {
            return InvalidSpec { field: field.clone(), problem: error.to_string() };
        }
    }
    // The position in the answer of the API server is of no use to a person.
    InvalidSpec { field: "*".into(), problem: without_place(whole) }
}

/// A spec with only these fields.
fn placeholder_spec(last: &Last) -> Result<OCIArtifactReleaseSpec, serde_json::Error> {
    serde_json::from_value(json!({
        "url": "oci://invalid/invalid",
        "suspend": last.suspend,
        "serviceAccountName": last.service_account_name,
        "kubeConfig": last.kube_config,
        "prune": last.prune,
        "deletionPolicy": last.deletion_policy,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::remote::source::ClusterSource;

    fn seen(spec: Value) -> ObservedRelease {
        let metadata = json!({"name": "app", "namespace": "apps", "uid": "u", "finalizers": ["f"]});
        ObservedRelease::read(&json!({"metadata": metadata, "spec": spec}).to_string()).unwrap()
    }

    #[test]
    fn what_is_wrong_with_a_release_names_the_field() {
        let check = |spec: Value, expected: &str| {
            assert_eq!(seen(spec).parse_within(&mut Allowance::default()).unwrap_err().to_string(), expected);
        };
        let url = "oci://r/app";
        check(json!({"url": url}), "spec.*: missing field `prune`");
        check(
            json!({"url": url, "prune": true, "wait": "yes"}),
            "spec.wait: invalid type: string \"yes\", expected a boolean",
        );
        check(json!({"url": 7, "prune": true}), "spec.url: invalid type: integer `7`, expected a string");
        let text = "spec.interval: \"1x\" is not a valid duration: use a number and a unit (ms, s, m or h), such as \
                    30s, 5m or 1h30m";
        check(json!({"url": url, "prune": true, "interval": "1x"}), text);
        assert!(ObservedRelease::read(r#"{"metadata": 7, "spec": 7}"#).is_err());
    }

    #[test]
    fn an_invalid_release_is_deleted_where_its_objects_are() {
        let there = json!({"secretRef": {"name": "there"}});
        let of = |spec: Value| seen(spec).parse_leniently().map(|release| release.kube_config);
        let source = Some(ClusterSource::Secret { name: "there".into(), key: None });
        assert_eq!(of(json!({"interval": "1x", "kubeConfig": there})), Ok(source.clone()));
        assert_eq!(of(json!({"url": 7, "prune": true, "kubeConfig": there})), Ok(source));
        assert!(of(json!({"interval": "1x", "kubeConfig": {}})).is_err());
        assert!(of(json!({"url": 7, "kubeConfig": 7})).is_err());
        // Nothing is deleted there.
        let orphan = json!({"interval": "1x", "kubeConfig": there, "deletionPolicy": "Orphan"});
        assert_eq!(of(orphan), Ok(None));
    }

    #[test]
    fn an_invalid_release_is_deleted_as_it_says_or_tells_why_not() {
        let check = |spec: Value, expected: Option<(Option<&str>, DeletionPolicy)>| {
            let last = seen(spec.clone()).parse_leniently().ok();
            let last = last.map(|l| (l.service_account, l.deletion_policy));
            assert_eq!(last, expected.map(|(a, p)| (a.map(str::to_owned), p)), "{spec}");
        };
        let delete = DeletionPolicy::Delete;
        check(json!({"interval": "1x", "deletionPolicy": "Delete"}), Some((None, delete)));
        check(
            json!({"url": 7, "serviceAccountName": "a", "deletionPolicy": "Delete"}),
            Some((Some("a"), delete)),
        );
        check(json!({"serviceAccountName": 7, "deletionPolicy": "Delete"}), None);
        check(json!({"url": "", "prune": true, "serviceAccountName": "../x"}), None);
        check(
            json!({"serviceAccountName": 7, "deletionPolicy": "Orphan"}),
            Some((None, DeletionPolicy::Orphan)),
        );
        check(
            json!({"url": "", "prune": true, "serviceAccountName": "../x", "deletionPolicy": "Orphan"}),
            Some((None, DeletionPolicy::Orphan)),
        );
        let error = seen(json!({"prune": "yes"})).parse_leniently().unwrap_err().to_string();
        assert!(error.contains("set spec.deletionPolicy to Orphan"), "{error}");
    }
}
