//! Whose signatures are asked for: cosign's names for the same things.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

const HEADING: &str = "Signatures";

/// Whose signatures count: those of keys, or of an identity.
#[derive(Debug, Default, Args)]
pub struct SignerArgs {
    /// A public key (PEM) whose signature counts; may be repeated: one is enough.
    #[arg(long = "key", alias = "cosign-key", value_name = "FILE", help_heading = HEADING)]
    pub keys: Vec<PathBuf>,
    /// Who has signed without a key: the mail address or the URL of the workflow in the certificate.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new(), hide_short_help = true, help_heading = HEADING)]
    pub certificate_identity: Option<String>,
    /// The same as a regular expression, which has to match the whole of it.
    #[arg(long, value_name = "REGEXP", value_parser = NonEmptyStringValueParser::new(), hide_short_help = true, help_heading = HEADING)]
    pub certificate_identity_regexp: Option<String>,
    /// Who vouches for the identity, such as https://token.actions.githubusercontent.com.
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new(), hide_short_help = true, help_heading = HEADING)]
    pub certificate_oidc_issuer: Option<String>,
    /// The same as a regular expression, which has to match the whole of it.
    #[arg(long, value_name = "REGEXP", value_parser = NonEmptyStringValueParser::new(), hide_short_help = true, help_heading = HEADING)]
    pub certificate_oidc_issuer_regexp: Option<String>,
    /// The trusted_root.json of the Sigstore that identities are believed by; otherwise the public good one, as it was when this program was built.
    #[arg(long, value_name = "FILE", hide_short_help = true, help_heading = HEADING)]
    pub trusted_root: Option<PathBuf>,
    /// How many of the keys have to have signed; one unless given.
    #[arg(long, value_name = "N", hide_short_help = true, help_heading = HEADING)]
    pub threshold: Option<usize>,
    /// Refuses signatures that were made for another repository, as those of a copy elsewhere are, and bundles, which name none.
    #[arg(long, hide_short_help = true, help_heading = HEADING)]
    pub match_reference: bool,
}

/// The same for verbs that verify only where somebody asks for it.
#[derive(Debug, Default, Args)]
pub struct VerifyArgs {
    /// Refuses artifacts not signed as the other flags say, which imply it.
    #[arg(long, help_heading = HEADING)]
    pub verify: bool,
    /// Whose signatures count.
    #[command(flatten)]
    pub signers: SignerArgs,
}
