//! The evaluation of Flux's engine.

use std::collections::BTreeSet;

use super::error::FluxError;
use super::functions::apply;
use super::limits::FluxLimits;
use super::parse::{Function, Node, parse};
use crate::domain::manifest::substitute::variables::VariableSet;

/// A text with its variables replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// The text, which may be no UTF-8 any more.
    pub text: Vec<u8>,
    /// The names that it had.
    pub names: BTreeSet<String>,
}

/// Replaces the variables of a text. With `strict`, each must be declared, except where it has a
/// default.
///
/// # Errors
/// What Flux refuses as well, or that it costs too much.
pub fn evaluate(
    text: &[u8],
    variables: &VariableSet,
    strict: bool,
    limits: &mut FluxLimits,
) -> Result<Evaluated, FluxError> {
    let nodes = parse(text)?;
    let mut evaluation = Evaluation { variables, strict, limits, names: BTreeSet::new() };
    let mut out = Vec::new();
    for node in &nodes {
        evaluation.node(node, &mut out)?;
    }
    Ok(Evaluated { text: out, names: evaluation.names })
}

struct Evaluation<'a> {
    variables: &'a VariableSet,
    strict: bool,
    limits: &'a mut FluxLimits,
    names: BTreeSet<String>,
}

impl Evaluation<'_> {
    fn node(&mut self, node: &Node, out: &mut Vec<u8>) -> Result<(), FluxError> {
        match node {
            Node::Text(text) => self.write(text, out),
            Node::Variable(function) => {
                let value = self.function(function)?;
                self.write(&value, out)
            }
        }
    }

    fn write(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), FluxError> {
        if !self.limits.write(text.len()) {
            return Err(FluxError::TooLarge);
        }
        out.extend_from_slice(text);
        Ok(())
    }

    fn function(&mut self, function: &Function) -> Result<Vec<u8>, FluxError> {
        let Function { name, operator, arguments } = function;
        let mut given = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let mut text = Vec::new();
            self.node(argument, &mut text)?;
            given.push(text);
        }
        let variable = self.variables.0.get(name);
        if self.strict && variable.is_none() && !is_default(operator) {
            return Err(FluxError::NotSet(name.clone()));
        }
        if variable.is_some() {
            self.names.insert(name.clone());
        }
        let value = variable.map_or(&[][..], |variable| &variable.value);
        apply(operator, value, &given, self.limits).map_err(|fault| fault.of(name))
    }
}

/// Whether the operator says what becomes of a variable that is not declared.
fn is_default(operator: &str) -> bool {
    matches!(operator, "-" | "+" | "=" | "?" | ":-" | ":+" | ":=" | ":?")
}
