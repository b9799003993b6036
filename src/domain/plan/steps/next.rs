//! What is done next with a step, from its record, its object and the time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::live::{LiveState, LiveStep};
use crate::api::step::{StepOutcome, StepStatus};

/// What is known of a step.
#[derive(Clone, Copy, Debug)]
pub struct StepFacts<'a> {
    /// Its record for the revision.
    pub record: Option<&'a StepStatus>,
    /// Its object.
    pub live: &'a LiveStep,
    /// The uid of an object of that name that is gone and had completed, as a watch has shown.
    pub completed: Option<&'a str>,
    /// Whether an object without a recorded uid has provably not run.
    pub holds: bool,
    /// How often it is retried.
    pub retries: u32,
    /// How long a run may take.
    pub timeout: Duration,
    /// The value by which a person asks for a run.
    pub requested: Option<&'a str>,
    /// Whether a person has said that it counts as done.
    pub counts_as_done: bool,
    /// Now.
    pub now: Timestamp,
}

/// What is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepAction {
    /// A run begins: it is recorded, then its object is created.
    Start {
        /// The number of the run.
        attempt: i32,
        /// How many automatic retries there were.
        retried: i32,
    },
    /// A run is recorded, and has no object: it is created.
    Create,
    /// An object exists: its uid is recorded.
    Confirm {
        /// Its uid.
        uid: String,
        /// The number of its run.
        attempt: i32,
    },
    /// The object is recorded and may run.
    Release {
        /// Its uid.
        uid: String,
    },
    /// An object of an earlier run is deleted.
    Remove {
        /// Its uid.
        uid: String,
    },
    /// It runs; and what it says.
    Await(String),
    /// The outcome of the run is recorded.
    Record(StepOutcome, String),
    /// It is done.
    Done,
    /// It has failed, and is not run again by itself.
    Fail(StepOutcome, String),
    /// An object of that name does not belong to the release.
    Refuse,
}

/// What is done next with a step of the wanted revision.
pub fn next(facts: &StepFacts<'_>) -> StepAction {
    let Some(record) = facts.record else { return fresh(facts, 1, 0) };
    match record.outcome {
        StepOutcome::Started => started(facts, record),
        StepOutcome::Succeeded | StepOutcome::Skipped => StepAction::Done,
        StepOutcome::Failed | StepOutcome::TimedOut | StepOutcome::Unknown => over(facts, record),
    }
}

/// What is done next with a step of an earlier revision that has no outcome yet: it ends, and no
/// run of it begins.
pub fn of_older(facts: &StepFacts<'_>, record: &StepStatus) -> StepAction {
    let never = || StepAction::Record(StepOutcome::Failed, "a newer revision came before it started".into());
    match (started(facts, record), facts.live) {
        (
            StepAction::Create
            | StepAction::Release { .. }
            | StepAction::Remove { .. }
            | StepAction::Fail(..),
            _,
        ) => never(),
        (StepAction::Confirm { .. }, LiveStep::Current { held: true, .. }) => never(),
        (StepAction::Refuse, _) => StepAction::Record(StepOutcome::Unknown, GONE.into()),
        (action, _) => action,
    }
}

const GONE: &str = "it was deleted before its outcome was recorded";

/// A run that begins once nothing is in its way.
fn fresh(facts: &StepFacts<'_>, attempt: i32, retried: i32) -> StepAction {
    match facts.live {
        LiveStep::Absent => StepAction::Start { attempt, retried },
        LiveStep::Foreign => StepAction::Refuse,
        LiveStep::Other { running: Some(since), deleting: None, .. } if !is_over(*since, facts) => {
            StepAction::Await("an earlier run has not ended".to_owned())
        }
        LiveStep::Other { uid, deleting, .. } => remove(facts, uid, *deleting),
        // The status was lost: the object knows what it was created for.
        LiveStep::Current { uid, attempt, .. } if facts.record.is_none() => {
            StepAction::Confirm { uid: uid.clone(), attempt: *attempt }
        }
        LiveStep::Current { uid, deleting, .. } => remove(facts, uid, *deleting),
    }
}

