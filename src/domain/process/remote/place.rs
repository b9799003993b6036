//! Which cluster the objects of a release are in.

use serde::{Deserialize, Serialize};

/// A cluster that is not the operator's own, as an inventory names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemotePlace {
    /// The URL of its API server.
    pub server: String,
    /// The uid of its Namespace kube-system, where the kubeconfig's user may read that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Identifies URL and CA of the API server, and how it is reached.
    pub fingerprint: String,
}

impl RemotePlace {
    /// Whether both are the same cluster: by its uid where that is known of both, since an API server
    /// may get another name or CA; otherwise by its fingerprint.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.uid, &other.uid) {
            (Some(one), Some(other)) => one == other,
            _ => self.fingerprint == other.fingerprint,
        }
    }

    /// Identifies it among the clusters of the process.
    pub fn key(&self) -> &str {
        self.uid.as_deref().unwrap_or(&self.fingerprint)
    }
}

/// Where the objects of an inventory are, for people.
pub fn described(place: Option<&RemotePlace>) -> String {
    match place {
        Some(place) => format!("the cluster {}", place.server),
        None => "the operator's own cluster".to_owned(),
    }
}

/// Whether an inventory of that place can be continued in this one. Without objects, it can be
/// anywhere.
pub fn may_continue(before: Option<&RemotePlace>, entries: usize, now: Option<&RemotePlace>) -> bool {
    entries == 0
        || match (before, now) {
            (None, None) => true,
            (Some(before), Some(now)) => before.is_same(now),
            (None, Some(_)) | (Some(_), None) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_known_by_its_uid_or_by_its_address() {
        let place = |uid: Option<&str>, fingerprint: &str| RemotePlace {
            server: "https://a".into(),
            uid: uid.map(str::to_owned),
            fingerprint: fingerprint.into(),
        };
        let check = |before: Option<RemotePlace>,
                     entries: usize,
                     now: Option<RemotePlace>,
                     expected: bool| {
            assert_eq!(may_continue(before.as_ref(), entries, now.as_ref()), expected, "{before:?} {now:?}");
        };
        check(None, 3, None, true);
        check(None, 3, Some(place(None, "f")), false);
        check(Some(place(None, "f")), 3, None, false);
        check(Some(place(None, "f")), 0, None, true);
        check(Some(place(Some("u"), "f")), 3, Some(place(Some("u"), "g")), true);
        check(Some(place(Some("u"), "f")), 3, Some(place(Some("v"), "f")), false);
        check(Some(place(Some("u"), "f")), 3, Some(place(None, "f")), true);
        check(Some(place(None, "f")), 3, Some(place(Some("u"), "f")), true);
        check(Some(place(Some("u"), "f")), 3, Some(place(None, "g")), false);
    }
}
