//! What the answer of a receiver means. Nothing of its body is shown: it could have the token, or words that
//! mislead.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::receiver::ReceiverType;

/// The first pause after a failed attempt.
const FIRST: Duration = Duration::from_secs(1);
/// After how many failed attempts in a row a receiver can ask for longer pauses only.
const SHORT: u32 = 5;
/// The longest pause that we choose.
const LONGEST: Duration = Duration::from_secs(300);
/// The longest pause that a receiver chooses.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// What GitHub says of a limit that it has no header for.
const RATE_LIMIT: &str = "rate limit";
/// How long to wait then, if no header says: GitHub asks for a minute at least.
const RATE_PAUSE: Duration = Duration::from_secs(60);
/// What GitLab answers when the commit has that status already.
const SAME_STATUS: &str = "Cannot transition status";

/// An answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewsReply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<&'a str>,
    /// The header `X-RateLimit-Remaining`.
    pub remaining: Option<&'a str>,
    /// The header `X-RateLimit-Reset`, seconds since 1970.
    pub reset: Option<&'a str>,
    /// The beginning of the body.
    pub body: &'a [u8],
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewsFate {
    /// The receiver has it.
    Delivered,
    /// The receiver will never take this body.
    Refused,
    /// The receiver does not take anything now. It says how long, or nothing.
    Later(Option<Duration>),
}

/// What an answer means.
pub fn fate_of(kind: ReceiverType, reply: NewsReply<'_>, now: Timestamp) -> NewsFate {
    let NewsReply { status, retry_after, body, .. } = reply;
    let has = |words: &str| String::from_utf8_lossy(body).contains(words);
    match status {
        200..=299 => NewsFate::Delivered,
        // The forges limit rates with 429, and GitHub with 403, too.
        403 | 429 if kind.is_of_commits() && (status == 429 || is_limited(reply)) => {
            NewsFate::Later(Some(limited_for(reply, now)))
        }
        // About this commit, or its repository: others may get theirs. It has another name now (GitHub answers
        // 307, GitLab 405), is archived (403, or 423 of Gitea), blocked (451), or gone.
        301 | 302 | 307 | 308 | 403 | 404 | 405 | 409 | 410 | 423 | 451 if kind.is_of_commits() => {
            NewsFate::Refused
        }
        400 if kind == ReceiverType::GitLab && has(SAME_STATUS) => NewsFate::Delivered,
        // About the body. Everything else is about the receiver or the way to it.
        400 | 406 | 413 | 415 | 422 => NewsFate::Refused,
        _ => NewsFate::Later(retry_after.and_then(|text| asked(text, now))),
    }
}

/// Whether an answer with 403 is about the rate of requests.
fn is_limited(reply: NewsReply<'_>) -> bool {
    let is_used_up = reply.remaining.is_some_and(|remaining| remaining.trim() == "0");
    let says = String::from_utf8_lossy(reply.body).to_ascii_lowercase().contains(RATE_LIMIT);
    reply.retry_after.is_some() || is_used_up || says
}

/// How long to wait because of the rate: as long as a header says, or a minute.
fn limited_for(reply: NewsReply<'_>, now: Timestamp) -> Duration {
    let reset = || {
        let at = Timestamp::from_second(reply.reset?.trim().parse().ok()?).ok()?;
        Some(Duration::try_from(at.duration_since(now)).unwrap_or_default().min(LONGEST_ASKED))
    };
    let asked = reply.retry_after.and_then(|text| asked(text, now));
    asked.or_else(reset).unwrap_or(RATE_PAUSE)
}

