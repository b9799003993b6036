//! `supercargo push artifact`.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::args::{Output, RegistryArgs, ResultArgs, SourceArgs};
use crate::cli::input::bundle::Bundle;
use crate::cli::input::files::read_small;
use crate::cli::input::sources;
use crate::cli::print::output;
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::domain::size::{MAX_DATA_BYTES, MAX_OBJECT_BYTES, Oversize, oversize};
use crate::oci::{ArtifactReference, Digest, Labels, Recipients, Repository, Tag, is_reserved, pack};

/// Pack manifests and push them to a registry.
///
/// Reads files, directories, stdin and overlays; -k runs the kustomize or kubectl on PATH. Pushes
/// one OCI image with one layer to the registry. If SOURCE_DATE_EPOCH or --created is set, the same
/// input gives the same digest. Prints the objects to stdout, the digest to stderr. With --quiet or -o name
/// stdout is only the pushed artifact, host/repository@digest, which cosign and crane take.
///
/// Exit codes: 0 success; 1 when the input is invalid, or the registry refuses it; 2 when the URL
/// has no tag, or no input is set.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct PushArtifact {
    /// Destination: oci://host/repository:tag.
    url: String,
    /// The input.
    #[command(flatten)]
    sources: SourceArgs,
    /// Source of the manifests, such as the URL of a Git repository.
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    /// Revision of the source, such as main@sha1:….
    #[arg(long, value_name = "TEXT")]
    revision: Option<String>,
    /// Additional annotation, KEY=VALUE; may be repeated.
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    annotations: Vec<String>,
    /// Creation time of the artifact, RFC 3339 (default: $SOURCE_DATE_EPOCH, then now).
    #[arg(long, value_name = "TIME")]
    created: Option<String>,
    /// File with public keys (age1…), one per line: encrypt the manifests for their owners.
    #[arg(long, value_name = "FILE")]
    age_recipients: Option<PathBuf>,
    /// Options of the output.
    #[command(flatten)]
    output: ResultArgs,
    /// Print only the pushed artifact, host/repository@digest, and nothing to stderr but warnings.
    #[arg(short = 'q', long, conflicts_with = "output")]
    quiet: bool,
    /// How to reach the registry.
    #[command(flatten)]
    registry: RegistryArgs,
}

const EXAMPLES: &str = "\
Examples:
  # Push a directory
  supercargo push artifact oci://ghcr.io/acme/app-config:v1.0.0 -f ./deploy

  # Push and sign
  cosign sign --key cosign.key $(supercargo push artifact oci://ghcr.io/acme/app-config:v1.0.0 -f ./deploy --quiet)

  # Push the output of another tool
  helm template app ./chart | supercargo push artifact oci://ghcr.io/acme/app-config:v1.0.0 -f -

  # Encrypt for the owners of age keys
  supercargo push artifact oci://ghcr.io/acme/app-config:v1.0.0 -f ./deploy --age-recipients team.txt

  # Push an overlay with its source and revision
  supercargo push artifact oci://ghcr.io/acme/app-config:v1.0.0 -k ./overlays/dist \\
    --source https://github.com/acme/app --revision main@sha1:2c9f34a1b0d86f7e5c43218790abcdef01234567";

/// What was published, for programs.
#[derive(Serialize)]
struct Published {
    url: String,
    repository: String,
    tag: String,
    digest: String,
}

impl PushArtifact {
    /// A push without annotations.
    pub(in crate::cli) fn of(url: String, sources: SourceArgs, registry: RegistryArgs) -> Self {
        Self {
            url,
            sources,
            source: None,
            revision: None,
            annotations: Vec::new(),
            created: None,
            age_recipients: None,
            output: ResultArgs::default(),
            quiet: false,
            registry,
        }
    }

    /// Packs the manifests and pushes them.
    pub(in crate::cli) async fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Self { url, sources, output, quiet, registry: reach, .. } = self;
        let (repository, tag) = target(url)?;
        let labels = labels(self)?;
        let report = |printer: &mut Printer<'_>, text: String| {
            if !quiet {
                printer.say(text);
            }
        };
        report(printer, "building manifests...".into());
        let bundle = sources::local(sources, None).await?;
        if output.output.is_none() && !quiet {
            bundle.subjects().into_iter().try_for_each(|subject| printer.line(subject))?;
        }
        printer.finish()?;
        let yaml = bundle.yaml()?;
        measure(&bundle, yaml.len(), printer)?;
        let encrypted = if labels.recipients.is_some() { "encrypted " } else { "" };
        let packed = tokio::task::spawn_blocking(move || pack(&yaml, &labels)).await;
        let package = packed.map_err(|e| CliError::Input(format!("packing was aborted: {e}")))??;
        report(printer, format!("pushing {encrypted}image {repository}:{tag}"));
        let registry = login::registry(reach, printer);
        let access = login::access(reach, &repository).await?;
        let digest = registry.push(&repository, &tag, &package, &access).await?;
        report(printer, format!("published digest {}", repository.at(&digest)));
        match &output.output {
            Some(Output::Data(format)) => {
                output::data(printer, format, &published(&repository, &tag, &digest))
            }
            None if !quiet => Ok(()),
            _ => printer.line(repository.at(&digest)),
        }
    }
}

