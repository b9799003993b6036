//! YAML to JSON, as sigs.k8s.io/yaml with go-yaml v2 does it: the parser is
//! libyaml's, and the meaning of its events is decided here and in `scalar`.
//!
//! What kubectl refuses is refused. So is what it accepts silently: a duplicate key,
//! in one spelling or in two, and a second document after `...`. A mapping may
//! override a key of the mapping that it merges (`<<`).

use std::collections::{BTreeSet, HashMap};

use libyaml_safer::{Event, EventData, MappingStyle, ScalarStyle, SequenceStyle};
use serde_json::{Map, Value};

use super::budget::{Budget, ELEMENT_BYTES, MAPPING_BYTES, MAX_DEPTH, SCALAR_BYTES, SEQUENCE_BYTES};
use super::events::{Events, Read, TOO_DEEP, line, problem, twice};
pub use super::events::{Problem, Reading};
use super::json;
use super::scalar::{Scalar, is_old_bool, resolve};

const TAIL: &str = "text after the end of the document, which kubectl would ignore; separate documents with a \
                    line `---`";
const EXCESSIVE: &str = "the document contains too many aliases";
const MERGE_MISMATCH: &str = "the value of a merge key (<<) must be a mapping or a sequence of mappings";

/// Problems that are reported of one document.
const MAX_PROBLEMS: usize = 20;
const MERGE_TAG: &str = "tag:yaml.org,2002:merge";

/// Reads the text of one document: as JSON if it looks like JSON, which may contain
/// several values, and as YAML otherwise. An empty YAML document is `null`.
///
/// # Errors
/// All problems, up to where the parser stops.
pub fn parse(text: &str, budget: &mut Budget) -> Result<Vec<Value>, Vec<Problem>> {
    parse_as(text, Reading::default(), budget)
}

/// Like [`parse`], with options.
///
/// # Errors
/// All problems, up to where the parser stops.
pub fn parse_as(text: &str, reading: Reading, budget: &mut Budget) -> Result<Vec<Value>, Vec<Problem>> {
    if !text.trim_start().starts_with('{') {
        return Reader::new(text, reading, budget).document().map(|value| vec![value]);
    }
    match json::parse(text, budget) {
        Ok(values) => Ok(values),
        Err(error) if !error.may_be_yaml => Err(vec![error.problem]),
        Err(error) => Reader::new(text, reading, budget)
            .document()
            .map(|value| vec![value])
            .map_err(|problems| if begins_as_json(text) { vec![error.problem] } else { problems }),
    }
}

/// Whether a text that begins with a brace is probably JSON, for the message.
fn begins_as_json(text: &str) -> bool {
    text.trim_start().trim_start_matches('{').trim_start().starts_with('"')
}

/// What an anchor stands for.
enum Anchor {
    /// The node is not complete: an alias in it would contain itself.
    Open,
    Scalar(Scalar),
    Collection(Built, Cost),
}

/// What decoding a node again costs.
#[derive(Clone, Copy, Default)]
struct Cost {
    nodes: u64,
    bytes: u64,
}

#[derive(Clone)]
struct Built {
    value: Value,
    /// Levels of mappings and sequences in it.
    height: usize,
}

