//! Functions on texts. Positions count characters, as in the CEL specification.

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use crate::domain::expression::budget::Budget;
use crate::domain::expression::error::EvaluationError;
use crate::domain::expression::operators::SLOT;
use crate::domain::expression::value::{CelText, CelValue};

/// How large a compiled pattern may be, in bytes, and how many steps a byte of the text that is
/// searched costs then: the work is at most the product of both sizes.
const PATTERNS: [(usize, u64); 3] = [(10 << 10, 1), (40 << 10, 8), (160 << 10, 40)];
/// The steps to compile a pattern of the first size.
const COMPILE: u64 = 1000;

/// The patterns of an evaluation: one in a loop is compiled once.
#[derive(Default)]
pub struct Patterns(HashMap<String, (Regex, u64)>);

impl Patterns {
    fn matches(&mut self, text: &str, pattern: &str, budget: &mut Budget) -> Result<bool, EvaluationError> {
        budget.read(pattern.len())?;
        if !self.0.contains_key(pattern) {
            let compiled = compile(pattern, budget)?;
            self.0.insert(pattern.to_owned(), compiled);
        }
        let Some((regex, cost)) = self.0.get(pattern) else { return Ok(false) };
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        budget.spend(length.saturating_mul(*cost))?;
        Ok(regex.is_match(text))
    }
}

fn compile(pattern: &str, budget: &mut Budget) -> Result<(Regex, u64), EvaluationError> {
    let mut problem = None;
    for (size, cost) in PATTERNS {
        budget.spend(COMPILE * cost)?;
        match RegexBuilder::new(pattern).size_limit(size).dfa_size_limit(size).nest_limit(20).build() {
            Ok(regex) => {
                budget.make(size)?;
                return Ok((regex, cost));
            }
            Err(error) => problem = Some(error),
        }
    }
    Err(match problem {
        Some(regex::Error::CompiledTooBig(_)) => EvaluationError::TooExpensive,
        _ => EvaluationError::Invalid(format!("'{}' is not a valid pattern", clipped(pattern))),
    })
}

fn clipped(text: &str) -> String {
    text.chars().take(60).collect()
}

pub(super) fn call<'a>(
    name: &str,
    values: &[CelValue<'a>],
    budget: &mut Budget,
    patterns: &mut Patterns,
) -> Result<Option<CelValue<'a>>, EvaluationError> {
    use CelValue as V;
    for value in values {
        if let V::Text(text) = value {
            budget.read(text.as_str().len())?;
        }
    }
    Ok(Some(match (name, values) {
        ("matches", [V::Text(text), V::Text(pattern)]) => {
            V::Bool(patterns.matches(text.as_str(), pattern.as_str(), budget)?)
        }
        ("contains", [V::Text(a), V::Text(b)]) => V::Bool(a.as_str().contains(b.as_str())),
        ("startsWith", [V::Text(a), V::Text(b)]) => V::Bool(a.as_str().starts_with(b.as_str())),
        ("endsWith", [V::Text(a), V::Text(b)]) => V::Bool(a.as_str().ends_with(b.as_str())),
        ("lowerAscii", [V::Text(a)]) => made(a.as_str().to_ascii_lowercase(), budget)?,
        ("upperAscii", [V::Text(a)]) => made(a.as_str().to_ascii_uppercase(), budget)?,
        ("trim", [V::Text(a)]) => made(a.as_str().trim().to_owned(), budget)?,
        ("reverse", [V::Text(a)]) => made(a.as_str().chars().rev().collect(), budget)?,
        ("charAt", [V::Text(a), V::Int(at)]) => char_at(a, *at, budget)?,
        ("substring", [V::Text(a), V::Int(from)]) => substring(a, *from, None, budget)?,
        ("substring", [V::Text(a), V::Int(from), V::Int(to)]) => substring(a, *from, Some(*to), budget)?,
        ("indexOf", [V::Text(a), V::Text(b)]) => V::Int(index_of(a, b, 0)?),
        ("indexOf", [V::Text(a), V::Text(b), V::Int(from)]) => V::Int(index_of(a, b, *from)?),
        ("lastIndexOf", [V::Text(a), V::Text(b)]) => V::Int(last_index_of(a, b, None)?),
        ("lastIndexOf", [V::Text(a), V::Text(b), V::Int(to)]) => V::Int(last_index_of(a, b, Some(*to))?),
        ("replace", [V::Text(a), V::Text(b), V::Text(c)]) => replace(a, b, c, -1, budget)?,
        ("replace", [V::Text(a), V::Text(b), V::Text(c), V::Int(n)]) => replace(a, b, c, *n, budget)?,
        ("split", [V::Text(a), V::Text(b)]) => split(a, b, -1, budget)?,
        ("split", [V::Text(a), V::Text(b), V::Int(n)]) => split(a, b, *n, budget)?,
        ("join", [V::List(_)]) => return join(&values[0], "", budget),
        ("join", [V::List(_), V::Text(by)]) => return join(&values[0], by.as_str(), budget),
        _ => return Ok(None),
    }))
}

