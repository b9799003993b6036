//! The times of leases.

use std::time::Duration;

/// The usual duration of a lease, in seconds.
pub const LEASE_SECONDS: u64 = 15;

/// The longest duration of a lease, in seconds.
pub const LONGEST_LEASE_SECONDS: u64 = 120;

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
    /// How long the API server may work on a write that has to end before the lease does.
    pub longest_write: Duration,
    /// How long such a write may take until it is handed over to a connection, and how long from there to
    /// the API server.
    pub sending: Duration,
}

impl LeaseTimes {
    /// With a duration.
    pub fn of(duration: Duration) -> Self {
        let two_thirds = duration * 2 / 3;
        let sending = duration / 15;
        let (retry, longest_write) = (sending * 2, two_thirds - sending);
        Self { duration, deadline: two_thirds, retry, longest_write, sending }
    }

    /// How long a write may take from its beginning to its end.
    pub fn whole_write(self) -> Duration {
        self.sending * 2 + self.longest_write
    }

    /// How long another replica may hold its lease that says so: at least as long as this one holds its
    /// own, and at most as long as any can. A person may have edited it, and its holder may not know that yet.
    pub fn trusted(self, said: Duration) -> Duration {
        said.clamp(self.duration, self.duration.max(Duration::from_secs(LONGEST_LEASE_SECONDS)))
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

    #[test]
    fn a_lease_that_was_edited_does_not_end_early_and_ends() {
        let check = |own: u64, said: u64, expected: u64| {
            let times = LeaseTimes::of(Duration::from_secs(own));
            assert_eq!(
                times.trusted(Duration::from_secs(said)),
                Duration::from_secs(expected),
                "{own} {said}"
            );
        };
        check(15, 15, 15);
        check(15, 45, 45);
        check(15, 1, 15);
        check(15, 0, 15);
        check(15, 86_400, 120);
        check(600, 15, 600);
    }

    /// A lease that is renewed on time always leaves enough of itself for a write.
    #[test]
    fn a_write_fits_between_two_renewals() {
        for seconds in [5, 15, 45, 120] {
            let times = LeaseTimes::of(Duration::from_secs(seconds));
            assert!(times.whole_write() + times.retry * 2 <= times.duration, "{times:?}");
            assert!(times.deadline < times.duration);
        }
    }
}
