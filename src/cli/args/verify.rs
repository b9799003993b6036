//! The verb that verifies.

use clap::Args;

use super::{IdentityArgs, PageArgs, RegistryArgs, SignerArgs};

/// `verify artifact`.
#[derive(Debug, Args)]
pub struct VerifyArtifact {
    /// What to verify: oci://host/repository[:tag][@digest]; the tag is latest unless given.
    pub url: String,
    /// Whose signatures count.
    #[command(flatten)]
    pub signers: SignerArgs,
    /// Verifies the container images of its manifests too, by the same keys or identity: all of them.
    #[arg(long)]
    pub images: bool,
    /// Repositories of images that need no signature, such as 'docker.io/library/*' (a star stands for any characters); may be repeated.
    #[arg(long, value_name = "PATTERN", requires = "images")]
    pub image_exempt: Vec<String>,
    /// What it is decrypted with, to see its images.
    #[command(flatten)]
    pub keys: IdentityArgs,
    /// How the evidence is printed.
    #[command(flatten)]
    pub output: PageArgs,
    /// How to reach the registry.
    #[command(flatten)]
    pub registry: RegistryArgs,
}
