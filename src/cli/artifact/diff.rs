//! `supercargo diff artifact`.

use clap::Args;

use super::{evidence, fetch, signers};
use crate::cli::args::{ClusterArgs, PageArgs, ReadingArgs, RegistryArgs, VerifyArgs};
use crate::cli::print::output;
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::domain::diff::subject_changes;
use crate::domain::subjects::Subjects;
use crate::reconcile::frontend::compare::Difference;

/// Compare the objects of two artifacts.
///
/// Reads both artifacts from their registries and compares their objects; order and formatting are
/// ignored. Values of Secrets are masked. --creds is for one registry: for two registries, log in
/// with docker or podman. With --key or --certificate-identity, both artifacts must have a matching
/// signature before anything is printed.
///
/// Exit codes: as for kubectl diff: 0 no differences; 1 differences found; 2 comparison failed.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden(), after_long_help = EXAMPLES)]
pub struct DiffArtifact {
    /// First artifact: oci://host/repository[:tag][@digest] (default tag: latest).
    #[arg(value_name = "URL")]
    before: String,
    /// Second artifact, in the same form.
    #[arg(value_name = "OTHER-URL")]
    after: String,
    /// Required signatures of both.
    #[command(flatten)]
    verify: VerifyArgs,
    /// How their content is read.
    #[command(flatten)]
    keys: ReadingArgs,
    /// Options of the output.
    #[command(flatten)]
    output: PageArgs,
    /// How to reach the registries.
    #[command(flatten)]
    registry: RegistryArgs,
}

const EXAMPLES: &str = "\
Examples:
  supercargo diff artifact oci://ghcr.io/acme/app-config:v1.0.0 oci://ghcr.io/acme/app-config:v1.1.0";

impl DiffArtifact {
    /// Compares two artifacts object by object: the exit code says whether they
    /// differ.
    pub(in crate::cli) async fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        self.compare(printer).await.map_err(CliError::of_comparison)
    }

    async fn compare(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Self { before, after, verify, keys, output, registry: reach } = self;
        login::one_registry(reach, [before.as_str(), after.as_str()])?;
        let policy = signers::optional(verify, printer)?;
        let registry = login::registry(reach, printer);
        let old = fetch::artifact(before, reach, keys.into(), policy.as_ref(), &registry, printer).await?;
        let new = fetch::artifact(after, reach, keys.into(), policy.as_ref(), &registry, printer).await?;
        for fetched in [&old, &new] {
            if let Some(proof) = &fetched.proof {
                evidence::say(printer, &fetched.name(), proof);
            }
        }
        let changes = subject_changes(&old.bundle(before)?.objects, &new.bundle(after)?.objects);
        let subjects = Subjects::of(changes.iter().map(|change| &change.id));
        let differences: Vec<Difference> =
            changes.into_iter().map(|c| Difference::of(c, &subjects)).collect();
        match &output.output {
            Some(format) => output::data(printer, format, &differences)?,
            None => differences.iter().try_for_each(|difference| difference.print(printer))?,
        }
        if differences.is_empty() { Ok(()) } else { Err(CliError::Differs) }
    }
}
