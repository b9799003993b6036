//! How the content of artifacts is read.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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
    /// The kustomize that builds artifacts with a kustomization, a static executable (default: the one on PATH).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_KUSTOMIZE_BINARY", value_name = "FILE")]
    pub kustomize_binary: Option<PathBuf>,
    /// The Helm that renders charts, a static executable (default: the one on PATH).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_HELM_BINARY", value_name = "FILE")]
    pub helm_binary: Option<PathBuf>,
    /// Values for artifacts that are Helm charts; may be repeated, later ones win.
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    pub helm_values: Vec<PathBuf>,
    /// Name of the release for artifacts that are Helm charts (default: the inventory, else the chart).
    #[arg(long, hide_short_help = true, value_name = "NAME")]
    pub helm_release_name: Option<String>,
    /// Build also where this machine cannot confine builds (Landlock, seccomp).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_ALLOW_UNCONFINED_BUILDS", value_parser = clap::builder::FalseyValueParser::new())]
    pub allow_unconfined_builds: bool,
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