/// Deletes an object that is in the way. One that a finalizer holds is not waited for for ever.
fn remove(facts: &StepFacts<'_>, uid: &str, deleting: Option<Timestamp>) -> StepAction {
    match deleting {
        None => StepAction::Remove { uid: uid.to_owned() },
        Some(since) if is_over(since, facts) => {
            let message = "the object of an earlier run is still terminating: remove its finalizers";
            StepAction::Fail(StepOutcome::Failed, message.to_owned())
        }
        Some(_) => StepAction::Await("the object of an earlier run is still terminating".to_owned()),
    }
}

fn started(facts: &StepFacts<'_>, record: &StepStatus) -> StepAction {
    let known = record.uid.as_deref();
    match facts.live {
        LiveStep::Current { uid, attempt, held, state, .. }
            if *attempt == record.attempt && known.is_none_or(|known| known == uid) =>
        {
            match state {
                _ if known.is_none() => StepAction::Confirm { uid: uid.clone(), attempt: *attempt },
                LiveState::Succeeded => StepAction::Record(StepOutcome::Succeeded, String::new()),
                LiveState::Failed(why) => StepAction::Record(StepOutcome::Failed, why.clone()),
                LiveState::Running(why) if is_late(facts, record) => {
                    let message = format!("not done within {}s: {why}", record.timeout_seconds);
                    StepAction::Record(StepOutcome::TimedOut, message)
                }
                LiveState::Running(_) if *held => StepAction::Release { uid: uid.clone() },
                LiveState::Running(why) => StepAction::Await(why.clone()),
            }
        }
        LiveStep::Other { .. } | LiveStep::Current { .. } | LiveStep::Foreign if known.is_none() => {
            match fresh(facts, record.attempt, record.retried) {
                StepAction::Start { .. } => StepAction::Create,
                other => other,
            }
        }
        _ => match known {
            None if facts.holds => StepAction::Create,
            Some(uid) if facts.completed == Some(uid) => {
                StepAction::Record(StepOutcome::Succeeded, String::new())
            }
            _ => StepAction::Record(StepOutcome::Unknown, GONE.to_owned()),
        },
    }
}

/// After a run that has not succeeded.
fn over(facts: &StepFacts<'_>, record: &StepStatus) -> StepAction {
    let retries = i32::try_from(facts.retries).unwrap_or(i32::MAX);
    let is_asked = facts.requested.is_some() && facts.requested != record.requested_at.as_deref();
    match () {
        () if facts.counts_as_done => StepAction::Record(StepOutcome::Skipped, String::new()),
        () if is_asked => fresh(facts, record.attempt.saturating_add(1), 0),
        // What may have run is not run again without a person.
        () if record.outcome != StepOutcome::Unknown && record.retried < retries => {
            fresh(facts, record.attempt.saturating_add(1), record.retried.saturating_add(1))
        }
        () => StepAction::Fail(record.outcome, record.message.clone().unwrap_or_default()),
    }
}

fn is_late(facts: &StepFacts<'_>, record: &StepStatus) -> bool {
    // A time that cannot be parsed counts as long ago, so that the wait ends.
    let since = record.started_at.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    facts.now.duration_since(since) >= SignedDuration::from_secs(record.timeout_seconds)
}

fn is_over(since: Timestamp, facts: &StepFacts<'_>) -> bool {
    facts.now.duration_since(since).unsigned_abs() > facts.timeout && facts.now > since
}

#[cfg(test)]
mod tests {
    use super::*;
    use StepOutcome::{Failed, Skipped, Started, Succeeded, TimedOut, Unknown};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn record(outcome: StepOutcome, uid: Option<&str>) -> StepStatus {
        StepStatus {
            attempt: 1,
            outcome,
            uid: uid.map(str::to_owned),
            started_at: at(100).to_string(),
            timeout_seconds: 60,
            message: Some("why".to_owned()),
            ..StepStatus::default()
        }
    }

    fn current(uid: &str, attempt: i32, held: bool, state: LiveState) -> LiveStep {
        LiveStep::Current { uid: uid.to_owned(), attempt, held, state, deleting: None }
    }

    fn other(running: Option<i64>, deleting: Option<i64>) -> LiveStep {
        LiveStep::Other { uid: "o".to_owned(), running: running.map(at), deleting: deleting.map(at) }
    }

