//! The windows of a release: when a new revision may be applied.

use crate::api::keys;
use crate::api::reason::Reason;
use crate::domain::gate::decision::{Blocker, Decision, WakeOn};
use crate::domain::gate::facts::Facts;
use crate::domain::release::windows::WindowState;

/// Holds a new revision until a window opens into which it fits, or until a person names its
/// digest.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some(arrival) = facts.arrival else { return Decision::Pass };
    let release = facts.release;
    let windows = &release.guards.windows;
    if windows.is_empty() || release.override_window.as_deref() == Some(arrival.digest) {
        return Decision::Pass;
    }
    let revision = arrival.revision;
    let (waits, wake_on) = match windows.state(arrival.now, release.timeout) {
        WindowState::Open => return Decision::Pass,
        WindowState::Closed(Some(at)) => {
            let shown = at.strftime("%Y-%m-%d %H:%M %Z");
            let waits =
                format!("revision {revision} waits for a window of spec.schedule, which opens at {shown}");
            (waits, WakeOn::Time(at.timestamp()))
        }
        WindowState::Closed(None) => {
            let waits = format!(
                "revision {revision} waits for a window of spec.schedule, and none opens within a year"
            );
            (waits, WakeOn::Release)
        }
    };
    let message = format!(
        "{waits}; to apply it now: `kubectl -n {} annotate --overwrite oar {} {}={}`",
        release.id.namespace,
        release.id.name,
        keys::OVERRIDE_WINDOW,
        arrival.digest
    );
    Decision::Wait(Blocker::new(Reason::OutsideWindow, message), wake_on)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::gate::tests::{arrival, release};
    use crate::domain::release::windows::Windows;

    #[test]
    fn a_new_revision_waits_for_its_window_or_for_a_person_who_names_it() {
        let check = |windows: serde_json::Value, now: &str, named: Option<&str>, expected: Option<&str>| {
            let mut release = release();
            let windows: Vec<_> = serde_json::from_value(windows).unwrap();
            release.guards.windows = Windows::parse(&windows, release.timeout).unwrap().into();
            release.override_window = named.map(str::to_owned);
            let decision = decide(&Facts { arrival: Some(arrival(now)), ..Facts::of(&release) });
            let found = match decision {
                Decision::Wait(blocker, WakeOn::Time(at)) => {
                    assert!(blocker.message.contains("supercargo.dev/override-window=sha256:a"));
                    Some(format!("{at} {}", blocker.message.split(';').next().unwrap()))
                }
                Decision::Wait(blocker, _) => Some(blocker.message.split(';').next().unwrap().to_owned()),
                _ => None,
            };
            assert_eq!(found.as_deref(), expected);
        };
        let office = || json!([{"cron": "0 9 * * *", "timeZone": "Europe/Berlin", "duration": "8h"}]);
        check(json!([]), "2026-12-01T03:00:00Z", None, None);
        check(office(), "2026-12-01T12:00:00Z", None, None);
        let waits = "2026-12-01T08:00:00Z revision 1@sha256:a waits for a window of spec.schedule, which opens at \
                     2026-12-01 09:00 CET";
        check(office(), "2026-12-01T03:00:00Z", None, Some(waits));
        check(office(), "2026-12-01T03:00:00Z", Some("sha256:b"), Some(waits));
        check(office(), "2026-12-01T03:00:00Z", Some("sha256:a"), None);
        let never = json!([{"cron": "0 * * * *", "duration": "2h", "deny": true}]);
        let waits = "revision 1@sha256:a waits for a window of spec.schedule, and none opens within a year";
        check(never, "2026-12-01T03:00:00Z", None, Some(waits));
    }
}
