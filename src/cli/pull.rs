//! `supercargo pull artifact`.

use crate::cli::args::PullArtifact;
use crate::cli::reach::login;
use crate::cli::{CliError, Printer, evidence, fetch, signers};

/// Prints the manifests of an artifact.
pub(super) async fn artifact(arguments: &PullArtifact, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let PullArtifact { url, verify, keys, registry: reach } = arguments;
    let policy = signers::asked(verify, printer)?;
    let fetched =
        fetch::artifact(url, reach, keys, policy.as_ref(), &login::registry(reach, printer)).await?;
    if let Some(proof) = &fetched.proof {
        evidence::say(printer, &fetched.name(), proof);
    }
    let mut yaml = Vec::new();
    for (_, content) in &fetched.artifact.files {
        append(&mut yaml, content);
    }
    printer.data(&yaml)
}

/// Files follow each other as documents: one that neither ends nor begins with
/// a separator gets one.
fn append(yaml: &mut Vec<u8>, content: &[u8]) {
    if !yaml.is_empty() {
        if !yaml.ends_with(b"\n") {
            yaml.push(b'\n');
        }
        if !yaml.ends_with(b"---\n") && !content.starts_with(b"---") {
            yaml.extend_from_slice(b"---\n");
        }
    }
    yaml.extend_from_slice(content);
}
