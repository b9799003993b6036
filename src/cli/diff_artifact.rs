//! `supercargo diff artifact`.

use serde::Serialize;

use super::args::DiffArtifact;
use super::table::harmless;
use super::{CliError, Printer, evidence, fetch, login, output, signers};
use crate::domain::diff::{Change, subject_changes};

/// A difference, for programs.
#[derive(Serialize)]
struct Difference {
    object: String,
    change: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    diff: String,
}

/// Compares two artifacts object by object: the exit code says whether they
/// differ.
pub(super) async fn artifact(arguments: &DiffArtifact, printer: &mut Printer<'_>) -> Result<(), CliError> {
    compare(arguments, printer).await.map_err(CliError::of_comparison)
}

async fn compare(arguments: &DiffArtifact, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let DiffArtifact { before, after, verify, keys, output, registry: reach } = arguments;
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
    let differences: Vec<Difference> = changes.into_iter().map(difference).collect();
    match output.output {
        Some(format) => output::data(printer, format, &differences)?,
        None => differences.iter().try_for_each(|difference| print(difference, printer))?,
    }
    if differences.is_empty() { Ok(()) } else { Err(CliError::Differs) }
}

fn difference(change: Change) -> Difference {
    Difference { object: change.id.to_string(), change: change.kind.to_string(), diff: change.diff }
}

fn print(difference: &Difference, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let Difference { object, change, diff } = difference;
    let colour = printer.colour();
    printer.line(&colour.diff_line(&harmless(&format!("► {object} {change}"))))?;
    diff.lines().try_for_each(|line| printer.line(&colour.diff_line(&harmless(line))))
}
