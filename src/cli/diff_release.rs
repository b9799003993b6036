//! `supercargo diff release`: what the operator would do with a release, or with
//! another revision of it.

use crate::api::release::{OCIArtifactRelease, Reference};
use crate::cli::args::{ClusterArgs, DiffRelease};
use crate::cli::inventory::{show, why_not};
use crate::cli::reach::connect::connect;
use crate::cli::releases::absent;
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::domain::release::Release;
use crate::reconcile::frontend::command_line::Local;

/// Compares what a release wants with the cluster: the exit code says whether they
/// differ.
pub(super) async fn release(
    arguments: &DiffRelease,
    cluster: &ClusterArgs,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    compare(arguments, cluster, printer).await.map_err(CliError::of_comparison)
}

async fn compare(
    arguments: &DiffRelease,
    cluster: &ClusterArgs,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let session = connect(cluster).await?;
    let id = ReleaseId { namespace: session.default_namespace().to_owned(), name: arguments.name.clone() };
    let release = wanted(&session, &id, arguments.to.as_deref()).await?;
    let preview = Local::new(session)?.rehearse(&release).await;
    let preview = preview.map_err(|failed| CliError::Several(why_not(&failed, "")))?;
    show(&preview, arguments.output, printer)
}

/// The release as the cluster has it, at another revision where one is asked for. What
/// it may do is what the person may do.
async fn wanted(session: &Session, id: &ReleaseId, to: Option<&str>) -> Result<Release, CliError> {
    let Some(found) = session.find_release(id).await? else {
        return Err(CliError::Failed(absent(session, id).await));
    };
    let broken = |why: String| {
        CliError::Failed(format!("the release {}/{} cannot be rendered: {why}", id.namespace, id.name))
    };
    let mut resource: OCIArtifactRelease =
        serde_json::from_value(found).map_err(|error| broken(error.to_string()))?;
    resource.spec.service_account_name = None;
    if let Some(to) = to {
        let (tag, digest) = match to.starts_with("sha256:") {
            true => (None, Some(to.to_owned())),
            false => (Some(to.to_owned()), None),
        };
        resource.spec.reference =
            Reference { tag, semver: None, semver_filter: None, allow_downgrade: false, digest };
    }
    Release::parse(&resource).map_err(|error| broken(error.to_string()))
}
