//! The inventory of a command, and whether a person can write to it.

use crate::api::release::KIND;
use crate::cli::CliError;
use crate::cli::args::{InventoryFlags, InventoryNamespace};
use crate::cli::reach::connect::{check_namespace, is_subdomain};
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;

/// The longest name: that of a release, whose inventory it can become.
const MAX_NAME: usize = 63;

/// The inventory that the arguments name.
pub(in crate::cli) fn target(
    name: &str,
    namespace: &InventoryNamespace,
    session: &Session,
) -> Result<ReleaseId, CliError> {
    if !is_subdomain(name, MAX_NAME) {
        return Err(CliError::Usage(format!(
            "invalid inventory name {name:?}: it must be at most {MAX_NAME} lower case letters, digits, '-' or '.', and \
             must not have '-' or '.' at the ends or next to a '.'"
        )));
    }
    let namespace = namespace.inventory_namespace.clone();
    namespace.as_deref().map(check_namespace).transpose()?;
    let namespace = namespace.unwrap_or_else(|| session.default_namespace().to_owned());
    Ok(ReleaseId { namespace, name: name.to_owned() })
}

/// The name of `-i`. The parser requires one.
pub(super) fn named(flags: InventoryFlags) -> Result<String, CliError> {
    flags.name.ok_or_else(|| CliError::Usage("no inventory; set -i NAME".into()))
}

/// Refuses the inventory of a release that the operator reconciles: the two
/// would undo each other's work. Returns whether it may belong to a release.
pub(in crate::cli) async fn refuse_live_release(
    session: &Session,
    id: &ReleaseId,
    force: bool,
) -> Result<bool, CliError> {
    let suspended = match session.release_is_suspended(id).await {
        Ok(None) => return Ok(false),
        Ok(Some(suspended)) => suspended,
        Err(error) if error.is_forbidden() => {
            refuse_held(session, id, force).await?;
            return Ok(true);
        }
        Err(error) => return Err(error.into()),
    };
    let whose = format!("the inventory {} belongs to {KIND}/{}/{}", id.name, id.namespace, id.name);
    match (suspended, force) {
        (true, true) => Ok(true),
        (true, false) => Err(CliError::Failed(format!(
            "{whose}, which is suspended; add --force-inventory to write to it"
        ))),
        (false, _) => Err(CliError::Failed(format!(
            "{whose}, which the operator reconciles; change the release instead, or suspend it \
             (`supercargo suspend release {} -n {}`) and add --force-inventory",
            id.name, id.namespace
        ))),
    }
}

/// The same for a person who cannot read releases: the operator's finalizer on the
/// inventory shows that there is one.
async fn refuse_held(session: &Session, id: &ReleaseId, force: bool) -> Result<(), CliError> {
    let stored = session.read_inventory(id).await?;
    // A deletion by the command line sets it too, together with its mark.
    if force || !stored.operators || stored.deleting {
        return Ok(());
    }
    Err(CliError::Failed(format!(
        "the inventory {} has the operator's finalizer, so it belongs to a release, which you cannot read; if the \
         release is suspended, add --force-inventory",
        id.name
    )))
}
