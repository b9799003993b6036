//! Lists whose elements are found by the values of their keys: this works like
//! `ElementSetter` and `ElementMatcher` of kyaml, also for elements that have no key.

use super::tree::{Content, Id, Kind, Tree};

/// An element that should be a mapping is something else.
pub(super) struct NotAMapping;

impl Tree {
    /// The value of a field, if the node is a mapping and, with a wanted text, if the
    /// field is written like that.
    fn matching(&self, element: Id, key: &str, wanted: Option<&str>) -> Result<Option<Id>, NotAMapping> {
        let fits = |id: Id| wanted.is_none_or(|wanted| self.text(id) == wanted);
        match (self.kind(element), key) {
            (None, _) => Ok(None),
            (Some(Kind::Scalar), "") => {
                Ok((self.text(element) == wanted.unwrap_or_default()).then_some(element))
            }
            (Some(Kind::Map), key) if !key.is_empty() => Ok(self.field(element, key).filter(|id| fits(*id))),
            _ => Err(NotAMapping),
        }
    }

    /// The first element whose keys all have the values.
    pub(super) fn element(&self, list: Id, keys: &[&str], values: &[String]) -> Option<Id> {
        let elements = self.elements(list);
        if keys.first().is_none_or(|key| key.is_empty()) {
            let wanted = values.first().map_or("", String::as_str);
            return elements.into_iter().find(|id| self.text(*id) == wanted);
        }
        if keys.len() != values.len() {
            return None;
        }
        elements.into_iter().find(|id| {
            self.kind(*id) == Some(Kind::Map)
                && keys
                    .iter()
                    .zip(values)
                    .all(|(key, value)| matches!(self.matching(*id, key, Some(value)), Ok(Some(_))))
        })
    }

    /// Replaces the elements whose keys all have the values, or removes them where
    /// there is nothing to set; an element that replaces none is appended.
    pub(super) fn set_element(
        &mut self,
        list: Id,
        element: Option<Id>,
        keys: &[&str],
        values: &[String],
    ) -> Result<(), NotAMapping> {
        let keys = if keys.is_empty() { &[""] } else { keys };
        let of_mappings =
            keys.first().is_some_and(|k| !k.is_empty()) && values.first().is_some_and(|v| !v.is_empty());
        let mut kept = Vec::new();
        let mut replaced = false;
        for current in self.elements(list) {
            if self.is_null(current) || self.is_empty_map(current) {
                continue;
            }
            if of_mappings && self.kind(current) != Some(Kind::Map) {
                kept.push(current);
            } else if !self.has_values(current, keys, values)? {
                if !values.is_empty() {
                    kept.push(current);
                }
            } else {
                replaced = true;
                kept.extend(element);
            }
        }
        if let Some(element) = element.filter(|id| !self.is_null(*id) && !replaced) {
            kept.push(element);
        }
        self.set(list, Content::List(kept));
        Ok(())
    }

    /// An empty value matches any value of the field, and a key without a value
    /// counts as the one before it.
    fn has_values(&self, element: Id, keys: &[&str], values: &[String]) -> Result<bool, NotAMapping> {
        let mut found = None;
        for (index, key) in keys.iter().enumerate() {
            if let Some(value) = values.get(index) {
                let wanted = (!value.is_empty()).then_some(value.as_str());
                found = self.matching(element, key, wanted)?;
            }
            if found.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The values of the keys of each element; empty where it has none.
    pub(super) fn key_values(&self, list: Id, keys: &[&str]) -> Vec<Vec<String>> {
        let text = |element: Id, key: &str| match self.field(element, key) {
            Some(id) if self.is_null(id) => String::new(),
            Some(id) => self.text(id),
            None => String::new(),
        };
        let of = |element: Id| keys.iter().map(|key| text(element, key)).collect();
        self.elements(list).into_iter().map(of).collect()
    }
}

/// The keys for which any element has a value, and their values in one element. If no
/// element has any, all keys.
pub(super) fn keys_in_use<'k>(
    all: &[Vec<String>],
    values: &[String],
    keys: &[&'k str],
) -> (Vec<&'k str>, Vec<String>) {
    let used = |index: usize| all.iter().any(|values| values.get(index).is_some_and(|v| !v.is_empty()));
    if !(0..keys.len()).any(used) {
        return (keys.to_vec(), values.to_vec());
    }
    let in_use = keys.iter().enumerate().filter(|(index, _)| used(*index)).map(|(_, key)| *key).collect();
    let values = values
        .iter()
        .enumerate()
        .filter(|(index, value)| !value.is_empty() || used(*index))
        .map(|(_, value)| value.clone())
        .collect();
    (in_use, values)
}

/// Fills the missing values of an element from another one with the same remaining
/// values.
pub(super) fn fill_in(all: &mut [Vec<String>]) {
    for first in 0..all.len() {
        let one = all[first].clone();
        for second in 0..all.len() {
            if let Some(both) = combined(&one, &all[second]) {
                all[first].clone_from(&both);
                all[second] = both;
            }
        }
    }
}

fn combined(one: &[String], other: &[String]) -> Option<Vec<String>> {
    if one.len() != other.len() {
        return None;
    }
    let mut agree = false;
    let mut both = Vec::with_capacity(one.len());
    for (a, b) in one.iter().zip(other) {
        match (a.as_str(), b.as_str()) {
            (a, b) if a == b => agree = true,
            (_, "") | ("", _) => {}
            _ => return None,
        }
        both.push(if a.is_empty() { b.clone() } else { a.clone() });
    }
    agree.then_some(both)
}
