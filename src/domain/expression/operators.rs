//! Operators: equality and order across numbers of different types, and arithmetic that
//! never wraps around.

use std::cmp::Ordering;
use std::rc::Rc;

use cel::common::ast::operators as op;
use jiff::SignedDuration;

use super::budget::Budget;
use super::error::EvaluationError;
use super::value::{CelList, CelMap, CelText, CelValue};

/// How many bytes a value of a list takes.
pub(super) const SLOT: usize = size_of::<CelValue<'_>>();

/// Whether two values are equal. Values of different types are not; numbers are compared as
/// numbers, whatever their types.
pub(super) fn equal(
    a: &CelValue<'_>,
    b: &CelValue<'_>,
    budget: &mut Budget,
) -> Result<bool, EvaluationError> {
    use CelValue as V;
    budget.spend(1)?;
    Ok(match (a, b) {
        (V::Null, V::Null) => true,
        (V::Bool(a), V::Bool(b)) => a == b,
        (V::Text(a), V::Text(b)) => {
            let (a, b) = (a.as_str(), b.as_str());
            budget.read(if a.len() == b.len() { a.len() } else { 0 })?;
            a == b
        }
        (V::Bytes(a), V::Bytes(b)) => a == b,
        (V::Duration(a), V::Duration(b)) => a == b,
        (V::Time(a), V::Time(b)) => a == b,
        (V::Type(a), V::Type(b)) => a == b,
        (V::Optional(None), V::Optional(None)) => true,
        (V::Optional(Some(a)), V::Optional(Some(b))) => equal(a, b, budget)?,
        (V::List(a), V::List(b)) => lists_equal(a, b, budget)?,
        (V::Map(a), V::Map(b)) => maps_equal(a, b, budget)?,
        _ => numbers(a, b) == Some(Ordering::Equal),
    })
}

fn lists_equal(a: &CelList<'_>, b: &CelList<'_>, budget: &mut Budget) -> Result<bool, EvaluationError> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (a, b) in a.iter().zip(b.iter()) {
        if !equal(&a, &b, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn maps_equal(a: &CelMap<'_>, b: &CelMap<'_>, budget: &mut Budget) -> Result<bool, EvaluationError> {
    if a.len() != b.len() {
        return Ok(false);
    }
    budget.read(2 * a.len() * SLOT)?;
    for (key, value) in a.entries() {
        match entry(b, &key, budget)? {
            Some(other) if equal(&value, &other, budget)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// The entry of a map.
pub(super) fn entry<'a>(
    map: &CelMap<'a>,
    key: &CelValue<'_>,
    budget: &mut Budget,
) -> Result<Option<CelValue<'a>>, EvaluationError> {
    budget.spend(1)?;
    match (map, key) {
        (_, CelValue::Text(key)) => Ok(map.field(key.as_str())),
        (CelMap::Given(_), _) => Ok(None),
        (CelMap::Made(entries), _) => {
            for (other, value) in entries.iter() {
                if equal(other, key, budget)? {
                    return Ok(Some(value.clone()));
                }
            }
            Ok(None)
        }
    }
}

/// The order of two numbers; none for what is not a number.
fn numbers(a: &CelValue<'_>, b: &CelValue<'_>) -> Option<Ordering> {
    use CelValue as V;
    let whole = |value: &V<'_>| match value {
        V::Int(int) => Some(i128::from(*int)),
        V::Uint(uint) => Some(i128::from(*uint)),
        _ => None,
    };
    match (a, b) {
        (V::Double(a), V::Double(b)) => a.partial_cmp(b),
        (V::Double(a), _) => with_double(whole(b)?, *a).map(Ordering::reverse),
        (_, V::Double(b)) => with_double(whole(a)?, *b),
        _ => Some(whole(a)?.cmp(&whole(b)?)),
    }
}

/// The order of a whole number of 64 bits and a double, without rounding the former.
fn with_double(whole: i128, double: f64) -> Option<Ordering> {
    // 2^65 is beyond both integer types, and its neighbours are whole.
    const BEYOND: f64 = 36_893_488_147_419_103_232.0;
    match double {
        d if d.is_nan() => None,
        d if d >= BEYOND => Some(Ordering::Less),
        d if d <= -BEYOND => Some(Ordering::Greater),
        d => {
            let below = d.div_euclid(1.0);
            // Whole and below 2^65: exact.
            #[expect(clippy::cast_possible_truncation, reason = "the number is whole and in range")]
            let order = whole.cmp(&(below as i128));
            Some(if order == Ordering::Equal && d > below { Ordering::Less } else { order })
        }
    }
}

/// The order of two values, for `<` and its kind.
fn order(
    a: &CelValue<'_>,
    b: &CelValue<'_>,
    budget: &mut Budget,
) -> Result<Option<Ordering>, EvaluationError> {
    use CelValue as V;
    Ok(match (a, b) {
        (V::Text(a), V::Text(b)) => {
            let (a, b) = (a.as_str(), b.as_str());
            budget.read(a.len().min(b.len()))?;
            Some(a.cmp(b))
        }
        (V::Bytes(a), V::Bytes(b)) => Some(a.cmp(b)),
        (V::Bool(a), V::Bool(b)) => Some(a.cmp(b)),
        (V::Duration(a), V::Duration(b)) => Some(a.cmp(b)),
        (V::Time(a), V::Time(b)) => Some(a.cmp(b)),
        (V::Int(_) | V::Uint(_) | V::Double(_), V::Int(_) | V::Uint(_) | V::Double(_)) => {
            // A comparison with what is not a number is false.
            return Ok(numbers(a, b));
        }
        _ => return Err(EvaluationError::WrongType(compared(a, b))),
    })
}

fn compared(a: &CelValue<'_>, b: &CelValue<'_>) -> String {
    format!("{} cannot be compared with {}", a.type_name(), b.type_name())
}

/// The answer of an operator with two sides that are both needed; `None` if it is none.
pub(super) fn binary<'a>(
    operator: &str,
    a: CelValue<'a>,
    b: CelValue<'a>,
    budget: &mut Budget,
) -> Option<Result<CelValue<'a>, EvaluationError>> {
    let compare = |budget: &mut Budget, holds: fn(Ordering) -> bool| {
        order(&a, &b, budget).map(|order| CelValue::Bool(order.is_some_and(holds)))
    };
    Some(match operator {
        op::EQUALS => equal(&a, &b, budget).map(CelValue::Bool),
        op::NOT_EQUALS => equal(&a, &b, budget).map(|equal| CelValue::Bool(!equal)),
        op::LESS => compare(budget, Ordering::is_lt),
        op::LESS_EQUALS => compare(budget, Ordering::is_le),
        op::GREATER => compare(budget, Ordering::is_gt),
        op::GREATER_EQUALS => compare(budget, Ordering::is_ge),
        op::IN => contains(&a, &b, budget).map(CelValue::Bool),
        op::ADD => add(a, b, budget),
        op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO => arithmetic(operator, &a, &b),
        _ => return None,
    })
}

