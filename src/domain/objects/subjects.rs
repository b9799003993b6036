//! The names of objects in a list: `Kind/namespace/name`, and
//! with the API group where two objects would have the same name.

use std::collections::{BTreeMap, BTreeSet};

use super::identity::ObjectId;

/// The names of objects in one list.
#[derive(Debug, Default)]
pub struct Subjects(BTreeSet<String>);

impl Subjects {
    /// Of these objects.
    pub fn of<'a>(ids: impl IntoIterator<Item = &'a ObjectId>) -> Self {
        let mut groups: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for id in ids {
            groups.entry(id.to_string()).or_default().insert(&id.group);
        }
        let shared = groups.into_iter().filter(|(_, groups)| groups.len() > 1);
        Self(shared.map(|(name, _)| name).collect())
    }

    /// The name of one of them.
    pub fn name(&self, id: &ObjectId) -> String {
        let name = id.to_string();
        match self.0.contains(&name) {
            true => name.replacen(&id.kind, &id.group_kind().to_string(), 1),
            false => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_groups_of_one_kind_differ() {
        let id = |text: &str| ObjectId::from_inventory_id(text).unwrap();
        let ids = [
            id("a_web__Service"),
            id("a_web_serving.knative.dev_Service"),
            id("a_db_serving.knative.dev_Service"),
        ];
        let subjects = Subjects::of(&ids);
        let names: Vec<String> = ids.iter().map(|id| subjects.name(id)).collect();
        assert_eq!(names, ["Service/a/web", "Service.serving.knative.dev/a/web", "Service/a/db"]);
        assert_eq!(Subjects::of(&ids[1..]).name(&ids[1]), "Service/a/web");
    }
}
