//! What keeps variables from being replaced.

use std::fmt;

use crate::domain::message::List;

/// The most problems that a message has one by one.
pub const MAX_SUBSTITUTION_PROBLEMS: usize = 10;

/// Why variables cannot be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubstitutionError {
    /// What is wrong, object by object.
    Invalid {
        /// The first few.
        first: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// The objects would be larger than the limit.
    TooLarge,
}

impl SubstitutionError {
    /// About one thing.
    pub fn one(problem: impl Into<String>) -> Self {
        Self::Invalid { first: vec![problem.into()], more: 0 }
    }

    /// About several.
    pub fn all(mut first: Vec<String>) -> Self {
        let more = first.len().saturating_sub(MAX_SUBSTITUTION_PROBLEMS);
        first.truncate(MAX_SUBSTITUTION_PROBLEMS);
        Self::Invalid { first, more }
    }
}

impl fmt::Display for SubstitutionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { first, more } => f.write_str(&List::Clauses.with_more(first, *more)),
            Self::TooLarge => f.write_str("with their variables replaced, the objects are too large"),
        }
    }
}
