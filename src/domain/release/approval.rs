//! Who approves the plan of a new revision, and the approval that a release has.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::plan::ApprovalMode;
use crate::domain::plan::changeset::PlanToken;
use crate::domain::schedule::parse_duration;

/// The shortest time for which an approval counts.
const LEAST: Duration = Duration::from_secs(60);
/// The longest.
const MOST: Duration = Duration::from_secs(720 * 3600);
/// How far the clock of the person may be ahead.
const SKEW: Duration = Duration::from_secs(60);

/// What a plan needs before it is applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ApprovalPolicy {
    /// Nothing.
    #[default]
    Automatic,
    /// The approval of a person.
    Manual {
        /// How long an approval counts; without it, for ever.
        timeout: Option<Duration>,
    },
    /// That it is exactly this plan, which a person has seen.
    Exactly(PlanToken),
}

/// The approval in the annotations of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenApproval {
    /// The hash of the approved plan, or the approved digest of an empty artifact.
    pub hash: String,
    /// Who has approved it, as the annotation says.
    pub by: Option<String>,
    /// When, as the annotation says.
    pub at: Option<String>,
}

impl ApprovalPolicy {
    /// From the fields of a spec.
    ///
    /// # Errors
    /// What is wrong with the timeout.
    pub(super) fn parse(mode: ApprovalMode, timeout: Option<&str>) -> Result<Self, String> {
        let timeout = timeout.map(|text| {
            let timeout = parse_duration(text).map_err(|error| error.to_string())?;
            match (LEAST..=MOST).contains(&timeout) {
                true => Ok(timeout),
                false => Err("must be between 1m and 720h".to_owned()),
            }
        });
        match (mode, timeout.transpose()?) {
            (ApprovalMode::Manual, timeout) => Ok(Self::Manual { timeout }),
            (ApprovalMode::Automatic, None) => Ok(Self::Automatic),
            (ApprovalMode::Automatic, Some(_)) => Err("needs approval: Manual".to_owned()),
        }
    }
}

/// Whether an approval counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalValidity {
    /// It counts.
    Valid,
    /// It is too old.
    Expired,
    /// It says no valid time, and it has to.
    Untimed,
    /// Its time is still to come. It counts from this time on, when the clocks may agree.
    Early(Timestamp),
}

impl GivenApproval {
    /// Whether it counts. The operator may see it long after it was given, for example when the
    /// release was suspended: with a timeout, it has to say its time.
    pub fn validity(&self, timeout: Option<Duration>, now: Timestamp) -> ApprovalValidity {
        let Some(timeout) = timeout else { return ApprovalValidity::Valid };
        let at = self.at.as_ref().and_then(|at| at.parse::<Timestamp>().ok());
        let Some(at) = at else { return ApprovalValidity::Untimed };
        // A time that is still to come proves nothing.
        let counts_from = at.saturating_sub(SKEW).unwrap_or(at);
        if counts_from > now {
            return ApprovalValidity::Early(counts_from);
        }
        match Duration::try_from(now.duration_since(at)) {
            Ok(age) if age > timeout => ApprovalValidity::Expired,
            _ => ApprovalValidity::Valid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_bounds_and_needs_a_person() {
        let check = |mode: ApprovalMode, timeout: Option<&str>, expected: Result<Option<u64>, &str>| {
            let found = ApprovalPolicy::parse(mode, timeout);
            let expected = expected.map_err(str::to_owned).map(|seconds| match mode {
                ApprovalMode::Automatic => ApprovalPolicy::Automatic,
                ApprovalMode::Manual => ApprovalPolicy::Manual { timeout: seconds.map(Duration::from_secs) },
            });
            assert_eq!(found, expected, "{mode:?} {timeout:?}");
        };
        use ApprovalMode::{Automatic, Manual};
        check(Automatic, None, Ok(None));
        check(Automatic, Some("1h"), Err("needs approval: Manual"));
        check(Manual, None, Ok(None));
        check(Manual, Some("1h"), Ok(Some(3600)));
        check(Manual, Some("720h"), Ok(Some(720 * 3600)));
        check(Manual, Some("59s"), Err("must be between 1m and 720h"));
        check(Manual, Some("721h"), Err("must be between 1m and 720h"));
    }

    #[test]
    fn an_approval_counts_for_its_time() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let check = |timeout: Option<u64>, at: Option<&str>, expected: ApprovalValidity| {
            let given = GivenApproval { hash: "h".to_owned(), by: None, at: at.map(str::to_owned) };
            assert_eq!(given.validity(timeout.map(Duration::from_secs), now), expected, "{timeout:?} {at:?}");
        };
        use ApprovalValidity::{Expired, Untimed, Valid};
        check(None, Some("2020-01-01T00:00:00Z"), Valid);
        check(None, None, Valid);
        check(Some(3600), Some("2026-01-01T11:30:00Z"), Valid);
        check(Some(3600), Some("2026-01-01T11:00:00Z"), Valid);
        check(Some(3600), Some("2026-01-01T10:59:59Z"), Expired);
        check(Some(3600), None, Untimed);
        check(Some(3600), Some("yesterday"), Untimed);
        // The clock of the person may be a little ahead, and no more.
        check(Some(3600), Some("2026-01-01T12:00:30Z"), Valid);
        check(Some(3600), Some("2026-01-01T12:01:00Z"), Valid);
        let early = |from: &str| ApprovalValidity::Early(from.parse().unwrap());
        check(Some(3600), Some("2026-01-01T12:01:01Z"), early("2026-01-01T12:00:01Z"));
        check(Some(3600), Some("2026-01-01T13:00:00Z"), early("2026-01-01T12:59:00Z"));
        check(None, Some("2026-01-01T13:00:00Z"), Valid);
    }
}
