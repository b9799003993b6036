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
                let shown = error.to_string();
                let message = shown.rsplit_once(" at line ").map_or(shown.as_str(), |(message, _)| message);
                let problem = Problem {
                    line: before + error.line().max(1),
                    message: message.to_owned(),
                    too_large: budget.exhausted(),
                };
                let syntax = !error.is_data() && problem.message != OUT_OF_RANGE;
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

/// What `serde_json` says of a number that has the form of one.
const OUT_OF_RANGE: &str = "number out of range";

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
