//! In which fields two versions of an object differ.

use serde_json::Value;

/// A field that differs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference<'a> {
    /// The keys and indexes to it.
    pub(super) path: Vec<String>,
    /// Its value in the first version.
    pub(super) before: Option<&'a Value>,
    /// Its value in the second version.
    pub(super) after: Option<&'a Value>,
}

/// The fields that differ, in the order of their names. Lists of different lengths are one field.
pub(super) fn differences<'a>(before: &'a Value, after: &'a Value) -> Vec<Difference<'a>> {
    let mut found = Vec::new();
    compare(Some(before), Some(after), &mut Vec::new(), &mut found);
    found
}

fn compare<'a>(
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    path: &mut Vec<String>,
    found: &mut Vec<Difference<'a>>,
) {
    // Nothing and null are the same to the API server.
    let (before, after) = (before.filter(|v| !v.is_null()), after.filter(|v| !v.is_null()));
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))).collect();
            keys.sort_unstable();
            for key in keys {
                path.push(key.clone());
                compare(a.get(key), b.get(key), path, found);
                path.pop();
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                path.push(n.to_string());
                compare(Some(a), Some(b), path, found);
                path.pop();
            }
        }
        (before, after) => found.push(Difference { path: path.clone(), before, after }),
    }
}

/// Whether each value of an object is the same in one of two others, at the same place.
pub(super) fn is_made_of(object: &Value, sources: [Option<&Value>; 2]) -> bool {
    if object.is_null() || sources.contains(&Some(object)) {
        return true;
    }
    match object {
        Value::Object(fields) if !fields.is_empty() => fields.iter().all(|(key, value)| {
            let sources = sources.map(|source| source.and_then(|source| source.get(key)));
            is_made_of(value, sources)
        }),
        Value::Array(items) if !items.is_empty() => items.iter().enumerate().all(|(n, value)| {
            let sources = sources.map(|source| source.and_then(|source| source.get(n)));
            is_made_of(value, sources)
        }),
        _ => false,
    }
}

/// As a JSON pointer.
pub(super) fn pointer(path: &[String]) -> String {
    path.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Whether one of the two paths is a beginning of the other.
pub(super) fn overlap(a: &[String], b: &[String]) -> bool {
    a.iter().zip(b).all(|(a, b)| a == b)
}

/// The value without the given fields, and without the mappings that are empty then.
pub(super) fn without(value: &Value, paths: &[Vec<String>]) -> Value {
    let mut value = value.clone();
    for path in paths {
        let Some((last, parents)) = path.split_last() else { return Value::Null };
        let parent = value.pointer_mut(&pointer(parents));
        match parent {
            Some(Value::Object(fields)) => {
                fields.remove(last);
                if fields.is_empty() && !parents.is_empty() {
                    value = without(&value, &[parents.to_vec()]);
                }
            }
            Some(Value::Array(items)) => {
                let item = last.parse().ok().and_then(|n: usize| items.get_mut(n));
                item.into_iter().for_each(|item| *item = Value::Null);
            }
            _ => {}
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_that_differ_have_paths_and_values() {
        let before = json!({"a": 1, "same": {"x": 1}, "gone": true, "list": [{"n": 1}, {"n": 2}], "long": [1], "null": null});
        let after =
            json!({"a": 2, "same": {"x": 1}, "new/er": "x", "list": [{"n": 1}, {"n": 3}], "long": [1, 2]});
        let found: Vec<(String, Option<Value>, Option<Value>)> = differences(&before, &after)
            .into_iter()
            .map(|d| (pointer(&d.path), d.before.cloned(), d.after.cloned()))
            .collect();
        assert_eq!(
            found,
            [
                ("/a".into(), Some(json!(1)), Some(json!(2))),
                ("/gone".into(), Some(json!(true)), None),
                ("/list/1/n".into(), Some(json!(2)), Some(json!(3))),
                ("/long".into(), Some(json!([1])), Some(json!([1, 2]))),
                ("/new~1er".into(), None, Some(json!("x"))),
            ]
        );
        assert!(differences(&before, &before).is_empty());
    }

    #[test]
    fn an_object_is_made_of_two_others() {
        let check = |object: Value, sent: Value, before: Option<Value>, expected: bool| {
            assert_eq!(
                is_made_of(&object, [Some(&sent), before.as_ref()]),
                expected,
                "{object} {sent} {before:?}"
            );
        };
        check(json!({"a": 1}), json!({"a": 1, "b": 2}), None, true);
        check(json!({"a": 1, "b": null}), json!({"a": 1}), None, true);
        check(json!({"a": 1, "b": {"c": 2}}), json!({"a": 1}), None, false);
        check(json!({"a": 1, "b": {"c": 2}}), json!({"a": 1}), Some(json!({"a": 0, "b": {"c": 2}})), true);
        check(json!({"a": 2}), json!({"a": 1}), Some(json!({"a": 0})), false);
        check(json!({"a": {}}), json!({}), None, false);
        check(json!({"a": {}}), json!({"a": {}}), None, true);
        check(json!([{"x": 1, "y": 2}]), json!([{"x": 1}]), Some(json!([{"y": 2}])), true);
        check(json!([1, 2]), json!([1]), None, false);
        check(json!("1"), json!(1), None, false);
    }

    #[test]
    fn fields_can_be_left_out() {
        let paths = |all: &[&[&str]]| -> Vec<Vec<String>> {
            all.iter().map(|path| path.iter().map(|key| (*key).to_owned()).collect()).collect()
        };
        let value = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
        assert_eq!(
            without(&value, &paths(&[&["a", "b"], &["l", "1"], &["x", "y"]])),
            json!({"a": {"c": 2}, "l": [1, null]})
        );
        let value = json!({"a": {"b": {"c": 1}}, "e": {}});
        assert_eq!(without(&value, &paths(&[&["a", "b", "c"]])), json!({"e": {}}));
        assert_eq!(without(&value, &paths(&[&["e", "x"]])), json!({"a": {"b": {"c": 1}}}));
        assert_eq!(without(&value, &paths(&[&[]])), Value::Null);
    }
}
