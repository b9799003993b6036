//! Objects and patches as nodes of one arena: the strategic merge of kustomize still
//! changes nodes of the patch after they have become part of the object.

use serde_json::{Map, Value};

use crate::domain::manifest::patch::value::scalar_text;

/// A node.
pub(super) type Id = usize;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    /// `null`; kept in a mapping when it was there before the patch.
    Null {
        keep: bool,
    },
    /// A text, a number or a boolean.
    Scalar(Value),
    Map(Vec<(String, Id)>),
    List(Vec<Id>),
}

/// The type of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar,
    Map,
    List,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Scalar => "a single value",
            Self::Map => "a mapping",
            Self::List => "a list",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Content>,
}

impl Tree {
    pub(super) fn push(&mut self, content: Content) -> Id {
        self.nodes.push(content);
        self.nodes.len() - 1
    }

    pub(super) fn add(&mut self, value: Value) -> Id {
        let content = match value {
            Value::Null => Content::Null { keep: false },
            Value::Array(values) => Content::List(values.into_iter().map(|value| self.add(value)).collect()),
            Value::Object(fields) => {
                Content::Map(fields.into_iter().map(|(key, value)| (key, self.add(value))).collect())
            }
            scalar => Content::Scalar(scalar),
        };
        self.push(content)
    }

    pub(super) fn value(&self, id: Id) -> Value {
        match self.get(id) {
            Content::Null { .. } => Value::Null,
            Content::Scalar(value) => value.clone(),
            Content::Map(fields) => {
                let fields = fields.iter().map(|(key, id)| (key.clone(), self.value(*id)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            Content::List(ids) => ids.iter().map(|id| self.value(*id)).collect(),
        }
    }

    pub(super) fn get(&self, id: Id) -> &Content {
        const NOTHING: &Content = &Content::Null { keep: false };
        self.nodes.get(id).unwrap_or(NOTHING)
    }

    pub(super) fn set(&mut self, id: Id, content: Content) {
        if let Some(node) = self.nodes.get_mut(id) {
            *node = content;
        }
    }

    pub(super) fn is_null(&self, id: Id) -> bool {
        matches!(self.get(id), Content::Null { .. })
    }

    pub(super) fn is_missing(&self, id: Option<Id>) -> bool {
        id.is_none_or(|id| self.is_null(id))
    }

    /// `None` for `null`.
    pub(super) fn kind(&self, id: Id) -> Option<Kind> {
        match self.get(id) {
            Content::Null { .. } => None,
            Content::Scalar(_) => Some(Kind::Scalar),
            Content::Map(_) => Some(Kind::Map),
            Content::List(_) => Some(Kind::List),
        }
    }

    pub(super) fn is_empty_map(&self, id: Id) -> bool {
        matches!(self.get(id), Content::Map(fields) if fields.is_empty())
    }

    /// The text of the node; empty for mappings and lists.
    pub(super) fn text(&self, id: Id) -> String {
        match self.get(id) {
            Content::Null { .. } => "null".into(),
            Content::Scalar(value) => scalar_text(value),
            Content::Map(_) | Content::List(_) => String::new(),
        }
    }

    /// A field, if the node is a mapping that has it.
    pub(super) fn field(&self, id: Id, name: &str) -> Option<Id> {
        let Content::Map(fields) = self.get(id) else { return None };
        fields.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    pub(super) fn field_names(&self, id: Id) -> Vec<String> {
        match self.get(id) {
            Content::Map(fields) => fields.iter().map(|(key, _)| key.clone()).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn elements(&self, id: Id) -> Vec<Id> {
        match self.get(id) {
            Content::List(ids) => ids.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn clear(&mut self, id: Id, name: &str) {
        if let Some(Content::Map(fields)) = self.nodes.get_mut(id) {
            fields.retain(|(key, _)| key != name);
        }
    }

    pub(super) fn insert(&mut self, id: Id, name: &str, value: Id) {
        if let Some(Content::Map(fields)) = self.nodes.get_mut(id) {
            fields.push((name.to_owned(), value));
        }
    }
}
