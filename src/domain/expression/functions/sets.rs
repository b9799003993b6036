//! Lists as sets.

use crate::domain::expression::budget::Budget;
use crate::domain::expression::error::EvaluationError;
use crate::domain::expression::operators::contains;
use crate::domain::expression::value::CelValue;

pub(super) fn call<'a>(
    name: &str,
    values: &[CelValue<'a>],
    budget: &mut Budget,
) -> Result<Option<CelValue<'a>>, EvaluationError> {
    let [a @ CelValue::List(_), b @ CelValue::List(_)] = values else { return Ok(None) };
    let answer = match name {
        "sets.contains" => has_all(a, b, budget)?,
        "sets.equivalent" => has_all(a, b, budget)? && has_all(b, a, budget)?,
        "sets.intersects" => has_any(a, b, budget)?,
        _ => return Ok(None),
    };
    Ok(Some(CelValue::Bool(answer)))
}

fn has_all(set: &CelValue<'_>, wanted: &CelValue<'_>, budget: &mut Budget) -> Result<bool, EvaluationError> {
    let CelValue::List(wanted) = wanted else { return Ok(false) };
    for item in wanted.iter() {
        if !contains(&item, set, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has_any(set: &CelValue<'_>, other: &CelValue<'_>, budget: &mut Budget) -> Result<bool, EvaluationError> {
    let CelValue::List(other) = other else { return Ok(false) };
    for item in other.iter() {
        if contains(&item, set, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}
