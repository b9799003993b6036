//! What is true of registries whoever asks: for the controller, and for each
//! command that reaches one.

use clap::Args;

use crate::oci::TokenHost;

/// What is true of registries whoever asks.
#[derive(Args, Clone, Debug, Default)]
pub struct RouteArgs {
    /// A token service on another domain than its registry, which may get the registry's credentials over HTTPS.
    #[arg(
        long,
        hide_short_help = true,
        env = "SUPERCARGO_ALLOWED_TOKEN_HOSTS",
        value_name = "REGISTRY=HOST,...",
        value_delimiter = ','
    )]
    pub allowed_token_hosts: Vec<TokenHost>,
}
