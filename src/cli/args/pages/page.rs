//! Finds the page of a command.

use clap::Command;
use clap::builder::Resettable;

use super::inventory;

/// What is said of a command. The texts stand apart from the flags, because they
/// are as long.
pub(super) struct Page {
    /// Verb, or verb and noun.
    pub path: &'static str,
    /// What it reads and writes, and how it ends. Follows the line that says what
    /// it does.
    pub long: &'static str,
    /// Real commands.
    pub examples: &'static str,
}

/// The command with its page, if there is one.
pub(in crate::cli) fn written(command: Command, path: &str) -> Command {
    let pages = [inventory::PAGES];
    match pages.into_iter().flatten().find(|page| page.path == path) {
        Some(page) => {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let long = format!("{about}.\n\n{}", page.long);
            // The short help is one screen.
            command.long_about(long).after_help(Resettable::Reset).after_long_help(page.examples)
        }
        None => command,
    }
}
