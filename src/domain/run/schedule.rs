//! When a release is reconciled next. Pure: the random fraction is an argument,
//! and the result is a duration from now. Nothing here sleeps.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::reason::{Disposition, Reason};

/// The shortest `spec.interval`.
pub const MIN_INTERVAL: Duration = Duration::from_secs(10);
/// The longest `spec.interval`.
pub const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest delay of a retry, or the interval if that is longer.
pub const MIN_BACKOFF_CAP: Duration = Duration::from_secs(5 * 60);
/// The longest delay before a denied request is repeated.
pub const LONGEST_DENIED: Duration = Duration::from_secs(60);
/// The longest delay of a retry after the API server gave no useful answer, or the retry interval if that
/// is longer.
pub const LONGEST_UNANSWERED: Duration = Duration::from_secs(30);
/// How far a delay is moved either way, in percent, so that releases which were
/// created together do not always poll the registry at the same time.
const JITTER_PERCENT: f64 = 5.0;
/// Long waits end at multiples of this time.
const TICK: Duration = Duration::from_secs(1);
/// The shortest wait of these: a tick more is no more than the jitter.
const LONG: Duration = Duration::from_secs(20);
/// The most characters of a duration. Longer ones only add meaningless digits.
const MAX_DURATION_TEXT: usize = 32;

/// Why a text is not a duration, for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It does not have the form that Flux and Go write.
    #[error(
        "{0:?} is not a valid duration: use a number and a unit (ms, s, m or h), such as 30s, 5m or 1h30m"
    )]
    Form(String),
    /// It is shorter or longer than the field allows.
    #[error("{text} is out of range: use {least} to {most}")]
    Bounds {
        /// What was written.
        text: String,
        /// The shortest duration.
        least: &'static str,
        /// The longest duration.
        most: &'static str,
    },
}

/// Reads a duration as Flux does, `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`: the part
/// of Go's `time.ParseDuration` without signs and the smallest units.
///
/// # Errors
/// [`DurationError::Form`] for everything else, and for what does not fit a `Duration`.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let wrong = || DurationError::Form(text.chars().take(MAX_DURATION_TEXT).collect());
    if text.is_empty() || text.len() > MAX_DURATION_TEXT {
        return Err(wrong());
    }
    let mut rest = text;
    let mut nanos = 0_u128;
    while !rest.is_empty() {
        let (part, after) = term(rest).ok_or_else(wrong)?;
        nanos = nanos.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| wrong())
}

/// Reads `spec.interval`.
///
/// # Errors
/// As [`parse_duration`], and [`DurationError::Bounds`] outside 10s to 24h.
pub fn parse_interval(text: &str) -> Result<Duration, DurationError> {
    let interval = parse_duration(text)?;
    if (MIN_INTERVAL..=MAX_INTERVAL).contains(&interval) {
        return Ok(interval);
    }
    Err(DurationError::Bounds { text: text.to_owned(), least: "10s", most: "24h" })
}

/// One number with its unit in nanoseconds, and what follows.
fn term(text: &str) -> Option<(u128, &str)> {
    let (whole, rest) = digits(text)?;
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest)?,
        None => ("", rest),
    };
    let (unit, rest) =
        [("ms", 1_000_000_u128), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)]
            .into_iter()
            .find_map(|(name, nanos)| Some((nanos, rest.strip_prefix(name)?)))?;
    let whole = whole.parse::<u128>().ok()?.checked_mul(unit)?;
    let fraction = match fraction {
        "" => 0,
        digits => {
            let scale = 10_u128.checked_pow(u32::try_from(digits.len()).ok()?)?;
            digits.parse::<u128>().ok()?.checked_mul(unit)? / scale
        }
    };
    Some((whole.checked_add(fraction)?, rest))
}

fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Moves a delay by up to 5 % either way. `fraction` is random in `0.0..1.0`;
/// anything else counts as the nearest end.
pub fn jitter(delay: Duration, fraction: f64) -> Duration {
    let fraction = if fraction.is_nan() { 0.5 } else { fraction.clamp(0.0, 1.0) };
    let factor = 1.0 + (fraction * 2.0 - 1.0) * JITTER_PERCENT / 100.0;
    // A delay that does not fit a `Duration` needs no jitter.
    Duration::try_from_secs_f64(delay.as_secs_f64() * factor).unwrap_or(delay)
}

/// When a wait of this length ends, as a time since the same start for all releases: a long one ends at the next
/// whole second. So the releases that are due in a second run one after another. With thousands of releases, that
/// takes half as much of a processor as runs at any time, for each of which it has to wake up.
pub fn together(end: Duration, delay: Duration) -> Duration {
    let past = end.as_nanos() % TICK.as_nanos();
    match past > 0 && delay >= LONG {
        true => end + TICK - Duration::from_nanos(u64::try_from(past).unwrap_or_default()),
        false => end,
    }
}