/// How long a `Retry-After` asks to wait: seconds, or a date.
fn asked(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let asked = match text.parse::<f64>() {
        // Discord has parts of seconds.
        Ok(seconds) if seconds >= 0.0 => Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_ASKED),
        Ok(_) => return None,
        Err(_) => {
            let date = rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(asked.min(LONGEST_ASKED))
}

/// How long to wait after so many failed attempts in a row. `random` is from 0 to 1.
pub fn pause(attempts: u32, asked: Option<Duration>, random: f64) -> Duration {
    let grown = FIRST.saturating_mul(2u32.saturating_pow(attempts.saturating_sub(1).min(16))).min(LONGEST);
    // Receivers that come back are not asked by everybody at once.
    let grown = grown.mul_f64(0.75 + random.clamp(0.0, 1.0) / 2.0);
    // One that asks for less each time would be asked all the time.
    let least = if attempts > SHORT { grown } else { FIRST };
    asked.map_or(grown, |asked| asked.max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_and_when_to_try_again() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let check = |status: u16, retry_after: Option<&str>, expected: NewsFate| {
            let found =
                fate_of(ReceiverType::Slack, NewsReply { status, retry_after, ..NewsReply::default() }, now);
            assert_eq!(found, expected, "{status} {retry_after:?}");
        };
        let later = |seconds: u64| NewsFate::Later(Some(Duration::from_secs(seconds)));
        check(200, None, NewsFate::Delivered);
        check(202, Some("9"), NewsFate::Delivered);
        check(400, Some("9"), NewsFate::Refused);
        check(413, None, NewsFate::Refused);
        check(301, None, NewsFate::Later(None));
        check(401, None, NewsFate::Later(None));
        check(404, None, NewsFate::Later(None));
        check(429, Some("7"), later(7));
        check(429, Some(" 7 "), later(7));
        check(429, Some("0.5"), NewsFate::Later(Some(Duration::from_millis(500))));
        check(503, Some("Thu, 01 Jan 2026 00:00:30 GMT"), later(30));
        check(503, Some("Wed, 31 Dec 2025 00:00:30 GMT"), later(0));
        check(503, Some("Thu, 01 Jan 2099 00:00:30 GMT"), later(3600));
        check(503, Some("18446744073709551615"), later(3600));
        check(503, Some("-3"), NewsFate::Later(None));
        check(503, Some("soon"), NewsFate::Later(None));
        check(100, None, NewsFate::Later(None));
        let check = |status: u16, retry_after: Option<&str>, expected: NewsFate| {
            let found =
                fate_of(ReceiverType::GitHub, NewsReply { status, retry_after, ..NewsReply::default() }, now);
            assert_eq!(found, expected, "{status} {retry_after:?}");
        };
        check(201, None, NewsFate::Delivered);
        check(404, None, NewsFate::Refused);
        check(403, None, NewsFate::Refused);
        check(403, Some("7"), later(7));
        check(429, None, later(60));
        check(401, None, NewsFate::Later(None));
        check(502, None, NewsFate::Later(None));
        // Moved, archived or blocked: these would hold up the statuses of all other commits.
        for status in [301, 302, 307, 308, 404, 405, 409, 410, 423, 451] {
            check(status, None, NewsFate::Refused);
        }
        let limited = |remaining: Option<&str>, reset: Option<&str>, body: &[u8]| {
            let retry_after = None;
            fate_of(ReceiverType::GitHub, NewsReply { status: 403, retry_after, remaining, reset, body }, now)
        };
        // date -d 2026-01-01T00:00:00Z +%s
        assert_eq!(limited(Some("0"), Some("1767225690"), b""), later(90));
        assert_eq!(limited(Some("0"), Some("1767225500"), b""), later(0));
        assert_eq!(limited(Some("0"), Some("99999999999"), b""), later(3600));
        assert_eq!(limited(Some("0"), None, b""), later(60));
        assert_eq!(limited(Some("17"), Some("1767225690"), b""), NewsFate::Refused);
        let secondary = br#"{"message": "You have exceeded a secondary rate limit."}"#;
        assert_eq!(limited(Some("17"), None, secondary), later(60));
        let same = br#"{"message": "Cannot transition status via :drop from :failed"}"#;
        let reply = NewsReply { status: 400, body: same, ..NewsReply::default() };
        assert_eq!(fate_of(ReceiverType::GitLab, reply, now), NewsFate::Delivered);
        assert_eq!(fate_of(ReceiverType::GitHub, reply, now), NewsFate::Refused);
        let other = NewsReply { body: b"\xff{}", ..reply };
        assert_eq!(fate_of(ReceiverType::GitLab, other, now), NewsFate::Refused);
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let check = |attempts: u32, asked: Option<u64>, random: f64, expected: f64| {
            let found = pause(attempts, asked.map(Duration::from_secs), random);
            assert!((found.as_secs_f64() - expected).abs() < 1e-6, "{attempts} {asked:?}: {found:?}");
        };
        check(1, None, 0.5, 1.0);
        check(2, None, 0.5, 2.0);
        check(4, None, 0.5, 8.0);
        check(40, None, 0.5, 300.0);
        check(1, None, 0.0, 0.75);
        check(40, None, 1.0, 375.0);
        check(1, Some(9), 0.3, 9.0);
        check(5, Some(0), 0.3, 1.0);
        check(6, Some(0), 0.5, 32.0);
        check(6, Some(90), 0.5, 90.0);
    }
}
