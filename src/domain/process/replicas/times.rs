//! The times of leases.

use std::time::Duration;

/// The usual duration of a lease, in seconds.
pub const LEASE_SECONDS: u64 = 15;

/// The times of a lease, by its duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long it lasts without renewal.
    pub duration: Duration,
    /// How long its holder tries to renew it before it gives up: shorter than the lease, so that it has
    /// stopped before another begins.
    pub deadline: Duration,
    /// How often it is renewed.
    pub retry: Duration,
    /// How long a write may take that has to end before the lease does.
    pub longest_write: Duration,
}

impl LeaseTimes {
    /// With a duration.
    pub fn of(duration: Duration) -> Self {
        let two_thirds = duration * 2 / 3;
        Self { duration, deadline: two_thirds, retry: duration * 2 / 15, longest_write: two_thirds }
    }
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self::of(Duration::from_secs(LEASE_SECONDS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lease that is renewed on time always leaves enough of itself for a write.
    #[test]
    fn a_write_fits_between_two_renewals() {
        for seconds in [15, 45, 120] {
            let times = LeaseTimes::of(Duration::from_secs(seconds));
            assert!(times.longest_write + times.retry * 2 <= times.duration, "{times:?}");
            assert!(times.deadline < times.duration);
        }
    }
}
