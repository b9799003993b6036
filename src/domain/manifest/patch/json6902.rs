//! JSON patches (RFC 6902), applied as kustomize applies them. Two of its
//! deviations are kept because manifests rely on them: `replace` sets a field
//! that does not exist yet, and a negative index counts from the end.

use serde_json::{Map, Number, Value};

use super::steps::{LOOK, spend};
use super::value::{is_deeper, size};
use crate::domain::manifest::budget::{Budget, MAX_DEPTH};

/// The most operations of one patch.
pub const MAX_OPERATIONS: usize = 1000;

/// Operations in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPatch(Vec<Operation>);

#[derive(Clone, Debug, PartialEq)]
struct Operation {
    name: &'static str,
    path: Pointer,
    action: Action,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Add(Value),
    Remove,
    Replace(Value),
    Move(Pointer),
    Copy(Pointer),
    Test(Value),
}

/// A JSON pointer: its text, and the keys on the way.
#[derive(Clone, Debug, PartialEq)]
struct Pointer {
    text: String,
    keys: Vec<String>,
}

impl Pointer {
    fn parse(text: &str) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(format!("{text:?} must begin with /"));
        }
        // No object is deeper, and a text of slashes would be many keys.
        if text.split('/').count() > MAX_DEPTH + 1 {
            return Err(format!("it is deeper than {MAX_DEPTH} levels"));
        }
        let decoded = |key: &str| key.replace("~1", "/").replace("~0", "~");
        let keys = text.split('/').skip(1).map(decoded).collect();
        Ok(Self { text: text.to_owned(), keys })
    }

    /// The keys up to the last, and the last.
    fn split(&self) -> Option<(&str, &[String])> {
        self.keys.split_last().map(|(last, parents)| (last.as_str(), parents))
    }
}

impl JsonPatch {
    /// Reads a list of operations.
    ///
    /// # Errors
    /// The invalid operation.
    pub fn parse(patch: &Value) -> Result<Self, String> {
        let Some(list) = patch.as_array() else {
            return Err("a JSON patch must be a list of operations".into());
        };
        if list.len() > MAX_OPERATIONS {
            return Err(format!("a JSON patch can have at most {MAX_OPERATIONS} operations"));
        }
        let read =
            |(index, value)| Operation::parse(value).map_err(|why| format!("operation {index}: {why}"));
        list.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Applies the operations. What they add is subtracted from the budget, what they
    /// look at from the steps.
    ///
    /// # Errors
    /// The first operation that does not apply, with its path.
    pub fn apply(&self, object: &mut Value, budget: &mut Budget, steps: &mut Budget) -> Result<(), String> {
        for (index, operation) in self.0.iter().enumerate() {
            spend(steps, operation.steps(object))?;
            operation.apply(object, budget).map_err(|why| {
                format!("operation {index} ({} {}): {why}", operation.name, operation.path.text)
            })?;
        }
        Ok(())
    }
}

impl Operation {
    fn parse(value: &Value) -> Result<Self, String> {
        let Some(fields) = value.as_object() else { return Err("it is not a mapping".into()) };
        let text = |field: &str| match fields.get(field) {
            Some(Value::String(text)) => Ok(text.as_str()),
            _ => Err(format!("{field} is missing or is not a string")),
        };
        let pointer = |field: &str| {
            text(field).and_then(|t| Pointer::parse(t).map_err(|why| format!("{field}: {why}")))
        };
        let new = || fields.get("value").cloned().ok_or("value is missing");
        let (name, action) = match text("op")? {
            "add" => ("add", Action::Add(new()?)),
            "remove" => ("remove", Action::Remove),
            "replace" => ("replace", Action::Replace(new()?)),
            "move" => ("move", Action::Move(pointer("from")?)),
            "copy" => ("copy", Action::Copy(pointer("from")?)),
            "test" => ("test", Action::Test(new()?)),
            other => {
                return Err(format!("op {other:?} is not one of add, remove, replace, move, copy and test"));
            }
        };
        let path = pointer("path")?;
        let whole =
            matches!(action, Action::Test(_)) || matches!(&action, Action::Replace(v) if v.is_object());
        if path.keys.is_empty() && !whole {
            return Err(
                "path is empty: only test, and replace with a mapping, can use the whole object".into()
            );
        }
        Ok(Self { name, path, action })
    }

