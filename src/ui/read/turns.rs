//! Whose comparison runs now: each takes memory, so few run at a time, and a person waits for one at most.

use std::sync::Arc;
use std::time::Duration;

use crate::fair::{Gate, Share};

/// Comparisons at a time: each fetches and renders artifacts.
pub const AT_ONCE: u64 = 2;
/// How long one waits for others.
const QUEUE_PATIENCE: Duration = Duration::from_secs(30);
/// How many may wait on the page of a person, and how many persons on that of the operator.
const WAITING: u64 = 16;
const BUSY: &str = "other comparisons are running; try again soon";

/// The turns.
#[derive(Debug)]
pub struct ComparisonTurns {
    running: Arc<Gate>,
    waiting: Arc<Gate>,
}

impl ComparisonTurns {
    /// All for one person: a gate gives one tenant half.
    pub fn of_one() -> Self {
        Self { running: Gate::new(2 * AT_ONCE), waiting: Gate::new(2 * WAITING) }
    }

    /// For many persons: of each, one runs and one waits. A gate leaves another tenant as much as each has.
    pub fn of_many() -> Self {
        Self { running: Gate::bounded(AT_ONCE + 1, 1), waiting: Gate::bounded(WAITING + 1, 1) }
    }

    /// Waits for a turn of a person.
    ///
    /// # Errors
    /// That others are running, or that one of this person waits already.
    pub async fn take(&self, tenant: &str) -> Result<Share, String> {
        if let Some(turn) = self.running.try_enter(tenant, 1) {
            return Ok(turn);
        }
        let _waits = self.waiting.try_enter(tenant, 1).ok_or_else(|| BUSY.to_owned())?;
        let turn = tokio::time::timeout(QUEUE_PATIENCE, self.running.place(tenant)).await;
        turn.map_err(|_| BUSY.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn of_one_person_a_comparison_runs_and_another_one_waits() {
        let turns = ComparisonTurns::of_many();
        let take = |tenant: &'static str| turns.take(tenant).now_or_never();
        let first = take("amara").expect("nobody has a turn").unwrap();
        let mut second = Box::pin(turns.take("amara"));
        assert!((&mut second).now_or_never().is_none(), "it waits");
        assert_eq!(take("amara").expect("it does not wait").unwrap_err(), BUSY);
        let other = take("ben").expect("another person has a turn").unwrap();
        drop(first);
        let second = second.now_or_never().expect("it is its turn").unwrap();
        // One that has stopped waiting is in nobody's way.
        let mut third = Box::pin(turns.take("amara"));
        assert!((&mut third).now_or_never().is_none());
        drop(third);
        let mut fourth = Box::pin(turns.take("amara"));
        assert!((&mut fourth).now_or_never().is_none(), "it waits in its place");
        drop((second, other));
        drop(fourth.now_or_never().expect("it is its turn").unwrap());
    }

    #[tokio::test]
    async fn on_the_page_of_a_person_several_wait() {
        let turns = ComparisonTurns::of_one();
        let running = [turns.take("").await.unwrap(), turns.take("").await.unwrap()];
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(turns.take(""))).collect();
        assert!(waiting.iter_mut().all(|waits| waits.now_or_never().is_none()));
        assert_eq!(turns.take("").now_or_never().expect("it does not wait").unwrap_err(), BUSY);
        drop(running);
    }
}
