//! Log lines about rejected requests: one from time to time, so that they do not fill the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often there is a line at most.
const EVERY: Duration = Duration::from_secs(10);

/// Counts rejected requests.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    reported: Option<Instant>,
    silent: u64,
}

impl Refusals {
    /// Counts a rejected request. Returns the number since the last line when the next line is due.
    pub fn count(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.silent += 1;
        if state.reported.is_some_and(|reported| now.saturating_duration_since(reported) < EVERY) {
            return None;
        }
        state.reported = Some(now);
        Some(std::mem::take(&mut state.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_from_time_to_time() {
        let refusals = Refusals::default();
        let now = Instant::now();
        let lines: Vec<u64> = (0..100).filter_map(|_| refusals.count(now)).collect();
        assert_eq!(lines, [1]);
        assert_eq!(refusals.count(now + EVERY), Some(100));
    }
}
