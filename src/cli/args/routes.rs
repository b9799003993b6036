//! Settings of registries that hold for every request: for the controller, and for each
//! command that reaches one.

use clap::Args;

use crate::oci::{Mirror, TokenHost};

/// Settings of registries that hold for every request.
#[derive(Args, Clone, Debug, Default)]
pub struct RouteArgs {
    /// Mirror of the repositories with a prefix, tried first for content named by digest; may be repeated.
    #[arg(long, hide_short_help = true, value_name = "PREFIX=oci://HOST/PATH")]
    pub registry_mirror: Vec<Mirror>,
    /// Token service on another domain than its registry, allowed to receive the registry's credentials over HTTPS.
    #[arg(
        long,
        hide_short_help = true,
        env = "SUPERCARGO_ALLOWED_TOKEN_HOSTS",
        value_name = "REGISTRY=HOST,...",
        value_delimiter = ','
    )]
    pub allowed_token_hosts: Vec<TokenHost>,
}
