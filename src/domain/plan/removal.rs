//! What a run would remove, and what names exactly that.

use sha2::{Digest, Sha256};

use crate::domain::objects::identity::ObjectId;

/// What a new revision, or the deletion of a release, would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedRemoval {
    /// The revision that removes it, or the uid of the deleted release.
    pub cause: String,
    /// How many objects the release has in the cluster.
    pub applied: usize,
    /// The objects, with their uids.
    pub objects: Vec<(ObjectId, String)>,
    /// What is lost with some of them.
    pub losses: Vec<HeldContent>,
}

/// An object that holds what is not the release's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldContent {
    /// The object that would be removed.
    pub id: ObjectId,
    /// What it holds: a fragment that follows its name.
    pub words: String,
}

impl PlannedRemoval {
    /// Names exactly this removal: another object, uid, revision or loss has another name.
    pub fn token(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        };
        add(&self.cause);
        let mut objects: Vec<String> =
            self.objects.iter().map(|(id, uid)| format!("{} {uid}", id.to_inventory_id())).collect();
        objects.sort();
        objects.iter().for_each(|object| add(object));
        add("losses");
        let mut losses: Vec<String> =
            self.losses.iter().map(|loss| format!("{} {}", loss.id.to_inventory_id(), loss.words)).collect();
        losses.sort();
        losses.iter().for_each(|loss| add(loss));
        format!("removal-{}", hex::encode(&hash.finalize()[..8]))
    }
}

/// How the status records that a removal was approved: by the token of the removal or the hash of the plan,
/// for the key of a revision or the uid of a deleted release.
pub fn removal_record(token: &str, cause: &str) -> String {
    format!("{token} {cause}")
}

/// Whether a record is about a removal for that key or uid.
pub fn is_recorded_for(record: Option<&str>, cause: &str) -> bool {
    record.and_then(|record| record.split_once(' ')).is_some_and(|(_, of)| of == cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removal(cause: &str, objects: &[(&str, &str)], losses: &[(&str, &str)]) -> PlannedRemoval {
        let id = |name: &str| ObjectId::from_inventory_id(&format!("a_{name}__ConfigMap")).unwrap();
        PlannedRemoval {
            cause: cause.to_owned(),
            applied: 9,
            objects: objects.iter().map(|(name, uid)| (id(name), (*uid).to_owned())).collect(),
            losses: losses
                .iter()
                .map(|(name, words)| HeldContent { id: id(name), words: (*words).to_owned() })
                .collect(),
        }
    }

    #[test]
    fn a_record_is_about_one_cause() {
        let record = removal_record("removal-1", "key");
        assert!(is_recorded_for(Some(&record), "key"));
        assert!(!is_recorded_for(Some(&record), "ey") && !is_recorded_for(Some("key"), "key"));
        assert!(!is_recorded_for(None, "key"));
    }

    #[test]
    fn a_token_names_exactly_one_removal() {
        let token = removal("d", &[("x", "1"), ("y", "2")], &[("x", "holds z")]).token();
        let same = removal("d", &[("y", "2"), ("x", "1")], &[("x", "holds z")]);
        assert_eq!(same.token(), token);
        assert_eq!(PlannedRemoval { applied: 3, ..same }.token(), token, "what stays is not removed");
        for other in [
            removal("e", &[("x", "1"), ("y", "2")], &[("x", "holds z")]),
            removal("d", &[("x", "1")], &[("x", "holds z")]),
            removal("d", &[("x", "1"), ("y", "3")], &[("x", "holds z")]),
            removal("d", &[("x", "1"), ("y", "2")], &[("x", "holds v")]),
            removal("d", &[("x", "1"), ("y", "2")], &[]),
        ] {
            assert_ne!(other.token(), token, "{other:?}");
        }
    }
}
