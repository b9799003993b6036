//! JSON documents, read as strictly as YAML: a duplicate key is an error, and
//! numbers are those that kubectl sends.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::budget::{Budget, ELEMENT_BYTES, MAPPING_BYTES, MAX_DEPTH, SCALAR_BYTES, SEQUENCE_BYTES};
use super::events::{Problem, TOO_DEEP, twice};
use super::scalar::Scalar;

/// Reads the values of a text that follow each other with nothing but white
/// space between them, as kubectl's JSON decoder does.
///
/// # Errors
/// The first value that is not JSON, or not acceptable.
pub fn parse(text: &str, budget: &mut Budget) -> Result<Vec<Value>, NotJson> {
    let mut values = Vec::new();
    let mut rest = text;
    while !rest.trim_start().is_empty() {
        let mut reader = serde_json::Deserializer::from_str(rest);
        let read = Strict { depth: 0, budget: &mut *budget }.deserialize(&mut reader);
        match read {
            Ok(value) => {
                // Only the iterator reports how far it has read.
                let end = reader.into_iter::<serde::de::IgnoredAny>().byte_offset();
                values.push(value);
                rest = &rest[end..];
            }
            Err(error) => {
                let before = text[..text.len() - rest.len()].matches('\n').count();
                let problem = Problem {
                    line: before + error.line().max(1),
                    message: without_place(&error),
                    too_large: budget.exhausted(),
                };
                let syntax = !error.is_data() && !is_out_of_range(&problem.message);
                return Err(NotJson { may_be_yaml: syntax && values.len() < 2, problem });
            }
        }
    }
    Ok(values)
}

/// Why a text cannot be read as JSON.
#[derive(Debug)]
pub struct NotJson {
    /// What is wrong.
    pub problem: Problem,
    /// The text does not have the form of JSON, and may be YAML: kubectl tries YAML
    /// until it has read two values.
    pub may_be_yaml: bool,
}

/// The message of an error without its line and column, which `serde_json` has in no
/// other form than with them.
pub fn without_place(error: &serde_json::Error) -> String {
    let shown = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    shown.strip_suffix(&place).unwrap_or(&shown).to_owned()
}

/// Whether a number has the form of one and is too large. `serde_json` keeps the code of
/// an error private, and its category is that of faults of the form.
fn is_out_of_range(message: &str) -> bool {
    message == "number out of range"
}

struct Strict<'b> {
    depth: usize,
    budget: &'b mut Budget,
}

impl Strict<'_> {
    fn scalar<E: Error>(self, scalar: Scalar) -> Result<Value, E> {
        self.spend(SCALAR_BYTES)?;
        scalar.into_value().map_err(E::custom)
    }

    fn spend<E: Error>(self, bytes: u64) -> Result<Self, E> {
        if self.budget.spend(bytes) { Ok(self) } else { Err(E::custom(self.budget.exceeded())) }
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(TOO_DEEP));
        }
        Ok(Self { depth: self.depth + 1, budget: self.budget })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.scalar(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.scalar(Scalar::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.scalar(Scalar::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.scalar(i64::try_from(value).map_or(Scalar::Uint(value), Scalar::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.scalar(Scalar::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.spend(value.len() as u64)?.scalar(Scalar::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?.spend(SEQUENCE_BYTES)?;
        let mut values = Vec::new();
        while let Some(value) =
            sequence.next_element_seed(Strict { depth: inner.depth, budget: &mut *inner.budget })?
        {
            if !inner.budget.spend(ELEMENT_BYTES) {
                return Err(A::Error::custom(inner.budget.exceeded()));
            }
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?.spend(MAPPING_BYTES)?;
        let mut values = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if !inner.budget.spend(key.len() as u64) {
                return Err(A::Error::custom(inner.budget.exceeded()));
            }
            if values.contains_key(&key) {
                return Err(A::Error::custom(twice(&key)));
            }
            let value = map.next_value_seed(Strict { depth: inner.depth, budget: &mut *inner.budget })?;
            values.insert(key, value);
        }
        Ok(values.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_serde_json_is_recognized() {
        let check = |text: &str, message: &str, out_of_range: bool| {
            let error = serde_json::from_str::<Value>(text).unwrap_err();
            let found = without_place(&error);
            assert_eq!((found.as_str(), is_out_of_range(&found)), (message, out_of_range), "{error}");
        };
        check("1e999", "number out of range", true);
        check("\n{\"a\": }", "expected value", false);
        check("", "EOF while parsing a value", false);
    }
}