struct Reader<'a> {
    events: Events<'a>,
    budget: &'a mut Budget,
    reading: Reading,
    /// The line after the last line break, from 0.
    last_line: u64,
    anchors: HashMap<String, Anchor>,
    spent: Cost,
    aliased: u64,
    problems: Vec<Problem>,
    /// Open mappings and sequences in braces and brackets.
    flow: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, reading: Reading, budget: &'a mut Budget) -> Self {
        Self {
            events: Events::new(text),
            budget,
            reading,
            last_line: text.matches('\n').count() as u64,
            anchors: HashMap::new(),
            spent: Cost::default(),
            aliased: 0,
            problems: Vec::new(),
            flow: 0,
        }
    }

    fn document(mut self) -> Result<Value, Vec<Problem>> {
        match self.only_document() {
            Ok(value) if self.problems.is_empty() => Ok(value),
            Ok(_) => Err(self.problems),
            Err(problem) => {
                self.problems.push(problem);
                Err(self.problems)
            }
        }
    }

    fn only_document(&mut self) -> Read<Value> {
        self.events.next()?;
        let start = self.events.next()?;
        if !matches!(start.data, EventData::DocumentStart { .. }) {
            return Ok(Value::Null);
        }
        self.spend(&start, Cost { nodes: 1, bytes: 0 })?;
        let first = self.events.next()?;
        let built = self.node(first, 0)?;
        self.events.next()?;
        match self.events.next() {
            Ok(Event { data: EventData::StreamEnd, .. }) => Ok(built.value),
            Ok(end) => Err(problem(&end, TAIL)),
            Err(end) => Err(Problem { message: TAIL.into(), ..end }),
        }
    }

    /// Counts what go-yaml counts: the ratio of what aliases decoded to what
    /// was decoded in all falls from 99 % to 10 % as the document grows.
    fn spend(&mut self, at: &Event, cost: Cost) -> Read<()> {
        self.spent.nodes += cost.nodes;
        self.spent.bytes += cost.bytes;
        let (aliased, nodes) = (self.aliased, self.spent.nodes);
        if aliased > 100 && nodes > 1000 && aliased as f64 / nodes as f64 > allowed_alias_ratio(nodes) {
            return Err(problem(at, EXCESSIVE));
        }
        if !self.budget.spend(cost.bytes) {
            return Err(Problem { too_large: true, ..problem(at, &self.budget.exceeded()) });
        }
        Ok(())
    }

    fn node(&mut self, event: Event, depth: usize) -> Read<Built> {
        match event.data {
            EventData::Scalar { .. } => {
                let line = line(&event);
                let value = self.scalar(event)?.into_value();
                let value = value.map_err(|message| Problem { line, message, too_large: false })?;
                Ok(Built { value, height: 0 })
            }
            EventData::Alias { .. } => self.alias(&event, depth),
            EventData::SequenceStart { .. } | EventData::MappingStart { .. } => {
                self.collection(&event, depth)
            }
            _ => Err(problem(&event, "not valid YAML: a value is missing")),
        }
    }

    fn scalar(&mut self, event: Event) -> Read<Scalar> {
        let bytes = match &event.data {
            EventData::Scalar { value, .. } => SCALAR_BYTES + value.len() as u64,
            _ => SCALAR_BYTES,
        };
        self.spend(&event, Cost { nodes: 1, bytes })?;
        let line = line(&event);
        let fail = |message| Problem { line, message, too_large: false };
        if let Some(message) = self.events.only_libyaml_takes(&event, self.flow > 0) {
            return Err(fail(message.to_owned()));
        }
        let at_end = self.reading.open_end && event.end_mark.line >= self.last_line;
        let EventData::Scalar { anchor, tag, mut value, plain_implicit, style, .. } = event.data else {
            return Ok(Scalar::Null);
        };
        if at_end && matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) && value.ends_with('\n') {
            value.pop();
        }
        let plain = plain_implicit && !(self.reading.words_are_texts && is_old_bool(&value));
        let scalar = resolve(tag.as_deref(), plain, value).map_err(fail)?;
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, Anchor::Scalar(scalar.clone()));
        }
        Ok(scalar)
    }

    fn alias(&mut self, event: &Event, depth: usize) -> Read<Built> {
        self.spend(event, Cost { nodes: 1, bytes: 0 })?;
        let cost = match self.anchor(event)? {
            Anchor::Collection(built, _) if depth + built.height > MAX_DEPTH => {
                return Err(problem(event, TOO_DEEP));
            }
            Anchor::Collection(_, cost) => *cost,
            Anchor::Scalar(scalar) => scalar_cost(scalar),
            Anchor::Open => Cost::default(),
        };
        self.spend_alias(event, cost)?;
        match self.anchor(event)? {
            Anchor::Collection(built, _) => Ok(built.clone()),
            Anchor::Scalar(scalar) => {
                let value = scalar.clone().into_value().map_err(|message| problem(event, &message))?;
                Ok(Built { value, height: 0 })
            }
            Anchor::Open => Err(problem(event, "an anchor contains itself")),
        }
    }

    fn spend_alias(&mut self, event: &Event, cost: Cost) -> Read<()> {
        self.aliased += cost.nodes;
        self.spend(event, cost)
    }

    fn anchor(&self, event: &Event) -> Read<&Anchor> {
        let EventData::Alias { anchor } = &event.data else { return Ok(&Anchor::Open) };
        match self.anchors.get(anchor) {
            Some(Anchor::Open) => Err(problem(event, "an anchor contains itself")),
            Some(anchor) => Ok(anchor),
            None => Err(problem(event, "an alias refers to an undefined anchor")),
        }
    }

    fn collection(&mut self, event: &Event, depth: usize) -> Read<Built> {
        if depth == MAX_DEPTH {
            return Err(problem(event, TOO_DEEP));
        }
        let (anchor, is_mapping, is_flow) = match &event.data {
            EventData::MappingStart { anchor, style, .. } => (anchor, true, *style == MappingStyle::Flow),
            EventData::SequenceStart { anchor, style, .. } => (anchor, false, *style == SequenceStyle::Flow),
            _ => (&None, false, false),
        };
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor.clone(), Anchor::Open);
        }
        let before = self.spent;
        let bytes = if is_mapping { MAPPING_BYTES } else { SEQUENCE_BYTES };
        self.spend(event, Cost { nodes: 1, bytes })?;
        self.flow += usize::from(is_flow);
        let built = if is_mapping { self.mapping(depth + 1)? } else { self.sequence(depth + 1)? };
        self.flow -= usize::from(is_flow);
        if let Some(anchor) = anchor {
            let cost =
                Cost { nodes: self.spent.nodes - before.nodes, bytes: self.spent.bytes - before.bytes };
            // An anchor of the same name inside came later, and is kept.
            if matches!(self.anchors.get(anchor), Some(Anchor::Open)) {
                // The anchor keeps its own copy.
                self.spend(event, Cost { nodes: 0, bytes: cost.bytes })?;
                self.anchors.insert(anchor.clone(), Anchor::Collection(built.clone(), cost));
            }
        }
        Ok(built)
    }

    fn sequence(&mut self, depth: usize) -> Read<Built> {
        let mut values = Vec::new();
        let mut height = 0;
        loop {
            let event = self.events.next()?;
            if matches!(event.data, EventData::SequenceEnd) {
                return Ok(Built { value: values.into(), height: height + 1 });
            }
            self.spend(&event, Cost { nodes: 0, bytes: ELEMENT_BYTES })?;
            let built = self.node(event, depth)?;
            height = height.max(built.height);
            values.push(built.value);
        }
    }

    fn mapping(&mut self, depth: usize) -> Read<Built> {
        let mut values = Map::new();
        let mut merged = BTreeSet::new();
        let mut height = 0;
        loop {
            let event = self.events.next()?;
            if matches!(event.data, EventData::MappingEnd) {
                return Ok(Built { value: values.into(), height: height + 1 });
            }
            if is_merge(&event) {
                for built in self.merged(depth)? {
                    height = height.max(built.height.saturating_sub(1));
                    merge(&mut values, &mut merged, built.value);
                }
                continue;
            }
            let line = line(&event);
            let key = self.key(event)?;
            let value = self.events.next()?;
            let built = self.node(value, depth)?;
            height = height.max(built.height);
            if values.contains_key(&key) && !merged.remove(&key) {
                self.note(Problem { line, message: twice(&key), too_large: false })?;
            }
            values.insert(key, built.value);
        }
    }

    /// Keeps a problem that does not stop the reading.
    fn note(&mut self, problem: Problem) -> Read<()> {
        if self.problems.len() + 1 >= MAX_PROBLEMS {
            return Err(problem);
        }
        self.problems.push(problem);
        Ok(())
    }

    fn key(&mut self, event: Event) -> Read<String> {
        let line = line(&event);
        let fail = |message| Problem { line, message, too_large: false };
        let scalar = match &event.data {
            EventData::Scalar { .. } => self.scalar(event)?,
            EventData::Alias { .. } => {
                self.spend(&event, Cost { nodes: 1, bytes: 0 })?;
                let Anchor::Scalar(scalar) = self.anchor(&event)? else {
                    return Err(fail("a key must not be a mapping or a sequence".into()));
                };
                let scalar = scalar.clone();
                self.spend_alias(&event, scalar_cost(&scalar))?;
                scalar
            }
            _ => return Err(fail("a key must not be a mapping or a sequence".into())),
        };
        scalar.into_key().map_err(fail)
    }

    /// The mappings of a `<<`, the one with the lowest priority first.
    fn merged(&mut self, depth: usize) -> Read<Vec<Built>> {
        let event = self.events.next()?;
        if !matches!(event.data, EventData::SequenceStart { .. }) {
            return Ok(vec![self.merged_mapping(event, depth)?]);
        }
        if depth == MAX_DEPTH {
            return Err(problem(&event, TOO_DEEP));
        }
        let mut mappings = Vec::new();
        loop {
            let event = self.events.next()?;
            if matches!(event.data, EventData::SequenceEnd) {
                mappings.reverse();
                return Ok(mappings);
            }
            mappings.push(self.merged_mapping(event, depth)?);
        }
    }

    fn merged_mapping(&mut self, event: Event, depth: usize) -> Read<Built> {
        let line = line(&event);
        // Its keys end up one level higher than they are written, but the limit is
        // for the recursion.
        let built = self.node(event, depth)?;
        if !built.value.is_object() {
            return Err(Problem { line, message: MERGE_MISMATCH.into(), too_large: false });
        }
        Ok(built)
    }
}

