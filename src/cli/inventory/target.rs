//! Which inventory is meant, and whether a person may write to it.

use crate::api::release::KIND;
use crate::cli::CliError;
use crate::cli::args::{InventoryFlags, InventoryNamespace};
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;

/// The longest name: that of a release, whose inventory it could become.
const MAX_NAME: usize = 63;

/// The inventory that the arguments name.
pub(in crate::cli) fn target(
    name: &str,
    namespace: &InventoryNamespace,
    session: &Session,
) -> Result<ReleaseId, CliError> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edge = |c: Option<char>| c.is_some_and(|c| c != '-');
    if name.len() > MAX_NAME
        || !name.chars().all(fine)
        || !edge(name.chars().next())
        || !edge(name.chars().last())
    {
        return Err(CliError::Usage(format!(
            "{name:?} is not a name of an inventory: at most {MAX_NAME} lower case letters, digits or '-', without '-' \
             at the ends"
        )));
    }
    let namespace = namespace.inventory_namespace.clone();
    let namespace = namespace.unwrap_or_else(|| session.default_namespace().to_owned());
    Ok(ReleaseId { namespace, name: name.to_owned() })
}

/// The name of `-i`. The parser sees to it that there is one.
pub(super) fn named(flags: InventoryFlags) -> Result<String, CliError> {
    flags.name.ok_or_else(|| CliError::Usage("name the inventory: -i NAME".into()))
}

/// Refuses the inventory of a release that the operator reconciles: the two
/// would undo each other's work.
pub(in crate::cli) async fn refuse_live_release(
    session: &Session,
    id: &ReleaseId,
    force: bool,
) -> Result<(), CliError> {
    let suspended = match session.release_is_suspended(id).await {
        Ok(None) => return Ok(()),
        Ok(Some(suspended)) => suspended,
        // Who may not read releases is told by who may: the finalizer is seen too.
        Err(error) if error.is_forbidden() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let whose = format!("the inventory {} belongs to {KIND}/{}/{}", id.name, id.namespace, id.name);
    match (suspended, force) {
        (true, true) => Ok(()),
        (true, false) => Err(CliError::Failed(format!(
            "{whose}, which is suspended: add --force-inventory to write to it all the same"
        ))),
        (false, _) => Err(CliError::Failed(format!(
            "{whose}, which the operator reconciles: change the release instead, or suspend it \
             (`supercargo suspend release {} -n {}`) and add --force-inventory",
            id.name, id.namespace
        ))),
    }
}
