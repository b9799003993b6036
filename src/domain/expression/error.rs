//! What can be wrong with an expression.

use thiserror::Error;

/// A text that is not a valid expression. It needs a change of the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ExpressionError(pub(super) String);

/// An expression that has no answer for an object.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvaluationError {
    /// The object does not have a field or an entry, yet or at all.
    #[error("there is no {0}")]
    Missing(String),
    /// A value has another type than the expression expects.
    #[error("{0}")]
    WrongType(String),
    /// A value that cannot be computed: a division by zero, an invalid time.
    #[error("{0}")]
    Invalid(String),
    /// It needs too much work or memory for one object.
    #[error("it takes too much work: the object is too large for it, or it has too many loops")]
    TooExpensive,
}

impl EvaluationError {
    /// Whether `||` and `&&` may hide it behind the answer of their other side.
    pub(super) fn can_be_hidden(&self) -> bool {
        *self != Self::TooExpensive
    }
}
