//! `supercargo build`.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::content::gather;
use crate::cli::args::{
    ClusterArgs, ContentArgs, ManifestOutput, Output, OutputFormat, RegistryArgs, SourceArgs, SubstituteArgs,
};
use crate::cli::artifact::push::PushArtifact;
use crate::cli::input::bundle::Bundle;
use crate::cli::input::sources;
use crate::cli::input::variables::CommandVariables;
use crate::cli::print::output;
use crate::cli::{CliError, Printer};

/// Build manifests and print or push them.
///
/// Reads files, directories, stdin and overlays; -k runs the kustomize or kubectl on PATH. Writes
/// the objects to stdout as YAML, or with -o json as a List. With -a, pushes them like push
/// artifact; build inventory -a pulls artifacts instead and prints what apply would send. Does not
/// contact the cluster.
///
/// Exit codes: 0 success; 1 when the input cannot be read or pushed; 2 when no input is set.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, args = ClusterArgs::hidden(), after_long_help = EXAMPLES)]
pub struct Build {
    /// With a noun, artifacts are pulled.
    #[command(subcommand)]
    noun: Option<BuildNoun>,
    /// The input.
    #[command(flatten)]
    sources: SourceArgs,
    /// Push the result to oci://host/repository:tag instead of printing it.
    #[arg(short = 'a', long = "artifact", value_name = "URL")]
    artifact: Option<String>,
    /// Options of the output.
    #[command(flatten)]
    output: ManifestOutput,
    /// Variables in the objects.
    #[command(flatten)]
    variables: SubstituteArgs,
    /// How to reach the registry.
    #[command(flatten)]
    registry: RegistryArgs,
}

const EXAMPLES: &str = "\
Examples:
  # Show the result of an overlay
  supercargo build -k ./overlays/dist

  # Build and publish
  supercargo build -k ./overlays/dist -a oci://ghcr.io/acme/app-config:v1.0.0

  # Show what an apply of an artifact with a patch would send
  supercargo build inventory app -a oci://ghcr.io/acme/app-config:v1.0.0 -p safe-to-evict.yaml";

/// `build inventory`.
#[derive(Debug, Subcommand)]
pub enum BuildNoun {
    /// Print the manifests that apply would send with the same flags.
    #[command(visible_alias = "inv")]
    Inventory {
        /// Name of the inventory, which is not read.
        name: String,
        /// The input.
        #[command(flatten)]
        content: ContentArgs,
        /// Options of the output.
        #[command(flatten)]
        output: ManifestOutput,
    },
}

impl Build {
    /// Prints manifests, or pushes them.
    pub(in crate::cli) async fn run(self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        if let Some(BuildNoun::Inventory { content, output, .. }) = self.noun {
            let content = gather(&content, None, printer).await?;
            return print(&content.bundle, &output.output, printer);
        }
        let Self { sources, artifact, output, variables, registry, .. } = self;
        match artifact {
            Some(_) if variables.is_given() => Err(CliError::Usage(
                "an artifact keeps its variables, and each release replaces them; leave out -a or --substitute".into(),
            )),
            Some(url) => PushArtifact::of(url, sources, registry).run(printer).await,
            None => {
                let variables = CommandVariables::read(&variables, None).await?;
                print(&sources::local(&sources, variables.as_ref()).await?, &output.output, printer)
            }
        }
    }
}

fn print(bundle: &Bundle, output: &Output, printer: &mut Printer<'_>) -> Result<(), CliError> {
    if let Output::Data(OutputFormat::Yaml) = output {
        return printer.data(&bundle.yaml()?);
    }
    let items: Vec<Value> = bundle.objects.iter().map(|o| o.value().clone()).collect();
    match output.format() {
        Some(format) => output::objects(printer, format, items, false),
        None => output::names(printer, &items),
    }
}
