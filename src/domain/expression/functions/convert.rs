//! From one type to another.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use jiff::{SignedDuration, Timestamp};

use crate::domain::expression::budget::Budget;
use crate::domain::expression::error::EvaluationError;
use crate::domain::expression::value::CelValue;

pub(super) fn call<'a>(
    name: &str,
    values: &[CelValue<'a>],
    budget: &mut Budget,
) -> Result<Option<CelValue<'a>>, EvaluationError> {
    let [value] = values else { return Ok(None) };
    if let CelValue::Text(text) = value {
        budget.read(text.as_str().len())?;
    }
    Ok(match name {
        "bool" => boolean(value)?,
        "int" => int(value)?,
        "uint" => uint(value)?,
        "double" => double(value)?,
        "string" => string(value, budget)?,
        "bytes" => match value {
            CelValue::Text(text) => {
                budget.make(text.as_str().len())?;
                Some(CelValue::Bytes(Rc::from(text.as_str().as_bytes())))
            }
            CelValue::Bytes(_) => Some(value.clone()),
            _ => None,
        },
        "duration" => match value {
            CelValue::Text(text) => Some(CelValue::Duration(duration(text.as_str())?)),
            CelValue::Duration(_) => Some(value.clone()),
            _ => None,
        },
        "timestamp" => match value {
            CelValue::Text(text) => {
                let time: Result<Timestamp, _> = text.as_str().parse();
                Some(CelValue::Time(time.map_err(|_| unreadable(text.as_str(), "a time"))?))
            }
            CelValue::Int(seconds) => {
                let time = Timestamp::from_second(*seconds);
                Some(CelValue::Time(time.map_err(|_| unreadable(&seconds.to_string(), "a time"))?))
            }
            CelValue::Time(_) => Some(value.clone()),
            _ => None,
        },
        "base64.encode" => match value {
            CelValue::Bytes(bytes) => {
                budget.make(bytes.len() / 3 * 4 + 4)?;
                Some(CelValue::text(STANDARD.encode(bytes)))
            }
            _ => None,
        },
        "base64.decode" => match value {
            CelValue::Text(text) => {
                budget.make(text.as_str().len())?;
                let bytes = STANDARD.decode(text.as_str()).or_else(|_| STANDARD_NO_PAD.decode(text.as_str()));
                Some(CelValue::Bytes(Rc::from(bytes.map_err(|_| unreadable(text.as_str(), "base64"))?)))
            }
            _ => None,
        },
        _ => None,
    })
}

fn boolean<'a>(value: &CelValue<'a>) -> Result<Option<CelValue<'a>>, EvaluationError> {
    Ok(match value {
        CelValue::Bool(_) => Some(value.clone()),
        CelValue::Text(text) => match text.as_str() {
            "1" | "t" | "true" | "TRUE" | "True" => Some(CelValue::Bool(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Some(CelValue::Bool(false)),
            other => return Err(unreadable(other, "a bool")),
        },
        _ => None,
    })
}

fn int<'a>(value: &CelValue<'a>) -> Result<Option<CelValue<'a>>, EvaluationError> {
    let int = match value {
        CelValue::Int(int) => Some(*int),
        CelValue::Uint(uint) => i64::try_from(*uint).ok(),
        // The bounds are exclusive: 2^63 itself is no int.
        #[expect(clippy::cast_possible_truncation, reason = "the number is in range")]
        CelValue::Double(double)
            if (-9.223_372_036_854_775e18..9.223_372_036_854_775e18).contains(double) =>
        {
            Some(*double as i64)
        }
        CelValue::Double(_) => None,
        CelValue::Text(text) => Some(text.as_str().parse().map_err(|_| unreadable(text.as_str(), "an int"))?),
        CelValue::Time(time) => Some(time.as_second()),
        _ => return Ok(None),
    };
    int.map(|int| Some(CelValue::Int(int))).ok_or_else(|| out_of_range("int"))
}

fn uint<'a>(value: &CelValue<'a>) -> Result<Option<CelValue<'a>>, EvaluationError> {
    let uint = match value {
        CelValue::Uint(uint) => Some(*uint),
        CelValue::Int(int) => u64::try_from(*int).ok(),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the number is in range")]
        CelValue::Double(double) if (0.0..1.844_674_407_370_955e19).contains(double) => Some(*double as u64),
        CelValue::Double(_) => None,
        CelValue::Text(text) => Some(text.as_str().parse().map_err(|_| unreadable(text.as_str(), "a uint"))?),
        _ => return Ok(None),
    };
    uint.map(|uint| Some(CelValue::Uint(uint))).ok_or_else(|| out_of_range("uint"))
}

fn double<'a>(value: &CelValue<'a>) -> Result<Option<CelValue<'a>>, EvaluationError> {
    #[expect(clippy::cast_precision_loss, reason = "the nearest double is meant")]
    let double = match value {
        CelValue::Double(double) => *double,
        CelValue::Int(int) => *int as f64,
        CelValue::Uint(uint) => *uint as f64,
        CelValue::Text(text) => text.as_str().parse().map_err(|_| unreadable(text.as_str(), "a double"))?,
        _ => return Ok(None),
    };
    Ok(Some(CelValue::Double(double)))
}

fn string<'a>(value: &CelValue<'a>, budget: &mut Budget) -> Result<Option<CelValue<'a>>, EvaluationError> {
    let made = match value {
        CelValue::Text(_) => return Ok(Some(value.clone())),
        CelValue::Bool(flag) => flag.to_string(),
        CelValue::Int(int) => int.to_string(),
        CelValue::Uint(uint) => uint.to_string(),
        CelValue::Double(double) => double.to_string(),
        CelValue::Time(time) => time.to_string(),
        CelValue::Duration(span) => format!("{}s", span.as_secs_f64()),
        CelValue::Bytes(bytes) => {
            budget.make(bytes.len())?;
            let text = std::str::from_utf8(bytes);
            text.map_err(|_| EvaluationError::Invalid("bytes are not UTF-8".to_owned()))?.to_owned()
        }
        _ => return Ok(None),
    };
    budget.make(made.len())?;
    Ok(Some(CelValue::text(made)))
}

/// A duration as Go writes it: numbers with units, `1h30m`, `1.5s`, `-10ms`.
fn duration(text: &str) -> Result<SignedDuration, EvaluationError> {
    let read = || {
        let (is_negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Some(SignedDuration::ZERO);
        }
        let mut sum = SignedDuration::ZERO;
        while !rest.is_empty() || sum.is_zero() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, tail) = rest.split_at(end);
            let (unit, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len()));
            let nanoseconds = match unit {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return None,
            };
            let amount: f64 = number.parse().ok()?;
            let part = SignedDuration::try_from_secs_f64(amount * nanoseconds / 1e9).ok()?;
            sum = sum.checked_add(part)?;
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        Some(if is_negative { -sum } else { sum })
    };
    read().ok_or_else(|| unreadable(text, "a duration"))
}

fn unreadable(text: &str, what: &str) -> EvaluationError {
    let shown: String = text.chars().take(40).collect();
    EvaluationError::Invalid(format!("'{shown}' is not {what}"))
}

fn out_of_range(name: &str) -> EvaluationError {
    EvaluationError::Invalid(format!("the number is out of range for {name}"))
}
