//! `supercargo build`.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::content::gather;
use crate::cli::args::{ClusterArgs, ContentArgs, OutputFormat, RegistryArgs, SourceArgs};
use crate::cli::artifact::push::PushArtifact;
use crate::cli::input::bundle::Bundle;
use crate::cli::input::sources;
use crate::cli::print::output;
use crate::cli::{CliError, Printer};

/// Build manifests and print them, or push them.
///
/// Reads files, directories, stdin and overlays; with -k, runs the kustomize or kubectl on PATH.
/// Writes the objects as YAML or, with -o json, as a List to stdout. With -a, pushes them as push
/// artifact does; build inventory -a pulls artifacts instead and prints what apply would send. The
/// cluster is not asked.
///
/// Exit codes: 0; 1 when something cannot be read or pushed; 2 when nothing is named.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, args = ClusterArgs::hidden(), after_long_help = EXAMPLES)]
pub struct Build {
    /// With the noun, artifacts are pulled.
    #[command(subcommand)]
    noun: Option<BuildNoun>,
    /// What is built.
    #[command(flatten)]
    sources: SourceArgs,
    /// Pushes the result to oci://host/repository:tag in place of printing it.
    #[arg(short = 'a', long = "artifact", value_name = "URL")]
    artifact: Option<String>,
    /// The form of the output; json is a List.
    #[arg(short = 'o', long, value_enum, default_value = "yaml", value_name = "FORMAT")]
    output: OutputFormat,
    /// How to reach the registry.
    #[command(flatten)]
    registry: RegistryArgs,
}

const EXAMPLES: &str = "\
Examples:
  # See what an overlay makes
  supercargo build -k ./overlays/dist

  # Build and publish
  supercargo build -k ./overlays/dist -a oci://ghcr.io/acme/app-config:v1.0.0

  # What an apply of an artifact with a patch would send
  supercargo build inventory app -a oci://ghcr.io/acme/app-config:v1.0.0 -p safe-to-evict.yaml";

/// `build inventory`.
#[derive(Debug, Subcommand)]
pub enum BuildNoun {
    /// Print the manifests that an apply of the same flags would apply.
    #[command(visible_alias = "inv")]
    Inventory {
        /// The name of the inventory; nothing is read from it.
        name: String,
        /// What is built.
        #[command(flatten)]
        content: ContentArgs,
        /// The form of the output; json is a List.
        #[arg(short = 'o', long, value_enum, default_value = "yaml", value_name = "FORMAT")]
        output: OutputFormat,
    },
}

impl Build {
    /// Prints manifests, or pushes them.
    pub(in crate::cli) async fn run(self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        if let Some(BuildNoun::Inventory { content, output, .. }) = self.noun {
            let content = gather(&content, printer).await?;
            return print(&content.bundle, output, printer);
        }
        let Self { sources, artifact, output, registry, .. } = self;
        match artifact {
            Some(url) => PushArtifact::of(url, sources, registry).run(printer).await,
            None => print(&sources::local(&sources).await?, output, printer),
        }
    }
}

fn print(bundle: &Bundle, format: OutputFormat, printer: &mut Printer<'_>) -> Result<(), CliError> {
    match format {
        OutputFormat::Yaml => printer.data(&bundle.yaml()?),
        OutputFormat::Json => {
            let items: Vec<Value> = bundle.objects.iter().map(|o| o.value().clone()).collect();
            output::objects(printer, format, items, false)
        }
    }
}
