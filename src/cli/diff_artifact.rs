//! `supercargo diff artifact`.

use serde::Serialize;

use crate::cli::args::DiffArtifact;
use crate::cli::print::output;
use crate::cli::print::subjects::Subjects;
use crate::cli::reach::login;
use crate::cli::{CliError, Line, Printer, evidence, fetch, signers};
use crate::domain::diff::{Change, subject_changes};

/// A difference, for programs.
#[derive(Serialize)]
struct Difference {
    object: String,
    /// API group, where it is not the core's.
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
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
    let subjects = Subjects::of(changes.iter().map(|change| &change.id));
    let differences: Vec<Difference> = changes.into_iter().map(|c| difference(c, &subjects)).collect();
    match output.output {
        Some(format) => output::data(printer, format, &differences)?,
        None => differences.iter().try_for_each(|d| print(&d.object, &d.change, &d.diff, printer))?,
    }
    if differences.is_empty() { Ok(()) } else { Err(CliError::Differs) }
}

fn difference(change: Change, subjects: &Subjects) -> Difference {
    let Change { id, kind, diff, .. } = change;
    Difference { object: subjects.name(&id), group: id.group, change: kind.to_string(), diff }
}

/// Prints one difference for people.
///
/// # Errors
/// When stdout does not take it.
pub(super) fn print(
    object: &str,
    change: &str,
    diff: &str,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    printer.line(Line::of_diff(&format!("► {object} {change}")))?;
    diff.lines().try_for_each(|line| printer.line(Line::of_diff(line)))
}
