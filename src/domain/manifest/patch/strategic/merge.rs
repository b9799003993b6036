//! Strategic merge as kustomize does it (kyaml's merge2): mappings merge, lists
//! merge by the keys of their kind or are replaced, `null` removes, `$patch`
//! directs. A patch wins over the object, and what it adds to a list comes
//! first.

use std::collections::BTreeSet;

use serde_json::Value;

use super::directive::{Action, Directives};
use super::lists::{NotAMapping, fill_in, keys_in_use};
use super::state::{Merge, Merged};
use super::tree::{Content, Id, Kind, Tree};
use crate::domain::manifest::patch::tables::schema::Schema;
use crate::domain::manifest::patch::value::scalar_text;
use crate::domain::manifest::scalar::resolve;

/// Merges a patch into an object; `None` when the patch deletes it.
///
/// # Errors
/// The patch does not fit the object: the path, and what is wrong there.
pub(in crate::domain::manifest::patch) fn merge(
    object: Value,
    patch: Value,
) -> Result<Option<Value>, String> {
    let mut merge = Merge { tree: Tree::default(), path: Vec::new() };
    let object = merge.tree.add(object);
    let patch = merge.tree.add(patch);
    let merged = merge.walk(Some(object), Some(patch), None)?;
    Ok(merged.filter(|id| !merge.tree.is_null(*id)).map(|id| merge.tree.value(id)))
}

impl Merge {
    fn fit<T>(&self, result: Result<T, NotAMapping>) -> Merged<T> {
        result.or_else(|_| self.fail("the list is merged by a key, but one of its elements is not a mapping"))
    }

    fn walk(&mut self, object: Option<Id>, patch: Option<Id>, schema: Option<Schema>) -> Merged<Option<Id>> {
        let sources = || [object, patch].into_iter().flatten();
        let schema = schema.or_else(|| sources().find_map(|id| self.embedded(id)));
        let kind = sources().find_map(|id| self.tree.kind(id));
        if let Some(kind) = kind
            && let Some(other) = sources().filter_map(|id| self.tree.kind(id)).find(|other| *other != kind)
        {
            return self.fail(format!(
                "it is {} in the object, but {} in the patch",
                kind.name(),
                other.name()
            ));
        }
        match (kind, schema.and_then(Schema::merge_keys)) {
            (Some(Kind::Scalar), _) | (Some(Kind::List), None) => Ok(patch.or(object)),
            (Some(Kind::List), Some(keys)) => {
                self.merge_list(object, patch, keys, schema.and_then(Schema::items))
            }
            (Some(Kind::Map) | None, _) => self.merge_map(object, patch, schema),
        }
    }

    /// Also within a custom resource, a mapping with `kind` is of that kind.
    fn embedded(&self, id: Id) -> Option<Schema> {
        let text = |name| self.tree.field(id, name).map(|id| self.tree.text(id));
        Schema::of(&text("apiVersion")?, &text("kind")?)
    }

    /// The mapping before its fields are merged.
    fn start_map(&mut self, object: Option<Id>, patch: Option<Id>) -> Merged<Option<Id>> {
        if self.tree.is_missing(object) {
            let action = patch.map(|id| self.map_action(id)).transpose()?;
            return Ok(match (action, patch, object) {
                (Some(Action::Delete), ..) => None,
                (_, None, Some(_)) => Some(self.tree.push(Content::Null { keep: true })),
                (_, patch, _) => patch,
            });
        }
        let Some(patch) = patch else { return Ok(object) };
        if self.tree.is_null(patch) {
            return Ok(None);
        }
        Ok(match self.map_action(patch)? {
            Action::Delete => None,
            Action::Replace if self.path.is_empty() => {
                return self
                    .fail("$patch: replace cannot replace the whole object; kustomize ignores it here");
            }
            Action::Replace => Some(patch),
            Action::Merge => object,
        })
    }