/// go-yaml's order: a merge takes effect at its position, so that it overrides
/// the keys before it.
fn merge(values: &mut Map<String, Value>, merged: &mut BTreeSet<String>, from: Value) {
    let Value::Object(from) = from else { return };
    for (key, value) in from {
        if values.insert(key.clone(), value).is_none() {
            merged.insert(key);
        }
    }
}

fn is_merge(event: &Event) -> bool {
    match &event.data {
        EventData::Scalar { value, plain_implicit, tag, .. } => {
            value == "<<" && (*plain_implicit || tag.as_deref() == Some(MERGE_TAG))
        }
        _ => false,
    }
}

fn scalar_cost(scalar: &Scalar) -> Cost {
    let text = if let Scalar::Text(text) = scalar { text.len() as u64 } else { 0 };
    Cost { nodes: 1, bytes: SCALAR_BYTES + text }
}

fn allowed_alias_ratio(nodes: u64) -> f64 {
    const LOW: u64 = 400_000;
    const HIGH: u64 = 4_000_000;
    let above = nodes.clamp(LOW, HIGH) - LOW;
    0.99 - 0.89 * (above as f64 / (HIGH - LOW) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::manifest::budget::MAX_DECODED_BYTES;

    /// The JSON of a text, or `line: problem` of each.
    fn read(text: &str) -> String {
        match parse(text, &mut Budget::default()) {
            Ok(values) => values.iter().map(Value::to_string).collect::<Vec<_>>().join(" "),
            Err(problems) => {
                problems.iter().map(|p| format!("{}: {}", p.line, p.message)).collect::<Vec<_>>().join("; ")
            }
        }
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(read(text), expected, "{text}");
    }

    #[test]
    fn merge_keys_take_effect_where_they_stand() {
        check("b: &b {x: 1}\na: {<<: *b, x: 2}", r#"{"a":{"x":2},"b":{"x":1}}"#);
        check("b: &b {x: 1}\na: {x: 2, <<: *b}", r#"{"a":{"x":1},"b":{"x":1}}"#);
        check("<<: [{x: 1}, {x: 2, z: 3}]", r#"{"x":1,"z":3}"#);
        check("<<: {x: 1}\nx: 2\nx: 3", r#"3: duplicate key "x""#);
        check("<<: 1", "1: the value of a merge key (<<) must be a mapping or a sequence of mappings");
        check("\"<<\": 1", r#"{"<<":1}"#);
    }

    #[test]
    fn keys_that_collide_are_refused() {
        check("a: 1\nb: 2\na: 3\nb: 4", r#"3: duplicate key "a"; 4: duplicate key "b""#);
        check("1: a\n\"1\": b", r#"2: duplicate key "1""#);
        check("yes: a\ntrue: b", r#"2: duplicate key "true""#);
        check("{\"a\": 1, \"a\": 2}", r#"1: duplicate key "a""#);
        check("[a]: 1", "1: a key must not be a mapping or a sequence");
        check("~: 1", "1: a key must not be null");
    }

    #[test]
    fn json_is_read_as_json() {
        check(r#"{"a":"\ud83d\ude00","b":1e3,"c":"x\/y"}"#, r#"{"a":"😀","b":1000,"c":"x/y"}"#);
        check("{\"a\":1}\n {\"b\":2}\n", r#"{"a":1} {"b":2}"#);
        check("{a: yes}", r#"{"a":true}"#);
        check("{\"a\": 1} # c", r#"{"a":1}"#);
        check("{\"a\": 1}\n{\"a\": 1}\n{", "3: EOF while parsing an object");
        check("a: \"x\\/y\"", "1: not valid YAML: found unknown escape character `\\/`");
        check("a: 'x\\/y'", r#"{"a":"x\\/y"}"#);
    }

    #[test]
    fn what_follows_a_document_is_refused() {
        check("a: 1\n...\n", r#"{"a":1}"#);
        check(
            "a: 1\n...\nb: 2\n",
            "3: text after the end of the document, which kubectl would ignore; separate documents with a line \
             `---`",
        );
        check("", "null");
        check("# only a comment\n", "null");
        check("\u{feff}a: 1", r#"{"a":1}"#);
    }

    #[test]
    fn hostile_documents_end_early() {
        let laughs: String = (1..20)
            .map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(",")))
            .collect();
        assert!(read(&format!("a0: &a0 [x,x,x]\n{laughs}")).contains("too many aliases"));
        check("a: &a [*a]", "1: an anchor contains itself");
        check("a: &a {b: *a}", "1: an anchor contains itself");
        check("a: *b", "1: an alias refers to an undefined anchor");
        assert!(read(&"[".repeat(10_000)).contains(TOO_DEEP));
        assert!(read(&"- ".repeat(10_000)).contains(TOO_DEEP));
        assert!(read(&"{a: ".repeat(10_000)).contains(TOO_DEEP));
        assert!(read(&"{\"a\": ".repeat(10_000)).contains(TOO_DEEP));
        assert!(read(&"{<<: ".repeat(10_000)).contains(TOO_DEEP));
        let chain: String = (1..200).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)).collect();
        assert!(read(&format!("a0: &a0 [x]\n{chain}")).contains(TOO_DEEP));
        let long = "9".repeat(100_000);
        check(&format!("a: {long}"), &format!(r#"{{"a":"{long}"}}"#));
        assert!(read("a: 1\nb: [!a,b]").starts_with("2: not valid YAML: cannot parse"));
        assert!(read("a: !%ff x").starts_with("1: not valid YAML"));
        assert!(read("a: \"\\").starts_with("1: not valid YAML"));
        assert!(read("a: x\0y").starts_with("1: not valid YAML"));
        assert!(read("a: 1\nb: \u{7}").starts_with("2: not valid YAML"));
    }

    #[test]
    fn promise_7_a_few_large_aliases_meet_the_limit() {
        let large = "x".repeat(1 << 20);
        let text = format!("a: &a {large}\nb: [{}]", vec!["*a"; 900].join(","));
        let problems = parse(&text, &mut Budget::new(64 << 20)).unwrap_err();
        assert!(problems[0].too_large, "{problems:?}");
        assert!(problems[0].message.ends_with("larger than 64 MiB"), "{problems:?}");
        assert_eq!(MAX_DECODED_BYTES, 768 << 20);
    }
}
