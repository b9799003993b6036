//! Durations, as rules of the resource.

use kube::core::Rule;

/// The form of a duration, in CEL.
const DURATION: &str = "^([0-9]+([.][0-9]+)?(ms|s|m|h))+$";

/// The form of a duration, as a rule and not as a pattern: the API server would
/// print the pattern.
pub fn is_duration(field: &str) -> Rule {
    Rule::new(format!("self.matches('{DURATION}')"))
        .message(format!("{field} must be a duration such as 30s, 5m or 1h30m").as_str())
}

/// The bounds of a valid duration up to a day.
pub fn is_between(field: &str, least: &str) -> Rule {
    is_within(field, least, "24h")
}

/// The bounds of a valid duration. CEL's own durations end at 292
/// years, which five digits of hours cannot reach.
pub fn is_within(field: &str, least: &str, most: &str) -> Rule {
    let bounds = bounds(least, most);
    Rule::new(format!("!self.matches('{DURATION}') || ({bounds})"))
        .message(format!("{field} must be between {least} and {most}").as_str())
}

/// The form and the bounds of a duration, in one message.
pub fn lasts(field: &str, least: &str, most: &str) -> Rule {
    Rule::new(format!("self.matches('{DURATION}') && {}", bounds(least, most)))
        .message(format!("{field} must be a duration such as 30m or 8h, from {least} to {most}").as_str())
}

/// The bounds in CEL, of a text that has the form of a duration.
fn bounds(least: &str, most: &str) -> String {
    let small = "self.matches('^([0-9]{1,5}([.][0-9]{1,9})?(ms|s|m|h))+$')";
    format!("{small} && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')")
}
