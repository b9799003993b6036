//! A release compared with its cluster, or two revisions of it with each other: with a person's own rights,
//! and without any write.

use serde::Serialize;
use serde_json::Value;

use super::command_line::Local;
use crate::api::keys;
use crate::api::post_build::InputKind;
use crate::api::release::{OCIArtifactRelease, Reference};
use crate::api::status::HistoryEntry;
use crate::api::step::StepStatus;
use crate::cluster::session::Session;
use crate::domain::diff::{SubjectChange, subject_changes};
use crate::domain::identity::ReleaseId;
use crate::domain::outcome::Outcome;
use crate::domain::release::Release;
use crate::domain::shown::fields::id;
use crate::domain::shown::revisions::named;
use crate::domain::subjects::Subjects;
use crate::observe::metrics::MetricsError;
use crate::reconcile::preview::{PlannedChange, Preview};
use crate::reconcile::scope::progress::ObjectChange;

/// A difference, for programs.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// Name of the object.
    pub object: String,
    /// API group, where it is not the core's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The kind of difference, in a word.
    pub change: String,
    /// A unified diff, where there are two states.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub diff: String,
    /// How many lines of it are left out: none for programs.
    #[serde(skip)]
    pub more_lines: usize,
}

/// Why there is no comparison.
#[derive(Debug)]
pub enum CompareError {
    /// The release cannot be rendered as it is.
    Invalid(String),
    /// What a run would fail with.
    Failed(Box<Outcome>),
    /// Requests cannot be counted.
    Metrics(MetricsError),
}

impl From<Box<Outcome>> for CompareError {
    fn from(failed: Box<Outcome>) -> Self {
        Self::Failed(failed)
    }
}

impl From<MetricsError> for CompareError {
    fn from(error: MetricsError) -> Self {
        Self::Metrics(error)
    }
}

/// What a run would do with a release, or with another revision of it. `equip` gives the means.
///
/// # Errors
/// What keeps a run from its first write.
pub async fn with_cluster(
    session: Session,
    release: Value,
    to: Option<&str>,
    equip: impl Fn(Local) -> Local,
) -> Result<Preview, CompareError> {
    let (release, steps) = wanted(release, to)?;
    let mut local = equip(Local::new(session)?.with_own_rights()).knowing(steps);
    Ok(local.preview_release(&release).await?)
}

/// What differs between two revisions of a release, each rendered with the present spec. A revision is one of the
/// history, or a tag or a digest of the repository. `equip` gives the means of each rendering.
///
/// # Errors
/// Why one of them cannot be rendered.
pub async fn of_revisions(
    session: Session,
    release: Value,
    (from, to): (&str, &str),
    equip: impl Fn(Local) -> Local,
) -> Result<Vec<Difference>, CompareError> {
    let history = release.pointer("/status/history").cloned().unwrap_or_default();
    let history: Vec<HistoryEntry> = serde_json::from_value(history).unwrap_or_default();
    let mut sets = Vec::new();
    for name in [from, to] {
        let known = named(&history, name).map_or_else(|_| name.to_owned(), |known| known.digest);
        let (release, _) = wanted(release.clone(), Some(&known))?;
        let mut local = equip(Local::new(session.clone())?.with_own_rights());
        sets.push(local.render_release(&release).await?);
    }
    let changes = subject_changes(&sets[0], &sets[1]);
    let subjects = Subjects::of(changes.iter().map(|change| &change.id));
    Ok(changes.into_iter().map(|change| Difference::of(change, &subjects)).collect())
}

impl Difference {
    /// Of an object in two sets.
    pub fn of(change: SubjectChange, subjects: &Subjects) -> Self {
        let SubjectChange { id, kind, diff, .. } = change;
        Self { object: subjects.name(&id), group: id.group, change: kind.to_string(), diff, more_lines: 0 }
    }

    /// Of the objects that a preview would change.
    pub fn of_preview(preview: &Preview) -> Vec<Self> {
        let subjects = Subjects::of(preview.objects.iter().map(|planned| &planned.id));
        preview.objects.iter().filter_map(|planned| difference(planned, &subjects)).collect()
    }

    /// The same in the words of a look that leads to no run: nobody creates, deletes or recreates anything. None of a
    /// step, which is run or not, and has nothing to compare.
    #[must_use]
    pub fn as_found(self) -> Option<Self> {
        let change = match self.change.as_str() {
            "run" => return None,
            "created" => "missing",
            "deleted" => "not in this revision",
            "recreated" => "drifted",
            other => other,
        };
        Some(Self { change: change.to_owned(), ..self })
    }
}