    fn merge_map(
        &mut self,
        object: Option<Id>,
        patch: Option<Id>,
        schema: Option<Schema>,
    ) -> Merged<Option<Id>> {
        let Some(result) = self.start_map(object, patch)? else { return Ok(None) };
        let directives = Directives::take(self, result, patch, schema)?;
        let sources = [Some(result), patch];
        let names: BTreeSet<String> =
            sources.into_iter().flatten().flat_map(|id| self.tree.field_names(id)).collect();
        for name in names {
            let [object, patch] = sources.map(|id| self.tree.field(id?, &name));
            self.path.push(name.clone());
            let value = self.walk(object, patch, schema.and_then(|schema| schema.field(&name)))?;
            self.path.pop();
            self.set_field(result, &name, value);
        }
        directives.apply(self, result)?;
        Ok(Some(result))
    }

    fn set_field(&mut self, map: Id, name: &str, value: Option<Id>) {
        let Some(value) = value.filter(|id| *self.tree.get(*id) != Content::Null { keep: false }) else {
            return self.tree.clear(map, name);
        };
        let content = match self.tree.get(value) {
            Content::Null { .. } => Content::Null { keep: false },
            other => other.clone(),
        };
        match self.tree.field(map, name) {
            Some(field) if field == value => {}
            Some(field) => {
                let content = quoted_as(self.tree.get(field), content);
                self.tree.set(field, content);
            }
            None => {
                self.tree.set(value, content);
                self.tree.insert(map, name, value);
            }
        }
    }

