//! Unambiguous JSON: an object with a duplicate name is refused, because two readers
//! could take one each.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads one document.
///
/// # Errors
/// Why it is invalid. The depth is bounded by the parser.
pub(super) fn read(bytes: &[u8]) -> Result<Value, String> {
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut parser).map_err(|e| e.to_string())?;
    parser.end().map_err(|e| e.to_string())?;
    Ok(value)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Value, D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(Strict)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = items.next_key::<String>()? {
            let value = items.next_value_seed(Strict)?;
            if values.contains_key(&name) {
                return Err(A::Error::custom("an object has a duplicate name"));
            }
            values.insert(name, value);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_means_one_thing() {
        let check =
            |text: &str, expected: bool| assert_eq!(read(text.as_bytes()).is_ok(), expected, "{text}");
        check(r#"{"a": [1, -1, 1.5, "x", null, true, {"a": 1}]}"#, true);
        check(r#"{"a": 1, "a": 1}"#, false);
        check(r#"{"a": {"b": 1, "c": 2, "b": 3}}"#, false);
        check(r#"[{"a": 1, "\u0061": 2}]"#, false);
        check(r#"{"a": 1} {}"#, false);
        check("", false);
        check(&"[".repeat(100_000), false);
    }
}
