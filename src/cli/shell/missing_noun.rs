//! What a verb without its noun means: `supercargo get`, `supercargo status demo-app`.

use clap::Command;
use clap::error::{ContextKind, Error, ErrorKind};

use crate::cli::print::text::sanitize_for_terminal;

/// The most nouns of a message.
const MAX_NOUNS: usize = 5;

/// The message in place of clap's, where a verb has no noun or one that it does not know; `None` for
/// every other error. Without `error: `.
pub(in crate::cli) fn hint(mut root: Command, arguments: &[String], error: &Error) -> Option<String> {
    let is_missing = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => true,
        // clap knows a similar one.
        ErrorKind::InvalidSubcommand if error.get(ContextKind::SuggestedSubcommand).is_some() => return None,
        ErrorKind::InvalidSubcommand => false,
        _ => return None,
    };
    root.build();
    let (verb, rest) = verb(&root, arguments)?;
    let typed = verb.get_bin_name().unwrap_or_else(|| verb.get_name());
    let nouns: Vec<&Command> = verb.get_subcommands().filter(|noun| !noun.is_hide_set()).collect();
    let (first, _) = nouns.split_first()?;
    if !is_missing {
        let unknown = sanitize_for_terminal(rest.first()?);
        let wanted: Vec<String> = nouns
            .iter()
            .take(MAX_NOUNS)
            .map(|noun| format!("  {typed} {} {}", noun.get_name(), sanitize_for_terminal(&rest.join(" "))))
            .collect();
        return Some(format!("'{typed}' knows no {unknown:?}; did you mean:\n{}\n", wanted.join("\n")));
    }
    if nouns.len() == 1 {
        let usage = Command::clone(first).render_usage().to_string();
        let usage = usage.lines().next().unwrap_or_default().replace("Usage: ", "");
        return Some(format!(
            "'{typed}' needs to know what; did you mean:\n  {usage}\n\nFor more, try '{typed} --help'.\n"
        ));
    }
    let width = nouns.iter().map(|noun| noun.get_name().len()).max().unwrap_or_default();
    let line = |noun: &&Command| {
        let about = noun.get_about().map(ToString::to_string).unwrap_or_default();
        format!("  {typed} {:width$}   {about}", noun.get_name())
    };
    let lines: Vec<String> = nouns.iter().map(line).collect();
    Some(format!("'{typed}' needs to know what:\n{}\n\nFor more, try '{typed} --help'.\n", lines.join("\n")))
}

/// The verb that is typed, and what comes after it; `None` for no verb.
fn verb<'c>(root: &'c Command, arguments: &[String]) -> Option<(&'c Command, Vec<String>)> {
    let mut found: Option<(&Command, usize)> = None;
    for (at, argument) in arguments.iter().enumerate() {
        let current = found.map_or(root, |(verb, _)| verb);
        if let Some(below) = current.find_subcommand(argument) {
            found = Some((below, at));
        }
    }
    let (verb, at) = found?;
    Some((verb, arguments[at + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::root::command;

    fn hinted(arguments: &[&str]) -> Option<String> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let all = std::iter::once("supercargo".to_owned()).chain(arguments.clone());
        let error = command(None).try_get_matches_from(all).err()?;
        hint(command(None), &arguments, &error)
    }

    #[test]
    fn a_verb_says_which_nouns_it_has() {
        let check = |arguments: &[&str], expected: &str| {
            let message = hinted(arguments).unwrap_or_default();
            assert!(message.contains(expected), "{arguments:?}: {message}");
        };
        check(
            &["get"],
            "'supercargo get' needs to know what:\n  supercargo get inventories   List inventories\n  supercargo get releases      List the releases of one namespace, or of all\n",
        );
        check(&["-n", "apps", "get"], "  supercargo get releases ");
        check(&["status"], "did you mean:\n  supercargo status release [OPTIONS] <NAME>\n");
        check(
            &["status", "demo-app"],
            "'supercargo status' knows no \"demo-app\"; did you mean:\n  supercargo status release demo-app\n",
        );
        check(&["get", "demo-app", "-o", "json"], "  supercargo get releases demo-app -o json\n");
        check(&["adopt", "flux"], "supercargo adopt flux kustomization");
        for other in
            [["get", "relases"].as_slice(), &["nothing"], &[], &["get", "releases"], &["status", "release"]]
        {
            assert_eq!(hinted(other), None, "{other:?}");
        }
    }
}
