//! The documents of a file as trees that know their lines. Values are not interpreted: a path is a
//! text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use libyaml_safer::{Event, EventData};

use super::super::budget::MAX_DEPTH;
use super::super::encoding::utf8;
use super::super::events::{Events, Problem, Read, TOO_DEEP, line, problem};

/// Nodes of one file, each alias counted as one.
const MAX_NODES: usize = 200_000;

/// A value, and the line where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub line: usize,
    pub value: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Scalar(String),
    Sequence(Vec<Rc<Node>>),
    Mapping(Vec<(String, Rc<Node>)>),
}

impl Node {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Content::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a sequence; a single value for itself.
    pub fn items(&self) -> &[Rc<Node>] {
        match &self.value {
            Content::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The fields of a mapping, those of merged mappings last.
    pub fn fields(&self) -> &[(String, Rc<Node>)] {
        match &self.value {
            Content::Mapping(fields) => fields,
            _ => &[],
        }
    }

    /// A field, in any case: kustomize reads fields so.
    pub fn field(&self, name: &str) -> Option<&Node> {
        self.fields().iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, node)| &**node)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Content::Scalar(text) => matches!(text.as_str(), "" | "~" | "null"),
            Content::Sequence(items) => items.is_empty(),
            Content::Mapping(fields) => fields.is_empty(),
        }
    }
}

/// Reads all documents of a file.
///
/// # Errors
/// Where it is not YAML, or larger than a kustomization can be.
pub(super) fn documents(bytes: &[u8]) -> Read<Vec<Rc<Node>>> {
    let bytes = utf8(bytes);
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Err(Problem { line: 1, message: "it is not UTF-8 text".to_owned(), too_large: false });
    };
    // The parser needs a line break at the end.
    let text: Cow<'_, str> = if text.ends_with('\n') { text.into() } else { format!("{text}\n").into() };
    let mut reader = Reader { events: Events::new(&text), anchors: HashMap::new(), nodes: 0 };
    let mut documents = Vec::new();
    loop {
        let event = reader.events.next()?;
        match event.data {
            EventData::StreamEnd => return Ok(documents),
            EventData::StreamStart { .. } | EventData::DocumentStart { .. } => {}
            EventData::DocumentEnd { .. } => reader.anchors.clear(),
            _ => documents.push(reader.node(event, 0)?),
        }
    }
}

struct Reader<'a> {
    events: Events<'a>,
    anchors: HashMap<String, Rc<Node>>,
    nodes: usize,
}

impl Reader<'_> {
    fn node(&mut self, event: Event, depth: usize) -> Read<Rc<Node>> {
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return Err(problem(&event, TOO_DEEP));
        }
        if self.nodes > MAX_NODES {
            return Err(Problem { too_large: true, ..problem(&event, "it has too many values") });
        }
        let line = line(&event);
        let (anchor, value) = match event.data {
            EventData::Scalar { anchor, value, .. } => (anchor, Content::Scalar(value)),
            EventData::SequenceStart { anchor, .. } => (anchor, self.sequence(depth)?),
            EventData::MappingStart { anchor, .. } => (anchor, self.mapping(depth)?),
            EventData::Alias { ref anchor } => {
                let known = self.anchors.get(anchor).map(Rc::clone);
                return known.ok_or_else(|| problem(&event, "an alias refers to an undefined anchor"));
            }
            _ => return Err(problem(&event, "not valid YAML: a value is missing")),
        };
        let node = Rc::new(Node { line, value });
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Read<Content> {
        let mut items = Vec::new();
        loop {
            let event = self.events.next()?;
            if matches!(event.data, EventData::SequenceEnd) {
                return Ok(Content::Sequence(items));
            }
            items.push(self.node(event, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Read<Content> {
        let mut fields = Vec::new();
        let mut merged: Vec<(String, Rc<Node>)> = Vec::new();
        loop {
            let event = self.events.next()?;
            if matches!(event.data, EventData::MappingEnd) {
                let left = MAX_NODES.saturating_sub(self.nodes);
                self.nodes += merged.len().min(left);
                fields.extend(merged.into_iter().take(left));
                return Ok(Content::Mapping(fields));
            }
            let key = self.node(event, depth + 1)?;
            let next = self.events.next()?;
            let value = self.node(next, depth + 1)?;
            match key.text() {
                Some("<<") => {
                    let all = std::iter::once(&value).chain(value.items());
                    merged.extend(all.flat_map(|from| from.fields()).cloned());
                }
                Some(key) => fields.push((key.to_owned(), value)),
                None => {}
            }
        }
    }
}
