//! How messages name a part of an expression.

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators as op};

use super::value::{CelValue, literal_value};

/// How people write what a node reads: `status.conditions[0]`. What is computed has no name.
pub(super) fn path(node: &IdedExpr) -> String {
    match &node.expr {
        Expr::Ident(name) => name.trim_start_matches('@').to_owned(),
        Expr::Select(select) => format!("{}.{}", path(&select.operand), select.field),
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (op::INDEX | op::OPT_INDEX, [a, index]) => match &index.expr {
                Expr::Literal(literal) => format!("{}[{}]", path(a), shown(&literal_value(literal))),
                _ => format!("{}[…]", path(a)),
            },
            (op::OPT_SELECT, [a, field]) => match &field.expr {
                Expr::Literal(LiteralValue::String(field)) => format!("{}.{}", path(a), field.inner()),
                _ => path(a),
            },
            _ => format!("the result of {}", call.func_name.trim_matches('_')),
        },
        Expr::Literal(literal) => shown(&literal_value(literal)),
        _ => "a value".to_owned(),
    }
}

/// A key as people write it.
pub(super) fn shown(key: &CelValue<'_>) -> String {
    match key {
        CelValue::Text(text) => format!("'{}'", text.as_str()),
        CelValue::Int(int) => int.to_string(),
        CelValue::Uint(uint) => uint.to_string(),
        CelValue::Bool(flag) => flag.to_string(),
        other => other.type_name().to_owned(),
    }
}
