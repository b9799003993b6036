//! Whose turn it is to send an event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::fair::{Gate, Share};

/// Events that are sent at a time; of one namespace half of it.
const AT_ONCE: u64 = 32;
/// Events that wait: about 1 KiB each.
const MOST_WAITING: usize = 10_000;

/// Whose turn it is to send an event. While the API server is slow, those of thousands of releases wait: a few of them
/// take the memory of a request.
pub(in crate::cluster) struct EventTurns {
    turns: Arc<Gate>,
    waiting: AtomicUsize,
    drops: AtomicBool,
}

impl Default for EventTurns {
    fn default() -> Self {
        Self { turns: Gate::new(AT_ONCE), waiting: AtomicUsize::new(0), drops: AtomicBool::new(false) }
    }
}

/// The place of an event that waits, or is being sent.
pub(in crate::cluster) struct EventPlace<'a>(&'a EventTurns);

impl Drop for EventPlace<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.drops.store(false, Ordering::Relaxed);
        }
    }
}

impl EventPlace<'_> {
    /// Waits for its turn, which ends when it is dropped.
    pub async fn turn(&self, namespace: &str) -> Share {
        self.0.turns.place(namespace).await
    }
}

impl EventTurns {
    /// A place, unless too many events wait. Says so once, until all have been sent.
    pub fn join(&self) -> Option<EventPlace<'_>> {
        let place = (self.waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then(|| EventPlace(self));
        if place.is_none() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            if !self.drops.swap(true, Ordering::Relaxed) {
                tracing::warn!(waiting = MOST_WAITING, "the API server is slow: events are left out");
            }
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_events_wait_and_others_are_left_out() {
        let turns = EventTurns::default();
        let mut places: Vec<_> = (0..MOST_WAITING).map(|_| turns.join().expect("there is room")).collect();
        assert!(turns.join().is_none() && turns.join().is_none());
        assert!(turns.drops.load(Ordering::Relaxed));
        places.pop();
        places.push(turns.join().expect("there is room again"));
        assert!(turns.join().is_none());
        drop(places);
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
        assert!(!turns.drops.load(Ordering::Relaxed), "it says so again the next time");
    }
}
