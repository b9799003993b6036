//! Paths into objects as kustomize writes them: `spec/template/metadata/labels`
//! includes every element of the lists on its way.

use serde_json::{Map, Value};

/// A path in objects of some kinds.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain::manifest::patch) struct Field {
    /// Empty: any.
    pub(in crate::domain::manifest::patch) group: &'static str,
    /// Empty: any.
    pub(in crate::domain::manifest::patch) kind: &'static str,
    /// A `/` within a key is written `\/`; `[]` after a name means that it is a list.
    pub(in crate::domain::manifest::patch) path: &'static str,
    /// Missing mappings on the way are created.
    pub(in crate::domain::manifest::patch) create: bool,
}

impl Field {
    /// Whether objects of a kind have it.
    pub(in crate::domain::manifest::patch) fn is_for(&self, group: &str, kind: &str) -> bool {
        (self.group.is_empty() || self.group == group) && (self.kind.is_empty() || self.kind == kind)
    }
}

/// Calls `call` for every place of a path. `made` is the value at the end of a path
/// that is created.
pub(in crate::domain::manifest::patch) fn visit(
    object: &mut Value,
    path: &str,
    made: Option<&Value>,
    call: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    let keys = keys(path);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    step(object, &keys, made, call).map_err(|why| format!("{path}: {why}"))
}

fn keys(path: &str) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut chars = path.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, keys.last_mut()) {
            ('\\', Some(key)) if chars.peek() == Some(&'/') => key.extend(chars.next()),
            ('/', _) => keys.push(String::new()),
            (c, Some(key)) => key.push(c),
            (_, None) => {}
        }
    }
    keys
}

fn step(
    value: &mut Value,
    keys: &[&str],
    made: Option<&Value>,
    call: &mut dyn FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    let Some((key, rest)) = keys.split_first() else { return call(value) };
    match value {
        Value::Null => Ok(()),
        Value::Array(values) => values.iter_mut().try_for_each(|value| step(value, keys, made, call)),
        Value::Object(fields) => {
            let list = key.strip_suffix("[]");
            let name = list.unwrap_or(key);
            let new = match made {
                _ if list.is_some() => None,
                Some(made) if rest.is_empty() => Some(made.clone()),
                Some(_) => Some(Map::new().into()),
                None => None,
            };
            let next = match (fields.get_mut(name), new) {
                (Some(next), Some(new)) if next.is_null() => {
                    *next = new;
                    next
                }
                (Some(next), _) => {
                    if list.is_some() && next.is_null() {
                        *next = Value::Array(Vec::new());
                    }
                    next
                }
                (None, Some(new)) => fields.entry(name).or_insert(new),
                (None, None) => return Ok(()),
            };
            step(next, rest, made, call)
        }
        _ => Err(format!("cannot look up {key}: its parent is not a mapping or a list")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_through_lists_and_make_what_is_missing() {
        let check = |mut object: Value, path: &str, create: bool, expected: Value| {
            let made = json!("");
            visit(&mut object, path, create.then_some(&made), &mut |value| {
                *value = "x".into();
                Ok(())
            })
            .unwrap();
            assert_eq!(object, expected, "{path}");
        };
        check(json!({"a": {"b": 1}}), "a/b", false, json!({"a": {"b": "x"}}));
        check(json!({}), "a/b", false, json!({}));
        check(json!({}), "a/b", true, json!({"a": {"b": "x"}}));
        check(json!({"a": null}), "a/b", true, json!({"a": {"b": "x"}}));
        check(json!({"a": null}), "a/b", false, json!({"a": null}));
        check(json!({"a": [{"b": 1}, {}]}), "a/b", true, json!({"a": [{"b": "x"}, {"b": "x"}]}));
        check(json!({"a": [{"b": 1}, {}]}), "a[]/b", false, json!({"a": [{"b": "x"}, {}]}));
        check(json!({}), "a[]/b", true, json!({}));
        check(json!({"a/b": 1}), "a\\/b", false, json!({"a/b": "x"}));
        let error = visit(&mut json!({"a": 1}), "a/b", None, &mut |_| Ok(())).unwrap_err();
        assert_eq!(error, "a/b: cannot look up b: its parent is not a mapping or a list");
    }
}
