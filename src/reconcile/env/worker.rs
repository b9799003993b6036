//! The turns by which few runs work at once while any number waits.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::observe::metrics::Metrics;

/// The places of runs that work; clones share them.
#[derive(Clone, Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Places {
    /// So many.
    pub fn new(count: usize, metrics: &Arc<Metrics>) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), metrics: Arc::clone(metrics) }
    }
}

/// A place among the few runs that work at once. It is taken for work and given
/// back for every wait, so that nobody's wait delays another's work.
#[derive(Debug)]
pub struct Turn {
    places: Places,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// Without a place yet.
    pub fn new(places: &Places) -> Self {
        Self { places: places.clone(), permit: None }
    }

    /// Waits for a place.
    pub async fn take(&mut self) {
        if self.permit.is_some() {
            return;
        }
        let Places { free, metrics } = &self.places;
        self.permit = match Arc::clone(free).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                let _waiting = metrics.waits_for_a_place();
                // The semaphore is never closed.
                Arc::clone(free).acquire_owned().await.ok()
            }
        };
    }

    /// Gives the place back.
    pub fn give_back(&mut self) {
        self.permit = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_for_a_place_is_in_the_queue() {
        let metrics = Arc::new(Metrics::new("1.2.3").unwrap());
        let places = Places::new(1, &metrics);
        let check = |depth: usize| {
            let text = metrics.expose().unwrap();
            assert!(text.contains(&format!("\nsupercargo_queue_depth {depth}\n")), "{text}");
        };
        let mut first = Turn::new(&places);
        first.take().await;
        first.take().await;
        check(0);
        let mut second = Turn::new(&places);
        {
            let mut waiting = std::pin::pin!(second.take());
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            check(1);
            first.give_back();
            waiting.await;
            check(0);
        }
        // One that gives up leaves the queue too.
        {
            let mut waiting = std::pin::pin!(first.take());
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            check(1);
        }
        check(0);
    }
}