    fn running() -> LiveState {
        LiveState::Running("runs".to_owned())
    }

    /// At second 130, without retries, of a kind that can be held.
    fn facts<'a>(record: Option<&'a StepStatus>, live: &'a LiveStep) -> StepFacts<'a> {
        StepFacts {
            record,
            live,
            completed: None,
            holds: true,
            retries: 0,
            timeout: Duration::from_secs(60),
            requested: None,
            counts_as_done: false,
            now: at(130),
        }
    }

    fn start(attempt: i32, retried: i32) -> StepAction {
        StepAction::Start { attempt, retried }
    }

    fn unknown() -> StepAction {
        StepAction::Record(Unknown, GONE.to_owned())
    }

    #[test]
    fn a_run_begins_once_nothing_is_in_its_way() {
        let check = |live: LiveStep, expected: StepAction| {
            assert_eq!(next(&facts(None, &live)), expected, "{live:?}");
        };
        let remove = || StepAction::Remove { uid: "o".into() };
        check(LiveStep::Absent, start(1, 0));
        check(LiveStep::Foreign, StepAction::Refuse);
        check(other(None, None), remove());
        check(other(Some(100), None), StepAction::Await("an earlier run has not ended".into()));
        check(other(Some(50), None), remove());
        check(
            other(None, Some(100)),
            StepAction::Await("the object of an earlier run is still terminating".into()),
        );
        check(
            other(None, Some(50)),
            StepAction::Fail(
                Failed,
                "the object of an earlier run is still terminating: remove its finalizers".into(),
            ),
        );
        // The status was lost: what has run is adopted, whatever became of it.
        for state in [running(), LiveState::Succeeded, LiveState::Failed("no".into())] {
            check(current("u", 3, false, state), StepAction::Confirm { uid: "u".into(), attempt: 3 });
        }
    }

    #[test]
    fn a_run_that_was_recorded_goes_on_where_it_stopped() {
        let check = |uid: Option<&str>, live: LiveStep, expected: StepAction| {
            let record = record(Started, uid);
            assert_eq!(next(&facts(Some(&record), &live)), expected, "{uid:?} {live:?}");
        };
        let confirm = || StepAction::Confirm { uid: "u".into(), attempt: 1 };
        // Killed before the creation, before it was confirmed, before the release.
        check(None, LiveStep::Absent, StepAction::Create);
        check(None, current("u", 1, true, running()), confirm());
        check(None, current("u", 1, false, LiveState::Succeeded), confirm());
        check(Some("u"), current("u", 1, true, running()), StepAction::Release { uid: "u".into() });
        check(Some("u"), current("u", 1, false, running()), StepAction::Await("runs".into()));
        check(
            Some("u"),
            current("u", 1, false, LiveState::Succeeded),
            StepAction::Record(Succeeded, String::new()),
        );
        check(
            Some("u"),
            current("u", 1, false, LiveState::Failed("no".into())),
            StepAction::Record(Failed, "no".into()),
        );
        // An earlier run is still in the way.
        check(None, other(None, None), StepAction::Remove { uid: "o".into() });
        check(None, current("u", 0, false, running()), StepAction::Remove { uid: "u".into() });
        check(None, LiveStep::Foreign, StepAction::Refuse);
        // It was deleted, or replaced.
        check(Some("u"), LiveStep::Absent, unknown());
        check(Some("u"), current("v", 1, false, running()), unknown());
        check(Some("u"), other(None, None), unknown());
        check(Some("u"), LiveStep::Foreign, unknown());
    }

    #[test]
    fn what_cannot_be_held_may_have_run() {
        let record = record(Started, None);
        let check = |live: LiveStep, expected: StepAction| {
            let facts = StepFacts { holds: false, ..facts(Some(&record), &live) };
            assert_eq!(next(&facts), expected, "{live:?}");
        };
        check(LiveStep::Absent, unknown());
        check(current("u", 1, false, running()), StepAction::Confirm { uid: "u".into(), attempt: 1 });
    }