fn made<'a>(text: String, budget: &mut Budget) -> Result<CelValue<'a>, EvaluationError> {
    budget.make(text.len())?;
    Ok(CelValue::text(text))
}

fn out_of_range(at: i64) -> EvaluationError {
    EvaluationError::Invalid(format!("the position {at} is out of range"))
}

/// The byte at which a character begins; the end of the text is a valid position.
fn byte_at(text: &str, at: i64) -> Result<usize, EvaluationError> {
    let index = usize::try_from(at).map_err(|_| out_of_range(at))?;
    let mut starts = text.char_indices().map(|(start, _)| start).chain([text.len()]);
    starts.nth(index).ok_or_else(|| out_of_range(at))
}

fn char_at<'a>(text: &CelText<'a>, at: i64, budget: &mut Budget) -> Result<CelValue<'a>, EvaluationError> {
    let text = text.as_str();
    let rest = &text[byte_at(text, at)?..];
    made(rest.chars().take(1).collect(), budget)
}

fn substring<'a>(
    text: &CelText<'a>,
    from: i64,
    to: Option<i64>,
    budget: &mut Budget,
) -> Result<CelValue<'a>, EvaluationError> {
    let text = text.as_str();
    let start = byte_at(text, from)?;
    let end = to.map_or(Ok(text.len()), |to| byte_at(text, to))?;
    let part = text.get(start..end).ok_or_else(|| out_of_range(from))?;
    made(part.to_owned(), budget)
}

/// Bytes to characters.
fn position(text: &str, byte: usize) -> i64 {
    i64::try_from(text[..byte].chars().count()).unwrap_or(i64::MAX)
}

fn index_of(text: &CelText<'_>, part: &CelText<'_>, from: i64) -> Result<i64, EvaluationError> {
    let text = text.as_str();
    let start = byte_at(text, from)?;
    Ok(text[start..].find(part.as_str()).map_or(-1, |found| position(text, start + found)))
}

fn last_index_of(text: &CelText<'_>, part: &CelText<'_>, to: Option<i64>) -> Result<i64, EvaluationError> {
    let (text, part) = (text.as_str(), part.as_str());
    let end = match to {
        None => text.len(),
        // A part may begin there, and ends later.
        Some(to) => (byte_at(text, to)? + part.len()).min(text.len()),
    };
    let searched = (0..=end).rev().find_map(|end| text.get(..end)).unwrap_or_default();
    Ok(searched.rfind(part).map_or(-1, |found| position(text, found)))
}

fn replace<'a>(
    text: &CelText<'a>,
    from: &CelText<'_>,
    to: &CelText<'_>,
    limit: i64,
    budget: &mut Budget,
) -> Result<CelValue<'a>, EvaluationError> {
    let (text, from, to) = (text.as_str(), from.as_str(), to.as_str());
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = text.matches(from).take(limit).count();
    budget.make(text.len().saturating_add(count.saturating_mul(to.len())))?;
    Ok(CelValue::text(text.replacen(from, to, limit)))
}

fn split<'a>(
    text: &CelText<'a>,
    by: &CelText<'_>,
    limit: i64,
    budget: &mut Budget,
) -> Result<CelValue<'a>, EvaluationError> {
    let (text, by) = (text.as_str(), by.as_str());
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit == 0 {
        return Ok(CelValue::list(Vec::new()));
    }
    let count = match by {
        "" => text.chars().count(),
        by => text.matches(by).count() + 1,
    };
    budget.make(text.len() + count.min(limit) * 2 * SLOT)?;
    let parts = match by {
        "" => characters(text, limit),
        by => text.splitn(limit, by).map(str::to_owned).collect(),
    };
    Ok(CelValue::list(parts.into_iter().map(CelValue::text).collect()))
}

/// The characters of a text; the last of them has the rest.
fn characters(text: &str, limit: usize) -> Vec<String> {
    let mut parts: Vec<String> = text.chars().take(limit).map(String::from).collect();
    if let Some(last) = parts.last_mut() {
        last.extend(text.chars().skip(limit));
    }
    parts
}

fn join<'a>(
    list: &CelValue<'a>,
    by: &str,
    budget: &mut Budget,
) -> Result<Option<CelValue<'a>>, EvaluationError> {
    let CelValue::List(list) = list else { return Ok(None) };
    let mut made = String::new();
    for (index, item) in list.iter().enumerate() {
        let CelValue::Text(item) = item else { return Ok(None) };
        let by = if index == 0 { "" } else { by };
        budget.make(by.len() + item.as_str().len() + 1)?;
        made.push_str(by);
        made.push_str(item.as_str());
    }
    Ok(Some(CelValue::text(made)))
}
