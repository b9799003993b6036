//! The objects of one artifact while they are patched: what each is called and
//! was called before, because patches find objects, and references follow them,
//! by every name they have had.

use serde_json::Value;

use super::error::PatchError;
use super::image::ImageChange;
use super::names;
use super::schema::cluster_scoped;
use super::target::Target;
use crate::domain::manifest::budget::Budget;
use crate::domain::object::Object;

/// How much patches may add to all objects together: an estimate, in bytes.
pub const MAX_ADDED_BYTES: u64 = 256 << 20;

/// Where kustomize puts objects that live in no namespace.
const NO_NAMESPACE: &str = "_non_namespaceable_";

/// Objects in their order.
#[derive(Debug)]
pub struct Set {
    pub(super) members: Vec<Member>,
    pub(super) budget: Budget,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) object: Object,
    /// Its place among the objects that the set was made of.
    pub(super) index: usize,
    /// What it was called, the oldest first.
    pub(super) previous: Vec<Name>,
    pub(super) prefixes: Vec<String>,
    pub(super) suffixes: Vec<String>,
}

/// What an object is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    /// With the word for none, and `default` where it is not set.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Name {
    pub(super) fn of(object: &Object) -> Self {
        Self::new(object.api_version(), object.kind(), object.namespace(), object.name())
    }

    pub(super) fn new(api_version: &str, kind: &str, namespace: &str, name: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let namespace = match namespace {
            _ if cluster_scoped(api_version, kind) => NO_NAMESPACE,
            "" => "default",
            namespace => namespace,
        };
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    pub(super) fn is_cluster_scoped(&self) -> bool {
        self.namespace == NO_NAMESPACE
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let namespace = if self.is_cluster_scoped() { "" } else { self.namespace.as_str() };
        let slash = if namespace.is_empty() { "" } else { "/" };
        write!(f, "{}/{namespace}{slash}{}", self.kind, self.name)
    }
}

impl Member {
    pub(super) fn current(&self) -> Name {
        Name::of(&self.object)
    }

    /// What it was called at first.
    pub(super) fn original(&self) -> Name {
        self.previous_names().next().unwrap_or_else(|| self.current())
    }

    /// Former names have the group and version of now, as to kustomize.
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

    pub(super) fn selected_by(&self, target: &Target) -> bool {
        let (original, current) = (self.original(), self.current());
        target.fits_one_namespace([original.namespace.as_str(), &current.namespace].into_iter())
            && target.fits_one_name([original.name.as_str(), &current.name].into_iter())
            && target.fits_kind(&current.group, &current.version, &current.kind)
            && target.fits_metadata(self.object.value())
    }

    /// Takes a new content, if it is an object.
    pub(super) fn become_value(&mut self, value: Value) -> Result<(), String> {
        let named = self.current();
        self.object =
            Object::new(value).map_err(|why| format!("{named}: the result is no manifest: {why}"))?;
        Ok(())
    }
}

impl Set {
    /// A set of objects.
    pub fn new(objects: impl IntoIterator<Item = Object>) -> Self {
        let member = |(index, object)| Member {
            object,
            index,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
        };
        Self {
            members: objects.into_iter().enumerate().map(member).collect(),
            budget: Budget::new(MAX_ADDED_BYTES),
        }
    }

    /// Changes images.
    pub fn change_images(&mut self, changes: &[ImageChange]) {
        for change in changes {
            self.members.iter_mut().for_each(|member| change.apply(member.object.value_mut()));
        }
    }

    /// Lets references follow objects that were renamed.
    ///
    /// # Errors
    /// A reference could mean several objects, or stands where none can.
    pub fn follow_names(&mut self) -> Result<(), PatchError> {
        names::follow(self).map_err(|why| PatchError::new("patches", why))
    }

    /// The places of the objects that one name means, now or before.
    pub(super) fn named(&self, name: &Name) -> Vec<usize> {
        let means = |member: &Member| {
            member.current() == *name || member.previous_names().any(|previous| previous == *name)
        };
        let found = self.members.iter().enumerate().filter(|(_, member)| means(member));
        found.map(|(place, _)| place).collect()
    }

    /// Says which name two objects have by now.
    pub(super) fn twice(&self) -> Option<Name> {
        let mut names: Vec<Name> = self.members.iter().map(Member::current).collect();
        let key = |name: &Name| {
            (
                name.group.clone(),
                name.version.clone(),
                name.kind.clone(),
                name.namespace.clone(),
                name.name.clone(),
            )
        };
        names.sort_by_cached_key(key);
        names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone())
    }

    /// The objects that are left, each with its place among those that the set
    /// was made of.
    pub fn into_objects(self) -> Vec<(usize, Object)> {
        self.members.into_iter().map(|member| (member.index, member.object)).collect()
    }
}
