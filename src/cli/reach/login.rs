//! The registry of a command: its client, credentials, transport settings and
//! keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::credentials;
use crate::cli::args::{ReadingArgs, RegistryArgs};
use crate::cli::input::files::read_small;
use crate::cli::{CliError, Printer, ProgressBars};
use crate::oci::{
    Access, AccessParts, Advance, ArtifactReference, Identities, Keyring, Registry, RegistryOptions,
    Repository, speaks_tls,
};

/// A client that draws its transfers on a terminal.
pub(in crate::cli) fn registry(arguments: &RegistryArgs, printer: &Printer<'_>) -> Registry {
    let progress = printer.progress();
    let meter = ProgressBars::is_watched().then(|| {
        let meter = move |name: &str, bytes: u64| -> Advance {
            let bar = progress.bar(name, bytes);
            Arc::new(move |more| bar.advance(more))
        };
        Arc::new(meter) as _
    });
    let token_hosts = arguments.routes.allowed_token_hosts.clone();
    let mirrors = arguments.routes.registry_mirror.clone();
    Registry::new(RegistryOptions { meter, mirrors, token_hosts, ..RegistryOptions::default() })
}

/// Refuses --creds where the URLs of a command name more than one registry: a
/// password is for one, and the others would get it, too.
///
/// # Errors
/// Names the registries; or a URL is invalid.
pub(in crate::cli) fn one_registry<'u>(
    arguments: &RegistryArgs,
    urls: impl IntoIterator<Item = &'u str>,
) -> Result<(), CliError> {
    if arguments.creds.is_none() {
        return Ok(());
    }
    let hosts =
        urls.into_iter().map(|url| Ok(ArtifactReference::parse(url)?.repository.registry().to_owned()));
    let hosts = hosts.collect::<Result<BTreeSet<String>, CliError>>()?;
    if hosts.len() < 2 {
        return Ok(());
    }
    let hosts = hosts.into_iter().collect::<Vec<_>>().join(" and ");
    Err(CliError::Usage(format!(
        "--creds (SUPERCARGO_CREDS) is for one registry, but the URLs name {hosts}; log in to them with docker or \
         podman instead"
    )))
}

/// How to reach the registry, from the arguments.
///
/// A registry on this machine can use plain HTTP without a flag; whether it
/// speaks TLS is probed, as docker and crane do. All others need --insecure.
pub(in crate::cli) async fn access(
    arguments: &RegistryArgs,
    repository: &Repository,
) -> Result<Access, CliError> {
    let keyring = match &arguments.creds {
        Some(creds) => {
            let usage = || CliError::Usage("--creds must be USER:PASSWORD".into());
            let (user, password) = creds.split_once(':').ok_or_else(usage)?;
            let mut keyring = Keyring::default();
            keyring.add_password(repository.registry(), user, password);
            keyring
        }
        None => {
            let repository = repository.clone();
            let found = tokio::task::spawn_blocking(move || credentials::find(&repository)).await;
            found.map_err(|e| CliError::Input(format!("the search for credentials was aborted: {e}")))??
        }
    };
    access_with(arguments, repository, keyring).await
}

/// The same with other credentials.
pub(in crate::cli) async fn access_with(
    arguments: &RegistryArgs,
    repository: &Repository,
    keyring: Keyring,
) -> Result<Access, CliError> {
    let ca = arguments.ca_file.as_deref().map(read_small).transpose()?;
    let insecure = match (arguments.insecure, &ca) {
        (true, _) => true,
        (false, None) if repository.is_loopback() => {
            let repository = repository.clone();
            let asked = tokio::task::spawn_blocking(move || speaks_tls(&repository)).await;
            !asked.unwrap_or_default()
        }
        _ => false,
    };
    Ok(Access::new(AccessParts {
        keyring,
        ca,
        insecure,
        provider: arguments.provider,
        ..AccessParts::default()
    }))
}

/// The private keys named by the arguments.
pub(in crate::cli) fn identities(arguments: &ReadingArgs) -> Result<Option<Identities>, CliError> {
    let Some(path) = &arguments.age_identities else {
        return Ok(None);
    };
    let parsed = Identities::parse(read_small(path)?);
    Ok(Some(parsed.map_err(|e| CliError::Input(format!("{}: {e}", path.display())))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_for_one_registry() {
        let check = |creds: Option<&str>, urls: &[&str], expected: Option<&str>| {
            let arguments = RegistryArgs { creds: creds.map(str::to_owned), ..RegistryArgs::default() };
            let refused =
                one_registry(&arguments, urls.iter().copied()).map_err(|e| (e.exit_code(), e.to_string()));
            assert_eq!(refused.err(), expected.map(|text| (2, text.to_owned())), "{urls:?}");
        };
        let (a, b, c) = ("oci://a.io/x:1", "oci://a.io/y@sha256:", "oci://b.io:5000/x");
        let full = format!("{b}{}", "a".repeat(64));
        check(None, &[a, c], None);
        check(Some("u:p"), &[], None);
        check(Some("u:p"), &[a, &full], None);
        let several = "--creds (SUPERCARGO_CREDS) is for one registry, but the URLs name a.io and b.io:5000; \
                       log in to them with docker or podman instead";
        check(Some("u:p"), &[c, a, &full], Some(several));
    }
}
