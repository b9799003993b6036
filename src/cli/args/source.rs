//! Where manifests come from.

use std::path::PathBuf;

use clap::Args;

/// Manifests from files and overlays, and what is changed in them.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// A file, a directory of manifests (and all but hidden ones in it), or - for stdin; may be repeated.
    #[arg(short = 'f', long = "filename", value_name = "PATH", value_delimiter = ',')]
    pub filenames: Vec<PathBuf>,
    /// A directory with a kustomization, built by the kustomize or kubectl found on PATH.
    #[arg(short = 'k', long = "kustomize", value_name = "DIR")]
    pub kustomize: Option<PathBuf>,
    /// A Kustomization whose patches, images, namespace and labels apply to all; may be repeated.
    #[arg(short = 'p', long = "patch", value_name = "FILE", value_delimiter = ',')]
    pub patches: Vec<PathBuf>,
}
