//! `supercargo build`.

use serde_json::Value;

use super::content::gather;
use crate::cli::args::{Build, BuildNoun, Format};
use crate::cli::artifact::push::PushArtifact;
use crate::cli::input::bundle::Bundle;
use crate::cli::input::sources;
use crate::cli::print::output;
use crate::cli::{CliError, Printer};

/// Prints manifests, or pushes them.
pub(in crate::cli) async fn build(arguments: Build, printer: &mut Printer<'_>) -> Result<(), CliError> {
    if let Some(BuildNoun::Inventory { content, output, .. }) = arguments.noun {
        let content = gather(&content, printer).await?;
        return print(&content.bundle, output, printer);
    }
    let Build { sources, artifact, output, registry, .. } = arguments;
    match artifact {
        Some(url) => PushArtifact::of(url, sources, registry).run(printer).await,
        None => print(&sources::local(&sources).await?, output, printer),
    }
}

fn print(bundle: &Bundle, format: Format, printer: &mut Printer<'_>) -> Result<(), CliError> {
    match format {
        Format::Yaml => printer.data(&bundle.yaml()?),
        Format::Json => {
            let items: Vec<Value> = bundle.objects.iter().map(|o| o.value().clone()).collect();
            output::objects(printer, format, items, false)
        }
    }
}
