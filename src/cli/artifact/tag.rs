//! `supercargo tag artifact`.

use clap::Args;

use crate::cli::args::RegistryArgs;
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::oci::{ArtifactReference, Digest, Tag};

/// Add tags to an artifact.
///
/// Reads the manifest of the artifact and writes it under other tags of the same repository; the
/// content is not copied. Signatures refer to the digest and remain valid.
///
/// Exit codes: 0 success; 1 when the artifact does not exist, or the registry refuses the tag; 2
/// invalid URL or tag.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct TagArtifact {
    /// Artifact to tag: oci://host/repository:tag or oci://host/repository@digest.
    url: String,
    /// New tags; an existing tag is moved.
    #[arg(required = true, value_name = "TAG")]
    tags: Vec<String>,
    /// How to reach the registry.
    #[command(flatten)]
    registry: RegistryArgs,
}

const EXAMPLES: &str = "\
Examples:
  supercargo tag artifact oci://ghcr.io/acme/app-config:v1.0.0 latest v1";

impl TagArtifact {
    /// Adds tags to an artifact.
    pub(in crate::cli) async fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Self { url, tags, registry: reach } = self;
        let reference = ArtifactReference::parse(url)?;
        if reference.tag.is_none() && reference.digest.is_none() {
            return Err(CliError::Usage(format!("{url} has no tag or digest; use {url}:TAG")));
        }
        let tags = tags.iter().map(|tag| new_tag(tag)).collect::<Result<Vec<_>, _>>()?;
        let registry = login::registry(reach, printer);
        let access = login::access(reach, &reference.repository).await?;
        let wanted = reference.wanted()?;
        for tag in tags {
            registry.tag(&reference.repository, &wanted, &tag, &access).await?;
            printer.say(format!("tagged {}:{tag}", reference.repository));
        }
        Ok(())
    }
}

fn new_tag(text: &str) -> Result<Tag, CliError> {
    let bare = text.trim_start_matches('@');
    if Digest::parse(bare).is_ok() || bare.starts_with("sha256:") {
        return Err(CliError::Usage(format!("{text} is a digest and not a tag; use a tag such as 1.0.0")));
    }
    Ok(Tag::parse(text)?)
}
