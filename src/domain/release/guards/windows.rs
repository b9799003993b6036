//! The windows of `spec.schedule`: when a new revision may be applied.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::guards::ScheduleWindow;
use crate::domain::schedule::parse_duration;

/// The most windows of a release.
pub const MAX_WINDOWS: usize = 16;
/// The shortest and the longest window.
const LENGTHS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(744 * 3600)];
/// How far ahead an opening is looked for.
const HORIZON: Duration = Duration::from_secs(400 * 24 * 3600);
/// The most steps of the search for an opening.
const MAX_STEPS: usize = 2000;

/// A time that recurs: from a start, for a length.
#[derive(Clone, Debug)]
struct Recurrence {
    cron: Cron,
    zone: TimeZone,
    length: Duration,
}

/// The windows of a release. Without any, a new revision may always be applied.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    allow: Vec<Recurrence>,
    deny: Vec<Recurrence>,
}

/// Whether a new revision may be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowState {
    /// It may.
    Open,
    /// It may not, and this is when that changes, in the time zone of the window that opens;
    /// `None` when it does not change within a year.
    Closed(Option<jiff::Zoned>),
}

impl Windows {
    /// The windows of a spec. `timeout` is the longest time that the apply of a revision takes.
    ///
    /// # Errors
    /// The first invalid window: its field below `spec`, and what is wrong with it.
    pub fn parse(windows: &[ScheduleWindow], timeout: Duration) -> Result<Self, (String, String)> {
        if windows.len() > MAX_WINDOWS {
            return Err(("schedule".to_owned(), format!("has more than {MAX_WINDOWS} entries")));
        }
        let mut parsed = Self::default();
        for (n, window) in windows.iter().enumerate() {
            let recurrence = Recurrence::parse(window)
                .map_err(|(field, problem)| (format!("schedule[{n}].{field}"), problem))?;
            match window.deny {
                true => parsed.deny.push(recurrence),
                false => parsed.allow.push(recurrence),
            }
        }
        // Windows that meet add up.
        let together: Duration = parsed.allow.iter().map(|window| window.length).sum();
        if !parsed.allow.is_empty() && together < timeout {
            let problem = "no window is as long as spec.timeout: a revision must fit into a window";
            return Err(("schedule".to_owned(), problem.to_owned()));
        }
        Ok(parsed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether a revision that takes `timeout` may be applied from `now` on.
    pub fn state(&self, now: Timestamp, timeout: Duration) -> WindowState {
        let Ok(horizon) = now.checked_add(HORIZON) else { return WindowState::Closed(None) };
        let (mut from, mut zone) = (now, TimeZone::UTC);
        for _ in 0..MAX_STEPS {
            let Ok(to) = from.checked_add(timeout) else { break };
            let next = match self.obstacle(from, to) {
                None if from == now => return WindowState::Open,
                None => return WindowState::Closed(Some(from.to_zoned(zone))),
                Some(next) => next,
            };
            match next {
                Some((next, of)) if next > from && next < horizon => (from, zone) = (next, of),
                _ => break,
            }
        }
        WindowState::Closed(None)
    }

    /// What is in the way of a revision from one time to another: `None` for nothing, otherwise when
    /// to try next, and in which time zone that was written.
    fn obstacle(&self, from: Timestamp, to: Timestamp) -> Option<Option<(Timestamp, TimeZone)>> {
        let denied = self.deny.iter().filter_map(|window| {
            let end = window.end_of(window.last_start(to, false)?)?;
            (end > from).then(|| (end, window.zone.clone()))
        });
        if let Some(denied) = denied.max_by_key(|(end, _)| *end) {
            return Some(Some(denied));
        }
        if self.allow.is_empty() {
            return None;
        }
        let mut covered = from;
        loop {
            let reached = self.allow.iter().filter_map(|w| w.end_of(w.last_start(covered, true)?)).max();
            match reached {
                Some(end) if end >= to => return None,
                Some(end) if end > covered => covered = end,
                _ => break,
            }
        }
        let starts = self.allow.iter().filter_map(|w| Some((w.next_start(from)?, w.zone.clone())));
        Some(starts.min_by_key(|(start, _)| *start))
    }
}

impl Recurrence {
    fn parse(window: &ScheduleWindow) -> Result<Self, (&'static str, String)> {
        let length = parse_duration(&window.duration).map_err(|error| ("duration", error.to_string()))?;
        if length < LENGTHS[0] || length > LENGTHS[1] {
            return Err(("duration", "must be between 1m and 744h".to_owned()));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(&window.cron).map_err(|_| {
            let shown: String = window.cron.chars().take(64).collect();
            let fields = "minute, hour, day of the month, month and day of the week";
            ("cron", format!("{shown:?} is not a cron expression: it needs {fields}, such as 0 9 * * 1-5"))
        })?;
        let zone = TimeZone::get(&window.time_zone).map_err(|_| {
            let shown: String = window.time_zone.chars().take(64).collect();
            ("timeZone", format!("{shown:?} is not a time zone of the IANA database, such as Europe/Berlin"))
        })?;
        let recurrence = Self { cron, zone, length };
        // Such as 31 February.
        if recurrence.next_start(Timestamp::UNIX_EPOCH).is_none() {
            return Err(("cron", format!("{:?} names a date that does not exist", window.cron)));
        }
        Ok(recurrence)
    }

    /// The end of the window that starts then.
    fn end_of(&self, start: Timestamp) -> Option<Timestamp> {
        start.checked_add(self.length).ok()
    }

    /// The last start before a time, or at that time, too. Earlier windows end earlier.
    fn last_start(&self, at: Timestamp, inclusive: bool) -> Option<Timestamp> {
        let at = at.to_zoned(self.zone.clone());
        self.cron.find_previous_occurrence(&at, inclusive).ok().map(|start| start.timestamp())
    }

    /// The first start after a time.
    fn next_start(&self, at: Timestamp) -> Option<Timestamp> {
        let at = at.to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&at, false).ok().map(|start| start.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn windows(windows: Value) -> Result<Windows, (String, String)> {
        let windows: Vec<ScheduleWindow> = serde_json::from_value(windows).unwrap();
        Windows::parse(&windows, Duration::from_secs(300))
    }

    /// The state at a time in UTC: the word `open`, the time of the opening, or `never`.
    fn state(list: &Value, at: &str) -> String {
        match windows(list.clone()).unwrap().state(at.parse().unwrap(), Duration::from_secs(300)) {
            WindowState::Open => "open".to_owned(),
            WindowState::Closed(None) => "never".to_owned(),
            WindowState::Closed(Some(at)) => at.timestamp().to_string(),
        }
    }

    #[test]
    fn a_revision_comes_while_a_window_is_open_and_it_fits() {
        let office = json!([{"cron": "0 9 * * 1-5", "duration": "8h"}]);
        let check = |windows: &Value, at: &str, expected: &str| {
            assert_eq!(state(windows, at), expected, "{windows} {at}");
        };
        check(&json!([]), "2026-12-01T00:00:00Z", "open");
        // A Tuesday.
        check(&office, "2026-12-01T08:59:59Z", "2026-12-01T09:00:00Z");
        check(&office, "2026-12-01T09:00:00Z", "open");
        check(&office, "2026-12-01T16:55:00Z", "open");
        // It would not fit any more.
        check(&office, "2026-12-01T16:55:01Z", "2026-12-02T09:00:00Z");
        // A Friday evening.
        check(&office, "2026-12-04T20:00:00Z", "2026-12-07T09:00:00Z");

        // A denied time wins, and what would reach into it waits.
        let freeze = json!([{"cron": "0 9 * * *", "duration": "8h"},
            {"cron": "0 12 24 12 *", "duration": "192h", "deny": true}]);
        check(&freeze, "2026-12-24T11:55:00Z", "open");
        check(&freeze, "2026-12-24T11:55:01Z", "2027-01-01T12:00:00Z");
        let deny = json!([{"cron": "0 12 * * *", "duration": "1h", "deny": true}]);
        check(&deny, "2026-12-01T12:30:00Z", "2026-12-01T13:00:00Z");
        check(&deny, "2026-12-01T11:57:00Z", "2026-12-01T13:00:00Z");
        check(&deny, "2026-12-01T13:00:00Z", "open");

        // Two windows that meet are one.
        let two = json!([{"cron": "0 9 * * *", "duration": "1h"}, {"cron": "0 10 * * *", "duration": "1h"}]);
        check(&two, "2026-12-01T09:58:00Z", "open");
        check(&two, "2026-12-01T10:58:00Z", "2026-12-02T09:00:00Z");
        // A window is longer than the time between two starts.
        check(&json!([{"cron": "0 * * * *", "duration": "90m"}]), "2026-12-01T10:58:00Z", "open");
        let always = json!([{"cron": "0 * * * *", "duration": "2h", "deny": true}]);
        check(&always, "2026-12-01T10:58:00Z", "never");
    }

    #[test]
    fn windows_follow_the_clock_of_their_zone_over_daylight_saving() {
        let zoned = |cron: &str| json!([{"cron": cron, "timeZone": "Europe/Berlin", "duration": "1h"}]);
        let check = |cron: &str, at: &str, expected: &str| {
            assert_eq!(state(&zoned(cron), at), expected, "{cron} {at}");
        };
        // Winter is UTC+1, summer UTC+2.
        check("0 9 * * *", "2026-03-28T12:00:00Z", "2026-03-29T07:00:00Z");
        check("0 9 * * *", "2026-10-24T12:00:00Z", "2026-10-25T08:00:00Z");
        // 02:30 does not exist on that day: the window opens when the clock is past it.
        check("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z");
        check("30 2 * * *", "2026-03-29T01:30:00Z", "open");
        // 02:30 exists twice: it opens once, and its length is the time that passes.
        check("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z");
        check("30 2 * * *", "2026-10-25T01:20:00Z", "open");
        check("30 2 * * *", "2026-10-25T01:31:00Z", "2026-10-26T01:30:00Z");
    }

    #[test]
    fn what_is_no_window_is_named() {
        let check = |window: Value, expected: &str| {
            let (field, problem) = windows(json!([window])).unwrap_err();
            assert_eq!(format!("{field}: {problem}"), expected);
        };
        let window = |cron: &str, duration: &str| json!({"cron": cron, "duration": duration});
        check(
            window("0 0 31 2 *", "1h"),
            "schedule[0].cron: \"0 0 31 2 *\" names a date that does not exist",
        );
        for cron in ["* * *", "0 0 9 * * *", "70 * * * *", "a"] {
            let fields = "minute, hour, day of the month, month and day of the week, such as 0 9 * * 1-5";
            let expected = format!("schedule[0].cron: {cron:?} is not a cron expression: it needs {fields}");
            check(window(cron, "1h"), &expected);
        }
        check(window("0 9 * * *", "0s"), "schedule[0].duration: must be between 1m and 744h");
        check(
            window("0 9 * * *", "2m"),
            "schedule: no window is as long as spec.timeout: a revision must fit into a window",
        );
        check(
            json!({"cron": "0 9 * * *", "duration": "1h", "timeZone": "Mars/Base"}),
            "schedule[0].timeZone: \"Mars/Base\" is not a time zone of the IANA database, such as Europe/Berlin",
        );
    }
}
