//! The evaluation of a syntax tree within a budget.

use std::rc::Rc;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr};
use cel::common::ast::{MapExpr, SelectExpr, operators as op};
use serde_json::Value;

use super::budget::Budget;
use super::error::EvaluationError;
use super::functions::{self, Patterns};
use super::names::{path, shown};
use super::operators::{self, SLOT};
use super::value::{CelList, CelValue, literal_value};

type Answer<'a> = Result<CelValue<'a>, EvaluationError>;

/// One evaluation.
pub(super) struct Evaluation<'a> {
    variables: &'a [(&'a str, &'a Value)],
    /// The variables of loops, the innermost last. The result of a loop may be an error, which
    /// a later element hides.
    locals: Vec<(&'a str, Answer<'a>)>,
    budget: Budget,
    patterns: Patterns,
}

impl<'a> Evaluation<'a> {
    pub(super) fn of(variables: &'a [(&'a str, &'a Value)]) -> Self {
        Self { variables, locals: Vec::new(), budget: Budget::new(), patterns: Patterns::default() }
    }

    /// The value of a tree whose depth is bounded.
    pub(super) fn run(&mut self, node: &'a IdedExpr) -> Answer<'a> {
        self.budget.spend(1)?;
        match &node.expr {
            Expr::Literal(literal) => Ok(literal_value(literal)),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(comprehension) => self.comprehend(comprehension),
            Expr::Struct(_) | Expr::Unspecified => {
                Err(EvaluationError::Invalid("the expression is not complete".to_owned()))
            }
        }
    }

    fn variable(&mut self, name: &'a str) -> Answer<'a> {
        if let Some((_, value)) = self.locals.iter().rev().find(|(local, _)| *local == name) {
            return value.clone();
        }
        let name = name.trim_start_matches('.');
        if let Some((_, value)) = self.variables.iter().find(|(variable, _)| *variable == name) {
            return Ok(CelValue::from(*value));
        }
        functions::type_named(name)
            .map(CelValue::Type)
            .ok_or_else(|| EvaluationError::Missing(name.to_owned()))
    }

    fn select(&mut self, select: &'a SelectExpr) -> Answer<'a> {
        let operand = self.run(&select.operand)?;
        let (operand, optional) = match operand {
            CelValue::Optional(None) if select.test => return Ok(CelValue::Bool(false)),
            CelValue::Optional(None) => return Ok(CelValue::Optional(None)),
            CelValue::Optional(Some(inner)) => ((*inner).clone(), true),
            other => (other, false),
        };
        let CelValue::Map(map) = operand else {
            return Err(EvaluationError::WrongType(format!(
                "{} is {}, it has no field {}",
                path(&select.operand),
                operand.type_name(),
                select.field
            )));
        };
        match (map.field(&select.field), select.test, optional) {
            (found, true, _) => Ok(CelValue::Bool(found.is_some())),
            (Some(value), false, false) => Ok(value),
            (Some(value), false, true) => Ok(CelValue::some(value)),
            (None, false, true) => Ok(CelValue::Optional(None)),
            (None, false, false) => {
                Err(EvaluationError::Missing(format!("{}.{}", path(&select.operand), select.field)))
            }
        }
    }

    fn call(&mut self, call: &'a CallExpr) -> Answer<'a> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (op::LOGICAL_AND, [a, b]) => self.logical(a, b, false),
            (op::LOGICAL_OR, [a, b]) => self.logical(a, b, true),
            (op::CONDITIONAL, [condition, yes, no]) => match self.run(condition)? {
                CelValue::Bool(true) => self.run(yes),
                CelValue::Bool(false) => self.run(no),
                other => Err(not_bool("?:", &other)),
            },
            (op::LOGICAL_NOT, [a]) => match self.run(a)? {
                CelValue::Bool(flag) => Ok(CelValue::Bool(!flag)),
                other => Err(not_bool("!", &other)),
            },
            (op::NOT_STRICTLY_FALSE, [a]) => match self.run(a) {
                Ok(CelValue::Bool(false)) => Ok(CelValue::Bool(false)),
                Err(error) if !error.can_be_hidden() => Err(error),
                _ => Ok(CelValue::Bool(true)),
            },
            (op::NEGATE, [a]) => negate(self.run(a)?),
            (op::INDEX, [a, index]) => self.index(a, index),
            (op::OPT_INDEX, [a, index]) => self.optional(a, index),
            (op::OPT_SELECT, [a, field]) => self.optional(a, field),
            ("optMap" | "optFlatMap", [name, body]) => self.optional_map(call, name, body),
            (operator, [a, b]) if call.target.is_none() && !operator.starts_with(char::is_alphabetic) => {
                let (a, b) = (self.operand(a)?, self.run(b)?);
                operators::binary(operator, a, b, &mut self.budget).unwrap_or_else(|| Err(unknown(call)))
            }
            _ => self.function(call),
        }
    }

    /// The left side of an operator. The list that a loop collects is taken out of its
    /// variable, so that it grows where it is: what is added to it never reads it.
    fn operand(&mut self, node: &'a IdedExpr) -> Answer<'a> {
        match (&node.expr, self.locals.last_mut()) {
            (Expr::Ident(name), Some((local, value))) if name.starts_with('@') && local == name => {
                self.budget.spend(1)?;
                std::mem::replace(value, Ok(CelValue::Null))
            }
            _ => self.run(node),
        }
    }

    /// `a && b` and `a || b`: the side that decides hides an error of the other one.
    fn logical(&mut self, a: &'a IdedExpr, b: &'a IdedExpr, decisive: bool) -> Answer<'a> {
        let first = self.side(a, decisive);
        match first {
            Ok(answer) if answer == decisive => return Ok(CelValue::Bool(decisive)),
            Err(error) if !error.can_be_hidden() => return Err(error),
            _ => {}
        }
        match (first, self.side(b, decisive)) {
            (_, Ok(answer)) if answer == decisive => Ok(CelValue::Bool(decisive)),
            (Ok(_), Ok(_)) => Ok(CelValue::Bool(!decisive)),
            (_, Err(error)) if !error.can_be_hidden() => Err(error),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    fn side(&mut self, node: &'a IdedExpr, or: bool) -> Result<bool, EvaluationError> {
        match self.run(node)? {
            CelValue::Bool(flag) => Ok(flag),
            other => Err(not_bool(if or { "||" } else { "&&" }, &other)),
        }
    }

    fn index(&mut self, a: &'a IdedExpr, index: &'a IdedExpr) -> Answer<'a> {
        let (value, key) = (self.run(a)?, self.run(index)?);
        let found = self.entry(a, &value, &key)?;
        found.ok_or_else(|| EvaluationError::Missing(format!("{}[{}]", path(a), shown(&key))))
    }

    /// `a.?b` and `a[?b]`.
    fn optional(&mut self, a: &'a IdedExpr, key: &'a IdedExpr) -> Answer<'a> {
        let value = match self.run(a)? {
            CelValue::Optional(None) => return Ok(CelValue::Optional(None)),
            CelValue::Optional(Some(inner)) => (*inner).clone(),
            other => other,
        };
        let key = self.run(key)?;
        Ok(CelValue::Optional(self.entry(a, &value, &key)?.map(Rc::new)))
    }

    fn entry(
        &mut self,
        node: &IdedExpr,
        value: &CelValue<'a>,
        key: &CelValue<'_>,
    ) -> Result<Option<CelValue<'a>>, EvaluationError> {
        match value {
            CelValue::Map(map) => operators::entry(map, key, &mut self.budget),
            CelValue::List(list) => match position(key) {
                Some(index) => Ok(list.get(index)),
                None if matches!(key, CelValue::Int(_) | CelValue::Uint(_) | CelValue::Double(_)) => Ok(None),
                None => Err(EvaluationError::WrongType(format!(
                    "{} is a list, its entries have numbers, not {}",
                    path(node),
                    key.type_name()
                ))),
            },
            CelValue::Optional(None) => Ok(Some(CelValue::Optional(None))),
            CelValue::Optional(Some(inner)) => {
                let found = self.entry(node, &inner.as_ref().clone(), key)?;
                Ok(Some(CelValue::Optional(found.map(Rc::new))))
            }
            other => Err(EvaluationError::WrongType(format!(
                "{} is {}, it has no entries",
                path(node),
                other.type_name()
            ))),
        }
    }

    fn optional_map(&mut self, call: &'a CallExpr, name: &'a IdedExpr, body: &'a IdedExpr) -> Answer<'a> {
        let (Some(target), Expr::Ident(name)) = (&call.target, &name.expr) else { return Err(unknown(call)) };
        let inner = match self.run(target)? {
            CelValue::Optional(None) => return Ok(CelValue::Optional(None)),
            CelValue::Optional(Some(inner)) => (*inner).clone(),
            other => return Err(functions::wrong_target(call, &other)),
        };
        self.locals.push((name, Ok(inner)));
        let made = self.run(body);
        self.locals.pop();
        match (made?, call.func_name.as_str()) {
            (made, "optMap") => Ok(CelValue::some(made)),
            (made @ CelValue::Optional(_), _) => Ok(made),
            (other, _) => Err(functions::wrong_target(call, &other)),
        }
    }

    fn function(&mut self, call: &'a CallExpr) -> Answer<'a> {
        let mut values = Vec::with_capacity(call.args.len() + 1);
        if let Some(target) = call.target.as_deref().filter(|_| functions::namespace(call).is_none()) {
            values.push(self.run(target)?);
        }
        for argument in &call.args {
            values.push(self.run(argument)?);
        }
        functions::call(call, values, &mut self.budget, &mut self.patterns)
    }

    fn list(&mut self, list: &'a ListExpr) -> Answer<'a> {
        self.budget.make(list.elements.len() * SLOT)?;
        let mut made = Vec::with_capacity(list.elements.len());
        for (index, element) in list.elements.iter().enumerate() {
            let value = self.run(element)?;
            match value {
                CelValue::Optional(inner) if list.optional_indices.contains(&index) => {
                    made.extend(inner.map(|inner| (*inner).clone()));
                }
                value => made.push(value),
            }
        }
        Ok(CelValue::list(made))
    }

    fn map(&mut self, map: &'a MapExpr) -> Answer<'a> {
        self.budget.make(2 * map.entries.len() * SLOT)?;
        let mut made: Vec<(CelValue<'a>, CelValue<'a>)> = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let (key, value) = (self.run(&entry.key)?, self.run(&entry.value)?);
            if matches!(key, CelValue::List(_) | CelValue::Map(_) | CelValue::Null | CelValue::Double(_)) {
                let message = format!("a key of a map cannot be {}", key.type_name());
                return Err(EvaluationError::WrongType(message));
            }
            for (other, _) in &made {
                if operators::equal(other, &key, &mut self.budget)? {
                    let message = format!("a map has the key {} twice", shown(&key));
                    return Err(EvaluationError::Invalid(message));
                }
            }
            match value {
                CelValue::Optional(inner) if entry.optional => {
                    made.extend(inner.map(|inner| (key, (*inner).clone())));
                }
                value => made.push((key, value)),
            }
        }
        Ok(CelValue::Map(super::value::CelMap::Made(Rc::new(made))))
    }

    /// A loop, which is what `all`, `exists`, `map` and `filter` are written out to.
    fn comprehend(&mut self, l: &'a ComprehensionExpr) -> Answer<'a> {
        let range = self.run(&l.iter_range)?;
        let pairs = match &range {
            CelValue::List(_) => None,
            CelValue::Map(map) => {
                self.budget.make(2 * map.len() * SLOT)?;
                Some(map.entries())
            }
            other => {
                let message = format!(
                    "{} is {}, only lists and maps have elements",
                    path(&l.iter_range),
                    other.type_name()
                );
                return Err(EvaluationError::WrongType(message));
            }
        };
        let (list, pairs) = match range {
            CelValue::List(list) => (list, Vec::new()),
            _ => (CelList::Given(&[]), pairs.unwrap_or_default()),
        };
        let count = list.len().max(pairs.len());
        let mut result = self.run(&l.accu_init);
        for index in 0..count {
            self.budget.spend(1)?;
            let position = CelValue::Int(i64::try_from(index).unwrap_or(i64::MAX));
            let (first, second) = match pairs.get(index) {
                Some((key, value)) => (key.clone(), value.clone()),
                None if l.iter_var2.is_some() => (position, list.get(index).unwrap_or(CelValue::Null)),
                None => (list.get(index).unwrap_or(CelValue::Null), CelValue::Null),
            };
            let depth = self.locals.len();
            self.locals.push((&l.iter_var, Ok(first)));
            self.locals.extend(l.iter_var2.as_deref().map(|name| (name, Ok(second))));
            self.locals.push((&l.accu_var, result));
            let goes_on = matches!(self.run(&l.loop_cond)?, CelValue::Bool(true));
            result = match goes_on {
                true => self.run(&l.loop_step),
                false => self.locals.pop().map_or(Ok(CelValue::Null), |(_, result)| result),
            };
            self.locals.truncate(depth);
            match &result {
                Err(error) if !error.can_be_hidden() => return result,
                _ if !goes_on => break,
                _ => {}
            }
        }
        self.locals.push((&l.accu_var, result));
        let answer = self.run(&l.result);
        self.locals.pop();
        answer
    }
}

fn negate(value: CelValue<'_>) -> Answer<'_> {
    match value {
        CelValue::Int(int) => int
            .checked_neg()
            .map(CelValue::Int)
            .ok_or_else(|| EvaluationError::Invalid("the result of '-' is out of range".to_owned())),
        CelValue::Double(double) => Ok(CelValue::Double(-double)),
        CelValue::Duration(span) => Ok(CelValue::Duration(-span)),
        other => Err(EvaluationError::WrongType(format!("'-' needs a number, not {}", other.type_name()))),
    }
}

fn not_bool(operator: &str, value: &CelValue<'_>) -> EvaluationError {
    EvaluationError::WrongType(format!("'{operator}' needs bool, not {}", value.type_name()))
}

fn unknown(call: &CallExpr) -> EvaluationError {
    EvaluationError::Invalid(format!("there is no function {}", call.func_name))
}

/// The position in a list.
fn position(key: &CelValue<'_>) -> Option<usize> {
    match key {
        CelValue::Int(int) => usize::try_from(*int).ok(),
        CelValue::Uint(uint) => usize::try_from(*uint).ok(),
        // JSON does not tell 1 from 1.0.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the number is whole and in range"
        )]
        CelValue::Double(double) if double.fract() == 0.0 && (0.0..1e15).contains(double) => {
            Some(*double as usize)
        }
        _ => None,
    }
}
