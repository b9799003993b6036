//! Required signers: cosign's names for the same things.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

const HEADING: &str = "Signatures";

/// Trusted signers: keys, or an identity.
#[derive(Debug, Default, Args)]
pub struct SignerArgs {
    /// Public key file (PEM); may be repeated: a signature by one of the keys is enough.
    #[arg(long = "key", alias = "cosign-key", value_name = "FILE", help_heading = HEADING)]
    pub keys: Vec<PathBuf>,
    /// Identity in the certificate of a keyless signature: an email address or the URL of a workflow.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new(), hide_short_help = true, help_heading = HEADING)]
    pub certificate_identity: Option<String>,
    /// Identity as a regular expression, which must match the whole identity.
    #[arg(long, value_name = "REGEXP", value_parser = NonEmptyStringValueParser::new(), hide_short_help = true, help_heading = HEADING)]
    pub certificate_identity_regexp: Option<String>,
    /// OIDC issuer of the identity, such as https://token.actions.githubusercontent.com.
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new(), hide_short_help = true, help_heading = HEADING)]
    pub certificate_oidc_issuer: Option<String>,
    /// Issuer as a regular expression, which must match the whole issuer.
    #[arg(long, value_name = "REGEXP", value_parser = NonEmptyStringValueParser::new(), hide_short_help = true, help_heading = HEADING)]
    pub certificate_oidc_issuer_regexp: Option<String>,
    /// Sigstore trusted_root.json for keyless signatures (default: the public good root built into this program).
    #[arg(long, value_name = "FILE", hide_short_help = true, help_heading = HEADING)]
    pub trusted_root: Option<PathBuf>,
    /// Number of keys that must have signed (default: 1).
    #[arg(long, value_name = "N", hide_short_help = true, help_heading = HEADING)]
    pub threshold: Option<usize>,
    /// Reject signatures made for another repository, such as those of a copied artifact, and bundles, which name no repository.
    #[arg(long, hide_short_help = true, help_heading = HEADING)]
    pub match_reference: bool,
}

/// The same for verbs that verify only on request.
#[derive(Debug, Default, Args)]
pub struct VerifyArgs {
    /// Refuse artifacts without a matching signature; implied by the other signature flags.
    #[arg(long, help_heading = HEADING)]
    pub verify: bool,
    /// Trusted signers.
    #[command(flatten)]
    pub signers: SignerArgs,
}
