//! Expressions in CEL (the Common Expression Language, cel.dev): conditions that people
//! write about Kubernetes objects.
//!
//! The `cel` crate parses them. It is not used to evaluate them: no version of it limits
//! the work, and an expression of 500 bytes can keep it busy for minutes. The evaluation
//! here is over the same syntax tree, within a budget, and reads the object where it is.

mod budget;
mod error;
mod evaluate;
mod fields;
mod functions;
mod names;
mod operators;
mod parsed;
#[cfg(test)]
mod tests;
mod value;

pub use error::{EvaluationError, ExpressionError};
pub use fields::FieldPath;
pub use parsed::Expression;
