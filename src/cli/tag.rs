//! `supercargo tag artifact`.

use crate::cli::args::TagArtifact;
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::oci::{Digest, Reference, Tag};

/// Puts further tags on an artifact.
pub(super) async fn artifact(arguments: &TagArtifact, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let TagArtifact { url, tags, registry: reach } = arguments;
    let reference = Reference::parse(url)?;
    if reference.tag.is_none() && reference.digest.is_none() {
        return Err(CliError::Usage(format!("{url} does not say which artifact to tag; write {url}:TAG")));
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

fn new_tag(text: &str) -> Result<Tag, CliError> {
    let bare = text.trim_start_matches('@');
    if Digest::parse(bare).is_ok() || bare.starts_with("sha256:") {
        return Err(CliError::Usage(format!(
            "{text} is a digest, which names its content already; a tag is a word such as 1.0.0"
        )));
    }
    Ok(Tag::parse(text)?)
}
