//! The pool of workers: a limited number of runs work at once, any number can wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::observe::metrics::Metrics;

/// The workers of all runs; clones share them.
#[derive(Clone, Debug)]
pub struct WorkerPool {
    free: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl WorkerPool {
    /// A pool of this size.
    pub fn new(count: usize, metrics: &Arc<Metrics>) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), metrics: Arc::clone(metrics) }
    }
}

/// The slot of one run in the pool. It is taken for work and released for every wait, so that a
/// waiting run does not block others.
#[derive(Debug)]
pub struct WorkerSlot {
    pool: WorkerPool,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl WorkerSlot {
    /// Not taken yet.
    pub fn new(pool: &WorkerPool) -> Self {
        Self { pool: pool.clone(), permit: Mutex::default() }
    }

    /// Waits for a worker, unless one is taken already.
    pub async fn take(&self) {
        if self.permit().is_some() {
            return;
        }
        let WorkerPool { free, metrics } = &self.pool;
        let permit = match Arc::clone(free).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                let _waiting = metrics.waits_for_a_place();
                // The semaphore is never closed.
                Arc::clone(free).acquire_owned().await.ok()
            }
        };
        *self.permit() = permit;
    }

    /// Whether a worker was taken.
    pub fn is_taken(&self) -> bool {
        self.permit().is_some()
    }

    /// Releases the worker.
    pub fn release(&self) {
        *self.permit() = None;
    }

    fn permit(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_for_a_worker_is_in_the_queue() {
        let metrics = Arc::new(Metrics::new("1.2.3").unwrap());
        let pool = WorkerPool::new(1, &metrics);
        let check = |depth: usize| {
            let text = metrics.expose().unwrap();
            assert!(text.contains(&format!("\nsupercargo_queue_depth {depth}\n")), "{text}");
        };
        let first = WorkerSlot::new(&pool);
        first.take().await;
        first.take().await;
        check(0);
        let second = WorkerSlot::new(&pool);
        {
            let mut waiting = std::pin::pin!(second.take());
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            check(1);
            first.release();
            waiting.await;
            check(0);
        }
        // A run that gives up leaves the queue too.
        {
            let mut waiting = std::pin::pin!(first.take());
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            check(1);
        }
        check(0);
    }
}
