//! What is logged of strangers: a line from time to time, so that they do not
//! write the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often there is a line at most.
const EVERY: Duration = Duration::from_secs(10);

/// Counts what was refused.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    told: Option<Instant>,
    silent: u64,
}

impl Refusals {
    /// One more was refused: says how many there were since the last line, when
    /// it is time for one.
    pub fn count(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.silent += 1;
        if state.told.is_some_and(|told| now.saturating_duration_since(told) < EVERY) {
            return None;
        }
        state.told = Some(now);
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
