//! The signers required by the flags.

use std::path::Path;
use std::sync::Arc;

use crate::api::verify::OidcIdentity;
use crate::cli::args::{SignerArgs, VerifyArgs};
use crate::cli::input::files::read_small;
use crate::cli::{CliError, Printer};
use crate::domain::verify::key::PublicKey;
use crate::domain::verify::policy::{Policy, SignerIdentity, Trust, TrustedAuthority};
use crate::domain::verify::root::TrustRoot;

/// The signers of a verb that also works without.
///
/// # Errors
/// When the flags contradict each other, or a file cannot be used.
pub(in crate::cli) fn optional(
    arguments: &VerifyArgs,
    printer: &mut Printer<'_>,
) -> Result<Option<Policy>, CliError> {
    match arguments.verify || names_any(&arguments.signers) {
        true => required(&arguments.signers, "--verify", printer).map(Some),
        false => Ok(None),
    }
}

/// The signers that `who` requires.
///
/// # Errors
/// When no signer is given, the flags contradict each other, or a file cannot be
/// used.
pub(in crate::cli) fn required(
    arguments: &SignerArgs,
    who: &str,
    printer: &mut Printer<'_>,
) -> Result<Policy, CliError> {
    let identity = identity(arguments)?;
    let (authorities, threshold) = match (arguments.keys.is_empty(), identity) {
        (true, None) => {
            return Err(CliError::Usage(format!(
                "{who} needs a signer: set --key FILE, or --certificate-identity with \
                 --certificate-oidc-issuer"
            )));
        }
        (false, Some(_)) => {
            return Err(CliError::Usage(
                "--key and --certificate-identity cannot be combined; set one of them".into(),
            ));
        }
        (false, None) => by_keys(arguments)?,
        (true, Some(identity)) => (vec![by_identity(arguments, identity, printer)?], 1),
    };
    let (origin, match_reference) = (Policy::COMMAND_LINE.to_owned(), arguments.match_reference);
    Ok(Policy { origin, authorities, threshold, match_reference })
}

/// Whether a flag about signatures is given.
fn names_any(arguments: &SignerArgs) -> bool {
    let SignerArgs {
        keys,
        certificate_identity,
        certificate_identity_regexp,
        certificate_oidc_issuer,
        certificate_oidc_issuer_regexp,
        trusted_root,
        threshold,
        match_reference,
    } = arguments;
    let identity = [certificate_identity, certificate_identity_regexp];
    let issuer = [certificate_oidc_issuer, certificate_oidc_issuer_regexp];
    !keys.is_empty()
        || identity.into_iter().chain(issuer).any(Option::is_some)
        || trusted_root.is_some()
        || threshold.is_some()
        || *match_reference
}

/// The identity, if one is given: subject and issuer, both.
fn identity(arguments: &SignerArgs) -> Result<Option<SignerIdentity>, CliError> {
    let one = |name: &str, exact: &Option<String>, regexp: &Option<String>| match (exact, regexp) {
        (Some(_), Some(_)) => {
            Err(CliError::Usage(format!("--{name} and --{name}-regexp cannot be combined; set one of them")))
        }
        (Some(exact), None) => Ok(Some(regex::escape(exact))),
        (None, regexp) => Ok(regexp.clone()),
    };
    let SignerArgs { certificate_identity, certificate_identity_regexp, .. } = arguments;
    let SignerArgs { certificate_oidc_issuer, certificate_oidc_issuer_regexp, .. } = arguments;
    let subject = one("certificate-identity", certificate_identity, certificate_identity_regexp)?;
    let issuer = one("certificate-oidc-issuer", certificate_oidc_issuer, certificate_oidc_issuer_regexp)?;
    let written = match (subject, issuer) {
        (None, None) => return Ok(None),
        (Some(subject), Some(issuer)) => OidcIdentity { issuer, subject },
        (Some(_), None) => {
            return Err(CliError::Usage(
                "--certificate-identity needs an issuer; set --certificate-oidc-issuer, such as \
                 https://token.actions.githubusercontent.com"
                    .into(),
            ));
        }
        (None, Some(_)) => {
            return Err(CliError::Usage(
                "--certificate-oidc-issuer needs an identity; set --certificate-identity".into(),
            ));
        }
    };
    // Exact values were escaped: all are regular expressions now.
    let named =
        SignerIdentity::named(&written, "--certificate-oidc-issuer-regexp", "--certificate-identity-regexp");
    named.map(Some).map_err(CliError::Usage)
}

/// Any of the keys; with a threshold, that many of them.
fn by_keys(arguments: &SignerArgs) -> Result<(Vec<TrustedAuthority>, usize), CliError> {
    let SignerArgs { keys, trusted_root, threshold, .. } = arguments;
    if trusted_root.is_some() {
        return Err(CliError::Usage(
            "--trusted-root cannot be combined with --key; it is for --certificate-identity".into(),
        ));
    }
    let read = keys.iter().map(|path| key(path)).collect::<Result<Vec<PublicKey>, _>>()?;
    let Some(threshold) = *threshold else {
        return Ok((vec![TrustedAuthority { name: String::new(), trust: Trust::Keys(read) }], 1));
    };
    if !(1..=read.len()).contains(&threshold) {
        return Err(CliError::Usage(format!(
            "--threshold cannot be {threshold}: --key is set {} time(s)",
            read.len()
        )));
    }
    // Otherwise one signature would count twice.
    for (n, key) in read.iter().enumerate() {
        if let Some(same) = read[..n].iter().find(|other| other.fingerprint() == key.fingerprint()) {
            let (a, b) = (same.name(), key.name());
            return Err(CliError::Usage(format!(
                "--threshold counts different keys: {a} and {b} contain the same key"
            )));
        }
    }
    let authority =
        |key: PublicKey| TrustedAuthority { name: key.name().to_owned(), trust: Trust::Keys(vec![key]) };
    Ok((read.into_iter().map(authority).collect(), threshold))
}

fn by_identity(
    arguments: &SignerArgs,
    identity: SignerIdentity,
    printer: &mut Printer<'_>,
) -> Result<TrustedAuthority, CliError> {
    if arguments.threshold.is_some() {
        return Err(CliError::Usage(
            "--threshold cannot be combined with --certificate-identity; it counts keys".into(),
        ));
    }
    let root = root(arguments, printer)?;
    let trust = Trust::Keyless { identities: vec![identity], root: Arc::new(root) };
    Ok(TrustedAuthority { name: String::new(), trust })
}

/// The trusted root of a file, or the public good one: a message says how old
/// that is.
fn root(arguments: &SignerArgs, printer: &mut Printer<'_>) -> Result<TrustRoot, CliError> {
    if let Some(path) = &arguments.trusted_root {
        let parsed = TrustRoot::parse(&read_small(path)?);
        return parsed.map_err(|e| CliError::Input(format!("{} {e}", path.display())));
    }
    let root = TrustRoot::public_good();
    let age = root.newest_part().map(|at| format!(", last updated {}", at.strftime("%Y-%m-%d")));
    printer.say(format!(
        "using the built-in trusted root of the public good Sigstore{}; replace it with --trusted-root FILE",
        age.unwrap_or_default()
    ));
    Ok(root)
}

fn key(path: &Path) -> Result<PublicKey, CliError> {
    let name = path.display().to_string();
    let bytes = read_small(path)?;
    PublicKey::parse(&name, &bytes).map_err(|e| CliError::Input(format!("{name} {e}")))
}
