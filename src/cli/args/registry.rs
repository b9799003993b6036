//! How to reach a registry.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::RouteArgs;
use crate::api::release::RegistryProvider;

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
    /// Use the workload identity of this machine in a cloud for the registries of that cloud.
    #[arg(long, hide_short_help = true, value_name = "PROVIDER", default_value = "generic", value_parser = provider())]
    pub provider: RegistryProvider,
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
            .field("provider", &self.provider)
            .field("routes", &self.routes)
            .finish()
    }
}

/// The providers, by their names.
fn provider() -> impl TypedValueParser<Value = RegistryProvider> {
    PossibleValuesParser::new(RegistryProvider::NAMES).try_map(|name| name.parse())
}