/// The delay after so many failures in a row, the last one included:
/// `retryInterval`, then twice as long each time, up to the interval or five
/// minutes, whichever is longer. A longer `retryInterval` is not changed.
pub fn backoff(retry_interval: Duration, interval: Duration, failures: u32) -> Duration {
    let cap = interval.max(MIN_BACKOFF_CAP).max(retry_interval);
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    retry_interval.checked_mul(factor).unwrap_or(cap).min(cap)
}

/// The delay after a request was denied so many times in a row, this one included:
/// twice as long each time, up to a minute. An API server that has just started denies
/// everything until it has read its roles.
pub fn denied(times: u32) -> Duration {
    let seconds = 2_u64.saturating_pow(times.saturating_sub(1));
    Duration::from_secs(seconds).min(LONGEST_DENIED)
}

/// How the last run of a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Successfully.
    Well,
    /// With a failure, the `failures`th in a row.
    Failed {
        /// What follows from the failure.
        disposition: Disposition,
        /// Failures in a row, this one included.
        failures: u32,
    },
    /// With no useful answer of the API server, the `failures`th in a row. That says nothing about the
    /// release, and a release that has failed often during an outage would wait for long after it.
    Unanswered {
        /// Failures in a row, this one included.
        failures: u32,
    },
    /// It did not run, the release is suspended.
    Suspended,
}

impl Ended {
    /// With a failure, the `failures`th in a row.
    pub fn by(reason: Reason, failures: u32) -> Self {
        match reason {
            Reason::ApiServerUnavailable => Self::Unanswered { failures },
            _ => Self::Failed { disposition: reason.disposition(), failures },
        }
    }
}

/// The two durations of a release's spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunIntervals {
    /// `spec.interval`.
    pub interval: Duration,
    /// `spec.retryInterval`.
    pub retry_interval: Duration,
}

/// When to reconcile again without a trigger; `None` for never. What a release
/// waits for is also watched, so `Wait` retries only in case an event was lost.
pub fn next(ended: Ended, pace: RunIntervals, fraction: f64) -> Option<Duration> {
    let delay = match ended {
        Ended::Suspended => return None,
        Ended::Well | Ended::Failed { disposition: Disposition::Stalled, .. } => pace.interval,
        Ended::Failed { disposition: Disposition::Retry | Disposition::Wait, failures } => {
            backoff(pace.retry_interval, pace.interval, failures)
        }
        Ended::Unanswered { failures } => {
            let longest = LONGEST_UNANSWERED.max(pace.retry_interval);
            backoff(pace.retry_interval, pace.interval, failures).min(longest)
        }
    };
    Some(jitter(delay, fraction))
}

/// How often a changing verdict is reported: the first times at once, and then less
/// and less often, so that an object that flaps does not cause a flood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damper {
    last: Option<Timestamp>,
    level: u32,
}

impl Damper {
    const LONGEST: SignedDuration = SignedDuration::from_secs(60);

    fn pause(self) -> SignedDuration {
        match self.level {
            0 => SignedDuration::ZERO,
            level => SignedDuration::from_secs(1 << (level - 1).min(6)).min(Self::LONGEST),
        }
    }

    /// When the next change may be reported.
    pub fn next(self) -> Option<Timestamp> {
        self.last.and_then(|last| last.checked_add(self.pause()).ok())
    }

