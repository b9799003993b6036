//! The credentials and transport settings of a command.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::CliError;
use super::args::RegistryArgs;
use crate::oci::{Access, AccessParts, Keyring, Repository, speaks_tls};

/// Docker's config file, where there is one: `$DOCKER_CONFIG/config.json`, else
/// the one in the home directory.
fn docker_config() -> Option<PathBuf> {
    let dir = match env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => env::home_dir()?.join(".docker"),
    };
    Some(dir.join("config.json"))
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|e| CliError::Input(format!("cannot read {}: {e}", path.display())))
}

/// How the arguments say that the registry is to be reached.
pub(super) fn access(arguments: &RegistryArgs, repository: &Repository) -> Result<Access, CliError> {
    let RegistryArgs { insecure, ca_file, creds } = arguments;
    let mut keyring = Keyring::default();
    match creds {
        Some(creds) => {
            let usage = || CliError::Usage("--creds takes USER:PASSWORD".into());
            let (user, password) = creds.split_once(':').ok_or_else(usage)?;
            keyring.add_password(repository.registry(), user, password);
        }
        None => {
            if let Some(path) = docker_config() {
                match fs::read(&path) {
                    Ok(config) => keyring.add(&config)?,
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(CliError::Input(format!("cannot read {}: {e}", path.display()))),
                }
            }
        }
    }
    let ca = ca_file.as_deref().map(read).transpose()?;
    // As crane does it: a registry on this machine may have TLS or not.
    let insecure = *insecure || (repository.is_loopback() && ca.is_none() && !speaks_tls(repository));
    Ok(Access::new(AccessParts { keyring, ca, client_cert: None, insecure }))
}