fn difference(planned: &PlannedChange, subjects: &Subjects) -> Option<Difference> {
    let PlannedChange { id, diff, more_lines, .. } = planned;
    let change = match planned.change {
        ObjectChange::Unchanged => return None,
        // Only fields that the API server manages differ.
        ObjectChange::Configured if diff.is_empty() && *more_lines == 0 => return None,
        ObjectChange::Created => "created",
        ObjectChange::Deleted => "deleted",
        ObjectChange::Run => "run",
        ObjectChange::Recreated => "recreated",
        ObjectChange::Configured => "drifted",
    };
    Some(Difference {
        object: subjects.name(id),
        group: id.group.clone(),
        change: change.to_owned(),
        diff: diff.clone(),
        more_lines: *more_lines,
    })
}

/// A Secret whose content would go to another cluster though only the person's rights say so.
fn lent_secret(release: &Release) -> Option<&str> {
    if release.kube_config.is_none() || release.service_account.is_some() {
        return None;
    }
    let inputs = release.input_references().into_iter().filter(|input| input.kind == InputKind::Secret);
    let inputs = inputs.map(|input| input.name.as_str());
    inputs.chain(release.identity_secret.as_deref()).chain(release.pull_secret.as_deref()).next()
}

/// The release, with another revision if `to` names one, and the records of its steps. Its rights are those of the
/// person; in another cluster, those of its account.
fn wanted(release: Value, to: Option<&str>) -> Result<(Release, Vec<StepStatus>), CompareError> {
    let id = id(&release);
    let broken = |why: String| CompareError::Invalid(broken(&id, &why));
    let mut resource: OCIArtifactRelease =
        serde_json::from_value(release).map_err(|error| broken(error.to_string()))?;
    if let Some(to) = to {
        resource.metadata.annotations.get_or_insert_default().remove(keys::PIN);
        let (tag, digest) = match to.starts_with("sha256:") {
            true => (None, Some(to.to_owned())),
            false => (Some(to.to_owned()), None),
        };
        resource.spec.reference =
            Reference { tag, semver: None, semver_filter: None, allow_downgrade: false, digest };
    }
    let release = Release::parse(&resource).map_err(|error| broken(error.to_string()))?;
    if let Some(secret) = lent_secret(&release) {
        return Err(broken(format!(
            "Secret/{} would be read with your rights, and what is made of it would be sent to the cluster of \
             spec.kubeConfig, which the author of the release has chosen; set spec.serviceAccountName, which is used \
             instead",
            secret
        )));
    }
    Ok((release, resource.status.map(|status| status.steps).unwrap_or_default()))
}

fn broken(id: &ReleaseId, why: &str) -> String {
    format!("cannot render release {id}: {why}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_look_that_leads_to_no_run_promises_none() {
        let check = |change: &str, expected: Option<&str>| {
            let difference = Difference {
                object: "Job/a/b".into(),
                group: String::new(),
                change: change.into(),
                diff: String::new(),
                more_lines: 0,
            };
            assert_eq!(difference.as_found().map(|found| found.change).as_deref(), expected, "{change}");
        };
        check("created", Some("missing"));
        check("deleted", Some("not in this revision"));
        check("recreated", Some("drifted"));
        check("drifted", Some("drifted"));
        check("run", None);
    }

    #[test]
    fn no_secret_is_lent_to_another_cluster() {
        let check = |more: &Value, expected: Option<&str>| {
            let mut spec = json!({"url": "oci://r.io/a", "prune": true});
            let fields = more.as_object().into_iter().flatten();
            fields.for_each(|(key, value)| spec[key] = value.clone());
            let resource = json!({"apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
                "metadata": {"name": "a", "namespace": "b"}, "spec": spec});
            let resource: OCIArtifactRelease = serde_json::from_value(resource).unwrap();
            let release = Release::parse(&resource).unwrap();
            assert_eq!(lent_secret(&release), expected, "{more}");
        };
        let there = json!({"secretRef": {"name": "config"}});
        let from = |kind: &str| json!({"substituteFrom": [{"kind": kind, "name": "tokens"}]});
        check(&json!({"postBuild": from("Secret"), "secretRef": {"name": "pull"}}), None);
        check(&json!({"kubeConfig": there}), None);
        check(&json!({"kubeConfig": there, "postBuild": from("ConfigMap")}), None);
        check(&json!({"kubeConfig": there, "postBuild": from("Secret")}), Some("tokens"));
        check(&json!({"kubeConfig": there, "secretRef": {"name": "pull"}}), Some("pull"));
        let values = json!({"valuesFrom": [{"kind": "Secret", "name": "values"}]});
        check(&json!({"kubeConfig": there, "helm": values}), Some("values"));
        let account = json!({"kubeConfig": there, "helm": values, "serviceAccountName": "app"});
        check(&account, None);
    }
}
