//! Values. What comes from the object is borrowed from it; only what an expression makes
//! is owned, and shared when it is copied.

use std::rc::Rc;

use cel::common::ast::LiteralValue;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json};

/// A value of CEL.
#[derive(Clone, Debug)]
pub(super) enum CelValue<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(CelText<'a>),
    Bytes(Rc<[u8]>),
    List(CelList<'a>),
    Map(CelMap<'a>),
    Duration(SignedDuration),
    Time(Timestamp),
    Type(&'static str),
    Optional(Option<Rc<CelValue<'a>>>),
}

/// A text.
#[derive(Clone, Debug)]
pub(super) enum CelText<'a> {
    Given(&'a str),
    Made(Rc<str>),
}

/// A list.
#[derive(Clone, Debug)]
pub(super) enum CelList<'a> {
    Given(&'a [Json]),
    Made(Rc<Vec<CelValue<'a>>>),
}

/// A map. One that an expression makes is small: it has the entries of a literal.
#[derive(Clone, Debug)]
pub(super) enum CelMap<'a> {
    Given(&'a Map<String, Json>),
    Made(Rc<Vec<(CelValue<'a>, CelValue<'a>)>>),
}

impl<'a> From<&'a Json> for CelValue<'a> {
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Self::Int(int),
                (None, Some(uint)) => Self::Uint(uint),
                (None, None) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(CelText::Given(text)),
            Json::Array(list) => Self::List(CelList::Given(list)),
            Json::Object(map) => Self::Map(CelMap::Given(map)),
        }
    }
}

impl<'a> CelValue<'a> {
    pub(super) fn text(made: impl Into<Rc<str>>) -> Self {
        Self::Text(CelText::Made(made.into()))
    }

    pub(super) fn list(made: Vec<CelValue<'a>>) -> Self {
        Self::List(CelList::Made(Rc::new(made)))
    }

    pub(super) fn some(value: CelValue<'a>) -> Self {
        Self::Optional(Some(Rc::new(value)))
    }

    /// The name of its type, as `type()` gives it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Time(_) => "google.protobuf.Timestamp",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
        }
    }
}

impl CelText<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Given(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'a> CelList<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Given(list) => list.len(),
            Self::Made(list) => list.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<CelValue<'a>> {
        match self {
            Self::Given(list) => list.get(index).map(CelValue::from),
            Self::Made(list) => list.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = CelValue<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> CelMap<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Given(map) => map.len(),
            Self::Made(map) => map.len(),
        }
    }

    /// The entry of a key that is a text.
    pub(super) fn field(&self, name: &str) -> Option<CelValue<'a>> {
        match self {
            Self::Given(map) => map.get(name).map(CelValue::from),
            Self::Made(map) => map.iter().find_map(|(key, value)| match key {
                CelValue::Text(key) if key.as_str() == name => Some(value.clone()),
                _ => None,
            }),
        }
    }

    pub(super) fn entries(&self) -> Vec<(CelValue<'a>, CelValue<'a>)> {
        match self {
            Self::Given(map) => map
                .iter()
                .map(|(key, value)| (CelValue::Text(CelText::Given(key)), CelValue::from(value)))
                .collect(),
            Self::Made(map) => map.as_ref().clone(),
        }
    }
}

/// The value of a literal.
pub(super) fn literal_value(literal: &LiteralValue) -> CelValue<'_> {
    match literal {
        LiteralValue::Boolean(flag) => CelValue::Bool(*flag.inner()),
        LiteralValue::Bytes(bytes) => CelValue::Bytes(Rc::from(bytes.inner())),
        LiteralValue::Double(number) => CelValue::Double(*number.inner()),
        LiteralValue::Int(number) => CelValue::Int(*number.inner()),
        LiteralValue::Null => CelValue::Null,
        LiteralValue::String(text) => CelValue::Text(CelText::Given(text.inner())),
        LiteralValue::UInt(number) => CelValue::Uint(*number.inner()),
    }
}
