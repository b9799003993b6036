//! Errors of a credential plugin: the program in the kubeconfig that returns a user's
//! credentials.

use std::error::Error;
use std::io::ErrorKind;

use kube::Config;
use kube::client::AuthError;

/// How much of a plugin's stderr is repeated, in characters.
const MAX_SAID: usize = 300;

/// The failure of the plugin, where the error is about one. It contains nothing of its
/// stdout, which may be a credential.
pub(super) fn failure(config: &Config, error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = error;
    let found = loop {
        match cause.downcast_ref::<AuthError>() {
            Some(found) => break found,
            None => cause = cause.source()?,
        }
    };
    let exec = config.auth_info.exec.as_ref()?;
    let program = exec.command.as_deref().unwrap_or_default();
    let what = format!("the credential plugin {program:?} of the kubeconfig's user");
    match found {
        AuthError::AuthExecStart(error) if error.kind() == ErrorKind::NotFound => {
            let hint = exec.install_hint.as_deref().map(str::trim).filter(|hint| !hint.is_empty());
            let hint = hint.map_or("install it, or put it on PATH".to_owned(), |hint| {
                hint.split_whitespace().collect::<Vec<_>>().join(" ")
            });
            Some(format!("{what} is not installed: {hint}"))
        }
        AuthError::AuthExecStart(error) => Some(format!("{what} cannot be run: {error}")),
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = said.lines().map(str::trim).rfind(|line| !line.is_empty());
            let said: String = said.unwrap_or_default().chars().take(MAX_SAID).collect();
            let colon = if said.is_empty() { "" } else { ": " };
            Some(format!("{what} failed with {}{colon}{said}", out.status))
        }
        AuthError::AuthExecParse(_) => Some(format!("{what} printed no ExecCredential")),
        _ => None,
    }
}
