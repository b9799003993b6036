//! The buckets of durations.

/// The upper bound of a bucket, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound(u32);

impl Bound {
    /// In seconds.
    pub fn seconds(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

const fn millis<const N: usize>(bounds: [u32; N]) -> [Bound; N] {
    let mut made = [Bound(0); N];
    let mut at = 0;
    while at < N {
        made[at] = Bound(bounds[at] * 1000);
        at += 1;
    }
    made
}

/// A run takes from a millisecond (nothing changed) to minutes (a wait).
pub(super) const PHASE_BOUNDS: &[Bound] =
    &millis([1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000]);
/// A pod crashes within a second; a timeout takes minutes.
pub(super) const VERDICT_BOUNDS: &[Bound] =
    &millis([500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000]);
/// Only a few: each host has a series for each.
pub(super) const REGISTRY_BOUNDS: &[Bound] = &millis([10, 50, 250, 1000, 5000, 30_000]);
/// An API server answers in milliseconds; one that is busy takes seconds.
pub(super) const API_BOUNDS: &[Bound] =
    &millis([5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000]);
