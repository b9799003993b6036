//! The paths in a kustomization.

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To this file or directory, from the root of the artifact; empty for the root.
    Inside(String),
    /// Out of the artifact.
    Outside,
    /// It begins at the root of the machine.
    Absolute,
}

/// Follows a path from a directory of the artifact.
pub(super) fn follow(directory: &str, path: &str) -> Target {
    if path.starts_with('/') {
        return Target::Absolute;
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return Target::Outside,
            ".." => {}
            part => parts.push(part),
        }
    }
    Target::Inside(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_or_are_refused() {
        let check = |directory: &str, path: &str, expected: Target| {
            assert_eq!(follow(directory, path), expected, "{directory} {path}");
        };
        let inside = |path: &str| Target::Inside(path.to_owned());
        check("prod", "../base", inside("base"));
        check("prod", "./a//b.yaml", inside("prod/a/b.yaml"));
        check("", "a/../b/", inside("b"));
        check("a/b", "../..", inside(""));
        check("a/b", "../../..", Target::Outside);
        check("", "a/../../b", Target::Outside);
        check("", "../x/../../y", Target::Outside);
        check("a", "/etc/passwd", Target::Absolute);
    }
}
