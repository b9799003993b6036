//! What is built.

use super::chart::Chart;
use super::error::BuildError;
use super::kustomize::Tree;
use super::prepared::Prepared;
use super::program::BuildProgram;

/// What is built.
#[derive(Clone, Debug)]
pub enum BuildSource {
    /// A kustomization.
    Kustomization(Tree),
    /// A Helm chart.
    Chart(Box<Chart>),
}

impl From<Tree> for BuildSource {
    fn from(tree: Tree) -> Self {
        Self::Kustomization(tree)
    }
}

impl From<Chart> for BuildSource {
    fn from(chart: Chart) -> Self {
        Self::Chart(Box::new(chart))
    }
}

impl BuildSource {
    /// What is done, for people: `Building …`.
    pub fn doing(&self) -> String {
        match self {
            Self::Kustomization(tree) => format!("Building the kustomization {}", tree.shown()),
            Self::Chart(_) => "Rendering the Helm chart".to_owned(),
        }
    }

    /// The directory of a kustomization, as people write it.
    pub fn directory(&self) -> Option<String> {
        match self {
            Self::Kustomization(tree) => Some(tree.shown()),
            Self::Chart(_) => None,
        }
    }

    pub(super) fn program(&self) -> BuildProgram {
        match self {
            Self::Kustomization(_) => BuildProgram::Kustomize,
            Self::Chart(_) => BuildProgram::Helm,
        }
    }

    /// Looks at it before anything runs. Blocks.
    pub(super) fn prepare(self) -> Result<Prepared, BuildError> {
        match self {
            Self::Kustomization(tree) => tree.prepare(),
            Self::Chart(chart) => chart.prepare(),
        }
    }
}
