//! From a text to an expression: its limits, and what is refused before it is ever used.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::parser::PrattParser;
use serde_json::Value;

use super::error::{EvaluationError, ExpressionError};
use super::evaluate::Evaluation;
use super::functions;
use super::value::CelValue;

/// The most bytes of an expression. The schema of the custom resource has the same number.
const LENGTH: usize = 2048;
/// The most nodes of its syntax tree, in which every loop is written out.
const NODES: usize = 1000;
/// How deep that may be. The evaluation descends into it on the stack of a worker.
const DEPTH: usize = 60;
/// How deep brackets may be nested: the parser descends on the stack as well.
const NESTING: u16 = 32;

/// A condition in CEL.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    text: String,
    tree: IdedExpr,
}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    /// What is wrong with it, and where: the syntax, an unknown function, or a limit.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > LENGTH {
            let message = format!("is longer than {LENGTH} bytes");
            return Err(ExpressionError(message));
        }
        if text.trim().is_empty() {
            return Err(ExpressionError("is empty".to_owned()));
        }
        let parser = PrattParser::new()
            .max_recursion_depth(NESTING)
            .max_expression_node_count(NODES)
            .error_reporting_limit(1)
            .enable_optional_syntax(true);
        let tree = parser.parse(text).map_err(|errors| ExpressionError(first_line(&errors)))?;
        check(&tree)?;
        Ok(Self { text: text.to_owned(), tree })
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is true. The variables are its only names.
    ///
    /// # Errors
    /// Why it has no answer for these variables.
    pub fn holds(&self, variables: &[(&str, &Value)]) -> Result<bool, EvaluationError> {
        match self.value(variables)? {
            CelValue::Bool(answer) => Ok(answer),
            other => {
                let message = format!("the result is {}, not bool", other.type_name());
                Err(EvaluationError::WrongType(message))
            }
        }
    }

    pub(super) fn value<'a>(
        &'a self,
        variables: &'a [(&'a str, &'a Value)],
    ) -> Result<CelValue<'a>, EvaluationError> {
        Evaluation::of(variables).run(&self.tree)
    }

    pub(super) fn tree(&self) -> &IdedExpr {
        &self.tree
    }
}

/// The first error, with its place: the parser prints the text below it, in several lines.
fn first_line(errors: &cel::ParseErrors) -> String {
    let Some(first) = errors.errors.first() else { return "is not valid".to_owned() };
    let (line, column) = first.pos;
    let message = first.msg.lines().next().unwrap_or_default();
    match (line, column) {
        (..=0, _) => message.to_owned(),
        (1, column) => format!("{message} at character {column}"),
        (line, column) => format!("{message} at line {line}, character {column}"),
    }
}

/// Refuses what has no answer for any object. Works with a list and not by recursion: the
/// depth is not known yet.
fn check(tree: &IdedExpr) -> Result<(), ExpressionError> {
    let mut left = vec![(tree, 1)];
    let mut nodes = 0;
    while let Some((node, depth)) = left.pop() {
        nodes += 1;
        if depth > DEPTH || nodes > NODES {
            let what = if depth > DEPTH { "is nested too deeply" } else { "is too large" };
            return Err(ExpressionError(format!("{what}: split it or make it simpler")));
        }
        match &node.expr {
            Expr::Call(call) => {
                functions::check(call).map_err(ExpressionError)?;
            }
            Expr::Struct(made) => {
                let message = format!("cannot make an object of the type {}", made.type_name);
                return Err(ExpressionError(message));
            }
            Expr::Unspecified => return Err(ExpressionError("is not complete".to_owned())),
            _ => {}
        }
        left.extend(children(&node.expr).into_iter().map(|child| (child, depth + 1)));
    }
    Ok(())
}

/// The nodes below a node.
pub(super) fn children(expr: &Expr) -> Vec<&IdedExpr> {
    match expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(l) => {
            vec![&l.iter_range, &l.accu_init, &l.loop_cond, &l.loop_step, &l.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Struct(made) => made.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn of_entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}