/// `a in b`.
pub(super) fn contains(
    a: &CelValue<'_>,
    b: &CelValue<'_>,
    budget: &mut Budget,
) -> Result<bool, EvaluationError> {
    match b {
        CelValue::List(list) => {
            for item in list.iter() {
                if equal(a, &item, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        CelValue::Map(map) => Ok(entry(map, a, budget)?.is_some()),
        other => {
            Err(EvaluationError::WrongType(format!("'in' needs a list or a map, not {}", other.type_name())))
        }
    }
}

fn add<'a>(a: CelValue<'a>, b: CelValue<'a>, budget: &mut Budget) -> Result<CelValue<'a>, EvaluationError> {
    use CelValue as V;
    match (a, b) {
        (V::Text(a), V::Text(b)) => {
            let (a, b) = (a.as_str(), b.as_str());
            budget.make(a.len() + b.len())?;
            Ok(V::Text(CelText::Made(Rc::from([a, b].concat()))))
        }
        (V::Bytes(a), V::Bytes(b)) => {
            budget.make(a.len() + b.len())?;
            Ok(V::Bytes(Rc::from([&*a, &*b].concat())))
        }
        // A loop that collects a list holds the only reference to it: it grows in place.
        (V::List(CelList::Made(mut a)), V::List(b)) if Rc::strong_count(&a) == 1 => {
            budget.make(b.len() * SLOT)?;
            Rc::make_mut(&mut a).extend(b.iter());
            Ok(V::List(CelList::Made(a)))
        }
        (V::List(a), V::List(b)) => {
            budget.make((a.len() + b.len()) * SLOT)?;
            Ok(V::list(a.iter().chain(b.iter()).collect()))
        }
        (V::Time(time), V::Duration(span)) | (V::Duration(span), V::Time(time)) => {
            time.checked_add(span).map(V::Time).map_err(|_| overflow("+"))
        }
        (a, b) => arithmetic(op::ADD, &a, &b),
    }
}

fn arithmetic<'a>(
    operator: &str,
    a: &CelValue<'a>,
    b: &CelValue<'a>,
) -> Result<CelValue<'a>, EvaluationError> {
    use CelValue as V;
    let sign = operator.trim_matches('_');
    let by_zero = || EvaluationError::Invalid(format!("'{sign}' by zero"));
    let divides = matches!(operator, op::DIVIDE | op::MODULO);
    match (a, b) {
        (V::Int(_), V::Int(0)) | (V::Uint(_), V::Uint(0)) if divides => Err(by_zero()),
        (V::Int(a), V::Int(b)) => {
            let result = match operator {
                op::ADD => a.checked_add(*b),
                op::SUBSTRACT => a.checked_sub(*b),
                op::MULTIPLY => a.checked_mul(*b),
                op::DIVIDE => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(V::Int).ok_or_else(|| overflow(sign))
        }
        (V::Uint(a), V::Uint(b)) => {
            let result = match operator {
                op::ADD => a.checked_add(*b),
                op::SUBSTRACT => a.checked_sub(*b),
                op::MULTIPLY => a.checked_mul(*b),
                op::DIVIDE => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(V::Uint).ok_or_else(|| overflow(sign))
        }
        (V::Double(a), V::Double(b)) if operator != op::MODULO => Ok(V::Double(match operator {
            op::ADD => a + b,
            op::SUBSTRACT => a - b,
            op::MULTIPLY => a * b,
            _ => a / b,
        })),
        (V::Time(a), V::Time(b)) if operator == op::SUBSTRACT => Ok(V::Duration(a.duration_since(*b))),
        (V::Time(time), V::Duration(span)) if operator == op::SUBSTRACT => {
            time.checked_sub(*span).map(V::Time).map_err(|_| overflow(sign))
        }
        (V::Duration(a), V::Duration(b)) if matches!(operator, op::ADD | op::SUBSTRACT) => {
            let add: fn(SignedDuration, SignedDuration) -> Option<SignedDuration> = match operator {
                op::ADD => SignedDuration::checked_add,
                _ => SignedDuration::checked_sub,
            };
            add(*a, *b).map(V::Duration).ok_or_else(|| overflow(sign))
        }
        _ => Err(EvaluationError::WrongType(format!(
            "'{sign}' cannot be used with {} and {}",
            a.type_name(),
            b.type_name()
        ))),
    }
}

fn overflow(sign: &str) -> EvaluationError {
    EvaluationError::Invalid(format!("the result of '{sign}' is out of range"))
}
