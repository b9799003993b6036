//! How the content of artifacts is read.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::builder::{BuildOptions, Builder};

/// How the content of artifacts is read.
#[derive(Debug, Default, Args)]
pub struct ReadingArgs {
    /// File with private keys (AGE-SECRET-KEY-1…), one per line, to decrypt artifacts.
    #[arg(long, value_name = "FILE")]
    pub age_identities: Option<PathBuf>,
    /// Layers of artifacts that are read: the first with manifests, or all of them, merged.
    #[arg(
        long,
        value_name = "WHICH",
        value_enum,
        ignore_case = true,
        default_value = "First",
        hide_short_help = true
    )]
    pub layers: LayersArg,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would be printed")]
    pub programs: ProgramArgs,
    /// Values for artifacts that are Helm charts; may be repeated, later ones win.
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    pub helm_values: Vec<PathBuf>,
    /// Name of the release for artifacts that are Helm charts (default: the name of the chart).
    #[arg(long, hide_short_help = true, value_name = "NAME")]
    pub helm_release_name: Option<String>,
}

/// The programs that build artifacts.
#[derive(Clone, Debug, Default, Args)]
pub struct ProgramArgs {
    /// The kustomize that builds artifacts with a kustomization, a static executable (default: the one on PATH).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_KUSTOMIZE_BINARY", value_name = "FILE")]
    pub kustomize_binary: Option<PathBuf>,
    /// The Helm that renders charts, a static executable (default: the one on PATH).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_HELM_BINARY", value_name = "FILE")]
    pub helm_binary: Option<PathBuf>,
    /// Build also where this machine cannot confine builds (Landlock, seccomp).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_ALLOW_UNCONFINED_BUILDS", value_parser = clap::builder::FalseyValueParser::new())]
    pub allow_unconfined_builds: bool,
}

impl ProgramArgs {
    /// Builds with the same sandbox as the operator.
    pub(in crate::cli) fn builder(&self) -> Builder {
        Builder::new(BuildOptions {
            binary: self.kustomize_binary.clone(),
            helm_binary: self.helm_binary.clone(),
            allow_unconfined: self.allow_unconfined_builds,
            ..BuildOptions::default()
        })
    }
}

/// Which layers of artifacts are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LayersArg {
    /// The first layer with manifests.
    #[default]
    #[value(name = "First")]
    First,
    /// All layers with manifests, merged in their order; a file in two of them is an error.
    #[value(name = "All")]
    All,
}

impl ReadingArgs {
    /// Whether all layers are merged.
    pub fn all_layers(&self) -> bool {
        self.layers == LayersArg::All
    }
}
