//! How much of the process's memory artifacts can use, all together and each. A fetch
//! without room waits; the tenants take turns.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::domain::capacity::Capacity;
use crate::fair::{Gate, NeverFits, Share};
use crate::oci::error::OciError;
use crate::oci::limits::LEAST_ROOM;

/// What is left of an artifact and not reserved, in bytes: a few manifests.
const LITTLE: u64 = 64 << 10;

/// The memory for artifacts in this process.
pub(in crate::oci) struct Rooms {
    pulled: Arc<Gate>,
    usual: Arc<Gate>,
    large: Arc<Gate>,
    capacity: Capacity,
}

/// The assumed size of an artifact before it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Size {
    /// The usual size.
    Usual,
    /// The maximum size: only a few fit at a time.
    #[default]
    Large,
}

/// The wait of a fetch for room, which does not count as a wait for its registry.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Mutex<Place>>);

/// Where a fetch is, and since when.
#[derive(Clone, Copy, Debug)]
enum Place {
    Waiting(Instant),
    Left(Instant),
}

impl Default for Queue {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Place::Left(Instant::now()))))
    }
}

impl Queue {
    /// Since when it waits for its registry; none while it waits for room.
    pub fn left(&self) -> Option<Instant> {
        match self.place() {
            Place::Left(since) => Some(since),
            Place::Waiting(_) => None,
        }
    }

    /// Since when it waits for room; none while it does not.
    pub fn waits(&self) -> Option<Instant> {
        match self.place() {
            Place::Waiting(since) => Some(since),
            Place::Left(_) => None,
        }
    }

    fn place(&self) -> Place {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room.
    pub(in crate::oci) async fn wait<T>(&self, room: impl Future<Output = T>) -> T {
        let set = |place| *self.0.lock().unwrap_or_else(PoisonError::into_inner) = place;
        set(Place::Waiting(Instant::now()));
        let room = room.await;
        set(Place::Left(Instant::now()));
        room
    }
}

/// The memory of an artifact, unpacked and decoded. It is reserved until the last clone
/// of this is dropped.
#[derive(Clone, Debug)]
pub struct Room {
    /// In bytes.
    pub most: u64,
    share: Option<Arc<Share>>,
}

impl Default for Room {
    /// For content that was not pulled: it does not delay others.
    fn default() -> Self {
        Self { most: Capacity::default().most, share: None }
    }
}

impl Room {
    /// The real size of the artifact is known: the rest is released.
    pub fn settle(&self, bytes: u64) {
        if let Some(share) = &self.share {
            share.shrink(bytes.max(LEAST_ROOM));
        }
    }

    /// Only so much is still needed. A little is not reserved: a run keeps some for itself anyway, and the next artifact may
    /// need all that its namespace gets.
    #[must_use]
    pub fn left(self, bytes: u64) -> Option<Room> {
        if bytes <= LITTLE {
            return None;
        }
        self.settle(bytes);
        Some(self)
    }
}

fn too_large(NeverFits { most }: NeverFits) -> OciError {
    OciError::too_large(format!("it needs more memory than the {most} bytes that its namespace can have"))
}

impl Rooms {
    pub fn new(capacity: Capacity) -> Self {
        Self {
            pulled: Gate::bounded(capacity.pulled, capacity.of_one(capacity.pulled)),
            usual: Gate::bounded(capacity.all_usual, capacity.of_one(capacity.all_usual)),
            large: Gate::bounded(capacity.all_large, capacity.of_one(capacity.all_large)),
            capacity,
        }
    }

    /// The most memory for an artifact of that size.
    pub fn most(&self, size: Size) -> u64 {
        match size {
            Size::Usual => self.capacity.usual,
            Size::Large => self.capacity.most,
        }
    }

    /// The most for one artifact of a namespace, where a budget of the administrator lowers it.
    pub fn bounded_most(&self) -> Option<u64> {
        let Capacity { budget, most, all_large, .. } = self.capacity;
        (budget.is_some() && most >= self.capacity.of_one(all_large)).then_some(most)
    }

