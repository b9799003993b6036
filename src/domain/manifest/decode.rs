//! Files to objects: every document of a file, the items of lists, and all problems
//! of the file, not only the first one.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::budget::{Budget, MAX_DEPTH};
use super::encoding::utf8;
use super::split::{Chunk, split};
use super::yaml;
use crate::domain::objects::object::Object;

/// Where an object was read from, for messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// The number of the document in the file, from 1; empty ones count.
    pub document: usize,
    /// The line of the file where the document begins, or where the problem is.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: document {}, line {}", self.file, self.document, self.line)
    }
}

/// An object, and where it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object.
    pub object: Object,
    /// Its document.
    pub origin: Origin,
}

/// What sort of problem a document has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestFault {
    /// It is not a Kubernetes manifest.
    Invalid,
    /// A limit was hit.
    TooLarge,
    /// It is a kustomization among manifests.
    Kustomization,
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {message}")]
pub struct DocumentError {
    /// The document, and the line in it.
    pub origin: Origin,
    /// What is wrong. Contains no value of the document.
    pub message: String,
    /// The sort of problem.
    pub fault: ManifestFault,
}

/// How many problems of one sort are reported one by one; the rest are only counted.
pub const MAX_REPORTED: usize = 20;

/// What is wrong with the documents of a file. A document of two bytes can be wrong, so no more are
/// kept than are reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentErrors {
    /// The first [`MAX_REPORTED`] of each sort, in the order of the documents.
    pub first: Vec<DocumentError>,
    /// How many there are of each sort.
    counts: [usize; 3],
}

impl DocumentErrors {
    fn push(&mut self, error: DocumentError) {
        let count = &mut self.counts[error.fault as usize];
        *count += 1;
        if *count <= MAX_REPORTED {
            self.first.push(error);
        }
    }

    /// How many of that sort are not kept.
    pub fn more(&self, fault: ManifestFault) -> usize {
        self.counts[fault as usize].saturating_sub(MAX_REPORTED)
    }

    /// How many are not kept.
    pub fn more_of_all(&self) -> usize {
        self.counts.iter().sum::<usize>().saturating_sub(self.first.len())
    }
}

/// API group of kustomizations.
const KUSTOMIZE_GROUP: &str = "kustomize.config.k8s.io/";

/// Reads a file. Empty documents are skipped.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn decode(file: &str, bytes: &[u8]) -> Result<Vec<Decoded>, DocumentErrors> {
    decode_within(file, bytes, &mut Budget::default())
}

/// Like [`decode`], with the budget that the files of one artifact share.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn decode_within(file: &str, bytes: &[u8], budget: &mut Budget) -> Result<Vec<Decoded>, DocumentErrors> {
    let take = |value| Object::new(value).map_err(|error| error.to_string());
    let objects = Found::read(file, bytes, budget, false, take)?;
    Ok(objects.into_iter().map(|(object, origin)| Decoded { object, origin }).collect())
}

/// Reads a file of objects of a cluster, which need not be complete: each has a kind and a
/// version, and perhaps no name. Also takes a plain JSON list of them.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn decode_values(file: &str, bytes: &[u8]) -> Result<Vec<(Value, Origin)>, DocumentErrors> {
    let take = |value: Value| {
        let has = |field| value.get(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        match (has("apiVersion"), has("kind")) {
            (true, true) => Ok(value),
            (false, _) => Err("the object has no apiVersion".to_owned()),
            (true, false) => Err("the object has no kind".to_owned()),
        }
    };
    Found::read(file, bytes, &mut Budget::default(), true, take)
}

struct Found<T, F> {
    file: Arc<str>,
    objects: Vec<(T, Origin)>,
    errors: DocumentErrors,
    /// Whether a document may be a list of objects without a kind.
    plain_lists: bool,
    take: F,
}

