//! The programs that build, and what their messages mean.

use std::path::Path;

/// A program that builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildProgram {
    /// Builds kustomizations.
    Kustomize,
    /// Renders Helm charts.
    Helm,
}

impl BuildProgram {
    /// The name of its file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kustomize => "kustomize",
            Self::Helm => "helm",
        }
    }

    /// The arguments with which it says its version.
    pub(super) fn version(self) -> &'static [&'static str] {
        match self {
            Self::Kustomize => &["version"],
            Self::Helm => &["version", "--short"],
        }
    }
}

/// The longest message that is shown, in characters.
const MAX_SHOWN: usize = 600;

/// What the program has said, for people: without the place on this machine, in one line.
pub(super) fn said(messages: &str, place: &Path) -> String {
    let place = place.display().to_string();
    let text = messages.replace(&format!("{place}/"), "").replace(&place, ".");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines = lines.filter(|line| !line.starts_with("# Warning:") && !line.starts_with("Use --debug flag"));
    let text = lines.collect::<Vec<_>>().join("; ");
    let text = text.strip_prefix("Error: ").unwrap_or(&text);
    let shown: String = text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
    if shown.len() < text.len() { format!("{shown}…") } else { shown }
}

/// Whether the program has run out of its memory.
pub(super) fn is_out_of_memory(messages: &str) -> bool {
    let begins = |what: &str| messages.lines().any(|line| line.starts_with(what));
    begins("fatal error: runtime: out of memory")
        || begins("fatal error: out of memory")
        || begins("fatal error: runtime: cannot allocate memory")
        || begins("runtime: out of memory")
}

/// Whether the program has called itself deeper than Go allows.
pub(super) fn is_too_deep(messages: &str) -> bool {
    messages.lines().any(|line| line.starts_with("fatal error: stack overflow"))
        || messages.lines().any(|line| line.starts_with("runtime: goroutine stack exceeds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_names_no_place_of_this_machine() {
        let check = |messages: &str, expected: &str| {
            assert_eq!(said(messages, Path::new("/tmp/builds-x/build-y")), expected);
        };
        check(
            "# Warning: 'bases' is deprecated.\nError: accumulating resources: open /tmp/builds-x/build-y/prod/a.yaml: \
             no such file\n",
            "accumulating resources: open prod/a.yaml: no such file",
        );
        check("Error: no kustomization in '/tmp/builds-x/build-y'\n", "no kustomization in '.'");
        check(
            "Error: YAML parse error on a\n\nUse --debug flag to render out invalid YAML\n",
            "YAML parse error on a",
        );
        check("", "");
        let long = "x".repeat(2000);
        assert_eq!(said(&long, Path::new("/a")).chars().count(), MAX_SHOWN + 1);
    }
}
