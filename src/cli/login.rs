//! The registry of a command: its client, credentials, transport settings and
//! keys.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::args::{IdentityArgs, RegistryArgs};
use super::{CliError, Printer, Progress, credentials};
use crate::oci::{
    Access, AccessParts, Advance, Identities, Keyring, Registry, RegistryOptions, Repository, speaks_tls,
};

/// A client whose transfers are drawn where somebody watches.
pub(super) fn registry(printer: &Printer<'_>) -> Registry {
    let progress = printer.progress();
    let meter = Progress::is_watched().then(|| {
        let meter = move |name: &str, bytes: u64| -> Advance {
            let bar = progress.bar(name, bytes);
            Arc::new(move |more| bar.advance(more))
        };
        Arc::new(meter) as _
    });
    Registry::new(RegistryOptions { meter, ..RegistryOptions::default() })
}

/// How the arguments say that the registry is to be reached.
///
/// A registry on this machine may speak plain HTTP without a flag; whether it
/// does is asked, as docker and crane do. Everywhere else it takes --insecure.
pub(super) async fn access(arguments: &RegistryArgs, repository: &Repository) -> Result<Access, CliError> {
    let RegistryArgs { insecure, ca_file, creds } = arguments;
    let keyring = match creds {
        Some(creds) => {
            let usage = || CliError::Usage("--creds takes USER:PASSWORD".into());
            let (user, password) = creds.split_once(':').ok_or_else(usage)?;
            let mut keyring = Keyring::default();
            keyring.add_password(repository.registry(), user, password);
            keyring
        }
        None => {
            let repository = repository.clone();
            let found = tokio::task::spawn_blocking(move || credentials::find(&repository)).await;
            found.map_err(|e| CliError::Input(format!("the search for credentials was cut off: {e}")))??
        }
    };
    let ca = ca_file.as_deref().map(read).transpose()?;
    let insecure = match (insecure, &ca) {
        (true, _) => true,
        (false, None) if repository.is_loopback() => {
            let repository = repository.clone();
            let asked = tokio::task::spawn_blocking(move || speaks_tls(&repository)).await;
            !asked.unwrap_or_default()
        }
        _ => false,
    };
    Ok(Access::new(AccessParts { keyring, ca, client_cert: None, insecure }))
}

/// The private keys that the arguments name.
pub(super) fn identities(arguments: &IdentityArgs) -> Result<Option<Identities>, CliError> {
    let Some(path) = &arguments.age_identities else {
        return Ok(None);
    };
    let parsed = Identities::parse(read(path)?);
    Ok(Some(parsed.map_err(|e| CliError::Input(format!("{}: {e}", path.display())))?))
}

/// A file that an argument names.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|e| CliError::Input(format!("cannot read {}: {e}", path.display())))
}
