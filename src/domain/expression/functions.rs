//! The functions: those of the CEL specification, and of its extensions for strings, sets,
//! encoders and optional values. These are the ones that Flux has.

mod convert;
mod sets;
mod text;
mod time;

use cel::common::ast::{CallExpr, Expr, operators as op};

use super::budget::Budget;
use super::error::EvaluationError;
use super::value::CelValue;

pub(super) use text::Patterns;

type Answer<'a> = Result<CelValue<'a>, EvaluationError>;

/// A function by name: whether it is called on a value, and how many arguments it may have.
type Signature = (&'static str, bool, std::ops::RangeInclusive<usize>);

/// All of them, but for operators. `x.f(y)` and `f(x, y)` are different functions.
const FUNCTIONS: &[Signature] = &[
    ("size", false, 1..=1),
    ("size", true, 0..=0),
    ("matches", false, 2..=2),
    ("matches", true, 1..=1),
    ("contains", true, 1..=1),
    ("startsWith", true, 1..=1),
    ("endsWith", true, 1..=1),
    ("charAt", true, 1..=1),
    ("indexOf", true, 1..=2),
    ("lastIndexOf", true, 1..=2),
    ("join", true, 0..=1),
    ("lowerAscii", true, 0..=0),
    ("upperAscii", true, 0..=0),
    ("replace", true, 2..=3),
    ("reverse", true, 0..=0),
    ("split", true, 1..=2),
    ("substring", true, 1..=2),
    ("trim", true, 0..=0),
    ("bool", false, 1..=1),
    ("bytes", false, 1..=1),
    ("double", false, 1..=1),
    ("duration", false, 1..=1),
    ("dyn", false, 1..=1),
    ("int", false, 1..=1),
    ("string", false, 1..=1),
    ("timestamp", false, 1..=1),
    ("type", false, 1..=1),
    ("uint", false, 1..=1),
    ("getDate", true, 0..=1),
    ("getDayOfMonth", true, 0..=1),
    ("getDayOfWeek", true, 0..=1),
    ("getDayOfYear", true, 0..=1),
    ("getFullYear", true, 0..=1),
    ("getHours", true, 0..=1),
    ("getMilliseconds", true, 0..=1),
    ("getMinutes", true, 0..=1),
    ("getMonth", true, 0..=1),
    ("getSeconds", true, 0..=1),
    ("hasValue", true, 0..=0),
    ("value", true, 0..=0),
    ("or", true, 1..=1),
    ("orValue", true, 1..=1),
    ("optMap", true, 2..=2),
    ("optFlatMap", true, 2..=2),
    ("sets.contains", false, 2..=2),
    ("sets.equivalent", false, 2..=2),
    ("sets.intersects", false, 2..=2),
    ("base64.encode", false, 1..=1),
    ("base64.decode", false, 1..=1),
    ("optional.of", false, 1..=1),
    ("optional.ofNonZeroValue", false, 1..=1),
    ("optional.none", false, 0..=0),
];

/// Operators are calls in the tree.
const OPERATORS: &[&str] = &[
    op::CONDITIONAL,
    op::LOGICAL_AND,
    op::LOGICAL_OR,
    op::LOGICAL_NOT,
    op::SUBSTRACT,
    op::ADD,
    op::MULTIPLY,
    op::DIVIDE,
    op::MODULO,
    op::EQUALS,
    op::NOT_EQUALS,
    op::GREATER_EQUALS,
    op::LESS_EQUALS,
    op::GREATER,
    op::LESS,
    op::NEGATE,
    op::INDEX,
    op::OPT_INDEX,
    op::OPT_SELECT,
    op::NOT_STRICTLY_FALSE,
    op::IN,
];

/// Whether there is such a function. Says what is wrong otherwise.
pub(super) fn check(call: &CallExpr) -> Result<(), String> {
    if call.target.is_none() && OPERATORS.contains(&call.func_name.as_str()) {
        return Ok(());
    }
    let (name, on_value) = called(call);
    let count = call.args.len();
    let named: Vec<&Signature> = FUNCTIONS.iter().filter(|(known, ..)| *known == name).collect();
    match named.iter().find(|(_, is_member, _)| *is_member == on_value) {
        Some((_, _, counts)) if counts.contains(&count) => Ok(()),
        Some(_) => {
            let s = if count == 1 { "" } else { "s" };
            Err(format!("the function {name} does not take {count} argument{s}"))
        }
        None if named.is_empty() => Err(format!("there is no function {name}")),
        None if on_value => Err(format!("the function {name} is not called on a value: write {name}(…)")),
        None => Err(format!("the function {name} is called on a value: write x.{name}(…)")),
    }
}

/// The name of the function, and whether it is called on a value.
fn called(call: &CallExpr) -> (String, bool) {
    match namespace(call) {
        Some(namespace) => (format!("{namespace}.{}", call.func_name), false),
        None => (call.func_name.clone(), call.target.is_some()),
    }
}

/// The namespace of a function: `sets` in `sets.contains(a, b)`, which is no value.
pub(super) fn namespace(call: &CallExpr) -> Option<&str> {
    match call.target.as_deref().map(|target| &target.expr) {
        Some(Expr::Ident(name)) if matches!(name.as_str(), "sets" | "base64" | "optional") => Some(name),
        _ => None,
    }
}

/// The type of this name.
pub(super) fn type_named(name: &str) -> Option<&'static str> {
    const TYPES: [&str; 13] = [
        "null_type",
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "type",
        "optional_type",
        "google.protobuf.Duration",
        "google.protobuf.Timestamp",
    ];
    TYPES.into_iter().find(|known| *known == name)
}

