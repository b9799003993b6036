//! What an event of the API server says, of both kinds of recorders.

use jiff::Timestamp;
use serde_json::Value;

use super::fields::text;

/// Where an event has its time, the latest first.
const TIMES: [&str; 5] = [
    "/series/lastObservedTime",
    "/lastTimestamp",
    "/eventTime",
    "/firstTimestamp",
    "/metadata/creationTimestamp",
];

/// When an event was last seen.
pub fn last_seen(event: &Value) -> Option<Timestamp> {
    TIMES.iter().find_map(|field| text(event, field).parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_time_of_an_event_is_found_in_both_kinds() {
        let check = |event: Value, expected: Option<&str>| {
            let found = last_seen(&event).map(|at| at.to_string());
            assert_eq!(found.as_deref(), expected, "{event}");
        };
        check(
            json!({"eventTime": "2026-01-01T00:00:00.5Z", "metadata": {"creationTimestamp": "2026-01-01T00:00:01Z"}}),
            Some("2026-01-01T00:00:00.5Z"),
        );
        check(
            json!({"eventTime": null, "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:05:00Z"}),
            Some("2026-01-01T00:05:00Z"),
        );
        check(
            json!({"eventTime": "2026-01-01T00:00:00Z", "series": {"lastObservedTime": "2026-01-01T01:00:00Z"}}),
            Some("2026-01-01T01:00:00Z"),
        );
        check(
            json!({"eventTime": "yesterday", "firstTimestamp": "2026-01-01T00:00:00Z"}),
            Some("2026-01-01T00:00:00Z"),
        );
        check(json!({}), None);
    }
}
