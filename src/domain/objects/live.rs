//! What is known about an object in the cluster without its content: the record
//! from metadata watches and from the answers to applies.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::identity::ReleaseId;
use super::placement::Placement;
use crate::api::keys;

/// An object as its metadata shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// uid.
    pub uid: String,
    /// Resource version as a number, 0 when it is not a number. Comparable since
    /// Kubernetes 1.35 (KEP-5504), and in practice before.
    pub version: u64,
    /// Hash of our Apply entry in managedFields, empty when there is none.
    pub fields: String,
    /// The release that the ownership labels name, if it is managed from this cluster.
    pub owner: Option<ReleaseId>,
    /// The release that they name, if it is managed from another cluster.
    pub elsewhere: Option<Box<ElsewhereOwner>>,
    /// Whether the object opts out of deletion.
    pub prune_disabled: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// How far its run is, if it is a Job.
    pub run: JobRun,
    /// Its place in the order, if its annotations name one.
    pub placement: Option<Box<Placement>>,
}

impl Record {
    /// Whether the object has the owner labels of the release and was applied by us. Labels
    /// alone can come from a copy of the object.
    pub fn is_of(&self, release: &ReleaseId) -> bool {
        self.owner.as_ref() == Some(release) && !self.fields.is_empty()
    }
}

/// A release that is managed from another cluster than this process's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElsewhereOwner {
    /// The id of that cluster; absent for a release of the object's own cluster.
    pub cluster: Option<String>,
    /// The release.
    pub release: ReleaseId,
}

impl ElsewhereOwner {
    /// Where it is managed from, for people.
    pub fn managed_from(&self) -> String {
        match &self.cluster {
            Some(id) => format!("the cluster with the id {id}"),
            None => "that cluster itself".to_owned(),
        }
    }
}

/// The progress of a Job, as far as its metadata shows it: which fields of the status
/// are set, but not to which values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobRun {
    /// It is running, or it is not a Job.
    #[default]
    On,
    /// It has conditions: it may have failed, or be about to finish.
    Ending,
    /// It has completed. `status.completionTime` is set then and only then.
    Completed,
}

/// The fields of `metadata` that are used.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct Metadata<'a> {
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Namespace, empty for cluster-scoped objects.
    #[serde(default)]
    pub namespace: String,
    /// uid.
    #[serde(default)]
    pub uid: String,
    /// Resource version.
    #[serde(default)]
    pub resource_version: String,
    #[serde(default)]
    deletion_timestamp: Option<String>,
    #[serde(default)]
    finalizers: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<Owned>,
    #[serde(default)]
    annotations: Option<Marked>,
    #[serde(default, borrow)]
    managed_fields: Option<Vec<Managed<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
struct Owned {
    #[serde(default, rename = "supercargo.dev/name")]
    name: Option<String>,
    #[serde(default, rename = "supercargo.dev/namespace")]
    namespace: Option<String>,
    #[serde(default, rename = "supercargo.dev/cluster")]
    cluster: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Marked {
    #[serde(default, rename = "supercargo.dev/prune")]
    prune: Option<String>,
    #[serde(default, rename = "supercargo.dev/wave")]
    wave: Option<String>,
    #[serde(default, rename = "supercargo.dev/step")]
    step: Option<String>,
    #[serde(default, rename = "config.kubernetes.io/depends-on")]
    depends_on: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Managed<'a> {
    #[serde(default)]
    manager: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    subresource: String,
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    time: String,
    #[serde(default, borrow)]
    fields_v1: Option<&'a RawValue>,
}

/// What delays the deletion of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletionHold {
    /// When its deletion began.
    pub since: Timestamp,
    /// Its finalizers.
    pub finalizers: Vec<String>,
}

/// An object of which only the metadata is read.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct WithMetadata<'a> {
    /// The metadata.
    #[serde(borrow)]
    pub metadata: Metadata<'a>,
}

