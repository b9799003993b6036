//! Manifests of a cluster verb: overlay, files, artifacts, patched.

use crate::cli::args::ContentArgs;
use crate::cli::artifact::reading::ArtifactReading;
use crate::cli::artifact::{evidence, fetch, signers};
use crate::cli::input::bundle::Bundle;
use crate::cli::input::variables::CommandVariables;
use crate::cli::input::{files, sources};
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::cluster::session::Session;
use crate::domain::inventory::Provenance;
use crate::domain::verify::policy::Policy;
use crate::oci::{ArtifactReference, Wanted};

/// The input of an apply.
pub(super) struct Content {
    /// The objects.
    pub bundle: Bundle,
    /// Their source and revision, as far as artifacts say.
    pub provenance: Provenance,
}

/// Reads the input of the arguments; variables of the cluster with the session, if there is one.
///
/// # Errors
/// When no input is set, it cannot be read, or it is not a set of objects.
pub(super) async fn gather(
    arguments: &ContentArgs,
    session: Option<&Session>,
    printer: &mut Printer<'_>,
) -> Result<Content, CliError> {
    check(arguments)?;
    let ContentArgs { sources, artifacts, .. } = arguments;
    login::one_registry(&arguments.registry, artifacts.iter().map(String::as_str))?;
    let policy = signers::optional(&arguments.verify, printer)?;
    if policy.is_some() && artifacts.is_empty() {
        return Err(CliError::Usage(
            "no artifact to verify; only artifacts have signatures, add one with -a".into(),
        ));
    }
    let mut files = Vec::new();
    let mut provenance = Provenance::default();
    for url in artifacts {
        let pulled = pull(url, arguments, session, policy.as_ref(), printer).await?;
        files.extend(pulled.files);
        provenance.artifacts.push(pulled.digest);
        if let [_] = artifacts.as_slice() {
            provenance.source = pulled.repository;
            provenance.revision = pulled.revision;
        }
    }
    let variables = CommandVariables::read(&arguments.variables, session).await?;
    Ok(Content { bundle: sources::with(sources, files, variables.as_ref()).await?, provenance })
}

/// Refuses arguments without input, or with stdin twice.
///
/// # Errors
/// Lists the possible input.
pub(super) fn check(arguments: &ContentArgs) -> Result<(), CliError> {
    let ContentArgs { sources, artifacts, .. } = arguments;
    if sources.filenames.is_empty() && sources.kustomize.is_none() && artifacts.is_empty() {
        return Err(CliError::Usage(
            "no input; set -f FILE, DIR or -, -k DIR with a kustomization, or -a oci://… with an artifact"
                .into(),
        ));
    }
    files::stdin_once(sources.filenames.iter().chain(&sources.patches))
}

struct Pulled {
    files: Vec<(String, Vec<u8>)>,
    repository: String,
    revision: String,
    digest: String,
}

async fn pull(
    url: &str,
    arguments: &ContentArgs,
    session: Option<&Session>,
    policy: Option<&Policy>,
    printer: &mut Printer<'_>,
) -> Result<Pulled, CliError> {
    let reference = ArtifactReference::parse(url)?;
    let wanted = reference.wanted()?;
    let repository = &reference.repository;
    match &wanted {
        Wanted::Tag(tag) => printer.say(format!("pulling {repository}:{tag}")),
        _ => printer.say(format!("pulling {reference}")),
    }
    let ContentArgs { registry: reach, keys, .. } = arguments;
    let registry = login::registry(reach, printer);
    let reading = ArtifactReading { keys, session };
    let fetched = fetch::artifact(url, reach, reading, policy, &registry, printer).await?;
    if let Some(proof) = &fetched.proof {
        evidence::say(printer, &fetched.name(), proof);
    }
    Ok(Pulled {
        files: fetched.files(url),
        digest: fetched.name(),
        repository: fetched.located.repository.to_string(),
        revision: fetched.located.resolved.revision,
    })
}
