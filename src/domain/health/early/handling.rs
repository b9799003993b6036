//! What the annotations of an object say about its failure.

use std::time::Duration;

use serde_json::Value;

use crate::api::keys;
use crate::domain::schedule::parse_duration;

/// The shortest time without progress.
const LEAST_NO_PROGRESS: Duration = Duration::from_secs(1);

/// What the failure of an object means for a wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailMode {
    /// It ends the wait.
    #[default]
    Fail,
    /// The wait goes on without the object.
    Ignore,
    /// The object may recover until the wait ends.
    HopeUntilEnd,
}

/// How the failure of an object is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailureHandling {
    /// What it means for a wait.
    pub mode: FailMode,
    /// How often a container of each of its pods may fail; `None`: by the kind.
    pub failures_allowed: Option<u32>,
    /// How long nothing may change while it is waited for; `None`: as the release says.
    pub no_progress: Option<Duration>,
    /// Whether a verdict quotes the last line of its pod's log.
    pub shows_log: bool,
}

impl FailureHandling {
    /// What an object says. A value that is not valid counts as missing: a manifest with
    /// one is refused by [`FailureHandling::read`] before it is applied.
    pub fn of(object: &Value) -> Self {
        let annotations = object.pointer("/metadata/annotations");
        Self::read(|key| annotations?.get(key)?.as_str()).unwrap_or_default()
    }

    /// Reads the annotations.
    ///
    /// # Errors
    /// What is not valid, in words.
    pub fn read<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Result<Self, String> {
        let mode = match annotation(keys::FAIL_MODE) {
            None | Some("Fail") => FailMode::Fail,
            Some("Ignore") => FailMode::Ignore,
            Some("HopeUntilEnd") => FailMode::HopeUntilEnd,
            Some(other) => return Err(wrong(keys::FAIL_MODE, other, "Fail, Ignore or HopeUntilEnd")),
        };
        let failures_allowed = annotation(keys::FAILURES_ALLOWED)
            .map(|text| {
                let number = text.parse().ok().filter(|number| *number < u32::MAX);
                number.ok_or_else(|| wrong(keys::FAILURES_ALLOWED, text, "a number such as 3"))
            })
            .transpose()?;
        let no_progress = annotation(keys::NO_PROGRESS_TIMEOUT)
            .map(|text| {
                let time = parse_duration(text).ok().filter(|time| *time >= LEAST_NO_PROGRESS);
                time.ok_or_else(|| {
                    wrong(keys::NO_PROGRESS_TIMEOUT, text, "a duration such as 4m, at least 1s")
                })
            })
            .transpose()?;
        let shows_log = annotation(keys::LOG_LINE) == Some(keys::ENABLED);
        Ok(Self { mode, failures_allowed, no_progress, shows_log })
    }
}

fn wrong(key: &str, value: &str, expected: &str) -> String {
    let value: String = value.chars().take(40).collect();
    format!("invalid annotation {key}: {value:?}; use {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn annotations_are_read_or_refused() {
        let check = |key: &str, value: &str, expected: Result<FailureHandling, &str>| {
            let read = FailureHandling::read(|wanted| (wanted == key).then_some(value));
            assert_eq!(read, expected.map_err(str::to_owned), "{key}: {value}");
        };
        let plain = FailureHandling::default();
        check("another", "x", Ok(plain));
        check(keys::FAIL_MODE, "Fail", Ok(plain));
        check(keys::FAIL_MODE, "Ignore", Ok(FailureHandling { mode: FailMode::Ignore, ..plain }));
        check(keys::FAIL_MODE, "HopeUntilEnd", Ok(FailureHandling { mode: FailMode::HopeUntilEnd, ..plain }));
        check(
            keys::FAIL_MODE,
            "ignore",
            Err("invalid annotation supercargo.dev/fail-mode: \"ignore\"; use Fail, Ignore or HopeUntilEnd"),
        );
        check(keys::FAILURES_ALLOWED, "0", Ok(FailureHandling { failures_allowed: Some(0), ..plain }));
        for wrong in ["-1", "many", "", "4294967295"] {
            let expected = format!(
                "invalid annotation supercargo.dev/failures-allowed: {wrong:?}; use a number such as 3"
            );
            check(keys::FAILURES_ALLOWED, wrong, Err(&expected));
        }
        let four = Some(Duration::from_secs(240));
        check(keys::NO_PROGRESS_TIMEOUT, "4m", Ok(FailureHandling { no_progress: four, ..plain }));
        for wrong in ["0s", "4", "-4m"] {
            let expected = format!(
                "invalid annotation supercargo.dev/no-progress-timeout: {wrong:?}; \
                 use a duration such as 4m, at least 1s"
            );
            check(keys::NO_PROGRESS_TIMEOUT, wrong, Err(&expected));
        }
        check(keys::LOG_LINE, "enabled", Ok(FailureHandling { shows_log: true, ..plain }));
        check(keys::LOG_LINE, "yes", Ok(plain));
    }

    #[test]
    fn a_live_object_with_a_wrong_value_is_handled_as_one_without() {
        let object = json!({"metadata": {"annotations": {"supercargo.dev/fail-mode": "x", "supercargo.dev/failures-allowed": "7"}}});
        assert_eq!(FailureHandling::of(&object), FailureHandling::default());
    }
}