/// Calls a function with the value that it is called on, if any, and its arguments.
pub(super) fn call<'a>(
    call: &CallExpr,
    values: Vec<CelValue<'a>>,
    budget: &mut Budget,
    patterns: &mut Patterns,
) -> Answer<'a> {
    let (name, _) = called(call);
    let answer = match name.as_str() {
        "size" => size(&values, budget)?,
        "type" => values.first().map(|value| CelValue::Type(value.type_name())),
        "dyn" => values.first().cloned(),
        "hasValue"
        | "value"
        | "or"
        | "orValue"
        | "optional.of"
        | "optional.ofNonZeroValue"
        | "optional.none" => optional(&name, &values)?,
        "bool" | "bytes" | "double" | "int" | "string" | "uint" | "duration" | "timestamp"
        | "base64.encode" | "base64.decode" => convert::call(&name, &values, budget)?,
        _ if name.starts_with("get") => time::call(&name, &values)?,
        _ if name.starts_with("sets.") => sets::call(&name, &values, budget)?,
        _ => text::call(&name, &values, budget, patterns)?,
    };
    answer.ok_or_else(|| no_overload(&name, &values))
}

fn size<'a>(values: &[CelValue<'a>], budget: &mut Budget) -> Result<Option<CelValue<'a>>, EvaluationError> {
    let count = match values {
        [CelValue::Text(text)] => {
            budget.read(text.as_str().len())?;
            text.as_str().chars().count()
        }
        [CelValue::Bytes(bytes)] => bytes.len(),
        [CelValue::List(list)] => list.len(),
        [CelValue::Map(map)] => map.len(),
        _ => return Ok(None),
    };
    Ok(Some(CelValue::Int(i64::try_from(count).unwrap_or(i64::MAX))))
}

fn optional<'a>(name: &str, values: &[CelValue<'a>]) -> Result<Option<CelValue<'a>>, EvaluationError> {
    use CelValue as V;
    Ok(match (name, values) {
        ("optional.none", []) => Some(V::Optional(None)),
        ("optional.of", [value]) => Some(V::some(value.clone())),
        ("optional.ofNonZeroValue", [value]) => {
            let is_zero = match value {
                V::Null | V::Bool(false) | V::Int(0) | V::Uint(0) => true,
                V::Double(double) => *double == 0.0,
                V::Text(text) => text.as_str().is_empty(),
                V::Bytes(bytes) => bytes.is_empty(),
                V::List(list) => list.len() == 0,
                V::Map(map) => map.len() == 0,
                V::Duration(span) => span.is_zero(),
                _ => false,
            };
            Some(if is_zero { V::Optional(None) } else { V::some(value.clone()) })
        }
        ("hasValue", [V::Optional(inner)]) => Some(V::Bool(inner.is_some())),
        ("value", [V::Optional(Some(inner))]) => Some(inner.as_ref().clone()),
        ("value", [V::Optional(None)]) => {
            return Err(EvaluationError::Missing("value in an optional".to_owned()));
        }
        ("or", [a @ V::Optional(inner), b @ V::Optional(_)]) => {
            Some(if inner.is_some() { a.clone() } else { b.clone() })
        }
        ("orValue", [V::Optional(inner), value]) => {
            Some(inner.as_ref().map_or_else(|| value.clone(), |inner| inner.as_ref().clone()))
        }
        _ => None,
    })
}

/// The error of a function on a value that it is not for.
pub(super) fn wrong_target(call: &CallExpr, value: &CelValue<'_>) -> EvaluationError {
    no_overload(&call.func_name, std::slice::from_ref(value))
}

fn no_overload(name: &str, values: &[CelValue<'_>]) -> EvaluationError {
    let types: Vec<&str> = values.iter().map(CelValue::type_name).collect();
    let types = if types.is_empty() { "nothing".to_owned() } else { types.join(", ") };
    EvaluationError::WrongType(format!("the function {name} cannot be used with {types}"))
}
