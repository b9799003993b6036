//! `supercargo diff release`: what the operator would do with a release, or with
//! another revision of it.

use clap::Args;

use super::find::{find, release_named};
use crate::cli::args::{ClusterArgs, PageArgs, ProgramArgs};
use crate::cli::inventory::narrator::why_not;
use crate::cli::inventory::preview::show;
use crate::cli::print::output;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::reconcile::frontend::command_line::Local;
use crate::reconcile::frontend::compare::{CompareError, of_revisions, with_cluster};

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
        let found = find(&session, &id).await?;
        let (Some(from), Some(to)) = (&self.from, &self.to) else {
            let equip = |local: Local| local.building(self.programs.builder());
            let preview = with_cluster(session, found, self.to.as_deref(), equip).await;
            return show(&preview.map_err(failed)?, self.page.output.as_ref(), printer);
        };
        let differences =
            of_revisions(session, found, (from, to), |local| local.building(self.programs.builder())).await;
        let differences = differences.map_err(failed)?;
        match &self.page.output {
            Some(format) => output::data(printer, format, &differences)?,
            None => differences.iter().try_for_each(|difference| difference.print(printer))?,
        }
        if differences.is_empty() { Ok(()) } else { Err(CliError::Differs) }
    }
}

fn failed(error: CompareError) -> CliError {
    match error {
        CompareError::Invalid(why) => CliError::Failed(why),
        CompareError::Failed(outcome) => CliError::Several(why_not(&outcome, "")),
        CompareError::Metrics(error) => error.into(),
    }
}
