//! How to reach a registry.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::RouteArgs;
use crate::api::release::RegistryProvider;

/// How to reach a registry.
#[derive(Args, Default)]
pub struct RegistryArgs {
    /// Use plain HTTP; a registry on this machine does not need it, unless --ca-file is set.
    #[arg(long)]
    pub insecure: bool,
    /// PEM file with CA certificates to trust in addition to those of the system.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Registry credentials, for URLs of one registry (default: from Docker's config file).
    #[arg(long, value_name = "USER:PASSWORD", env = "SUPERCARGO_CREDS", hide_env_values = true)]
    pub creds: Option<String>,
    /// Use the cloud workload identity of this machine for the registries of that cloud.
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