    fn apply(&self, object: &mut Value, budget: &mut Budget) -> Result<(), String> {
        match &self.action {
            Action::Add(value) => add(object, &self.path, self.paid(value, budget)?.clone()),
            Action::Remove => remove(object, &self.path).map(drop).map_err(|e| e.to_string()),
            Action::Replace(value) => replace(object, &self.path, self.paid(value, budget)?.clone()),
            Action::Move(from) => {
                let value = remove(object, from).map_err(|why| format!("from {}: {why}", from.text))?;
                self.fits(&value)?;
                add(object, &self.path, value)
            }
            Action::Copy(from) => {
                let value = get(object, from).map_err(|why| format!("from {}: {why}", from.text))?;
                let value = self.paid(value, budget)?.clone();
                add(object, &self.path, value)
            }
            Action::Test(wanted) => match get(object, &self.path) {
                Ok(found) if equal(found, wanted) => Ok(()),
                Ok(_) => Err("the value differs".into()),
                Err(Missing::Field) if wanted.is_null() => Ok(()),
                Err(missing) => Err(missing.to_string()),
            },
        }
    }

    /// About how many steps it takes: the keys of the path, what is copied or
    /// compared, and the elements of a list that are moved.
    fn steps(&self, object: &mut Value) -> u64 {
        let mut steps = LOOK * (1 + self.path.keys.len() as u64);
        let mut list = |path: &Pointer| match parent(object, path) {
            Ok((Value::Array(values), _)) => values.len() as u64 * 8,
            _ => 0,
        };
        steps += match &self.action {
            Action::Add(_) | Action::Remove => list(&self.path),
            Action::Copy(from) => list(&self.path) + LOOK * from.keys.len() as u64,
            Action::Move(from) => list(&self.path) + list(from) + LOOK * from.keys.len() as u64,
            Action::Replace(_) | Action::Test(_) => 0,
        };
        steps
            + match &self.action {
                Action::Add(value) | Action::Replace(value) | Action::Test(value) => size(value),
                Action::Move(from) | Action::Copy(from) => get(object, from).map_or(0, size),
                Action::Remove => 0,
            }
    }

    /// Checks a value that is added to the object against the limits of depth and
    /// memory.
    fn paid<'v>(&self, value: &'v Value, budget: &mut Budget) -> Result<&'v Value, String> {
        self.fits(value)?;
        if budget.spend(size(value)) { Ok(value) } else { Err("the patches add too much data".into()) }
    }

    /// Checked before each operation: a few operations that each double the depth
    /// make an object that is too deep for any recursion.
    fn fits(&self, value: &Value) -> Result<(), String> {
        match MAX_DEPTH.checked_sub(self.path.keys.len()) {
            Some(levels) if !is_deeper(value, levels) => Ok(()),
            _ => Err(format!("the result is nested deeper than {MAX_DEPTH} levels")),
        }
    }
}

/// What does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Missing {
    #[error("the parent of the path does not exist")]
    Parent,
    #[error("the field does not exist")]
    Field,
    #[error("the list has no element at that index")]
    Element,
    #[error("the index of a list must be a number, or - for its end")]
    NoIndex,
}

fn child<'v>(value: &'v mut Value, key: &str) -> Option<&'v mut Value> {
    match value {
        Value::Object(fields) => fields.get_mut(key),
        Value::Array(values) => {
            let index = index(key, values.len()).ok()?;
            values.get_mut(index)
        }
        _ => None,
    }
}

/// An index as Go's `Atoi` reads it; a negative one counts from the end.
fn index(key: &str, length: usize) -> Result<usize, Missing> {
    let number: i64 = key.parse().map_err(|_| Missing::NoIndex)?;
    let number = if number < 0 { number + length as i64 } else { number };
    usize::try_from(number).map_err(|_| Missing::Element)
}

fn parent<'v, 'p>(object: &'v mut Value, path: &'p Pointer) -> Result<(&'v mut Value, &'p str), Missing> {
    let (last, parents) = path.split().ok_or(Missing::Parent)?;
    let mut value = object;
    for key in parents {
        value = child(value, key).ok_or(Missing::Parent)?;
    }
    if value.is_object() || value.is_array() { Ok((value, last)) } else { Err(Missing::Parent) }
}

fn get<'v>(object: &'v mut Value, path: &Pointer) -> Result<&'v Value, Missing> {
    if path.keys.is_empty() {
        return Ok(object);
    }
    let (value, last) = parent(object, path)?;
    match value {
        Value::Object(fields) => fields.get(last).ok_or(Missing::Field),
        Value::Array(values) => values.get(index(last, values.len())?).ok_or(Missing::Element),
        _ => Err(Missing::Parent),
    }
}

