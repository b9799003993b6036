//! The time of an object that was written to a file.

use jiff::Timestamp;
use serde_json::Value;

/// The latest time that the metadata and the conditions of an object name: a file has no
/// clock, and an object of a year ago had not waited for a year when it was written.
/// `None` for an object that was in no cluster.
pub fn as_of(object: &Value) -> Option<Timestamp> {
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    let of_metadata = ["/metadata/creationTimestamp", "/metadata/deletionTimestamp"];
    let entries = |pointer: &str| object.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let of_managers = entries("/metadata/managedFields").filter_map(|entry| time(entry.get("time")?));
    let of_conditions = entries("/status/conditions").flat_map(|condition| {
        ["lastTransitionTime", "lastUpdateTime", "lastProbeTime", "lastHeartbeatTime"]
            .into_iter()
            .filter_map(move |key| time(condition.get(key)?))
    });
    of_metadata
        .into_iter()
        .filter_map(|pointer| time(object.pointer(pointer)?))
        .chain(of_managers)
        .chain(of_conditions)
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_latest_time_counts() {
        let check = |object: Value, expected: Option<&str>| {
            assert_eq!(as_of(&object), expected.map(|t| t.parse().unwrap()), "{object}");
        };
        check(json!({"metadata": {"name": "a"}}), None);
        check(json!({"metadata": {"creationTimestamp": "yesterday"}}), None);
        check(json!({"metadata": {"creationTimestamp": null}, "status": {"conditions": 1}}), None);
        let object = json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"time": "2026-01-02T00:00:00Z"}]},
            "status": {"conditions": [{"lastTransitionTime": "2026-01-03T00:00:00Z"}], "notAfter": "2030-01-01T00:00:00Z"},
        });
        check(object, Some("2026-01-03T00:00:00Z"));
    }
}