    #[test]
    fn a_watch_has_seen_the_end_of_what_is_gone() {
        let record = record(Started, Some("u"));
        let check = |completed: Option<&str>, expected: StepAction| {
            let facts = StepFacts { completed, ..facts(Some(&record), &LiveStep::Absent) };
            assert_eq!(next(&facts), expected, "{completed:?}");
        };
        check(Some("u"), StepAction::Record(Succeeded, String::new()));
        check(Some("v"), unknown());
        check(None, unknown());
    }

    #[test]
    fn a_run_takes_too_long_and_a_late_success_counts() {
        let record = record(Started, Some("u"));
        let check = |now: i64, live: LiveStep, expected: StepAction| {
            let facts = StepFacts { now: at(now), ..facts(Some(&record), &live) };
            assert_eq!(next(&facts), expected, "{now} {live:?}");
        };
        check(159, current("u", 1, false, running()), StepAction::Await("runs".into()));
        let late = || StepAction::Record(TimedOut, "not done within 60s: runs".into());
        check(160, current("u", 1, false, running()), late());
        check(160, current("u", 1, true, running()), late());
        check(
            999,
            current("u", 1, false, LiveState::Succeeded),
            StepAction::Record(Succeeded, String::new()),
        );
    }

    #[test]
    fn what_has_ended_runs_again_only_where_that_is_allowed() {
        let check = |outcome: StepOutcome, change: fn(&mut StepFacts<'_>), expected: StepAction| {
            let record = StepStatus { requested_at: Some("1".into()), ..record(outcome, Some("u")) };
            let mut facts = facts(Some(&record), &LiveStep::Absent);
            facts.requested = Some("1");
            change(&mut facts);
            assert_eq!(next(&facts), expected, "{outcome}");
        };
        for outcome in [Succeeded, Skipped] {
            check(outcome, |_| {}, StepAction::Done);
            check(outcome, |f| f.requested = Some("2"), StepAction::Done);
        }
        for outcome in [Failed, TimedOut, Unknown] {
            check(outcome, |_| {}, StepAction::Fail(outcome, "why".into()));
            check(outcome, |f| f.requested = None, StepAction::Fail(outcome, "why".into()));
            check(outcome, |f| f.requested = Some("2"), start(2, 0));
            check(outcome, |f| f.counts_as_done = true, StepAction::Record(Skipped, String::new()));
        }
        check(Failed, |f| f.retries = 1, start(2, 1));
        check(TimedOut, |f| f.retries = 1, start(2, 1));
        check(Unknown, |f| f.retries = 1, StepAction::Fail(Unknown, "why".into()));
        // The object of the failed run is deleted first.
        let failed = record(Failed, Some("u"));
        let live = current("u", 1, false, LiveState::Failed("no".into()));
        let facts = StepFacts { retries: 1, ..facts(Some(&failed), &live) };
        assert_eq!(next(&facts), StepAction::Remove { uid: "u".into() });
        let spent = StepStatus { retried: 1, ..record(Failed, Some("u")) };
        assert_eq!(
            next(&StepFacts { record: Some(&spent), ..facts }),
            StepAction::Fail(Failed, "why".into())
        );
    }

    #[test]
    fn a_step_of_an_earlier_revision_ends_and_never_begins() {
        let check = |uid: Option<&str>, live: LiveStep, expected: StepAction| {
            let record = record(Started, uid);
            assert_eq!(of_older(&facts(Some(&record), &live), &record), expected, "{uid:?} {live:?}");
        };
        let never = || StepAction::Record(Failed, "a newer revision came before it started".into());
        check(None, LiveStep::Absent, never());
        check(None, current("u", 1, true, running()), never());
        check(None, current("u", 1, false, running()), StepAction::Confirm { uid: "u".into(), attempt: 1 });
        check(Some("u"), current("u", 1, true, running()), never());
        check(Some("u"), current("u", 1, false, running()), StepAction::Await("runs".into()));
        check(
            Some("u"),
            current("u", 1, false, LiveState::Succeeded),
            StepAction::Record(Succeeded, String::new()),
        );
        check(Some("u"), LiveStep::Absent, unknown());
        check(None, LiveStep::Foreign, unknown());
        check(None, other(None, None), never());
        // A finalizer holds what an even earlier one has left.
        check(None, other(None, Some(50)), never());
    }
}
