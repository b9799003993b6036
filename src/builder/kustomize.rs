//! The build of a kustomization: what is read, what is run, and what its end means.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::cache::BuildKey;
use super::error::BuildError;
use super::limits::MAX_FILES;
use crate::domain::manifest::kustomization::{look, tree_conflict};

/// The longest name of a file or directory that file systems have, in bytes.
const MAX_NAME: usize = 255;

/// The files of an artifact, and the directory with the kustomization.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The files, by their names from the root of the artifact.
    pub files: Vec<(String, Bytes)>,
    /// The directory, from the root of the artifact; empty for the root.
    pub directory: String,
}

/// A tree that was looked at.
pub(super) struct Prepared {
    pub tree: Tree,
    pub key: BuildKey,
    pub has_secrets: bool,
}

impl Tree {
    /// The directory, as people write it.
    pub fn shown(&self) -> String {
        if self.directory.is_empty() { ".".to_owned() } else { format!("./{}", self.directory) }
    }

    /// Looks at it before anything runs. Blocks.
    pub(super) fn prepare(self) -> Result<Prepared, BuildError> {
        if self.files.len() > MAX_FILES {
            let why = format!("the artifact has more than {MAX_FILES} files, which is too many for a build");
            return Err(BuildError::TooLarge(why));
        }
        let names = self.files.iter().map(|(name, _)| name.as_str());
        if let Some(name) = tree_conflict(names) {
            let why = format!("the artifact has two entries named {name:?}");
            return Err(BuildError::Failed(why));
        }
        let parts = self.files.iter().flat_map(|(name, _)| name.split('/'));
        if let Some(part) = parts.into_iter().find(|part| part.len() > MAX_NAME) {
            let shown: String = part.chars().take(40).collect();
            let why = format!("the artifact has a file name of more than {MAX_NAME} bytes: {shown:?}…");
            return Err(BuildError::Failed(why));
        }
        let files: BTreeMap<&str, &[u8]> =
            self.files.iter().map(|(name, content)| (name.as_str(), &content[..])).collect();
        let looked = look(&files, &self.directory).map_err(BuildError::Refused)?;
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(self.directory.as_bytes());
        for (name, content) in files {
            part(name.as_bytes());
            part(content);
        }
        let key = hash.finalize().into();
        Ok(Prepared { tree: self, key, has_secrets: looked.has_secrets })
    }
}

/// The arguments that build that directory.
pub(super) fn arguments(directory: &str) -> Vec<String> {
    let directory = if directory.is_empty() { "." } else { directory };
    // Files above the directory are read, as by Flux: the sandbox says where the artifact ends.
    ["build", "--load-restrictor", "LoadRestrictionsNone", "--", directory].map(str::to_owned).to_vec()
}

/// The longest message that is shown, in characters.
const MAX_SHOWN: usize = 600;

/// What the program has said, for people: without the place on this machine, in one line.
pub(super) fn said(messages: &str, place: &Path) -> String {
    let place = place.display().to_string();
    let text = messages.replace(&format!("{place}/"), "").replace(&place, ".");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines = lines.filter(|line| !line.starts_with("# Warning:"));
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
        check("", "");
        let long = "x".repeat(2000);
        assert_eq!(said(&long, Path::new("/a")).chars().count(), MAX_SHOWN + 1);
    }

    #[test]
    fn the_key_is_of_all_that_is_read() {
        let key = |files: &[(&str, &str)], directory: &str| {
            let files = files
                .iter()
                .map(|(name, content)| ((*name).to_owned(), Bytes::copy_from_slice(content.as_bytes())));
            let tree = Tree { files: files.collect(), directory: directory.to_owned() };
            tree.prepare().map(|prepared| prepared.key).map_err(|e| e.to_string())
        };
        let one = key(&[("kustomization.yaml", ""), ("a", "b")], "").unwrap();
        assert_eq!(key(&[("a", "b"), ("kustomization.yaml", "")], "").unwrap(), one);
        assert_ne!(key(&[("kustomization.yaml", ""), ("a", "c")], "").unwrap(), one);
        assert_ne!(key(&[("kustomization.yaml", ""), ("ab", "")], "").unwrap(), one);
        let two = [("kustomization.yaml", ""), ("a/kustomization.yaml", "")];
        assert_ne!(key(&two, "").unwrap(), key(&two, "a").unwrap());
        let twice = key(&[("kustomization.yaml", ""), ("a", "b"), ("a", "c")], "");
        assert_eq!(twice, Err("the artifact has two entries named \"a\"".to_owned()));
    }
}
