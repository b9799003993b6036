//! What is true of registries whoever asks: for the controller, and for each
//! command that reaches one.

use clap::Args;

use crate::oci::{Mirror, TokenHost};

/// What is true of registries whoever asks.
#[derive(Args, Clone, Debug, Default)]
pub struct RouteArgs {
    /// A mirror of the repositories with a prefix, asked first for whatever is named by digest; may be repeated.
    #[arg(long, hide_short_help = true, value_name = "PREFIX=oci://HOST/PATH")]
    pub registry_mirror: Vec<Mirror>,
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
