//! Which values of an object are never shown.

use serde_json::Value;

use super::fields::pointer;
use crate::api::keys;
use crate::domain::objects::object::Object;

/// The most paths that an annotation names.
const MAX_PATHS: usize = 64;
/// The most segments of a path.
const MAX_DEPTH: usize = 64;
/// Fields of a Secret that contain nothing secret.
const OPEN: [&str; 5] = ["apiVersion", "kind", "metadata", "type", "immutable"];

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// A key, or the index of an item.
    Key(String),
    /// Every item, or every key.
    Each,
}

/// The fields of an object whose values are never shown.
#[derive(Clone, Debug, Default)]
pub struct SensitivePaths {
    paths: Vec<Vec<Segment>>,
    is_secret: bool,
    hides_all: bool,
}

impl SensitivePaths {
    /// Those of two versions of an object: what either of them names is hidden in both.
    pub fn of(before: Option<&Value>, after: Option<&Value>) -> Self {
        let mut found = Self::default();
        for side in [before, after].into_iter().flatten() {
            found.is_secret |= side["kind"] == "Secret";
            let annotation = side["metadata"]["annotations"].get(keys::SENSITIVE_PATHS);
            match annotation.map(|text| parse(text.as_str().unwrap_or_default())) {
                None => {}
                Some(Ok(paths)) => found.paths.extend(paths),
                // Another client has written it. What it means is not known.
                Some(Err(_)) => found.hides_all = true,
            }
        }
        found
    }

    /// Whether the value at a path is hidden: it is sensitive, or contains something that is.
    pub fn hide(&self, path: &[String]) -> bool {
        self.hides_all || self.is_secret && is_of_secret(path) || self.paths.iter().any(|p| meets(p, path))
    }
}

impl SensitivePaths {
    /// The JSON pointers of the values of an object that annotations hide. Those of Secrets are not
    /// among them.
    pub fn places(&self, object: &Value) -> Vec<String> {
        let mut found = Vec::new();
        if self.hides_all {
            let fields = object.as_object().into_iter().flat_map(|fields| fields.keys());
            let hidden = fields.filter(|key| !OPEN.contains(&key.as_str()));
            found.extend(hidden.map(|key| pointer(std::slice::from_ref(key))));
        }
        for path in &self.paths {
            place(object, path, &mut Vec::new(), &mut found);
        }
        found
    }
}

fn place(value: &Value, path: &[Segment], at: &mut Vec<String>, found: &mut Vec<String>) {
    let Some((first, rest)) = path.split_first() else {
        found.push(pointer(at));
        return;
    };
    let mut enter = |key: &str, value: &Value| {
        at.push(key.to_owned());
        place(value, rest, at, found);
        at.pop();
    };
    let is_it = |key: &str| matches!(first, Segment::Each) || *first == Segment::Key(key.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().filter(|(key, _)| is_it(key)).for_each(|(key, value)| enter(key, value));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate().map(|(n, item)| (n.to_string(), item));
            items.filter(|(n, _)| is_it(n)).for_each(|(n, item)| enter(&n, item));
        }
        _ => {}
    }
}

/// Whether a field of a Secret may contain a value. Some tools keep a copy of what they applied in
/// an annotation.
fn is_of_secret(path: &[String]) -> bool {
    match path {
        [] => true,
        [metadata] if metadata == "metadata" => true,
        [metadata, annotations] if metadata == "metadata" && annotations == "annotations" => true,
        [metadata, annotations, key, ..] if metadata == "metadata" && annotations == "annotations" => {
            !key.starts_with("supercargo.dev/")
        }
        [first, ..] => !OPEN.contains(&first.as_str()),
    }
}

/// Whether one of the two is a beginning of the other.
fn meets(sensitive: &[Segment], path: &[String]) -> bool {
    sensitive.iter().zip(path).all(|(segment, key)| match segment {
        Segment::Key(name) => name == key,
        Segment::Each => true,
    })
}

/// Checks the annotation of an object.
///
/// # Errors
/// Which path is invalid, and what to write instead.
pub fn check_annotation(object: &Object) -> Result<(), String> {
    let Some(text) = object.annotation(keys::SENSITIVE_PATHS) else { return Ok(()) };
    parse(text).map(drop).map_err(|path| {
        let few: String = path.chars().take(100).collect();
        format!(
            "invalid annotation {}: {few:?} is not a path; write JSON pointers or JSONPaths with commas \
             between them, such as /spec/token or $.spec.users[*].password",
            keys::SENSITIVE_PATHS
        )
    })
}

/// Reads a list of paths.
///
/// # Errors
/// The path that is invalid.
fn parse(text: &str) -> Result<Vec<Vec<Segment>>, String> {
    let paths = split(text);
    if paths.len() > MAX_PATHS {
        return Err(format!("{} paths, more than {MAX_PATHS}", paths.len()));
    }
    paths.into_iter().map(|path| one(path.trim()).ok_or_else(|| path.trim().to_owned())).collect()
}

/// At commas outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut paths, mut depth, mut from) = (Vec::new(), 0_i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth <= 0 => {
                paths.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    paths.push(&text[from..]);
    paths
}

fn one(path: &str) -> Option<Vec<Segment>> {
    let segments = match path.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(pointed).collect::<Option<Vec<Segment>>>()?,
        None => json_path(path)?,
    };
    (!segments.is_empty() && segments.len() <= MAX_DEPTH).then_some(segments)
}

/// A segment of a JSON pointer; `*` is every key.
fn pointed(segment: &str) -> Option<Segment> {
    match segment {
        "" => None,
        "*" => Some(Segment::Each),
        key => Some(Segment::Key(key.replace("~1", "/").replace("~0", "~"))),
    }
}

