//! A strategic merge in progress: the nodes, and the current place in them.

use super::tree::Tree;

/// A merge in progress.
pub(super) struct Merge {
    pub(super) tree: Tree,
    pub(super) path: Vec<String>,
}

pub(super) type Merged<T> = Result<T, String>;

impl Merge {
    pub(super) fn fail<T>(&self, problem: impl std::fmt::Display) -> Merged<T> {
        let path = if self.path.is_empty() { "the top level".into() } else { self.path.join(".") };
        Err(format!("at {path}: {problem}"))
    }
}
