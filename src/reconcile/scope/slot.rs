//! The pool of workers: a limited number of runs work at once, any number can wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::fair::{Gate, Share};
use crate::observe::metrics::Metrics;

/// How many runs may have begun and not come to a wait for others. A run takes tens of KiB, so that thousands
/// of releases that are created together, or are taken up after a start, must not all begin at once. A
/// namespace gets at most half.
const BEGUN: u64 = 256;

/// The workers of all runs; clones share them.
#[derive(Clone, Debug)]
pub struct WorkerPool {
    free: Arc<Semaphore>,
    begun: Arc<Gate>,
    metrics: Arc<Metrics>,
}

impl WorkerPool {
    /// A pool of this size.
    pub fn new(count: usize, metrics: &Arc<Metrics>) -> Self {
        let (free, begun) = (Arc::new(Semaphore::new(count)), Gate::new(BEGUN));
        Self { free, begun, metrics: Arc::clone(metrics) }
    }

    /// Waits until a run of a namespace may begin. It is in the queue until then.
    pub async fn begin(&self, namespace: &str) -> RunPlace {
        if let Some(share) = self.begun.try_enter(namespace, 1) {
            return RunPlace { _share: share };
        }
        let _waiting = self.metrics.waits_for_a_place();
        RunPlace { _share: self.begun.place(namespace).await }
    }
}

/// The place of a run among those that have begun.
#[derive(Debug)]
pub struct RunPlace {
    _share: Share,
}

/// The slot of one run in the pool. It is taken for work and released for every wait, so that a
/// waiting run does not block others.
#[derive(Debug)]
pub struct WorkerSlot {
    pool: WorkerPool,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    place: Mutex<Option<RunPlace>>,
}

impl WorkerSlot {
    /// Not taken yet.
    pub fn new(pool: &WorkerPool) -> Self {
        Self { pool: pool.clone(), permit: Mutex::default(), place: Mutex::default() }
    }

    /// Of a run that has a place among those that have begun.
    #[must_use]
    pub fn with_place(self, place: Option<RunPlace>) -> Self {
        Self { place: Mutex::new(place), ..self }
    }

    /// Waits for a worker, unless one is taken already.
    pub async fn take(&self) {
        if self.permit().is_some() {
            return;
        }
        let WorkerPool { free, metrics, .. } = &self.pool;
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

    /// Releases the worker: the run waits for others, and another one may begin.
    pub fn release(&self) {
        *self.permit() = None;
        self.step_aside();
    }

    /// The run waits for others, and has no worker: another one may begin.
    pub fn step_aside(&self) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits for memory before it has a worker. If others have it, another run may begin meanwhile.
    pub async fn wait_for_memory<T>(&self, room: impl Future<Output = T>) -> T {
        let mut room = std::pin::pin!(room);
        match futures::poll!(room.as_mut()) {
            Poll::Ready(room) => room,
            Poll::Pending => {
                self.step_aside();
                room.await
            }
        }
    }

    fn permit(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_runs_begin_and_others_wait_in_the_queue() {
        let metrics = Arc::new(Metrics::new("1.2.3").unwrap());
        let pool = WorkerPool::new(1, &metrics);
        let mut slots = Vec::new();
        for _ in 0..BEGUN / 2 {
            let place = pool.begin("apps").await;
            slots.push(WorkerSlot::new(&pool).with_place(Some(place)));
        }
        let mut next = std::pin::pin!(pool.begin("apps"));
        assert!(futures::poll!(next.as_mut()).is_pending());
        assert!(metrics.expose().unwrap().contains("\nsupercargo_queue_depth 1\n"));
        // Others are in no one's way.
        drop(pool.begin("other").await);
        // A run keeps its place for its work, and gives it back when it waits.
        let slot = slots.pop().unwrap();
        slot.take().await;
        assert!(futures::poll!(next.as_mut()).is_pending());
        slot.release();
        drop(next.await);
        drop(slots.pop());
        drop(pool.begin("apps").await);
    }

    #[tokio::test]
    async fn who_waits_for_memory_keeps_no_one_from_beginning() {
        let metrics = Arc::new(Metrics::new("1.2.3").unwrap());
        let (pool, memory) = (WorkerPool::new(1, &metrics), Gate::new(8));
        let mut slots = Vec::new();
        for _ in 0..BEGUN / 2 {
            slots.push(WorkerSlot::new(&pool).with_place(Some(pool.begin("apps").await)));
        }
        let mut next = std::pin::pin!(pool.begin("apps"));
        // What is there is not waited for.
        let held = slots[0].wait_for_memory(memory.enter("apps", 4)).await.unwrap();
        assert!(futures::poll!(next.as_mut()).is_pending());
        let mut waits = std::pin::pin!(slots[1].wait_for_memory(memory.enter("apps", 4)));
        assert!(futures::poll!(waits.as_mut()).is_pending());
        drop(next.await);
        drop(held);
        assert!(waits.await.is_ok());
    }

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
