//! The health of an object in a wait: its own, its pods', its StorageClass's, and whether
//! anything happens to it.

use std::time::Duration;

use jiff::Timestamp;

use super::handling::{FailMode, FailureHandling};
use super::report::PodsVerdict;
use crate::domain::health::verdict::{Health, HealthState};

/// What else is known of an object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// What its pods say.
    pub pods: Option<&'a PodsVerdict>,
    /// Why the volume of a claim never comes.
    pub class: Option<&'a str>,
    /// When there has been no progress for too long, and how long that is.
    pub stalls: Option<(Timestamp, Duration)>,
}

/// The health that counts.
pub fn merged(own: &Health, handling: FailureHandling, known: Known<'_>, now: Timestamp) -> Health {
    let mut health = own.clone();
    if let Some(why) = known.class {
        health = Health::failed(why);
    }
    if matches!(health.state, HealthState::InProgress | HealthState::Failed)
        && let Some(pods) = known.pods
    {
        let state = if pods.failed { HealthState::Failed } else { health.state };
        let changes_at = health.changes_at;
        health = Health::new(state, format!("{}; one of its pods: {}", health.message, pods.message));
        health.changes_at = changes_at;
    }
    if health.state == HealthState::Failed && handling.mode == FailMode::HopeUntilEnd {
        health.state = HealthState::InProgress;
    }
    if health.state == HealthState::InProgress
        && let Some((at, limit)) = known.stalls
    {
        if at <= now {
            let limit = limit.as_secs_f64();
            return Health::failed(format!("{}; nothing has changed for {limit}s", health.message));
        }
        health.changes_at = Some(health.changes_at.map_or(at, |other| other.min(at)));
    }
    health
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_counts() {
        let pods = |failed: bool| PodsVerdict { failed, message: "m".into(), crashed: None, mark: 0 };
        let (failing, slow) = (pods(true), pods(false));
        let nothing = Known::default();
        let (of_failing, of_slow) =
            (Known { pods: Some(&failing), ..nothing }, Known { pods: Some(&slow), ..nothing });
        let check = |own: &Health, mode: FailMode, known: Known<'_>, state: HealthState, message: &str| {
            let handling = FailureHandling { mode, ..FailureHandling::default() };
            let health = merged(own, handling, known, at(10));
            assert_eq!(
                (health.state, health.message.as_str()),
                (state, message),
                "{own:?} {mode:?} {known:?}"
            );
        };
        use FailMode::{Fail, HopeUntilEnd, Ignore};
        use HealthState::{Current, Failed, InProgress, Suspended};
        let (busy, ready) = (Health::in_progress("0 of 1"), Health::current("1 of 1"));
        check(&busy, Fail, nothing, InProgress, "0 of 1");
        check(&busy, Fail, of_slow, InProgress, "0 of 1; one of its pods: m");
        check(&busy, Fail, of_failing, Failed, "0 of 1; one of its pods: m");
        check(&busy, Ignore, of_failing, Failed, "0 of 1; one of its pods: m");
        check(&busy, HopeUntilEnd, of_failing, InProgress, "0 of 1; one of its pods: m");
        check(&ready, Fail, of_failing, Current, "1 of 1");
        check(&Health::suspended("s"), Fail, of_failing, Suspended, "s");
        check(&Health::failed("f"), Fail, of_failing, Failed, "f; one of its pods: m");
        check(&Health::failed("f"), Fail, of_slow, Failed, "f; one of its pods: m");
        check(&Health::failed("f"), HopeUntilEnd, nothing, InProgress, "f");
        check(&ready, Fail, Known { class: Some("c"), ..nothing }, Failed, "c");
        let stalled = |second: i64, pods| Known {
            pods,
            stalls: Some((at(second), Duration::from_secs(240))),
            ..nothing
        };
        check(&busy, Fail, stalled(11, None), InProgress, "0 of 1");
        check(&busy, Fail, stalled(10, None), Failed, "0 of 1; nothing has changed for 240s");
        let all = "0 of 1; one of its pods: m; nothing has changed for 240s";
        check(&busy, HopeUntilEnd, stalled(10, Some(&failing)), Failed, all);
        check(&ready, Fail, stalled(10, None), Current, "1 of 1");
        let due = |known| merged(&busy, FailureHandling::default(), known, at(10)).changes_at;
        assert_eq!(due(stalled(12, Some(&slow))), Some(at(12)));
        assert_eq!(due(nothing), None);
    }
}
