//! `supercargo diff release`: what the operator would do with a release, or with
//! another revision of it.

use clap::Args;

use super::find::absent;
use crate::api::release::{OCIArtifactRelease, Reference};
use crate::cli::args::{ClusterArgs, OutputFormat};
use crate::cli::inventory::narrator::why_not;
use crate::cli::inventory::preview::show;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::domain::release::Release;
use crate::reconcile::frontend::command_line::Local;

/// Compare what a release wants with the cluster.
///
/// Resolves, verifies, pulls and renders the artifact as the spec of the release says (path,
/// patches, images, namespaces, labels), and asks the API server by dry runs what an apply would
/// change and what it would prune. It does so with your own rights and not with those of the
/// release's account, and reads the Secrets that the spec names; the administrator's rules, such as
/// a trust policy, do not count here. Writes nothing to the cluster, and works while the release is
/// suspended. Values of Secrets are masked.
///
/// Exit codes: those of kubectl diff: 0 when nothing differs, 1 when something does, 2 when it
/// cannot be told.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DiffRelease {
    /// The release.
    name: String,
    /// Another revision than spec.ref asks for: a tag, or sha256: and a digest.
    #[arg(long, value_name = "TAG")]
    to: Option<String>,
    /// The form of the output; without it, text for people.
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT")]
    output: Option<OutputFormat>,
}

const EXAMPLES: &str = "\
Examples:
  # Would a run change something now?
  supercargo diff release demo-app -n apps

  # What would an upgrade change, and delete?
  supercargo diff release demo-app -n apps --to 1.1.0";

impl DiffRelease {
    /// Compares what a release wants with the cluster: the exit code says whether they
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
        let id = ReleaseId { namespace: session.default_namespace().to_owned(), name: self.name.clone() };
        let release = wanted(&session, &id, self.to.as_deref()).await?;
        let preview = Local::new(session)?.preview_release(&release).await;
        let preview = preview.map_err(|failed| CliError::Several(why_not(&failed, "")))?;
        show(&preview, self.output, printer)
    }
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
