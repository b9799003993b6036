//! The directives of a strategic merge: `$patch`, which kustomize supports, and
//! `$retainKeys`, `$deleteFromPrimitiveList` and `$setElementOrder`, which it leaves
//! in the object as if they were fields. No API server accepts such fields, so here
//! the directives work as in `kubectl patch`.

use std::collections::BTreeSet;

use super::state::{Merge, Merged};
use super::tree::{Content, Id, Kind};
use crate::domain::manifest::patch::tables::schema::Schema;

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// The value of `$patch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Merge,
    Replace,
    Delete,
}

impl Merge {
    fn action(&self, directive: Id) -> Merged<Action> {
        match self.tree.text(directive).as_str() {
            "merge" => Ok(Action::Merge),
            "replace" => Ok(Action::Replace),
            "delete" => Ok(Action::Delete),
            _ => self.fail("$patch must be merge, replace or delete"),
        }
    }

    /// Takes `$patch` out of a mapping.
    pub(super) fn map_action(&mut self, patch: Id) -> Merged<Action> {
        let Some(directive) = self.tree.field(patch, PATCH) else { return Ok(Action::Merge) };
        let action = self.action(directive)?;
        self.tree.clear(patch, PATCH);
        Ok(action)
    }

    /// Takes the element that contains only `$patch` out of a list.
    pub(super) fn list_action(&mut self, patch: Id) -> Merged<Action> {
        let elements = self.tree.elements(patch);
        let Some(element) = elements.into_iter().find(|id| self.tree.field(*id, PATCH).is_some()) else {
            return Ok(Action::Merge);
        };
        let Some(directive) = self.tree.field(element, PATCH) else { return Ok(Action::Merge) };
        if self.tree.field_names(element).len() > 1 {
            return Ok(Action::Merge);
        }
        let action = self.action(directive)?;
        let text = self.tree.text(directive);
        if self.tree.set_element(patch, None, &[PATCH], &[text]).is_err() {
            return self.fail("$patch is in a list whose elements are not mappings");
        }
        Ok(action)
    }
}

/// The directives of one mapping that are not `$patch`.
#[derive(Default)]
pub(super) struct Directives {
    deletions: Vec<(String, Vec<Id>)>,
    orders: Vec<Order>,
}

struct Order {
    field: String,
    /// The key of the elements; `None` for lists of single values.
    key: Option<&'static str>,
    wanted: Vec<String>,
    /// The order before the merge.
    before: Vec<String>,
}

impl Directives {
    /// Takes them out of the patch. `$retainKeys` is applied immediately.
    pub(super) fn take(
        merge: &mut Merge,
        object: Id,
        patch: Option<Id>,
        schema: Option<Schema>,
    ) -> Merged<Self> {
        let mut found = Self::default();
        let Some(patch) = patch else { return Ok(found) };
        for name in merge.tree.field_names(patch).into_iter().filter(|name| name.starts_with('$')) {
            let Some(value) = merge.tree.field(patch, &name) else { continue };
            let field = name.strip_prefix(DELETE_FROM).or_else(|| name.strip_prefix(ORDER));
            if field.is_none() && name != RETAIN {
                continue;
            }
            if merge.tree.kind(value) != Some(Kind::List) {
                return merge.fail(format!("{name} must be a list"));
            }
            let elements = merge.tree.elements(value);
            merge.tree.clear(patch, &name);
            match field {
                None => retain(merge, object, patch, &elements)?,
                Some(field) if name.starts_with(DELETE_FROM) => {
                    found.deletions.push((field.to_owned(), elements));
                }
                Some(field) => {
                    let key = schema.and_then(|s| s.field(field)).and_then(Schema::merge_keys);
                    let Some(key) = key.map(|keys| keys.first().copied()) else {
                        return merge.fail(format!("{name}: the list {field} cannot be merged"));
                    };
                    let before = merge.tree.field(object, field).map(|list| names(merge, list, key));
                    let wanted = elements.iter().map(|id| name_of(merge, *id, key)).collect();
                    let before = before.unwrap_or_default();
                    found.orders.push(Order { field: field.to_owned(), key, wanted, before });
                }
            }
        }
        Ok(found)
    }

    /// Applies the remaining directives once the mapping is merged.
    pub(super) fn apply(self, merge: &mut Merge, object: Id) -> Merged<()> {
        for (field, removed) in self.deletions {
            let Some(list) = merge.tree.field(object, &field) else { continue };
            let removed: BTreeSet<String> = removed.into_iter().map(|id| merge.tree.text(id)).collect();
            let kept = merge.tree.elements(list).into_iter();
            let kept = kept.filter(|id| !removed.contains(&merge.tree.text(*id))).collect();
            merge.tree.set(list, Content::List(kept));
        }
        for order in self.orders {
            order.apply(merge, object);
        }
        Ok(())
    }
}

/// Removes the fields that are not retained.
fn retain(merge: &mut Merge, object: Id, patch: Id, kept: &[Id]) -> Merged<()> {
    let kept: BTreeSet<String> = kept.iter().map(|id| merge.tree.text(*id)).collect();
    for name in merge.tree.field_names(patch) {
        let is_set = merge.tree.field(patch, &name).is_some_and(|id| !merge.tree.is_null(id));
        if is_set && !kept.contains(&name) && !name.starts_with('$') {
            return merge.fail(format!("{RETAIN} does not include {name}, which the patch sets"));
        }
    }
    for name in merge.tree.field_names(object) {
        if !kept.contains(&name) {
            merge.tree.clear(object, &name);
        }
    }
    Ok(())
}

fn name_of(merge: &Merge, element: Id, key: Option<&str>) -> String {
    let id = key.map_or(Some(element), |key| merge.tree.field(element, key));
    id.map(|id| merge.tree.text(id)).unwrap_or_default()
}

fn names(merge: &Merge, list: Id, key: Option<&str>) -> Vec<String> {
    merge.tree.elements(list).into_iter().map(|id| name_of(merge, id, key)).collect()
}

impl Order {
    /// The elements that the directive names get its order. The others keep theirs,
    /// each before the first named element that followed it.
    fn apply(&self, merge: &mut Merge, object: Id) {
        let Some(list) = merge.tree.field(object, &self.field) else { return };
        let place = |all: &[String], name: &str| all.iter().position(|other| other == name);
        let elements = merge.tree.elements(list);
        let named = elements.into_iter().map(|id| (name_of(merge, id, self.key), id));
        let (mut wanted, others): (Vec<_>, Vec<_>) =
            named.partition(|(name, _)| place(&self.wanted, name).is_some());
        wanted.sort_by_key(|(name, _)| place(&self.wanted, name));
        let mut ordered = Vec::new();
        let mut others = others.into_iter().peekable();
        for (name, id) in wanted {
            while let Some((other, _)) = others.peek() {
                let both = place(&self.before, other).zip(place(&self.before, &name));
                if both.is_none_or(|(other, named)| other >= named) {
                    break;
                }
                ordered.extend(others.next().map(|(_, id)| id));
            }
            ordered.push(id);
        }
        ordered.extend(others.map(|(_, id)| id));
        merge.tree.set(list, Content::List(ordered));
    }
}