/// The destination: a tag, without a digest.
fn target(url: &str) -> Result<(Repository, Tag), CliError> {
    let ArtifactReference { repository, tag, digest } = ArtifactReference::parse(url)?;
    match (tag, digest) {
        (Some(tag), None) => Ok((repository, tag)),
        (None, None) => Err(CliError::Usage(format!("{url} has no tag; use {url}:TAG"))),
        (_, Some(_)) => Err(CliError::Usage(format!(
            "{url} has a digest, which a push cannot set; use oci://{repository}:TAG"
        ))),
    }
}

fn labels(arguments: &PushArtifact) -> Result<Labels, CliError> {
    let recipients = arguments.age_recipients.as_deref().map(|path| {
        let parsed = Recipients::parse(&read_small(path)?);
        parsed.map_err(|e| CliError::Input(format!("{}: {e}", path.display())))
    });
    Ok(Labels {
        created: created_at(arguments.created.as_deref())?,
        source: arguments.source.clone(),
        revision: arguments.revision.clone(),
        annotations: pairs(&arguments.annotations)?,
        recipients: recipients.transpose()?,
    })
}

/// Refuses objects that no API server accepts, and warns about those that few accept.
fn measure(bundle: &Bundle, total: usize, printer: &mut Printer<'_>) -> Result<(), CliError> {
    if total <= MAX_DATA_BYTES {
        return Ok(());
    }
    for object in &bundle.objects {
        match oversize(object) {
            Some(Oversize::Data(bytes)) => {
                return Err(CliError::Input(format!(
                    "{} has {bytes} bytes of data, API servers accept at most {MAX_DATA_BYTES}; split it",
                    object.id()
                )));
            }
            Some(Oversize::Object(bytes)) => printer.say(format!(
                "warning: {} has {bytes} bytes, most clusters accept at most {MAX_OBJECT_BYTES}",
                object.id()
            )),
            None => {}
        }
    }
    Ok(())
}

fn published(repository: &Repository, tag: &Tag, digest: &Digest) -> Published {
    Published {
        url: format!("oci://{}", repository.at(digest)),
        repository: repository.to_string(),
        tag: tag.to_string(),
        digest: digest.to_string(),
    }
}

/// The time in the annotations: as given, else SOURCE_DATE_EPOCH, else
/// now; in UTC and whole seconds.
fn created_at(given: Option<&str>) -> Result<String, CliError> {
    let time = match given {
        Some(text) => text
            .parse::<Timestamp>()
            .map_err(|_| CliError::Usage(format!("--created {text:?} is not an RFC 3339 time")))?,
        None => match env::var("SOURCE_DATE_EPOCH").ok().filter(|epoch| !epoch.is_empty()) {
            Some(epoch) => epoch
                .trim()
                .parse()
                .ok()
                .and_then(|seconds| Timestamp::from_second(seconds).ok())
                .ok_or_else(|| CliError::Usage("SOURCE_DATE_EPOCH is not a number of seconds".into()))?,
            None => Timestamp::now(),
        },
    };
    Ok(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn pairs(annotations: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, _)) if is_reserved(key) => Err(CliError::Usage(format!(
            "--annotation {key:?} is reserved; use --source, --revision or --created"
        ))),
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(CliError::Usage(format!("--annotation {text:?} is not KEY=VALUE"))),
    };
    annotations.iter().map(pair).collect()
}
