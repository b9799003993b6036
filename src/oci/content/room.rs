//! What artifacts may take of the process's memory, all together and each. Whoever
//! has no room yet waits; the tenants take turns.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::domain::capacity::Capacity;
use crate::fair::{Gate, Share};
use crate::oci::limits::LEAST_ROOM;

/// The rooms of the process.
pub(in crate::oci) struct Rooms {
    pulled: Arc<Gate>,
    usual: Arc<Gate>,
    large: Arc<Gate>,
    capacity: Capacity,
}

/// How large an artifact is taken to be before it was looked into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Size {
    /// As most are.
    Usual,
    /// As large as it may be: there are few such rooms.
    #[default]
    Large,
}

/// Where a fetch says that it waits for room, and so not for its registry.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Mutex<Option<Instant>>>);

impl Default for Queue {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }
}

impl Queue {
    /// Since when it waits for its registry; none while it waits for room.
    pub fn left(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits in it.
    pub(in crate::oci) async fn wait<T>(&self, room: impl Future<Output = T>) -> T {
        let set = |left| *self.0.lock().unwrap_or_else(PoisonError::into_inner) = left;
        set(None);
        let room = room.await;
        set(Some(Instant::now()));
        room
    }
}

/// What an artifact may come to in memory, unpacked and decoded. It is taken for as
/// long as a clone of this is there.
#[derive(Clone, Debug)]
pub struct Room {
    /// In bytes.
    pub most: u64,
    share: Option<Arc<Share>>,
}

impl Default for Room {
    /// Of what was not pulled: nobody else's is held up by it.
    fn default() -> Self {
        Self { most: Capacity::default().most, share: None }
    }
}

impl Room {
    /// It is known now what the artifact comes to: the rest is for others.
    pub fn settle(&self, bytes: u64) {
        if let Some(share) = &self.share {
            share.shrink(bytes.max(LEAST_ROOM));
        }
    }
}

impl Rooms {
    pub fn new(capacity: Capacity) -> Self {
        Self {
            pulled: Gate::new(capacity.pulled),
            usual: Gate::new(capacity.all_usual),
            large: Gate::new(capacity.all_large),
            capacity,
        }
    }

    /// The most that an artifact of that size may come to.
    pub fn most(&self, size: Size) -> u64 {
        match size {
            Size::Usual => self.capacity.usual,
            Size::Large => self.capacity.most,
        }
    }

    /// For a layer that is about to be pulled.
    pub async fn layer(&self, tenant: &str, bytes: u64) -> Share {
        self.pulled.enter(tenant, bytes.max(LEAST_ROOM)).await
    }

    /// For what it is unpacked and decoded to. Who has one never waits for another.
    pub async fn content(&self, tenant: &str, size: Size) -> Room {
        let most = self.most(size);
        let gate = if size == Size::Usual { &self.usual } else { &self.large };
        Room { most, share: Some(Arc::new(gate.enter(tenant, most).await)) }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_fetch_says_that_it_waits_for_room_while_it_does() {
        let rooms = Rooms::new(Capacity::of(64 << 20));
        let queue = Queue::default();
        let mut taken = Vec::new();
        while let Some(room) = rooms.content("a", Size::Large).now_or_never() {
            taken.push(room);
        }
        let mut waiting = std::pin::pin!(queue.wait(rooms.content("a", Size::Large)));
        assert!(waiting.as_mut().now_or_never().is_none() && queue.left().is_none());
        taken.clear();
        assert!(waiting.now_or_never().is_some() && queue.left().is_some());
    }
}