/// Keys, indexes and `[*]` of a JSONPath, with or without `$`. Filters and `..` are not understood.
fn json_path(path: &str) -> Option<Vec<Segment>> {
    let path = path.strip_prefix('{').and_then(|p| p.strip_suffix('}')).unwrap_or(path);
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut segments = Vec::new();
    if !rest.starts_with(['.', '[']) {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        segments.push(word(&rest[..end])?);
        rest = &rest[end..];
    }
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (segment, after) = bracketed(inner)?;
            segments.push(segment);
            rest = after;
        } else {
            let named = rest.strip_prefix('.')?;
            let end = named.find(['.', '[']).unwrap_or(named.len());
            segments.push(word(&named[..end])?);
            rest = &named[end..];
        }
    }
    Some(segments)
}

fn word(name: &str) -> Option<Segment> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$');
    match name {
        "" => None,
        "*" => Some(Segment::Each),
        name => name.chars().all(plain).then(|| Segment::Key(name.to_owned())),
    }
}

/// What is between brackets, and what follows them.
fn bracketed(inner: &str) -> Option<(Segment, &str)> {
    let quote = inner.chars().next().filter(|c| matches!(c, '\'' | '"'));
    if let Some(quote) = quote {
        let (name, after) = inner[1..].split_once(quote)?;
        return Some((Segment::Key(name.to_owned()), after.strip_prefix(']')?)).filter(|_| !name.is_empty());
    }
    let (index, after) = inner.split_once(']')?;
    match index.trim() {
        "*" => Some((Segment::Each, after)),
        digits if !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()) => {
            Some((Segment::Key(digits.to_owned()), after))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn annotated(kind: &str, paths: Option<&str>) -> Value {
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}});
        if let Some(paths) = paths {
            object["metadata"]["annotations"] = json!({keys::SENSITIVE_PATHS: paths});
        }
        object
    }

    fn path(pointer: &str) -> Vec<String> {
        pointer.split('/').skip(1).map(|s| s.replace("~1", "/")).collect()
    }

    #[test]
    fn what_a_secret_holds_and_what_the_annotation_names_is_hidden() {
        let check = |kind: &str, paths: Option<&str>, pointer: &str, hidden: bool| {
            let object = annotated(kind, paths);
            for (before, after) in [(None, Some(&object)), (Some(&object), None)] {
                let found = SensitivePaths::of(before, after).hide(&path(pointer));
                assert_eq!(found, hidden, "{kind} {paths:?} {pointer}");
            }
        };
        check("Secret", None, "/data/a", true);
        check("Secret", None, "/other", true);
        check("Secret", None, "/metadata/annotations/x", true);
        check("Secret", None, "/metadata/annotations", true);
        check("Secret", None, "/metadata/annotations/supercargo.dev~1wave", false);
        check("Secret", None, "/metadata/labels/x", false);
        check("Secret", None, "/type", false);
        check("ConfigMap", None, "/data/a", false);
        for named in [
            "/spec/users/*/password",
            "$.spec.users[*].password",
            "spec.users[*].password",
            ".spec['users'][*][\"password\"]",
            "{.spec.users[*].password}",
            "/data/x, $.spec.users[*].password",
        ] {
            check("Db", Some(named), "/spec/users/0/password", true);
            check("Db", Some(named), "/spec/users/0/password/part", true);
            // The whole list contains it.
            check("Db", Some(named), "/spec/users", true);
            check("Db", Some(named), "/spec/users/0/name", false);
            check("Db", Some(named), "/spec/size", false);
        }
        check("Db", Some("$.data['a.b,c']"), "/data/a.b,c", true);
        check("Db", Some("spec.list[1]"), "/spec/list/1", true);
        check("Db", Some("spec.list[1]"), "/spec/list/0", false);
        // Nobody knows what another client meant.
        check("Db", Some("$..x"), "/spec/size", true);
    }

    #[test]
    fn hidden_values_are_found_in_an_object() {
        let check = |paths: &str, expected: &[&str]| {
            let mut object = annotated("Db", Some(paths));
            object["spec"] = json!({"users": [{"p": 1, "n": 1}, {"n": 2}], "a/b": {"x": 1}});
            assert_eq!(SensitivePaths::of(None, Some(&object)).places(&object), expected, "{paths}");
        };
        check("$.spec.users[*].p", &["/spec/users/0/p"]);
        check("/spec/users/1/n, /spec/a~1b", &["/spec/users/1/n", "/spec/a~1b"]);
        check("/spec/*/x", &["/spec/a~1b/x"]);
        check("/data", &[]);
        check("$..x", &["/spec"]);
    }

    #[test]
    fn a_path_that_is_not_understood_is_refused() {
        let check = |paths: &str, valid: bool| {
            let object = Object::new(annotated("Db", Some(paths))).unwrap();
            let found = check_annotation(&object);
            assert_eq!(found.is_ok(), valid, "{paths} {found:?}");
        };
        check("/data", true);
        check("$.data, /x", true);
        check("", false);
        check("/", false);
        check("/data,", false);
        check("$..data", false);
        check("$.data[?(@.x)]", false);
        check("data[x]", false);
        check("data['x", false);
        check(&vec!["/data"; 65].join(","), false);
        let object = Object::new(annotated("Db", Some("$..x"))).unwrap();
        assert_eq!(
            check_annotation(&object).unwrap_err(),
            "invalid annotation supercargo.dev/sensitive-paths: \"$..x\" is not a path; write JSON pointers or \
             JSONPaths with commas between them, such as /spec/token or $.spec.users[*].password"
        );
        assert!(check_annotation(&Object::new(annotated("Db", None)).unwrap()).is_ok());
    }
}
