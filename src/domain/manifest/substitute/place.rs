//! The line of a file that has a variable, for messages.
//!
//! Objects do not keep the lines that they were read from: that would cost each of them memory, for the
//! few about which there is a message. So the document is read again.

use libyaml_safer::EventData;
use serde_json::Value;

use crate::domain::manifest::events::Events;
use crate::domain::objects::identity::ObjectId;

/// A part of a document, and its lines, from 1.
struct Node {
    first: usize,
    last: usize,
    part: Part,
}

enum Part {
    Text(String),
    Fields(Vec<(Node, Node)>),
    Items(Vec<Node>),
    Alias,
}

/// The line of `text` with the variable `name` in a field of an object, whose document begins at the line
/// `begin`. `None` when the field is not there: a patch can have written it.
pub fn line_of(text: &str, begin: usize, object: &ObjectId, path: &[String], name: &str) -> Option<usize> {
    let before: usize = text.split_inclusive('\n').take(begin.checked_sub(1)?).map(str::len).sum();
    let text = text.get(before..)?;
    let end = text.match_indices("\n---").next().map_or(text.len(), |(at, _)| at + 1);
    let text = text.get(..end)?;
    let document = Node::read(text)?;
    let field = document.object(object, path)?;
    let lines: Vec<&str> = text.lines().skip(field.first - 1).take(field.last - field.first + 1).collect();
    let with = |is_use: fn(&str) -> bool| lines.iter().position(|line| has_use(line, name, is_use));
    let offset = with(is_plain).or_else(|| with(|_| true))?;
    Some(begin - 1 + field.first + offset)
}

/// The field of an object whose text has the variable; better one that has it without a default.
pub fn path_of(object: &Value, name: &str) -> Option<Vec<String>> {
    let find = |is_use| {
        let mut path = Vec::new();
        finds(object, name, is_use, &mut path).then_some(path)
    };
    find(is_plain).or_else(|| find(|_| true))
}

fn finds(value: &Value, name: &str, is_use: fn(&str) -> bool, path: &mut Vec<String>) -> bool {
    let mut below = |key: String, value: &Value| {
        path.push(key);
        let found = finds(value, name, is_use, path);
        if !found {
            path.pop();
        }
        found
    };
    match value {
        Value::String(text) => has_use(text, name, is_use),
        Value::Array(items) => items.iter().enumerate().any(|(n, item)| below(n.to_string(), item)),
        Value::Object(fields) => {
            fields.keys().any(|key| has_use(key, name, is_use))
                || fields.iter().any(|(key, field)| below(key.clone(), field))
        }
        _ => false,
    }
}

/// Whether a text has the variable in a form of which `is_use` accepts what follows the name. `$${` is none.
fn has_use(text: &str, name: &str, is_use: fn(&str) -> bool) -> bool {
    text.match_indices("${").any(|(at, _)| {
        let is_escaped = text[..at].bytes().rev().take_while(|byte| *byte == b'$').count() % 2 == 1;
        let rest = text[at + 2..].trim_start_matches('#').strip_prefix(name);
        let is_part = |c: char| c == '_' || c.is_ascii_alphanumeric();
        !is_escaped && rest.is_some_and(|rest| !rest.starts_with(is_part) && is_use(rest))
    })
}

fn is_plain(rest: &str) -> bool {
    rest.starts_with('}')
}

impl Node {
    fn read(document: &str) -> Option<Self> {
        let mut events = Events::new(document);
        loop {
            let event = events.next().ok()?;
            if !matches!(event.data, EventData::StreamStart { .. } | EventData::DocumentStart { .. }) {
                return Self::of(event, &mut events);
            }
        }
    }

    /// The node that begins with an event. Not deep: the document has been read before, within its limits.
    fn of(event: libyaml_safer::Event, events: &mut Events<'_>) -> Option<Self> {
        let first = event.start_mark.line as usize + 1;
        // A block ends where the next line begins.
        let ends_before =
            usize::from(event.end_mark.column == 0 && event.end_mark.line > event.start_mark.line);
        let mut last = event.end_mark.line as usize + 1 - ends_before;
        let part = match event.data {
            EventData::Scalar { value, .. } => Part::Text(value),
            EventData::Alias { .. } => Part::Alias,
            EventData::SequenceStart { .. } => {
                let mut items = Vec::new();
                loop {
                    let event = events.next().ok()?;
                    if matches!(event.data, EventData::SequenceEnd) {
                        break;
                    }
                    items.push(Self::of(event, events)?);
                }
                last = items.last().map_or(last, |item| item.last);
                Part::Items(items)
            }
            EventData::MappingStart { .. } => {
                let mut fields = Vec::new();
                loop {
                    let event = events.next().ok()?;
                    if matches!(event.data, EventData::MappingEnd) {
                        break;
                    }
                    let key = Self::of(event, events)?;
                    let event = events.next().ok()?;
                    fields.push((key, Self::of(event, events)?));
                }
                last = fields.last().map_or(last, |(_, field)| field.last);
                Part::Fields(fields)
            }
            _ => return None,
        };
        Some(Self { first, last: last.max(first), part })
    }

    fn text(&self) -> Option<&str> {
        if let Part::Text(text) = &self.part { Some(text) } else { None }
    }

    fn field(&self, name: &str) -> Option<&Self> {
        let Part::Fields(fields) = &self.part else { return None };
        fields.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, field)| field)
    }

    /// The field of an object, which is this one or an item of this list.
    fn object(&self, id: &ObjectId, path: &[String]) -> Option<&Self> {
        let kind = self.field("kind").and_then(Self::text);
        if kind.is_some_and(|kind| kind.ends_with("List"))
            && let Some(Part::Items(items)) = self.field("items").map(|items| &items.part)
        {
            return items.iter().find_map(|item| item.object(id, path));
        }
        let name = self.field("metadata")?.field("name")?.text()?;
        if name != id.name || kind.is_some_and(|kind| kind != id.kind) {
            return None;
        }
        path.iter().try_fold(self, |node, key| match &node.part {
            Part::Items(items) => items.get(key.parse::<usize>().ok()?),
            _ => node.field(key),
        })
    }
}