impl<T, F: Fn(Value) -> Result<T, String>> Found<T, F> {
    fn read(
        file: &str,
        bytes: &[u8],
        budget: &mut Budget,
        plain_lists: bool,
        take: F,
    ) -> Result<Vec<(T, Origin)>, DocumentErrors> {
        let mut found = Self {
            file: file.into(),
            objects: Vec::new(),
            errors: DocumentErrors::default(),
            plain_lists,
            take,
        };
        for chunk in split(&utf8(bytes)) {
            if budget.exhausted() {
                break;
            }
            found.chunk(&chunk, budget);
        }
        if found.errors.first.is_empty() { Ok(found.objects) } else { Err(found.errors) }
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, budget: &mut Budget) {
        let origin = |line| Origin { file: self.file.clone(), document: chunk.ordinal, line };
        let start = origin(chunk.content_line());
        let Some(text) = chunk.text() else {
            let valid = chunk.bytes.utf8_chunks().next().map_or("", |part| part.valid());
            let line = chunk.first_line + valid.matches('\n').count();
            return self.fail(origin(line), "the document is not UTF-8 text", ManifestFault::Invalid);
        };
        let parsed = yaml::parse(&text, budget);
        if let Some(line) = chunk.bad_separator {
            let message = "text after the separator `---`; put the separator on its own line";
            self.fail(origin_at(&start, line), message, ManifestFault::Invalid);
        }
        match parsed {
            Ok(values) => values.into_iter().for_each(|value| self.document(value, &start)),
            Err(problems) => {
                for problem in problems {
                    let line = chunk.first_line + problem.line - 1;
                    let fault =
                        if problem.too_large { ManifestFault::TooLarge } else { ManifestFault::Invalid };
                    self.fail(origin_at(&start, line), &problem.message, fault);
                }
            }
        }
    }

    fn fail(&mut self, origin: Origin, message: &str, fault: ManifestFault) {
        self.errors.push(DocumentError { origin, message: message.to_owned(), fault });
    }

    fn document(&mut self, value: Value, origin: &Origin) {
        if !value.is_null() {
            self.value(value, origin, 0, "");
        }
    }

    fn value(&mut self, mut value: Value, origin: &Origin, depth: usize, place: &str) {
        let text = |field| value.get(field).and_then(Value::as_str).unwrap_or_default();
        if text("apiVersion").starts_with(KUSTOMIZE_GROUP) {
            let message = format!("{place}the document is a kustomize {}", text("kind"));
            return self.fail(origin.clone(), &message, ManifestFault::Kustomization);
        }
        let Some(items) = list_items(&mut value, self.plain_lists) else {
            match (self.take)(value) {
                Ok(object) => self.objects.push((object, origin.clone())),
                Err(error) => self.fail(origin.clone(), &format!("{place}{error}"), ManifestFault::Invalid),
            }
            return;
        };
        if depth == MAX_DEPTH {
            return self.fail(origin.clone(), "lists are nested too deeply", ManifestFault::Invalid);
        }
        let mut field = |name| value.get_mut(name).map(Value::take).unwrap_or_default();
        let (version, kind) = (field("apiVersion"), field("kind"));
        let kind = kind.as_str().and_then(|kind| kind.strip_suffix("List")).unwrap_or_default();
        for (index, mut item) in items.into_iter().enumerate() {
            complete(&mut item, &version, kind);
            self.value(item, origin, depth + 1, &format!("{place}item {}: ", index + 1));
        }
    }
}

fn origin_at(origin: &Origin, line: usize) -> Origin {
    Origin { line, ..origin.clone() }
}

/// Takes the items out of a `List`, or out of a list of a kind.
fn list_items(value: &mut Value, plain_lists: bool) -> Option<Vec<Value>> {
    if let (Value::Array(items), true) = (&mut *value, plain_lists) {
        return Some(std::mem::take(items));
    }
    value.get("apiVersion")?.as_str()?;
    let kind = value.get("kind")?.as_str()?;
    if !kind.ends_with("List") {
        return None;
    }
    match value.get_mut("items")? {
        Value::Array(items) => Some(std::mem::take(items)),
        Value::Null => Some(Vec::new()),
        _ => None,
    }
}