fn add(object: &mut Value, path: &Pointer, new: Value) -> Result<(), String> {
    let (value, last) = parent(object, path).map_err(|e| e.to_string())?;
    match value {
        Value::Object(fields) => {
            fields.insert(last.to_owned(), new);
        }
        Value::Array(values) if last == "-" => values.push(new),
        Value::Array(values) => {
            let index = index(last, values.len() + 1).map_err(|e| e.to_string())?;
            if index > values.len() {
                return Err(Missing::Element.to_string());
            }
            values.insert(index, new);
        }
        _ => {}
    }
    Ok(())
}

fn remove(object: &mut Value, path: &Pointer) -> Result<Value, Missing> {
    let (value, last) = parent(object, path)?;
    match value {
        Value::Object(fields) => fields.remove(last).ok_or(Missing::Field),
        Value::Array(values) => {
            let index = index(last, values.len())?;
            if index < values.len() { Ok(values.remove(index)) } else { Err(Missing::Element) }
        }
        _ => Err(Missing::Parent),
    }
}

fn replace(object: &mut Value, path: &Pointer, new: Value) -> Result<(), String> {
    if path.keys.is_empty() {
        *object = new;
        return Ok(());
    }
    let (value, last) = parent(object, path).map_err(|e| e.to_string())?;
    match value {
        Value::Object(fields) => {
            fields.insert(last.to_owned(), new);
        }
        Value::Array(values) => {
            let index = index(last, values.len()).map_err(|e| e.to_string())?;
            *values.get_mut(index).ok_or_else(|| Missing::Element.to_string())? = new;
        }
        _ => {}
    }
    Ok(())
}

