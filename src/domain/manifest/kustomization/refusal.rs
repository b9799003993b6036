//! Why a kustomization is not built.

use std::fmt;

/// Why a kustomization is not built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KustomizationRefusal {
    /// The file, from the root of the artifact.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
    /// What is refused, and what to do.
    pub message: String,
}

impl fmt::Display for KustomizationRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'p> {
    pub file: &'p str,
    pub line: usize,
    /// The field that it is a value of.
    pub field: &'p str,
}

impl<'p> Place<'p> {
    pub fn at(self, line: usize) -> Self {
        Self { line, ..self }
    }

    pub fn of(self, field: &'p str) -> Self {
        Self { field, ..self }
    }

    pub fn refuse(self, message: impl fmt::Display) -> KustomizationRefusal {
        let message = format!("{}: {message}", self.field);
        KustomizationRefusal { file: self.file.to_owned(), line: self.line, message }
    }
}
