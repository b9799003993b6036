//! `supercargo push artifact`.

use std::collections::BTreeMap;
use std::env;

use jiff::Timestamp;

use super::args::PushArtifact;
use super::{CliError, Printer, login, sources};
use crate::oci::{Labels, Reference, Registry, pack};

/// Packs the manifests and pushes them.
pub(super) async fn artifact(
    arguments: &PushArtifact,
    registry: &Registry,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let PushArtifact { url, sources, source, revision, annotations, created, registry: reach } = arguments;
    let reference = Reference::parse(url)?;
    let (Some(tag), None) = (&reference.tag, &reference.digest) else {
        return Err(CliError::Usage(format!("{url} has no tag to push to; write {url}:TAG")));
    };
    let access = login::access(reach, &reference.repository)?;
    let labels = Labels {
        created: created_at(created.as_deref())?,
        source: source.clone(),
        revision: revision.clone(),
        annotations: pairs(annotations)?,
        recipients: None,
    };
    printer.say("building manifests...");
    let bundle = sources::local(sources).await?;
    for subject in bundle.subjects() {
        printer.line(&subject)?;
    }
    printer.finish()?;
    let package = pack(&bundle.yaml()?, &labels)?;
    printer.say(&format!("pushing image {reference}"));
    let digest = registry.push(&reference.repository, tag, &package, &access).await?;
    printer.say(&format!("published digest {}", reference.repository.at(&digest)));
    Ok(())
}

/// The time in the annotations: as given, else of the reproducible build, else
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
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(CliError::Usage(format!("--annotation {text:?} is not KEY=VALUE"))),
    };
    annotations.iter().map(pair).collect()
}