    /// For a layer before it is pulled.
    ///
    /// # Errors
    /// When it needs more than its namespace can have.
    pub async fn layer(&self, tenant: &str, bytes: u64) -> Result<Share, OciError> {
        self.pulled.enter(tenant, bytes.max(LEAST_ROOM)).await.map_err(too_large)
    }

    /// For the unpacked and decoded content. A holder never waits for another.
    ///
    /// # Errors
    /// When it needs more than its namespace can have.
    pub async fn content(&self, tenant: &str, size: Size) -> Result<Room, OciError> {
        let most = self.most(size);
        let gate = if size == Size::Usual { &self.usual } else { &self.large };
        let share = gate.enter(tenant, most).await.map_err(too_large)?;
        Ok(Room { most, share: Some(Arc::new(share)) })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::domain::capacity::MemoryBudget;

    #[tokio::test]
    async fn a_namespace_alone_has_no_more_artifacts_at_once_than_its_budget() {
        // How many usual and large artifacts one namespace has at once, and the most of a large one.
        let check = async |budget: Option<MemoryBudget>, expected: (usize, usize, u64)| {
            let capacity = Capacity::of(512 << 20);
            let rooms =
                Rooms::new(budget.map_or(capacity, |budget| capacity.within(budget).expect("enough")));
            let count = |size: Size| {
                let rooms = &rooms;
                async move {
                    let mut taken = Vec::new();
                    while let Some(room) = rooms.content("a", size).now_or_never() {
                        taken.push(room.expect("it fits"));
                    }
                    taken.len()
                }
            };
            let found = (count(Size::Usual).await, count(Size::Large).await, rooms.most(Size::Large) >> 20);
            assert_eq!(found, expected, "{budget:?}");
            // The layers of the largest artifact fit, too: they are at most half of it.
            assert!(rooms.layer("b", rooms.most(Size::Large) / 2).await.is_ok(), "{budget:?}");
            let lowered = rooms.bounded_most().map(|most| most >> 20);
            assert_eq!(lowered, (expected.2 < 32).then_some(expected.2), "{budget:?}");
        };
        check(None, (8, 1, 32)).await;
        check(Some(MemoryBudget::Bytes(32 << 20)), (1, 1, 6)).await;
        check(Some(MemoryBudget::Bytes(64 << 20)), (2, 1, 13)).await;
        check(Some(MemoryBudget::Bytes(200 << 20)), (7, 1, 32)).await;
        check(Some(MemoryBudget::Percent(100)), (8, 1, 32)).await;
    }

    #[tokio::test]
    async fn what_is_left_of_an_artifact_leaves_the_rest_of_its_room_to_others() {
        let check = async |left: u64, is_free: bool| {
            let budget = MemoryBudget::Bytes(32 << 20);
            let rooms = Rooms::new(Capacity::of(512 << 20).within(budget).expect("enough"));
            let first = rooms.content("a", Size::Large).await.expect("it fits");
            assert!(rooms.content("a", Size::Large).now_or_never().is_none(), "it has all of it");
            let _left = first.left(left);
            assert_eq!(rooms.content("a", Size::Large).now_or_never().is_some(), is_free, "{left}");
        };
        check(0, true).await;
        check(LITTLE, true).await;
        // The largest artifact needs all that its namespace gets.
        check(LITTLE + 1, false).await;
    }

    #[tokio::test]
    async fn a_fetch_says_that_it_waits_for_room_while_it_does() {
        let rooms = Rooms::new(Capacity::of(64 << 20));
        let queue = Queue::default();
        let mut taken = Vec::new();
        while let Some(room) = rooms.content("a", Size::Large).now_or_never() {
            taken.push(room.unwrap());
        }
        let mut waiting = std::pin::pin!(queue.wait(rooms.content("a", Size::Large)));
        assert!(queue.waits().is_none());
        assert!(waiting.as_mut().now_or_never().is_none() && queue.left().is_none());
        assert!(queue.waits().is_some());
        taken.clear();
        assert!(waiting.now_or_never().is_some() && queue.left().is_some() && queue.waits().is_none());
    }
}
