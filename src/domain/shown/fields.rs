//! Fields of a release, read from the object in the API server: one that does not fit the type is read, too.

use serde_json::Value;

use crate::domain::identity::ReleaseId;

/// Namespace and name of a release.
pub fn id(release: &Value) -> ReleaseId {
    ReleaseId {
        namespace: text(release, "/metadata/namespace").to_owned(),
        name: text(release, "/metadata/name").to_owned(),
    }
}

/// The text at a JSON pointer; empty when there is none.
pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A condition of a release.
pub fn condition_of<'v>(release: &'v Value, kind: &str) -> Option<&'v Value> {
    release.pointer("/status/conditions")?.as_array()?.iter().find(|c| text(c, "/type") == kind)
}

/// The message of a Ready condition.
pub fn why(ready: &Value) -> &str {
    match text(ready, "/message") {
        "" => "not reconciled by the operator yet",
        message => message,
    }
}

/// The artifact of the release, as it would be pulled.
pub fn source(release: &Value) -> String {
    let url = text(release, "/spec/url");
    // The key has a slash.
    let pin = text(release, "/metadata/annotations/supercargo.dev~1pin");
    if !pin.is_empty() {
        return format!("{url} (pinned to {pin})");
    }
    let wanted = |field: &str| text(release, &format!("/spec/ref/{field}"));
    match (wanted("digest"), wanted("semver"), wanted("tag")) {
        ("", "", "") => format!("{url}:latest"),
        ("", "", tag) => format!("{url}:{tag}"),
        ("", range, _) => format!("{url} ({range})"),
        (digest, ..) => format!("{url}@{digest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_source_is_what_one_would_pull() {
        let check = |reference: Value, expected: &str| {
            assert_eq!(source(&json!({"spec": {"url": "oci://r/a", "ref": reference}})), expected);
        };
        check(json!({}), "oci://r/a:latest");
        check(json!({"tag": "1"}), "oci://r/a:1");
        check(json!({"tag": "latest", "semver": "1.x"}), "oci://r/a (1.x)");
        check(json!({"tag": "1", "semver": "1.x", "digest": "sha256:b"}), "oci://r/a@sha256:b");
    }
}
