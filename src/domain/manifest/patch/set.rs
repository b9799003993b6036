//! The objects of one artifact while they are patched, with the current and all
//! former names of each: patches find objects, and references follow them, by every
//! name that they have had.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::name::Name;
use super::selection::target::PatchTarget;
use super::steps::{LOOK, MAX_STEPS, spend};
use super::value::size;
use crate::domain::manifest::budget::Budget;
use crate::domain::objects::object::Object;

/// How much patches may add to all objects together: an estimate, in bytes.
pub const MAX_ADDED_BYTES: u64 = 256 << 20;

/// Objects in their order.
#[derive(Debug)]
pub struct Set {
    pub(super) members: Vec<Member>,
    pub(super) budget: Budget,
    pub(super) steps: Budget,
    /// The objects that have, or once had, a name, by their index.
    pub(super) called: HashMap<String, BTreeSet<usize>>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) object: Object,
    /// Its place among the objects that the set was made of.
    pub(super) index: usize,
    /// Its former names, the oldest first.
    pub(super) previous: Vec<Name>,
    pub(super) prefixes: Vec<String>,
    pub(super) suffixes: Vec<String>,
}

impl Member {
    pub(super) fn current(&self) -> Name {
        Name::of(&self.object)
    }

    /// Its original name.
    pub(super) fn original(&self) -> Name {
        self.previous_names().next().unwrap_or_else(|| self.current())
    }

    /// Former names have the current group and version, as in kustomize.
    pub(super) fn previous_names(&self) -> impl Iterator<Item = Name> + '_ {
        self.previous.iter().map(|name| Name {
            group: self.object.group().to_owned(),
            version: self.object.version().to_owned(),
            ..name.clone()
        })
    }

    pub(super) fn remember(&mut self) {
        self.previous.push(self.current());
    }

    /// Whether a patch with the target is for it.
    ///
    /// # Errors
    /// The steps are used up.
    pub(super) fn selected_by(&self, target: &PatchTarget, steps: &mut Budget) -> Result<bool, String> {
        let (original, current) = (self.original(), self.current());
        let once = usize::from(original == current);
        let namespaces = &[original.namespace.as_str(), &current.namespace][once..];
        let names = &[original.name.as_str(), &current.name][once..];
        spend(steps, LOOK)?;
        if !target.fits_kind(&current.group, &current.version, &current.kind) {
            return Ok(false);
        }
        spend(steps, target.steps(&current, namespaces, names))?;
        Ok(target.fits_one_namespace(namespaces.iter().copied())
            && target.fits_one_name(names.iter().copied())
            && target.fits_metadata(self.object.value()))
    }

    /// Sets a new content, if it is an object.
    pub(super) fn become_value(&mut self, value: Value) -> Result<(), String> {
        let named = self.current();
        self.object = Object::new(value)
            .map_err(|why| format!("{named}: the result is not a valid manifest: {why}"))?;
        Ok(())
    }
}

impl Set {
    /// A set of objects to which patches may add [`MAX_ADDED_BYTES`].
    pub fn new(objects: impl IntoIterator<Item = Object>) -> Self {
        Self::within(objects, MAX_ADDED_BYTES)
    }

    /// A set of objects to which patches may add so many bytes.
    pub fn within(objects: impl IntoIterator<Item = Object>, bytes: u64) -> Self {
        let member = |(index, object)| Member {
            object,
            index,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
        };
        let members: Vec<Member> = objects.into_iter().enumerate().map(member).collect();
        let mut called: HashMap<String, BTreeSet<usize>> = HashMap::with_capacity(members.len());
        for member in &members {
            called.entry(member.object.name().to_owned()).or_default().insert(member.index);
        }
        let (budget, steps) = (Budget::new(bytes), Budget::new(MAX_STEPS));
        Self { members, budget, steps, called }
    }

    /// How much patches have added at most, in bytes; the whole limit once it was
    /// exceeded.
    pub fn added(&self) -> u64 {
        self.budget.spent()
    }

    /// Lets patches add so many bytes from now on.
    pub fn allow(&mut self, bytes: u64) {
        self.budget = Budget::new(bytes);
    }

    /// The size of the objects: an estimate, in bytes.
    pub fn bytes(&self) -> u64 {
        self.members.iter().map(|member| size(member.object.value())).sum()
    }

    /// Records the new name of an object.
    pub(super) fn note(&mut self, place: usize) {
        let Some(member) = self.members.get(place) else { return };
        self.called.entry(member.object.name().to_owned()).or_default().insert(member.index);
    }

    /// The places of the objects that the target selects.
    ///
    /// # Errors
    /// The steps are used up.
    pub(super) fn selected(&mut self, target: &PatchTarget) -> Result<Vec<usize>, String> {
        let mut places = Vec::new();
        for (place, member) in self.members.iter().enumerate() {
            if member.selected_by(target, &mut self.steps)? {
                places.push(place);
            }
        }
        Ok(places)
    }

    /// Removes objects that were deleted.
    pub(super) fn remove(&mut self, places: &HashSet<usize>) -> Result<(), String> {
        if places.is_empty() {
            return Ok(());
        }
        spend(&mut self.steps, self.members.len() as u64)?;
        let members = std::mem::take(&mut self.members).into_iter().enumerate();
        self.members = members.filter(|(place, _)| !places.contains(place)).map(|(_, m)| m).collect();
        Ok(())
    }

    /// The places of the objects that have, or had, a name.
    ///
    /// # Errors
    /// The steps are used up.
    pub(super) fn named(&mut self, name: &Name) -> Result<Vec<usize>, String> {
        let means = |member: &Member| {
            member.current() == *name || member.previous_names().any(|previous| previous == *name)
        };
        let mut found = Vec::new();
        for index in self.called.get(&name.name).into_iter().flatten() {
            // Members stay in the order of their indices.
            let Ok(place) = self.members.binary_search_by_key(index, |member| member.index) else { continue };
            let Some(member) = self.members.get(place) else { continue };
            spend(&mut self.steps, LOOK * (1 + member.previous.len() as u64))?;
            if means(member) {
                found.push(place);
            }
        }
        Ok(found)
    }

    /// A name that two objects have now.
    pub(super) fn twice(&self) -> Option<Name> {
        let mut seen = HashSet::with_capacity(self.members.len());
        self.members.iter().map(Member::current).find(|name| !seen.insert(name.clone()))
    }

    /// The objects that are left, each with its place among those that the set
    /// was made of.
    pub fn into_objects(self) -> Vec<(usize, Object)> {
        self.members.into_iter().map(|member| (member.index, member.object)).collect()
    }
}
