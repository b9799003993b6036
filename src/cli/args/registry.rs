//! How to reach a registry.

use std::path::PathBuf;

use clap::Args;

use super::RouteArgs;

/// How to reach a registry.
#[derive(Args, Default)]
pub struct RegistryArgs {
    /// Speak plain HTTP; registries on this machine are spoken to so unless --ca-file is given.
    #[arg(long)]
    pub insecure: bool,
    /// A PEM file of certificates to trust besides the system's.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Credentials for the registry, of which there may be one only; otherwise those of Docker's config file.
    #[arg(long, value_name = "USER:PASSWORD", env = "SUPERCARGO_CREDS", hide_env_values = true)]
    pub creds: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would be printed")]
    pub routes: RouteArgs,
}

impl std::fmt::Debug for RegistryArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let creds = self.creds.as_ref().map(|_| "***");
        f.debug_struct("RegistryArgs")
            .field("insecure", &self.insecure)
            .field("ca_file", &self.ca_file)
            .field("creds", &creds)
            .field("routes", &self.routes)
            .finish()
    }
}
