//! The input of `-k`, `-f` and `-p`, as one set of objects.

use super::bundle::{Bundle, bundle};
use super::variables::CommandVariables;
use super::{files, kustomize};
use crate::cli::CliError;
use crate::cli::args::SourceArgs;
use crate::domain::patch::file::PatchFile;

/// The objects of an overlay and of files, in that order, patched, with their variables replaced.
///
/// # Errors
/// When no input is set, it cannot be read, or it is not a set of objects.
pub(in crate::cli) async fn local(
    sources: &SourceArgs,
    variables: Option<&CommandVariables>,
) -> Result<Bundle, CliError> {
    let SourceArgs { filenames, kustomize: overlay, patches: _ } = sources;
    if filenames.is_empty() && overlay.is_none() {
        return Err(CliError::Usage(
            "no input; set -f FILE, DIR or -, or -k DIR with a kustomization".into(),
        ));
    }
    with(sources, Vec::new(), variables).await
}

/// The same, after further files.
pub(in crate::cli) async fn with(
    sources: &SourceArgs,
    more: Vec<(String, Vec<u8>)>,
    variables: Option<&CommandVariables>,
) -> Result<Bundle, CliError> {
    files::stdin_once(sources.filenames.iter().chain(&sources.patches))?;
    // First, because it is fast: an invalid patch is reported at once.
    let texts = files::read(&sources.patches)?;
    let patches = texts.iter().map(|(name, bytes)| PatchFile::parse(name, bytes));
    let patches = patches.collect::<Result<Vec<_>, _>>().map_err(|e| CliError::Input(e.to_string()))?;
    let mut read = Vec::new();
    if let Some(overlay) = &sources.kustomize {
        let directory = overlay.clone();
        let built = tokio::task::spawn_blocking(move || kustomize::build(&directory)).await;
        let built = built.map_err(|e| CliError::Input(format!("the build was aborted: {e}")))??;
        read.push((overlay.display().to_string(), built));
    }
    read.extend(files::read(&sources.filenames)?);
    read.extend(more);
    let patched = bundle(&read)?.patched(&patches)?;
    match variables {
        Some(variables) => patched.substituted(variables, &read),
        None => Ok(patched),
    }
}