/// Equal as JSON: 1 and 1.0 are the same number.
fn equal(one: &Value, other: &Value) -> bool {
    let fields_equal = |a: &Map<String, Value>, b: &Map<String, Value>| {
        a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| equal(value, other)))
    };
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a == b || Number::as_f64(a) == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => fields_equal(a, b),
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(object: Value, patch: Value) -> Result<Value, String> {
        let mut object = object;
        JsonPatch::parse(&patch)?.apply(&mut object, &mut Budget::default(), &mut Budget::default())?;
        Ok(object)
    }

    #[test]
    fn operations_have_the_results_of_kustomize() {
        let check = |object: Value, patch: Value, expected: Value| {
            assert_eq!(patched(object, patch.clone()), Ok(expected), "{patch}");
        };
        let op = |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
        check(json!({"a": 1}), op("add", "/b", json!(2)), json!({"a": 1, "b": 2}));
        check(json!({"a": 1}), op("add", "/a", json!(2)), json!({"a": 2}));
        check(json!([1, 2]), op("add", "/1", json!(3)), json!([1, 3, 2]));
        check(json!([1, 2]), op("add", "/-", json!(3)), json!([1, 2, 3]));
        check(json!([1, 2]), op("add", "/-1", json!(3)), json!([1, 2, 3]));
        check(json!([1, 2]), op("replace", "/-1", json!(3)), json!([1, 3]));
        check(json!({"a": {}}), op("replace", "/a/b", json!(3)), json!({"a": {"b": 3}}));
        check(json!({"a/b": {"~": 1}}), op("replace", "/a~1b/~0", json!(3)), json!({"a/b": {"~": 3}}));
        check(json!({"a": 1}), op("test", "/a", json!(1.0)), json!({"a": 1}));
        check(json!({"a": 1}), op("test", "/b", Value::Null), json!({"a": 1}));
        check(json!({"a": [1, 2]}), json!([{"op": "remove", "path": "/a/0"}]), json!({"a": [2]}));
        check(json!({"a": null}), json!([{"op": "remove", "path": "/a"}]), json!({}));
        check(json!({"a": 1}), json!([{"op": "move", "from": "/a", "path": "/b"}]), json!({"b": 1}));
        check(json!({"a": 1}), json!([{"op": "copy", "from": "/a", "path": "/b"}]), json!({"a": 1, "b": 1}));
    }

    #[test]
    fn what_does_not_apply_is_named() {
        let check = |patch: Value, expected: &str| {
            assert_eq!(patched(json!({"a": [1], "b": "c", "n": null}), patch).unwrap_err(), expected);
        };
        let op = |op: &str, path: &str| json!([{"op": op, "path": path, "value": 1}]);
        check(op("remove", "/x"), "operation 0 (remove /x): the field does not exist");
        check(op("remove", "/a/1"), "operation 0 (remove /a/1): the list has no element at that index");
        check(op("add", "/a/3"), "operation 0 (add /a/3): the list has no element at that index");
        check(op("add", "/a/-3"), "operation 0 (add /a/-3): the list has no element at that index");
        check(
            op("add", "/a/x"),
            "operation 0 (add /a/x): the index of a list must be a number, or - for its end",
        );
        check(op("add", "/x/y"), "operation 0 (add /x/y): the parent of the path does not exist");
        check(op("add", "/b/y"), "operation 0 (add /b/y): the parent of the path does not exist");
        check(op("replace", "/n/y"), "operation 0 (replace /n/y): the parent of the path does not exist");
        check(op("test", "/b"), "operation 0 (test /b): the value differs");
        check(op("add", "b"), "operation 0: path: \"b\" must begin with /");
        check(
            op("swap", "/b"),
            "operation 0: op \"swap\" is not one of add, remove, replace, move, copy and test",
        );
        check(json!([{"op": "add", "path": "/b"}]), "operation 0: value is missing");
        check(json!([{"op": "move", "path": "/b"}]), "operation 0: from is missing or is not a string");
        check(json!({"op": "add"}), "a JSON patch must be a list of operations");
        check(json!(["add"]), "operation 0: it is not a mapping");
        check(
            op("remove", ""),
            "operation 0: path is empty: only test, and replace with a mapping, can use the whole object",
        );
        check(
            json!([{"op": "copy", "from": "/x", "path": "/y"}]),
            "operation 0 (copy /y): from /x: the field does not exist",
        );
    }

    #[test]
    fn copies_that_double_hit_a_limit() {
        let double = json!({"op": "copy", "from": "/a", "path": "/a/-"});
        let patch = JsonPatch::parse(&vec![double; 60].into()).unwrap();
        let error = patch
            .apply(&mut json!({"a": [1]}), &mut Budget::new(1 << 20), &mut Budget::default())
            .unwrap_err();
        assert!(error.ends_with("(copy /a/-): the patches add too much data"), "{error}");
    }

    #[test]
    fn values_of_add_and_replace_hit_a_limit() {
        for op in ["add", "replace"] {
            let operation = json!({"op": op, "path": "/a", "value": "x".repeat(1000)});
            let patch = JsonPatch::parse(&vec![operation; 10].into()).unwrap();
            let error = patch
                .apply(&mut json!({"a": 1}), &mut Budget::new(4000), &mut Budget::default())
                .unwrap_err();
            assert_eq!(error, format!("operation 3 ({op} /a): the patches add too much data"));
        }
    }

    #[test]
    fn depth_is_limited_before_each_operation() {
        let deep = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({"d": inner}));
        let path = |levels: usize| "/d".repeat(levels);
        let check = |object: Value, operations: Value| {
            let error = patched(object, operations).unwrap_err();
            assert!(error.ends_with(": the result is nested deeper than 120 levels"), "{error}");
        };
        let doubling = |op: &'static str| {
            (1..40).map(move |n| json!({"op": op, "from": "/x", "path": format!("/x{}", path(n))}))
        };
        check(json!({"x": deep(60)}), doubling("copy").collect());
        check(json!({"x": 1}), json!([{"op": "add", "path": "/x", "value": deep(120)}]));
        check(json!({"x": 1}), json!([{"op": "replace", "path": "/x", "value": deep(120)}]));
        check(json!({"x": deep(61), "d": deep(60)}), json!([{"op": "move", "from": "/x", "path": path(60)}]));
        assert!(patched(json!({"x": 1}), json!([{"op": "add", "path": "/x", "value": deep(119)}])).is_ok());
    }

    #[test]
    fn pointers_that_are_too_deep_are_refused() {
        let check = |operation: Value, field: &str| {
            let error = JsonPatch::parse(&json!([operation])).unwrap_err();
            assert_eq!(error, format!("operation 0: {field}: it is deeper than 120 levels"));
        };
        check(json!({"op": "remove", "path": "/a".repeat(121)}), "path");
        check(json!({"op": "copy", "from": "/".repeat(65000), "path": "/a"}), "from");
        assert!(JsonPatch::parse(&json!([{"op": "remove", "path": "/a".repeat(120)}])).is_ok());
    }
}