    /// A change is reported now.
    pub fn reported(&mut self, now: Timestamp) {
        // It starts anew after twice the longest pause without a change.
        let calm = self.last.is_none_or(|last| now.duration_since(last) > Self::LONGEST * 2);
        self.level = if calm { 1 } else { self.level.saturating_add(1) };
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn long_waits_end_at_whole_seconds_and_never_early() {
        let check = |end: u64, delay: u64, expected: u64| {
            let [end, delay, expected] = [end, delay, expected].map(Duration::from_millis);
            assert_eq!(together(end, delay), expected, "{end:?} {delay:?}");
        };
        check(100_000, 20_000, 100_000);
        check(100_001, 20_000, 101_000);
        check(100_999, 600_000, 101_000);
        check(100_001, 19_999, 100_001);
        check(1, 0, 1);
        let end = Duration::new(100, 1);
        assert_eq!(together(end, LONG), Duration::from_secs(101));
    }

    #[test]
    fn durations_are_read_as_flux_reads_them() {
        let check = |text: &str, expected: Option<Duration>| {
            assert_eq!(parse_duration(text).ok(), expected, "{text}");
        };
        check("10s", Some(secs(10)));
        check("5m", Some(secs(300)));
        check("1h30m", Some(secs(5400)));
        check("1.5h", Some(secs(5400)));
        check("30m1h", Some(secs(5400)));
        check("250ms", Some(Duration::from_millis(250)));
        check("1m0.5s", Some(Duration::from_millis(60_500)));
        check("0s", Some(Duration::ZERO));
        check("0.0000000001s", Some(Duration::ZERO));
        for text in [
            "",
            "5",
            "s",
            "5 m",
            "-5m",
            "+5m",
            "5M",
            "1d",
            "1us",
            "1ns",
            "1.s",
            ".5s",
            "1,5s",
            "5m ",
            "1h-3m",
            "٣s",
            "99999999999999999999h",
            "0.000000000000000000000000000000001s",
            "1m1m1m1m1m1m1m1m1m1m1m1m1m1m1m1m1m",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn an_invalid_duration_is_reported() {
        let check =
            |text: &str, expected: &str| assert_eq!(parse_interval(text).unwrap_err().to_string(), expected);
        check(
            "soon",
            "\"soon\" is not a valid duration: use a number and a unit (ms, s, m or h), such as 30s, 5m or 1h30m",
        );
        check("9s", "9s is out of range: use 10s to 24h");
        check("24h1ms", "24h1ms is out of range: use 10s to 24h");
        assert_eq!(parse_interval("10s"), Ok(secs(10)));
        assert_eq!(parse_interval("24h"), Ok(MAX_INTERVAL));
    }

    #[test]
    fn jitter_is_five_percent_either_way() {
        let check = |fraction: f64, millis: u64| {
            let delay = jitter(secs(100), fraction);
            assert!(delay.as_millis().abs_diff(u128::from(millis)) <= 1, "{fraction}: {delay:?}");
        };
        check(0.0, 95_000);
        check(0.25, 97_500);
        check(0.5, 100_000);
        check(1.0, 105_000);
        check(-7.0, 95_000);
        check(7.0, 105_000);
        check(f64::NAN, 100_000);
        assert_eq!(jitter(Duration::MAX, 1.0), Duration::MAX);
    }

    #[test]
    fn what_is_denied_is_asked_for_less_and_less_often() {
        let waits: Vec<u64> = (0..9).map(|times| denied(times).as_secs()).collect();
        assert_eq!(waits, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(denied(u32::MAX), LONGEST_DENIED);
    }

    #[test]
    fn retries_double_up_to_the_interval() {
        let check = |retry: u64, interval: u64, failures: u32, expected: u64| {
            let delay = backoff(secs(retry), secs(interval), failures);
            assert_eq!(delay, secs(expected), "{retry} {interval} {failures}");
        };
        check(30, 300, 0, 30);
        check(30, 300, 1, 30);
        check(30, 300, 2, 60);
        check(30, 300, 4, 240);
        check(30, 300, 5, 300);
        check(30, 300, 1000, 300);
        // An interval below five minutes does not make retries more frequent.
        check(30, 10, 9, 300);
        check(30, 3600, 9, 3600);
        check(900, 300, 1, 900);
        check(900, 300, 5, 900);
    }

    #[test]
    fn what_flaps_is_reported_less_and_less_often() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut damper = Damper::default();
        assert_eq!(damper.next(), None);
        let mut now = at(1000);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            damper.reported(now);
            let next = damper.next().unwrap();
            pauses.push(next.duration_since(now).as_secs());
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        damper.reported(now);
        let calm = now.checked_add(SignedDuration::from_secs(121)).unwrap();
        damper.reported(calm);
        assert_eq!(damper.next().unwrap().duration_since(calm).as_secs(), 1);
    }

    #[test]
    fn what_comes_next() {
        let check = |ended: Ended, expected: Option<u64>| {
            let pace = RunIntervals { interval: secs(600), retry_interval: secs(30) };
            assert_eq!(next(ended, pace, 0.5), expected.map(secs), "{ended:?}");
        };
        let failed = |disposition, failures| Ended::Failed { disposition, failures };
        check(Ended::Well, Some(600));
        check(Ended::Suspended, None);
        check(failed(Disposition::Stalled, 3), Some(600));
        check(failed(Disposition::Retry, 1), Some(30));
        check(failed(Disposition::Retry, 3), Some(120));
        check(failed(Disposition::Wait, 2), Some(60));
        check(Ended::by(Reason::ApplyFailed, 3), Some(120));
        check(Ended::by(Reason::ApiServerUnavailable, 9), Some(30));
        let soon = |failures| {
            let pace = RunIntervals { interval: secs(10), retry_interval: secs(1) };
            next(Ended::by(Reason::ApiServerUnavailable, failures), pace, 0.5)
        };
        assert_eq!([1, 3, 5, 6, 99].map(soon), [1, 4, 16, 30, 30].map(|seconds| Some(secs(seconds))));
    }
}
