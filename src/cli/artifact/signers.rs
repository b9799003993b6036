//! Whose signatures the flags ask for.

use std::path::Path;
use std::sync::Arc;

use crate::api::verify::OidcIdentity;
use crate::cli::args::{SignerArgs, VerifyArgs};
use crate::cli::input::files::read_small;
use crate::cli::{CliError, Printer};
use crate::domain::verify::key::PublicKey;
use crate::domain::verify::policy::{Policy, SignerIdentity, Trust, TrustedAuthority};
use crate::domain::verify::root::TrustRoot;

/// The signers that a verb is told which also works without.
///
/// # Errors
/// When the flags contradict each other, or a file cannot be used.
pub(in crate::cli) fn asked(
    arguments: &VerifyArgs,
    printer: &mut Printer<'_>,
) -> Result<Option<Policy>, CliError> {
    match arguments.verify || names_any(&arguments.signers) {
        true => required(&arguments.signers, "--verify", printer).map(Some),
        false => Ok(None),
    }
}

/// The signers that `who` cannot do without.
///
/// # Errors
/// When nobody is named, the flags contradict each other, or a file cannot be
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
                "{who} needs to know whose signature counts: give --key FILE, or --certificate-identity with \
                 --certificate-oidc-issuer"
            )));
        }
        (false, Some(_)) => {
            return Err(CliError::Usage(
                "a signature is by --key or by --certificate-identity: give one of them".into(),
            ));
        }
        (false, None) => by_keys(arguments)?,
        (true, Some(identity)) => (vec![by_identity(arguments, identity, printer)?], 1),
    };
    let (origin, match_reference) = (Policy::COMMAND_LINE.to_owned(), arguments.match_reference);
    Ok(Policy { origin, authorities, threshold, match_reference })
}

/// Whether a flag is given that means nothing without signatures.
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

/// The identity, if one is given: who, and by whose word, both.
fn identity(arguments: &SignerArgs) -> Result<Option<SignerIdentity>, CliError> {
    let one = |name: &str, exact: &Option<String>, regexp: &Option<String>| match (exact, regexp) {
        (Some(_), Some(_)) => Err(CliError::Usage(format!("give one of --{name} and --{name}-regexp"))),
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
                "--certificate-identity says who, and not by whose word: add --certificate-oidc-issuer, such as \
                 https://token.actions.githubusercontent.com"
                    .into(),
            ));
        }
        (None, Some(_)) => {
            return Err(CliError::Usage(
                "--certificate-oidc-issuer says by whose word, and not who: add --certificate-identity"
                    .into(),
            ));
        }
    };
    // What is not an expression as it is typed has been escaped and is one.
    let named =
        SignerIdentity::named(&written, "--certificate-oidc-issuer-regexp", "--certificate-identity-regexp");
    named.map(Some).map_err(CliError::Usage)
}

/// Any of the keys; with a threshold, that many of them.
fn by_keys(arguments: &SignerArgs) -> Result<(Vec<TrustedAuthority>, usize), CliError> {
    let SignerArgs { keys, trusted_root, threshold, .. } = arguments;
    if trusted_root.is_some() {
        return Err(CliError::Usage("--trusted-root belongs to --certificate-identity, not to --key".into()));
    }
    let read = keys.iter().map(|path| key(path)).collect::<Result<Vec<PublicKey>, _>>()?;
    let Some(threshold) = *threshold else {
        return Ok((vec![TrustedAuthority { name: String::new(), trust: Trust::Keys(read) }], 1));
    };
    if !(1..=read.len()).contains(&threshold) {
        return Err(CliError::Usage(format!(
            "--threshold cannot be {threshold} where --key is given {} time(s)",
            read.len()
        )));
    }
    // One signature would count twice.
    for (n, key) in read.iter().enumerate() {
        if let Some(same) = read[..n].iter().find(|other| other.fingerprint() == key.fingerprint()) {
            let (a, b) = (same.name(), key.name());
            return Err(CliError::Usage(format!(
                "--threshold counts keys, and {a} and {b} hold the same one"
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
        return Err(CliError::Usage("--threshold counts keys, and there is one identity".into()));
    }
    let root = root(arguments, printer)?;
    let trust = Trust::Keyless { identities: vec![identity], root: Arc::new(root) };
    Ok(TrustedAuthority { name: String::new(), trust })
}

/// The trusted root of a file, or the public good one: a person is told how old
/// that is.
fn root(arguments: &SignerArgs, printer: &mut Printer<'_>) -> Result<TrustRoot, CliError> {
    if let Some(path) = &arguments.trusted_root {
        let parsed = TrustRoot::parse(&read_small(path)?);
        return parsed.map_err(|e| CliError::Input(format!("{} {e}", path.display())));
    }
    let root = TrustRoot::public_good();
    let age = root.newest_part().map(|at| format!(", whose newest part is of {}", at.strftime("%Y-%m-%d")));
    printer.say(format!(
        "trusting the public good Sigstore by the root that is built in{}; --trusted-root FILE replaces it",
        age.unwrap_or_default()
    ));
    Ok(root)
}

fn key(path: &Path) -> Result<PublicKey, CliError> {
    let name = path.display().to_string();
    let bytes = read_small(path)?;
    PublicKey::parse(&name, &bytes).map_err(|e| CliError::Input(format!("{name} {e}")))
}
