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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::domain::manifest::substitute::variables::Variable;

    fn evaluated(text: &str, variables: &[(&str, &str)], bytes: u64) -> Result<Vec<u8>, FluxError> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), Variable::from(*value)));
        let variables = VariableSet(variables.collect());
        let start = Instant::now();
        let found = evaluate(text.as_bytes(), &variables, false, &mut FluxLimits::new(bytes));
        let most = if cfg!(debug_assertions) { 60 } else { 5 };
        assert!(start.elapsed() < Duration::from_secs(most), "{:?}", start.elapsed());
        found.map(|evaluated| evaluated.text)
    }

    #[test]
    fn what_would_cost_too_much_is_refused() {
        let large = "x".repeat(1 << 20);
        let bomb = "${a}".repeat(100_000);
        assert_eq!(evaluated(&bomb, &[("a", &large[..4096])], 64 << 20), Err(FluxError::TooLarge));
        assert_eq!(evaluated(&bomb, &[("a", "b")], 64 << 20).map(|text| text.len()), Ok(100_000));
        let grows = evaluated("${a//x/${a}}", &[("a", &large)], 64 << 20);
        assert_eq!(grows, Err(FluxError::TooLarge));
        let between = evaluated("${a//${none}/${a}}", &[("a", &large)], 64 << 20);
        assert_eq!(between, Err(FluxError::TooLarge));
        for pattern in ["${a#*x*x*y}", "${a%%y*x*x*}"] {
            let found = evaluated(pattern, &[("a", &large)], 64 << 20);
            assert_eq!(found, Err(FluxError::TooExpensive("a".to_owned())), "{pattern}");
        }
    }

    #[test]
    fn escapes_and_nesting_of_any_size_end() {
        let many = "$$".repeat(1 << 20);
        assert_eq!(evaluated(&many, &[], 64 << 20).map(|text| text.len()), Ok(1 << 20));
        let slashes = format!("${{a/{}/x}}", "\\/".repeat(1 << 18));
        assert_eq!(evaluated(&slashes, &[("a", "b")], 64 << 20).map(|text| text.len()), Ok(1));
        let deep = format!("{}x{}", "${a:=".repeat(100_000), "}".repeat(100_000));
        assert_eq!(evaluated(&deep, &[], 64 << 20), Err(FluxError::TooDeep(64)));
        let nested = format!("{}x{}", "${a:=".repeat(60), "}".repeat(60));
        assert_eq!(evaluated(&nested, &[], 64 << 20), Ok(b"x".to_vec()));
    }

    #[test]
    fn what_flux_would_fail_with_is_an_error() {
        let panics = |text: &str| evaluated(text, &[("a", "alpha")], 1 << 20);
        assert_eq!(panics("${a:1:9223372036854775807}"), Err(FluxError::Panic("a".to_owned())));
        assert_eq!(panics("${a:9223372036854775807:1}"), Err(FluxError::Panic("a".to_owned())));
    }
}
