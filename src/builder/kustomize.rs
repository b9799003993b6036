//! The build of a kustomization: what is read, what is run, and what its end means.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::error::BuildError;
use super::limits::MAX_FILES;
use super::prepared::{KeyHash, Prepared, Variant};
use super::program::BuildProgram;
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
        let mut hash = KeyHash::new(BuildProgram::Kustomize);
        hash.part(self.directory.as_bytes());
        for (name, content) in files {
            hash.part(name.as_bytes());
            hash.part(content);
        }
        Ok(Prepared {
            program: BuildProgram::Kustomize,
            variant: Variant { arguments: arguments(&self.directory), key: hash.key(), capabilities: None },
            wide: None,
            has_secrets: looked.has_secrets,
            shown: format!("kustomize build {}", self.shown()),
            files: self.files,
            // It has no functions of time or chance.
            repeats: None,
        })
    }
}

/// The arguments that build that directory.
fn arguments(directory: &str) -> Vec<String> {
    let directory = if directory.is_empty() { "." } else { directory };
    // Files above the directory are read, as by Flux: the sandbox says where the artifact ends.
    ["build", "--load-restrictor", "LoadRestrictionsNone", "--", directory].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_of_all_that_is_read() {
        let key = |files: &[(&str, &str)], directory: &str| {
            let files = files
                .iter()
                .map(|(name, content)| ((*name).to_owned(), Bytes::copy_from_slice(content.as_bytes())));
            let tree = Tree { files: files.collect(), directory: directory.to_owned() };
            tree.prepare().map(|prepared| prepared.variant.key).map_err(|e| e.to_string())
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