    fn merge_list(
        &mut self,
        object: Option<Id>,
        patch: Option<Id>,
        keys: &'static [&'static str],
        items: Option<Schema>,
    ) -> Merged<Option<Id>> {
        let start = match (object, patch) {
            (object, patch) if self.tree.is_missing(object) => patch,
            (_, Some(patch)) if self.tree.is_null(patch) => None,
            (object, None) => object,
            (object, Some(patch)) => match self.list_action(patch)? {
                Action::Delete => None,
                Action::Replace => Some(patch),
                Action::Merge => object,
            },
        };
        let Some(result) = start else { return Ok(None) };
        if start == object {
            self.demand_keys(result, patch, keys)?;
        }
        // The elements of the patch come first.
        let lists = [patch, Some(result)];
        let mut all: Vec<Vec<String>> = Vec::new();
        let mut seen = BTreeSet::new();
        for list in lists.into_iter().flatten() {
            let values = if keys.is_empty() {
                self.tree.elements(list).into_iter().map(|id| vec![self.tree.text(id)]).collect()
            } else {
                self.tree.key_values(list, keys)
            };
            all.extend(values.into_iter().filter(|values| seen.insert(values.clone())));
        }
        let keys = if keys.is_empty() { &[""] } else { keys };
        if keys.len() > 1 {
            fill_in(&mut all);
        }
        self.merge_elements([Some(result), patch], keys, &all, items)
    }

    /// An element of the patch without any of the keys would empty the list.
    fn demand_keys(&self, object: Id, patch: Option<Id>, keys: &[&str]) -> Merged<()> {
        let has_key = |id: &Id| {
            let text = |key: &&str| self.tree.field(*id, key).filter(|id| !self.tree.is_null(*id));
            self.tree.is_null(*id)
                || self.tree.is_empty_map(*id)
                || keys.iter().any(|key| text(key).is_some())
        };
        let elements = patch.map(|patch| self.tree.elements(patch)).unwrap_or_default();
        if keys.is_empty() || self.tree.elements(object).is_empty() || elements.iter().all(has_key) {
            return Ok(());
        }
        let (all, first) = (keys.join(" and "), keys.first().copied().unwrap_or_default());
        self.fail(format!("the list is merged by {all}, but an element of the patch has no {first}"))
    }

    fn merge_elements(
        &mut self,
        lists: [Option<Id>; 2],
        keys: &[&'static str],
        all: &[Vec<String>],
        items: Option<Schema>,
    ) -> Merged<Option<Id>> {
        let [Some(result), _] = lists else { return Ok(None) };
        if all.is_empty() {
            return Ok(Some(result));
        }
        let added = self.tree.push(Content::List(Vec::new()));
        let mut used = Vec::new();
        for values in all {
            let (in_use, values) = keys_in_use(all, values, keys);
            used.clone_from(&in_use);
            let (own, own_values) = keys_in_use(std::slice::from_ref(&values), &values, &in_use);
            let [object, patch] = lists.map(|list| self.tree.element(list?, &own, &own_values));
            self.path.push(format!("[{}]", values.join(",")));
            let merged = self.walk(object, patch, items)?;
            self.path.pop();
            match merged.filter(|id| !self.tree.is_null(*id) && !self.tree.is_empty_map(*id)) {
                None => {
                    let removed = self.tree.set_element(result, None, &in_use, &values);
                    self.fit(removed)?;
                }
                Some(merged) => {
                    self.complete(merged, &in_use, &values);
                    let set = self.tree.set_element(added, Some(merged), &in_use, &values);
                    self.fit(set)?;
                }
            }
        }
        self.append(added, result, &used)?;
        Ok(Some(added))
    }

    /// Sets the keys by which an element was found and that it does not contain.
    fn complete(&mut self, element: Id, keys: &[&str], values: &[String]) {
        for (key, value) in keys.iter().zip(values) {
            if !key.is_empty() && !value.is_empty() && self.tree.field(element, key).is_none() {
                let scalar = match resolve(None, true, value.clone()).map(|scalar| scalar.into_value()) {
                    Ok(Ok(scalar)) if scalar_text(&scalar) == *value => scalar,
                    _ => value.clone().into(),
                };
                let scalar = self.tree.add(scalar);
                self.tree.insert(element, key, scalar);
            }
        }
    }

    /// Appends the elements of the object to the merged ones; each replaces the one
    /// with its keys, if there is one.
    fn append(&mut self, merged: Id, object: Id, keys: &[&str]) -> Merged<()> {
        for element in self.tree.elements(object) {
            if keys.first().is_none_or(|key| key.is_empty()) {
                let text = [self.tree.text(element)];
                let set = self.tree.set_element(merged, Some(element), &[""], &text);
                self.fit(set)?;
                continue;
            }
            let mut values = Vec::new();
            for key in keys {
                match (self.tree.kind(element), self.tree.field(element, key)) {
                    (Some(Kind::Map), Some(value)) => values.push(self.tree.text(value)),
                    (Some(Kind::Map) | None, None) => {
                        let mut elements = self.tree.elements(merged);
                        elements.push(element);
                        self.tree.set(merged, Content::List(elements));
                    }
                    _ => return self.fit(Err(NotAMapping)),
                }
            }
            if keys.len() > 1 {
                let removed = self.tree.set_element(merged, None, keys, &values);
                self.fit(removed)?;
            }
            let set = self.tree.set_element(merged, Some(element), keys, &values);
            self.fit(set)?;
        }
        Ok(())
    }
}