impl Metadata<'_> {
    /// The record of the object. `mark` is the id of this process's cluster for objects in another
    /// cluster, and absent in its own: a release owns only what has the mark of its cluster.
    pub fn record(&self, mark: Option<&str>) -> Record {
        let labels = self.labels.as_ref();
        let owner =
            labels.and_then(|l| Some(ReleaseId { namespace: l.namespace.clone()?, name: l.name.clone()? }));
        let cluster = labels.and_then(|labels| labels.cluster.clone());
        let (owner, elsewhere) = match owner {
            Some(release) if cluster.as_deref() != mark => {
                (None, Some(Box::new(ElsewhereOwner { cluster, release })))
            }
            owner => (owner, None),
        };
        let marked = self.annotations.as_ref();
        let prune = marked.and_then(|a| a.prune.as_deref());
        // The wave of a step is one among the steps.
        let placed = marked.filter(|a| a.step.is_none());
        let placement =
            placed.and_then(|a| Placement::lenient(a.wave.as_deref(), a.depends_on.as_deref())).map(Box::new);
        Record {
            uid: self.uid.clone(),
            version: self.resource_version.parse().unwrap_or_default(),
            fields: self.fields_hash(),
            owner,
            elsewhere,
            prune_disabled: prune == Some(keys::DISABLED),
            deleting: self.deletion_timestamp.is_some(),
            run: self.run(),
            placement,
        }
    }

    fn run(&self) -> JobRun {
        let of_job = |m: &&Managed<'_>| m.subresource == "status" && m.api_version == "batch/v1";
        let fields = self.managed_fields.iter().flatten().filter(of_job).filter_map(|m| m.fields_v1);
        let mut run = JobRun::On;
        for fields in fields.map(RawValue::get) {
            if fields.contains("\"f:completionTime\"") {
                return JobRun::Completed;
            }
            if fields.contains("\"f:conditions\"") {
                run = JobRun::Ending;
            }
        }
        run
    }

    /// Hash of our own Apply entry: its fields and the time it was last changed. A
    /// client that changes a field that we set takes the field out of this entry, or,
    /// under our own manager name, changes its time.
    fn fields_hash(&self) -> String {
        let ours =
            self.managed_fields.iter().flatten().find(|m| {
                m.manager == keys::FIELD_MANAGER && m.operation == "Apply" && m.subresource.is_empty()
            });
        let Some(ours) = ours else { return String::new() };
        let mut hash = Sha256::new();
        hash.update(ours.api_version.as_bytes());
        hash.update([0]);
        hash.update(ours.time.as_bytes());
        hash.update([0]);
        hash.update(ours.fields_v1.map_or("", RawValue::get).as_bytes());
        hex::encode(&hash.finalize()[..8])
    }

    /// When its deletion began, and the finalizers that delay it; `None` when it is not
    /// being deleted.
    pub fn deletion_hold(&self) -> Option<DeletionHold> {
        let deleted = self.deletion_timestamp.as_ref()?;
        let finalizers = self.finalizers.clone().unwrap_or_default();
        // A time that cannot be parsed counts as long ago, so that the wait for it ends.
        Some(DeletionHold { since: deleted.parse().unwrap_or(Timestamp::UNIX_EPOCH), finalizers })
    }

    /// The managers other than us that own fields, the latest first.
    pub fn other_managers(&self) -> Vec<String> {
        let mut others: Vec<(&str, &str)> = self
            .managed_fields
            .iter()
            .flatten()
            .filter(|m| m.subresource.is_empty())
            .filter(|m| m.manager != keys::FIELD_MANAGER || m.operation != "Apply")
            .map(|m| (m.time.as_str(), m.manager.as_str()))
            .collect();
        others.sort_unstable_by(|a, b| b.cmp(a));
        let mut names: Vec<String> = Vec::new();
        for (_, name) in others {
            if !names.iter().any(|n| n == name) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        serde_json::from_str::<WithMetadata>(text).unwrap().metadata.record(None)
    }

    #[test]
    fn a_record_holds_what_ownership_and_drift_need() {
        let text = |time: &str, fields: &str| {
            format!(
                r#"{{"kind":"X","metadata":{{"name":"a","uid":"u1","resourceVersion":"42",
                "labels":{{"supercargo.dev/name":"web","supercargo.dev/namespace":"apps","other":"x"}},
                "annotations":{{"supercargo.dev/prune":"disabled"}},
                "managedFields":[
                  {{"manager":"kubectl-edit","operation":"Update","apiVersion":"v1","time":"2030-01-01T00:00:00Z","fieldsV1":{{"f:x":{{}}}}}},
                  {{"manager":"supercargo","operation":"Apply","apiVersion":"v1","time":"{time}","fieldsV1":{fields}}}]}},
                "spec":{{"ignored":[1,2]}}}}"#
            )
        };
        let base = record(&text("2020-01-01T00:00:00Z", r#"{"f:data":{}}"#));
        assert_eq!(base.owner.as_ref().map(ToString::to_string).as_deref(), Some("apps/web"));
        assert_eq!(
            (base.uid.as_str(), base.version, base.prune_disabled, base.deleting),
            ("u1", 42, true, false)
        );
        assert_eq!(base, record(&text("2020-01-01T00:00:00Z", r#"{"f:data":{}}"#)));
        assert_ne!(base.fields, record(&text("2020-01-01T00:00:01Z", r#"{"f:data":{}}"#)).fields);
        assert_ne!(base.fields, record(&text("2020-01-01T00:00:00Z", "{}")).fields);
        let text = text("2020-01-01T00:00:00Z", "{}");
        let object: WithMetadata = serde_json::from_str(&text).unwrap();
        assert_eq!(object.metadata.other_managers(), ["kubectl-edit"]);
    }

    #[test]
    fn an_object_belongs_to_a_release_of_one_cluster_only() {
        let check = |label: Option<&str>, mark: Option<&str>, is_ours: bool| {
            let cluster = label.map(|id| format!(r#","supercargo.dev/cluster":"{id}""#)).unwrap_or_default();
            let text = format!(
                r#"{{"metadata":{{"name":"a","uid":"u","resourceVersion":"1","labels":{{
                "supercargo.dev/name":"web","supercargo.dev/namespace":"apps"{cluster}}}}}}}"#
            );
            let record = serde_json::from_str::<WithMetadata>(&text).unwrap().metadata.record(mark);
            assert_eq!(record.owner.is_some(), is_ours, "{label:?} {mark:?}");
            let elsewhere = record.elsewhere.map(|owner| (owner.cluster, owner.release.to_string()));
            let expected = (label.map(str::to_owned), "apps/web".to_owned());
            assert_eq!(elsewhere, (!is_ours).then_some(expected));
        };
        check(None, None, true);
        check(Some("home"), Some("home"), true);
        check(Some("other"), Some("home"), false);
        // What the other cluster's own operator manages there.
        check(None, Some("home"), false);
        // What another cluster manages here.
        check(Some("other"), None, false);
    }

    #[test]
    fn the_wave_of_a_step_is_no_place_in_the_order() {
        let check = |annotations: &str, expected: Option<i32>| {
            let text = format!(
                r#"{{"metadata":{{"name":"a","uid":"u","resourceVersion":"1","annotations":{annotations}}}}}"#
            );
            assert_eq!(record(&text).placement.and_then(|place| place.wave), expected, "{annotations}");
        };
        check(r#"{"supercargo.dev/wave":"2"}"#, Some(2));
        check(r#"{"supercargo.dev/wave":"2","supercargo.dev/step":"after"}"#, None);
    }

    #[test]
    fn metadata_shows_that_a_job_has_completed() {
        let check = |version: &str, subresource: &str, fields: &str, expected: JobRun| {
            let text = format!(
                r#"{{"metadata":{{"name":"a","managedFields":[{{"manager":"x","operation":"Update",
                "apiVersion":"{version}","subresource":"{subresource}","fieldsV1":{{"f:status":{fields}}}}}]}}}}"#
            );
            assert_eq!(record(&text).run, expected, "{text}");
        };
        check("batch/v1", "status", r#"{"f:active":{},"f:startTime":{}}"#, JobRun::On);
        check("batch/v1", "status", r#"{"f:conditions":{},"f:failed":{}}"#, JobRun::Ending);
        check("batch/v1", "status", r#"{"f:completionTime":{},"f:conditions":{}}"#, JobRun::Completed);
        check("batch/v1", "", r#"{"f:completionTime":{}}"#, JobRun::On);
        check("apps/v1", "status", r#"{"f:conditions":{}}"#, JobRun::On);
    }

    #[test]
    fn an_object_without_labels_has_no_owner_and_no_fields() {
        let bare = record(r#"{"metadata":{"name":"a","uid":"u","resourceVersion":"x"}}"#);
        assert_eq!((bare.owner, bare.fields.as_str(), bare.version), (None, "", 0));
    }

    #[test]
    fn finalizers_are_known_once_an_object_is_being_deleted() {
        let check = |metadata: &str, expected: Option<(i64, &[&str])>| {
            let text = format!(r#"{{"metadata":{metadata}}}"#);
            let deletion_hold = serde_json::from_str::<WithMetadata>(&text).unwrap().metadata.deletion_hold();
            let found = deletion_hold.map(|h| (h.since.as_second(), h.finalizers));
            let expected = expected.map(|(s, f)| (s, f.iter().map(|f| (*f).to_owned()).collect()));
            assert_eq!(found, expected, "{metadata}");
        };
        check(r#"{"name":"a","finalizers":["a/b"]}"#, None);
        check(r#"{"name":"a","deletionTimestamp":"1970-01-01T00:00:07Z"}"#, Some((7, &[])));
        let held = r#"{"name":"a","deletionTimestamp":"1970-01-01T00:00:07Z","finalizers":["a/b","c"]}"#;
        check(held, Some((7, &["a/b", "c"])));
        check(r#"{"name":"a","deletionTimestamp":"soon","finalizers":["a/b"]}"#, Some((0, &["a/b"])));
    }
}
