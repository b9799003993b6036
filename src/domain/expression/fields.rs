//! The fields that an expression reads, and whether a schema has them. A misspelt field is
//! never there: a wait for it would only end with the timeout.

use std::collections::BTreeSet;

use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators as op};
use serde_json::Value;

use super::parsed::{Expression, children};
use crate::domain::message::closest;

/// How many references of a schema are followed for one field. A schema may be recursive.
const REFERENCES: usize = 20;
/// How many names a message offers instead.
const OFFERED: usize = 8;

/// The way to a value, from the name of a variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// A field, or an entry of a map.
    Field(String),
    /// Any element of a list, or any value of a map.
    Element,
}

impl Expression {
    /// The fields that the answer needs, each with the fields below that are read of it. What
    /// the expression tests with `has()`, or reads as an optional, it does not need.
    pub fn fields(&self) -> BTreeSet<FieldPath> {
        let mut reading = Reading::default();
        reading.read(self.tree(), &[]);
        let Reading { needed, tested } = reading;
        needed.into_iter().filter(|path| !tested.iter().any(|tested| path.0.starts_with(&tested.0))).collect()
    }
}

#[derive(Default)]
struct Reading {
    needed: BTreeSet<FieldPath>,
    tested: BTreeSet<FieldPath>,
}

/// The variables of loops: what their values are read from, if it is a field.
type Scope<'t> = [(&'t str, Option<FieldPath>)];

impl Reading {
    /// Reads a tree whose depth is bounded; returns what its value is.
    fn read<'t>(&mut self, node: &'t IdedExpr, scope: &Scope<'t>) -> Option<FieldPath> {
        let path = self.path(node, scope);
        if let Some(path) = &path {
            self.needed.insert(path.clone());
        }
        path
    }

    fn path<'t>(&mut self, node: &'t IdedExpr, scope: &Scope<'t>) -> Option<FieldPath> {
        match &node.expr {
            Expr::Ident(name) => match scope.iter().rev().find(|(local, _)| local == name) {
                Some((_, path)) => path.clone(),
                None => Some(FieldPath(vec![Part::Field(name.clone())])),
            },
            Expr::Select(select) => {
                let above = self.path(&select.operand, scope)?;
                let below = above.clone().then(Part::Field(select.field.clone()));
                if select.test {
                    // Only the last field may be absent.
                    self.needed.insert(above);
                    self.tested.insert(below);
                    return None;
                }
                Some(below)
            }
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
                (op::INDEX, [a, index]) => {
                    let part = match &index.expr {
                        Expr::Literal(LiteralValue::String(name)) => Part::Field(name.inner().to_owned()),
                        Expr::Literal(LiteralValue::Int(_)) => Part::Element,
                        _ => {
                            self.read(index, scope);
                            Part::Element
                        }
                    };
                    Some(self.path(a, scope)?.then(part))
                }
                (op::OPT_SELECT, [a, field]) => {
                    if let (Some(path), Expr::Literal(LiteralValue::String(name))) =
                        (self.read(a, scope), &field.expr)
                    {
                        self.tested.insert(path.then(Part::Field(name.inner().to_owned())));
                    }
                    None
                }
                _ => {
                    for child in children(&node.expr) {
                        self.read(child, scope);
                    }
                    None
                }
            },
            Expr::Comprehension(l) => {
                self.comprehend(l, scope);
                None
            }
            other => {
                for child in children(other) {
                    self.read(child, scope);
                }
                None
            }
        }
    }

    fn comprehend<'t>(&mut self, l: &'t ComprehensionExpr, scope: &Scope<'t>) {
        let range = self.read(&l.iter_range, scope);
        let element = range.map(|path| path.then(Part::Element));
        let mut inner = scope.to_vec();
        match &l.iter_var2 {
            // The key or the position, and the value.
            Some(value) => inner.extend([(l.iter_var.as_str(), None), (value.as_str(), element)]),
            None => inner.push((&l.iter_var, element)),
        }
        inner.push((&l.accu_var, None));
        self.read(&l.accu_init, scope);
        for node in [&l.loop_cond, &l.loop_step, &l.result] {
            self.read(node, &inner);
        }
    }
}

impl FieldPath {
    fn then(mut self, part: Part) -> Self {
        self.0.push(part);
        self
    }

    /// What is wrong with it, by the schema of an object (OpenAPI v3, as the API server
    /// publishes it or as a CustomResourceDefinition has it). `root` has the schemas that
    /// references name.
    pub fn fault(&self, schema: &Value, root: &Value) -> Option<String> {
        let mut here = resolve(schema, root);
        for (index, part) in self.0.iter().enumerate() {
            let read = |upto: usize| FieldPath(self.0[..upto].to_vec()).to_string();
            match part {
                // Its schema is the API server's own.
                Part::Field(name)
                    if index == 0 && matches!(name.as_str(), "metadata" | "apiVersion" | "kind") =>
                {
                    return None;
                }
                Part::Field(name) => match field(here, name) {
                    Found::Schema(below) => here = resolve(below, root),
                    Found::Anything => return None,
                    Found::Nothing => {
                        return Some(format!("there is no field {}{}", read(index + 1), offer(here, name)));
                    }
                },
                Part::Element => match here.get("items").or_else(|| here.get("additionalProperties")) {
                    Some(below) if below.is_object() => here = resolve(below, root),
                    // The keys of an object with fields are texts.
                    _ => return None,
                },
            }
        }
        None
    }
}

impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            match part {
                Part::Field(name) if index == 0 => f.write_str(name)?,
                Part::Field(name) => write!(f, ".{name}")?,
                Part::Element => f.write_str("[]")?,
            }
        }
        Ok(())
    }
}

enum Found<'s> {
    Schema(&'s Value),
    Anything,
    Nothing,
}

fn field<'s>(schema: &'s Value, name: &str) -> Found<'s> {
    if let Some(below) = schema.get("properties").and_then(|all| all.get(name)) {
        return Found::Schema(below);
    }
    match schema.get("additionalProperties") {
        Some(below) if below.is_object() => return Found::Schema(below),
        Some(Value::Bool(true)) => return Found::Anything,
        _ => {}
    }
    let is_open = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
        || schema.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true));
    let has_fields = schema.get("properties").is_some();
    // A schema that describes nothing allows everything.
    match is_open || !has_fields {
        true => Found::Anything,
        false => Found::Nothing,
    }
}

/// Follows references: `$ref`, or the one part of `allOf`.
fn resolve<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    let mut here = schema;
    for _ in 0..REFERENCES {
        let single = here.get("allOf").and_then(Value::as_array).filter(|all| all.len() == 1);
        let reference = here.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
        here = match (reference, single) {
            (Some(pointer), _) => match root.pointer(pointer) {
                Some(target) => target,
                None => return &Value::Null,
            },
            (None, Some(all)) => &all[0],
            (None, None) => return here,
        };
    }
    &Value::Null
}

/// The fields that there are: those that are written nearly the same, otherwise the first.
fn offer(schema: &Value, name: &str) -> String {
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else { return String::new() };
    if let Some(close) = closest(fields.keys().map(String::as_str), name) {
        return format!(": did you mean {close}?");
    }
    let mut names: Vec<&str> = fields.keys().take(OFFERED).map(String::as_str).collect();
    if names.is_empty() {
        return String::new();
    }
    if fields.len() > OFFERED {
        names.push("…");
    }
    format!(", only {}", names.join(", "))
}