/// Sets kind and version of an item: the API server omits them in a list of a kind.
fn complete(item: &mut Value, version: &Value, kind: &str) {
    if let Value::Object(item) = item
        && !kind.is_empty()
        && !item.contains_key("kind")
        && !item.contains_key("apiVersion")
    {
        item.insert("apiVersion".into(), version.clone());
        item.insert("kind".into(), kind.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, expected: &[&str]) {
        let found: Vec<String> = match decode("a.yaml", file.as_bytes()) {
            Ok(objects) => objects.iter().map(|d| format!("{} {}", d.object.id(), d.origin)).collect(),
            Err(errors) => errors.first.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(found, expected, "{file}");
    }

    fn config_map(name: &str) -> String {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
    }

    #[test]
    fn objects_keep_their_place() {
        let file = format!("# head\n---\n{}---\n\n# empty\n---\n\n{}", config_map("a"), config_map("b"));
        check(&file, &["ConfigMap/a a.yaml: document 2, line 3", "ConfigMap/b a.yaml: document 4, line 12"]);
        check("", &[]);
        check("---\n---\nnull\n", &[]);
    }

    #[test]
    fn lists_are_taken_apart() {
        check(
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A, metadata: {name: a}}\n- apiVersion: v1\n  kind: BList\n  items: [{metadata: {name: b}}]\n",
            &["A/a a.yaml: document 1, line 1", "B/b a.yaml: document 1, line 1"],
        );
        check("{apiVersion: v1, kind: List, items: []}", &[]);
        check("{apiVersion: v1, kind: ConfigMapList, items: null}", &[]);
        check(
            "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: List, items: [1]}]}",
            &["a.yaml: document 1, line 1: item 1: item 1: the document is not a mapping"],
        );
        check(
            "{apiVersion: x/v1, kind: AllowList, metadata: {name: a}}",
            &["AllowList/a a.yaml: document 1, line 1"],
        );
    }

    #[test]
    fn objects_of_a_cluster_need_no_name() {
        let check = |file: &str, expected: &[&str]| {
            let found: Vec<String> = match decode_values("a.json", file.as_bytes()) {
                Ok(values) => {
                    values.iter().map(|(value, origin)| format!("{} {origin}", value["kind"])).collect()
                }
                Err(errors) => errors.first.iter().map(ToString::to_string).collect(),
            };
            assert_eq!(found, expected, "{file}");
        };
        check("", &[]);
        check("[]", &[]);
        check(
            r#"[{"apiVersion": "v1", "kind": "Pod"}, {"apiVersion": "v1", "kind": "Node"}]"#,
            &["\"Pod\" a.json: document 1, line 1", "\"Node\" a.json: document 1, line 1"],
        );
        check(
            "apiVersion: v1\nkind: Pod\n---\napiVersion: v1\nkind: PodList\nitems: [{}]\n",
            &["\"Pod\" a.json: document 1, line 1", "\"Pod\" a.json: document 2, line 4"],
        );
        check("[1]", &["a.json: document 1, line 1: item 1: the object has no apiVersion"]);
        check("{\"apiVersion\": \"v1\"}", &["a.json: document 1, line 1: the object has no kind"]);
    }

    #[test]
    fn every_broken_document_is_named() {
        let mut documents: Vec<String> = (1..=100).map(|n| config_map(&format!("n{n}"))).collect();
        documents[49] = "a: b: c\n".into();
        documents[59] = "kind: A\n".into();
        check(
            &documents.join("---\n"),
            &[
                "a.yaml: document 50, line 246: not valid YAML: mapping values are not allowed in this context",
                "a.yaml: document 60, line 293: apiVersion is missing or is not a string",
            ],
        );
        check(
            "--- a: 1\nb: 2\n",
            &[
                "a.yaml: document 1, line 1: text after the separator `---`; put the separator on its own line",
                "a.yaml: document 2, line 2: apiVersion is missing or is not a string",
            ],
        );
        let errors = decode("a.yaml", b"a: 1\n---\na: 1\nb: \xff\n").unwrap_err();
        assert_eq!(errors.first[1].to_string(), "a.yaml: document 2, line 4: the document is not UTF-8 text");
    }

    /// By hand, in a release build: 20,000 objects, some 20 MB, in well under 2 s.
    #[test]
    fn many_objects_are_read() {
        let objects = if cfg!(debug_assertions) { 200 } else { 20_000 };
        let file: String = (0..objects)
            .map(|n| {
                let fields: String =
                    (0..30).map(|f| format!("  key-{f}: some value of this {f}\n")).collect();
                format!("---\n{}data:\n{fields}", config_map(&format!("n{n}")))
            })
            .collect();
        let start = std::time::Instant::now();
        assert_eq!(decode("a.yaml", file.as_bytes()).unwrap().len(), objects);
        println!("{} bytes in {:?}", file.len(), start.elapsed());
    }

    #[test]
    fn kustomizations_are_recognized() {
        let errors = decode("a.yaml", b"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n")
            .unwrap_err();
        assert_eq!(errors.first[0].fault, ManifestFault::Kustomization);
        check(
            "{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: a}}",
            &["Kustomization/a a.yaml: document 1, line 1"],
        );
    }
}
