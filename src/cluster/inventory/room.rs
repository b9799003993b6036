//! How much of the process's memory inventories can use: any client with the right to
//! write ConfigMaps in a namespace can make an inventory that is as large as many others.

use std::sync::Arc;
use std::time::Duration;

use super::error::StoreError;
use crate::domain::capacity::Capacity;
use crate::fair::{Gate, Share};

/// The longest answer that is read of a part. etcd takes 1.5 MiB, and the operator
/// writes text in which few characters are escaped.
pub(super) const MAX_PART: usize = 4 << 20;
/// What a part uses while it is read, as an answer and as text.
const READING: u64 = 2 * MAX_PART as u64;
/// Bytes of memory for each byte of text, once it is read.
const DECODED: u64 = 3;
/// The text that every inventory can have along with all others.
const FREE: u64 = 256 << 10;
/// How long a reader waits for the others.
const PATIENCE: Duration = Duration::from_secs(30);

/// The memory for all inventories.
pub(in crate::cluster) struct InventoryRooms {
    gate: Arc<Gate>,
    most: u64,
    patience: Duration,
}

/// The share of one inventory, until this is dropped.
#[derive(Debug, Default)]
pub struct Taken {
    shares: Vec<Share>,
    text: u64,
}

impl InventoryRooms {
    pub fn new(capacity: &Capacity) -> Self {
        let gate = Gate::bounded(capacity.inventories, capacity.of_one(capacity.inventories));
        Self { gate, most: capacity.inventory, patience: PATIENCE }
    }

    /// Reserves memory for a part before it is read.
    pub(super) async fn enter(&self, tenant: &str, name: &str) -> Result<Share, StoreError> {
        let entering = self.gate.enter(tenant, READING);
        let entered = tokio::time::timeout(self.patience, entering).await;
        entered.map_err(|_| StoreError::NoRoom { name: name.to_owned() })
    }

    /// Keeps the memory that a part uses after it was read.
    pub(super) fn keep(
        &self,
        taken: &mut Taken,
        share: Share,
        name: &str,
        text: usize,
    ) -> Result<(), StoreError> {
        let before = taken.text.saturating_sub(FREE);
        taken.text = taken.text.saturating_add(text as u64);
        if taken.text > self.most {
            return Err(StoreError::TooLong { name: name.to_owned(), most: self.most >> 20 });
        }
        share.shrink(DECODED * (taken.text.saturating_sub(FREE) - before));
        taken.shares.push(share);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms() -> InventoryRooms {
        InventoryRooms { gate: Gate::new(64 << 20), most: 8 << 20, patience: Duration::ZERO }
    }

    #[tokio::test]
    async fn small_ones_take_nothing_once_they_are_read_and_large_ones_what_they_come_to() {
        let rooms = rooms();
        let mut all = [Taken::default(), Taken::default()];
        for (which, text) in [(0, FREE), (1, FREE), (1, 1000)] {
            let taken: &mut Taken = &mut all[which];
            let share = rooms.enter("a", "inv").await.expect("there is room");
            assert_eq!(rooms.gate.taken() % READING, 0);
            rooms.keep(taken, share, "inv", usize::try_from(text).expect("small")).expect("it fits");
        }
        assert_eq!(rooms.gate.taken(), DECODED * 1000);
        drop(all);
        assert_eq!(rooms.gate.taken(), 0);
    }

    #[tokio::test]
    async fn one_that_is_too_long_is_refused_with_all_its_parts() {
        let rooms = rooms();
        let mut taken = Taken::default();
        let refused = loop {
            let share = rooms.enter("a", "inv").await.expect("there is room");
            if let Err(refused) = rooms.keep(&mut taken, share, "ns/inv-a", 3 << 20) {
                break refused;
            }
        };
        assert_eq!(taken.shares.len(), 2);
        let message = refused.to_string();
        assert!(message.contains("ns/inv-a") && message.contains("8 MiB"), "{message}");
    }

    #[tokio::test]
    async fn a_tenant_without_room_gets_an_error_and_another_has_room() {
        let rooms = rooms();
        let mut held = Vec::new();
        let refused = loop {
            match rooms.enter("hog", "ns/inv-a").await {
                Ok(share) => held.push(share),
                Err(refused) => break refused,
            }
        };
        assert_eq!(held.len(), 4);
        assert!(matches!(refused, StoreError::NoRoom { .. }), "{refused}");
        drop(rooms.enter("other", "inv").await.expect("there is room for others"));
    }
}
