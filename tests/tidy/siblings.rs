//! How much one folder holds: a reader takes in at a glance what is in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// The folders below `src/` that have more modules than so many. A file with a folder of
/// its name is one.
pub fn crowded(sources: &[Source], most: usize) -> Vec<String> {
    let mut folders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in sources {
        let mut path = source.path.as_str();
        while let Some((folder, name)) = path.rsplit_once('/').filter(|(folder, _)| *folder != "src") {
            folders.entry(folder).or_default().insert(name.trim_end_matches(".rs"));
            path = folder;
        }
    }
    let crowded = folders.iter().filter(|(_, entries)| entries.len() > most);
    crowded.map(|(folder, entries)| format!("{folder} has {} modules", entries.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_counted() {
        let check = |paths: &[&str], expected: &[&str]| {
            let sources: Vec<_> = paths.iter().map(|path| Source::new(path, "")).collect();
            assert_eq!(crowded(&sources, 2), expected, "{paths:?}");
        };
        check(&["src/a.rs", "src/b.rs", "src/d.rs"], &[]);
        check(&["src/a/b.rs", "src/a/d.rs"], &[]);
        check(&["src/a/b.rs", "src/a/b/d.rs", "src/a/b/e.rs"], &[]);
        check(&["src/a/b.rs", "src/a/d.rs", "src/a/b/e.rs"], &[]);
        check(&["src/a/b.rs", "src/a/d.rs", "src/a/c/e.rs"], &["src/a has 3 modules"]);
        check(&["src/a/b/d.rs", "src/a/b/e.rs", "src/a/b/f.rs"], &["src/a/b has 3 modules"]);
    }
}
