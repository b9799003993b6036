//! `supercargo diff release`: what the operator would do with a release, or with
//! another revision of it.

use clap::Args;

use super::find::{absent, release_named};
use super::history::{named, typed};
use crate::api::keys;
use crate::api::post_build::InputKind;
use crate::api::release::{OCIArtifactRelease, Reference};
use crate::api::step::StepStatus;
use crate::cli::args::{ClusterArgs, PageArgs, ProgramArgs};
use crate::cli::artifact::diff::difference;
use crate::cli::inventory::narrator::why_not;
use crate::cli::inventory::preview::show;
use crate::cli::print::difference::Difference;
use crate::cli::print::output;
use crate::cli::print::subjects::Subjects;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::diff::subject_changes;
use crate::domain::identity::ReleaseId;
use crate::domain::release::Release;
use crate::reconcile::frontend::command_line::Local;

/// Compare a release with the cluster.
///
/// Resolves, verifies, pulls and renders the artifact according to the release's spec (path,
/// patches, images, namespaces, labels). Server-side dry runs show what an apply would change and
/// prune, and which steps would run. Uses your own rights, not those of the release's ServiceAccount, and reads the Secrets
/// named in the spec. Objects in another cluster are reached by the kubeconfig in the Secret of
/// spec.kubeConfig, with the rights of the ServiceAccount. With --from, compares the objects of two revisions with each other, each rendered
/// with the present spec. Does not check the administrator's rules, such as a trust policy. Writes
/// nothing to the cluster; also works while the release is suspended. Values of Secrets are masked.
///
/// Exit codes: as for kubectl diff: 0 no differences; 1 differences found; 2 comparison failed.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DiffRelease {
    /// Name of the release.
    name: String,
    /// Revision to compare instead of spec.ref: a tag, or a digest sha256:….
    #[arg(long, value_name = "TAG")]
    to: Option<String>,
    /// Compare two revisions instead, from this one to that of --to: a tag, tag@digest, digest or number of `supercargo history release`.
    #[arg(long, value_name = "REV", requires = "to")]
    from: Option<String>,
    /// Options of the output.
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    programs: ProgramArgs,
}

const EXAMPLES: &str = "\
Examples:
  # What would a reconciliation change now?
  supercargo diff release demo-app -n apps

  # What would an upgrade change and delete?
  supercargo diff release demo-app -n apps --to 1.1.0

  # What has changed between two revisions of the history?
  supercargo diff release demo-app -n apps --from 1.0.0 --to 1.1.0";

impl DiffRelease {
    /// Compares a release with the cluster: the exit code says whether they
    /// differ.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        self.compare(cluster, printer).await.map_err(CliError::of_comparison)
    }

    async fn compare(&self, cluster: &ClusterArgs, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let session = connect(cluster).await?;
        let id = release_named(&session, &self.name);
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            return self.compare_revisions(session, &id, from, to, printer).await;
        }
        let (release, steps) = wanted(&session, &id, self.to.as_deref()).await?;
        let preview = Local::new(session)?
            .building(self.programs.builder())
            .knowing(steps)
            .preview_release(&release)
            .await;
        let preview = preview.map_err(|failed| CliError::Several(why_not(&failed, "")))?;
        show(&preview, self.page.output.as_ref(), printer)
    }

    /// Compares two revisions, each rendered with the present spec.
    async fn compare_revisions(
        &self,
        session: Session,
        id: &ReleaseId,
        from: &str,
        to: &str,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let history = typed(&session, id).await?.status.unwrap_or_default().history;
        let mut sets = Vec::new();
        for name in [from, to] {
            // What is not in the history is a tag or a digest of the repository.
            let known = named(&history, name).map_or_else(|_| name.to_owned(), |known| known.digest);
            let (release, _) = wanted(&session, id, Some(&known)).await?;
            let mut local = Local::new(session.clone())?.building(self.programs.builder());
            let rendered = local.render_release(&release).await;
            sets.push(rendered.map_err(|failed| CliError::Several(why_not(&failed, "")))?);
        }
        let changes = subject_changes(&sets[0], &sets[1]);
        let subjects = Subjects::of(changes.iter().map(|change| &change.id));
        let differences: Vec<Difference> =
            changes.into_iter().map(|change| difference(change, &subjects)).collect();
        match &self.page.output {
            Some(format) => output::data(printer, format, &differences)?,
            None => differences.iter().try_for_each(|difference| difference.print(printer))?,
        }
        if differences.is_empty() { Ok(()) } else { Err(CliError::Differs) }
    }
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

/// The release in the cluster, with another revision if `to` names one, and the records of its
/// steps. Its rights are those of the person; in another cluster, those of its account.
async fn wanted(
    session: &Session,
    id: &ReleaseId,
    to: Option<&str>,
) -> Result<(Release, Vec<StepStatus>), CliError> {
    let Some(found) = session.find_release(id).await? else {
        return Err(CliError::Failed(absent(session, id).await));
    };
    let broken =
        |why: String| CliError::Failed(format!("cannot render release {}/{}: {why}", id.namespace, id.name));
    let mut resource: OCIArtifactRelease =
        serde_json::from_value(found).map_err(|error| broken(error.to_string()))?;
    // In another cluster, what the person may read and the account may not would be sent to a server that the
    // author of the release has chosen.
    if resource.spec.kube_config.is_none() {
        resource.spec.service_account_name = None;
    }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

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
