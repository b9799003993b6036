//! Releases as they are kept between two events: what is asked all the time, and the rest packed. Most of them are at
//! rest, and there are thousands.

mod packed;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock, OnceLock};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::packed::Packed;
use crate::api::keys;
use crate::api::status::OwnerStatus;
use crate::domain::identity::ReleaseId;
use crate::domain::observed::ObservedRelease;
use crate::domain::release::{has_begun, id_of};

/// The keys of the hashes: nobody can prepare two releases with the same ones.
static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A release as stored in the cluster, in little memory.
#[derive(Debug)]
pub struct KeptRelease {
    /// The release.
    pub id: ReleaseId,
    /// Its uid.
    pub uid: Option<String>,
    /// The version of this state.
    pub resource_version: Option<String>,
    /// The replica that works on it.
    pub owner: Option<OwnerStatus>,
    /// Its label that keeps releases at one replica.
    pub shard_label: Option<String>,
    /// Since when it is being deleted.
    pub deleted_at: Option<Timestamp>,
    /// Whether a run of it has started, see [`has_begun`].
    pub has_begun: bool,
    /// A hash of the labels.
    labels: u64,
    /// A hash of what else requests a run.
    request: u64,
    text: Packed,
    opened: OnceLock<Option<Arc<ObservedRelease>>>,
}

/// The parts of a text that are kept as they are.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow, default)]
    spec: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
}

/// The text that is kept.
#[derive(Serialize)]
struct KeptText<'a, M> {
    metadata: M,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a RawValue>,
}

impl KeptRelease {
    /// Reads a release, see [`ObservedRelease::read`]. What is in `metadata.managedFields` is left out: it would be
    /// most of the memory, and nothing reads it.
    ///
    /// # Errors
    /// When not even its metadata can be read.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        let mut resource = ObservedRelease::read(text)?.resource;
        let metadata = &mut resource.metadata;
        metadata.managed_fields = None;
        let Parts { spec, status } = serde_json::from_str(text)?;
        let text = serde_json::to_string(&KeptText { metadata: &*metadata, spec, status })?;
        let request = (
            metadata.generation,
            metadata.deletion_timestamp.as_ref().map(|time| time.0),
            &metadata.annotations,
        );
        let request = HASHES.hash_one(request);
        Ok(Self {
            id: id_of(&resource),
            request,
            has_begun: has_begun(&resource),
            labels: HASHES.hash_one(&resource.metadata.labels),
            shard_label: resource.metadata.labels.and_then(|mut labels| labels.remove(keys::SHARD_KEY)),
            deleted_at: resource.metadata.deletion_timestamp.map(|time| time.0),
            uid: resource.metadata.uid,
            resource_version: resource.metadata.resource_version,
            owner: resource.status.and_then(|status| status.owner),
            text: Packed::of(&text),
            opened: OnceLock::new(),
        })
    }

    /// All of it.
    ///
    /// # Errors
    /// None is expected: it was read before.
    pub fn open(&self) -> Result<ObservedRelease, serde_json::Error> {
        ObservedRelease::read(&self.text.text())
    }

    /// All of it. It stays open until a newer state replaces this one.
    pub fn opened(&self) -> Option<&Arc<ObservedRelease>> {
        self.opened.get_or_init(|| self.open().ok().map(Arc::new)).as_ref()
    }

    /// Whether the change to this state needs a run. Changes of the status are our own.
    pub fn wants_run_after(&self, before: &Self) -> bool {
        let has_expressions = || {
            let resource = self.open().map(|open| open.resource);
            resource.is_ok_and(|resource| resource.spec.depends_on.iter().any(|on| on.ready.is_some()))
        };
        // Expressions may name its own labels.
        before.request != self.request || before.labels != self.labels && has_expressions()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(change: impl FnOnce(&mut Value)) -> String {
        let mut release = json!({
            "apiVersion": "supercargo.dev/v1alpha1",
            "kind": "OCIArtifactRelease",
            "metadata": {
                "name": "app", "namespace": "apps", "uid": "u", "resourceVersion": "7", "generation": 2,
                "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"}, "annotations": {"c": "d"},
                "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": {"url": "oci://r.example/app", "ref": {"tag": "1"}, "prune": true, "interval": "5m"},
            "status": {"observedGeneration": 2, "owner": {"holder": "a_1", "term": 4}},
        });
        change(&mut release);
        release.to_string()
    }

    #[test]
    fn a_kept_release_opens_as_it_was_without_its_managed_fields() {
        let check = |text: &str| {
            let kept = KeptRelease::read(text).unwrap();
            let mut read = ObservedRelease::read(text).unwrap();
            read.resource.metadata.managed_fields = None;
            assert_eq!(kept.open().unwrap(), read);
            assert_eq!(**kept.opened().unwrap(), read);
            assert_eq!(kept.id, id_of(&read.resource));
            assert_eq!(kept.uid, read.resource.metadata.uid);
            assert_eq!(kept.resource_version, read.resource.metadata.resource_version);
            assert_eq!(
                kept.deleted_at,
                read.resource.metadata.deletion_timestamp.as_ref().map(|time| time.0)
            );
            assert_eq!(kept.has_begun, has_begun(&read.resource));
            assert_eq!(kept.owner, read.resource.status.and_then(|status| status.owner));
        };
        check(&text(|_| {}));
        check(&text(|release| release["status"] = Value::Null));
        check(&text(|release| release["metadata"]["finalizers"] = json!([keys::FINALIZER])));
        check(&text(|release| release["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z")));
        // Numbers stay what they are.
        check(&text(|release| {
            release["spec"]["helm"] = json!({"values": {"a": 0.1, "b": 1e300, "c": u64::MAX, "d": 1.0}});
        }));
        // One of another version is unreadable in the same way.
        check(&text(|release| release["spec"]["interval"] = json!({"new": true})));
        check(&text(|release| release["spec"] = json!("nothing")));
        check(&text(|release| release["status"] = json!({"conditions": "none"})));
        assert!(KeptRelease::read("{}").is_ok() == ObservedRelease::read("{}").is_ok());
        assert!(KeptRelease::read("[").is_err());
    }

    #[test]
    fn a_kept_release_takes_little_memory() {
        let kept = KeptRelease::read(&text(|_| {})).unwrap();
        assert!(kept.text.bytes() < 200, "{} bytes", kept.text.bytes());
        assert!(size_of::<KeptRelease>() <= 240, "{} bytes", size_of::<KeptRelease>());
    }

    #[test]
    fn a_run_is_for_what_a_person_changes_and_not_for_the_status() {
        let before = KeptRelease::read(&text(|_| {})).unwrap();
        let check = |wanted: bool, change: fn(&mut Value)| {
            let after = KeptRelease::read(&text(change)).unwrap();
            assert_eq!(after.wants_run_after(&before), wanted, "{after:?}");
        };
        check(false, |_| {});
        check(false, |release| release["status"] = Value::Null);
        check(false, |release| release["metadata"]["resourceVersion"] = json!("8"));
        check(true, |release| release["metadata"]["generation"] = json!(3));
        check(true, |release| release["metadata"]["annotations"]["c"] = json!("e"));
        check(true, |release| {
            release["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
        });
        check(false, |release| release["metadata"]["labels"]["a"] = json!("x"));
        let dependency = json!([{"kind": "Service", "apiVersion": "v1", "name": "a", "ready": "true"}]);
        let after = text(|release| {
            release["metadata"]["labels"]["a"] = json!("x");
            release["spec"]["dependsOn"] = dependency;
        });
        assert!(KeptRelease::read(&after).unwrap().wants_run_after(&before), "it may name the label");
    }
}
