//! Where manifests come from.

use std::path::PathBuf;

use clap::Args;

/// Manifests from files and overlays, and patches for them.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// File, directory (recursive, without hidden ones), or - for stdin; may be repeated.
    #[arg(short = 'f', long = "filename", value_name = "PATH", value_delimiter = ',')]
    pub filenames: Vec<PathBuf>,
    /// Directory with a kustomization, built with the kustomize or kubectl on PATH.
    #[arg(short = 'k', long = "kustomize", value_name = "DIR")]
    pub kustomize: Option<PathBuf>,
    /// Kustomization file: its patches, images, namespace and labels apply; may be repeated.
    #[arg(short = 'p', long = "patch", value_name = "FILE", value_delimiter = ',')]
    pub patches: Vec<PathBuf>,
}
