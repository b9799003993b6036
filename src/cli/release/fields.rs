//! Fields of a release, read from the object in the API server.

use serde_json::Value;

use crate::cli::print::color::Tone;
use crate::domain::identity::ReleaseId;

/// Namespace and name of a release.
pub(super) fn id(release: &Value) -> ReleaseId {
    ReleaseId {
        namespace: text(release, "/metadata/namespace").to_owned(),
        name: text(release, "/metadata/name").to_owned(),
    }
}

/// The text at a JSON pointer; empty when there is none.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A condition of a release.
pub(super) fn condition_of<'v>(release: &'v Value, kind: &str) -> Option<&'v Value> {
    release.pointer("/status/conditions")?.as_array()?.iter().find(|c| text(c, "/type") == kind)
}

/// The colour of a condition's status.
pub(super) fn tone(status: &str) -> Tone {
    match status {
        "True" => Tone::Good,
        "False" => Tone::Bad,
        _ => Tone::Pending,
    }
}

/// The message of a Ready condition.
pub(super) fn why(ready: &Value) -> &str {
    match text(ready, "/message") {
        "" => "not reconciled by the operator yet",
        message => message,
    }
}