/// A value that replaces a text is written with the quotes of that text, and so
/// becomes a text: kustomize keeps the style of the value that it overrides. Which
/// texts had quotes is not known any more; those are taken to have quotes that would
/// not be texts without them.
fn quoted_as(old: &Content, new: Content) -> Content {
    let (Content::Scalar(Value::String(old)), Content::Scalar(value)) = (old, &new) else { return new };
    let needs_quotes = old.contains('\n')
        || !matches!(resolve(None, true, old.clone()).map(|s| s.into_value()), Ok(Ok(Value::String(_))));
    if needs_quotes && !value.is_string() { Content::Scalar(scalar_text(value).into()) } else { new }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
    }

    #[test]
    fn lists_merge_or_are_replaced() {
        let check = |object: Value, patch: Value, expected: Value| {
            let merged = merge(pod(object), json!({"spec": patch.clone()}));
            assert_eq!(merged, Ok(Some(pod(expected))), "{patch}");
        };
        let two = || json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "args": ["x"]}]});
        check(
            two(),
            json!({"containers": [{"name": "c"}, {"name": "b", "args": ["y"]}]}),
            json!({"containers": [{"name": "c"}, {"name": "b", "args": ["y"]}, {"name": "a", "image": "1"}]}),
        );
        check(
            two(),
            json!({"containers": [{"name": "a", "$patch": "delete"}, {"name": "b", "args": null}]}),
            json!({"containers": [{"name": "b"}]}),
        );
        check(
            two(),
            json!({"containers": [{"$patch": "replace"}, {"name": "z"}]}),
            json!({"containers": [{"name": "z"}]}),
        );
        check(two(), json!({"containers": null}), json!({}));
        check(json!({"x": null, "y": 1}), json!({"y": 2, "z": null}), json!({"x": null, "y": 2}));
    }

    #[test]
    fn what_does_not_fit_names_the_place() {
        let check = |object: Value, patch: Value, expected: &str| {
            assert_eq!(merge(pod(object), json!({"spec": patch})).unwrap_err(), expected);
        };
        let one = || json!({"containers": [{"name": "a", "env": [{"name": "x"}]}]});
        check(
            one(),
            json!({"containers": {}}),
            "at spec.containers: it is a list in the object, but a mapping in the patch",
        );
        check(
            one(),
            json!({"containers": [{"name": "a", "env": "x"}]}),
            "at spec.containers.[a].env: it is a list in the object, but a single value in the patch",
        );
        check(
            one(),
            json!({"containers": [{"name": "a", "$patch": "remove"}]}),
            "at spec.containers.[a]: $patch must be merge, replace or delete",
        );
        check(
            one(),
            json!({"containers": [{"image": "a"}]}),
            "at spec.containers: the list is merged by name, but an element of the patch has no name",
        );
        check(
            one(),
            json!({"$setElementOrder/nodeSelector": []}),
            "at spec: $setElementOrder/nodeSelector: the list nodeSelector cannot be merged",
        );
    }

    #[test]
    fn odd_shapes_are_merged_or_refused() {
        let odd = [
            json!(null),
            json!([]),
            json!({}),
            json!(""),
            json!(5),
            json!([null, {}, [], 1, "a"]),
            json!([{"name": null}, {"name": []}, {"name": ""}, {"name": {}}]),
            json!([{"name": "a", "$patch": "delete"}, {"name": "a"}, {"$patch": "replace"}, {"$patch": []}]),
            json!([{"containerPort": 1}, {"protocol": "TCP"}, {"containerPort": 1, "protocol": "UDP"}, {}]),
            json!([{"containerPort": [1], "protocol": {"a": 1}}, {"containerPort": "", "protocol": ""}]),
            json!({"$patch": {"$patch": "delete"}}),
            json!({"$patch": "delete", "$retainKeys": ["a"], "a": 1}),
            json!({"$retainKeys": [null, {}], "$setElementOrder/": [], "$deleteFromPrimitiveList/": [[]]}),
            json!({"$setElementOrder/containers": [{}, null, "a"], "containers": [null]}),
            json!({"$setElementOrder/ports": [{"containerPort": 1}], "ports": [{"containerPort": 1}, 5]}),
            json!({"$deleteFromPrimitiveList/finalizers": [1, null], "finalizers": [1, "1", null, {}]}),
            json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": {"name": "a"}}}),
        ];
        for a in &odd {
            for b in &odd {
                let place = |v: &Value| {
                    [
                        pod(json!({"containers": v})),
                        pod(json!({"containers": [{"name": "a", "ports": v, "env": v}]})),
                        pod(v.clone()),
                        json!({"apiVersion": "v1", "kind": "Pod", "metadata": v}),
                        v.clone(),
                    ]
                };
                for (object, patch) in place(a).into_iter().zip(place(b)) {
                    let _ = merge(object.clone(), patch.clone());
                    let _ = merge(json!({"apiVersion": "v1", "kind": "Pod"}), patch);
                }
            }
        }
    }
}
