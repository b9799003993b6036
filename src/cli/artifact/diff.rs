//! `supercargo diff artifact`.

use clap::Args;

use super::{evidence, fetch, signers};
use crate::cli::args::{ClusterArgs, IdentityArgs, PageArgs, RegistryArgs, VerifyArgs};
use crate::cli::print::difference::Difference;
use crate::cli::print::output;
use crate::cli::print::subjects::Subjects;
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::domain::diff::{SubjectChange, subject_changes};

/// Compare two artifacts, object by object.
///
/// Reads both artifacts from their registries and compares them object by object: order and
/// formatting make no difference. Values of Secrets are masked. --creds is for one registry: two
/// are logged in to with docker or podman. With --key or --certificate-identity both have to be
/// signed so, before anything of either is printed.
///
/// Exit codes: those of kubectl diff: 0 when nothing differs, 1 when something does, 2 when it
/// cannot be told.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden(), after_long_help = EXAMPLES)]
pub struct DiffArtifact {
    /// What is compared: oci://host/repository[:tag][@digest]; the tag is latest unless given.
    #[arg(value_name = "URL")]
    before: String,
    /// What it is compared with.
    #[arg(value_name = "OTHER-URL")]
    after: String,
    /// Whose signature both have to have.
    #[command(flatten)]
    verify: VerifyArgs,
    /// What they are decrypted with.
    #[command(flatten)]
    keys: IdentityArgs,
    /// How the differences are printed.
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
        let policy = signers::asked(verify, printer)?;
        let registry = login::registry(reach, printer);
        let old = fetch::artifact(before, reach, keys, policy.as_ref(), &registry).await?;
        let new = fetch::artifact(after, reach, keys, policy.as_ref(), &registry).await?;
        for fetched in [&old, &new] {
            if let Some(proof) = &fetched.proof {
                evidence::say(printer, &fetched.name(), proof);
            }
        }
        let changes = subject_changes(&old.bundle(before)?.objects, &new.bundle(after)?.objects);
        let subjects = Subjects::of(changes.iter().map(|change| &change.id));
        let differences: Vec<Difference> = changes.into_iter().map(|c| difference(c, &subjects)).collect();
        match output.output {
            Some(format) => output::data(printer, format, &differences)?,
            None => differences.iter().try_for_each(|difference| difference.print(printer))?,
        }
        if differences.is_empty() { Ok(()) } else { Err(CliError::Differs) }
    }
}

fn difference(change: SubjectChange, subjects: &Subjects) -> Difference {
    let SubjectChange { id, kind, diff, .. } = change;
    Difference { object: subjects.name(&id), group: id.group, change: kind.to_string(), diff }
}
