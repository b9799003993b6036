//! Which files a program may use (Landlock).

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// The newest that the crate and this code know.
const ABI_KNOWN: ABI = ABI::V7;

/// Leaves to this process, for ever, the reading of one directory and the execution of one program.
/// It can write nothing and remove nothing. Where the kernel can, it also connects to nothing by TCP,
/// to no abstract socket, and sends signals to nobody outside.
///
/// # Errors
/// When the kernel cannot restrict files, or one of the two does not exist.
pub(super) fn restrict(directory: &Path, program: &Path) -> Result<(), String> {
    let failed = |error: RulesetError| error.to_string();
    let opened = |path: &Path| PathFd::new(path).map_err(|e| e.to_string());
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let run: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::Execute;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .map_err(failed)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI_KNOWN))
        .map_err(failed)?
        .handle_access(AccessNet::from_all(ABI_KNOWN))
        .map_err(failed)?
        .scope(Scope::from_all(ABI_KNOWN))
        .map_err(failed)?
        .create()
        .map_err(failed)?
        .add_rule(PathBeneath::new(opened(directory)?, read))
        .map_err(failed)?
        .add_rule(PathBeneath::new(opened(program)?, run))
        .map_err(failed)?
        .restrict_self()
        .map_err(failed)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("Landlock is not enforced".to_owned()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}
