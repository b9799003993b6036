//! How much of the process's memory inventories can use: any client with the right to
//! write ConfigMaps in a namespace can make an inventory that is as large as many others.

use std::sync::Arc;
use std::time::Duration;

use super::error::StoreError;
use crate::cluster::error::ApiError;
use crate::domain::capacity::{Capacity, InventoryShares};
use crate::fair::{Gate, Share};

/// How long a reader waits for the others.
const PATIENCE: Duration = Duration::from_secs(30);
/// What to raise where there is too little memory.
const LIMIT: &str = "the memory limit of the operator";
const BUDGET: &str = "--max-memory-per-namespace of the operator";

/// The memory for all inventories. A clone shares it.
#[derive(Clone, Debug)]
pub struct InventoryRooms {
    /// Of what is being read. Who has some of it waits for nothing but the API server.
    reading: Arc<Gate>,
    /// Of what was read: a release has it as long as it exists.
    kept: Arc<Gate>,
    shares: InventoryShares,
    cure: &'static str,
    patience: Duration,
}

/// The share of one inventory, until this is dropped.
#[derive(Debug, Default)]
pub struct Taken {
    shares: Vec<Share>,
    text: u64,
}

impl InventoryRooms {
    /// The part of the memory that is for inventories.
    pub fn new(capacity: &Capacity) -> Self {
        let shares = capacity.inventory_shares();
        let cure = if capacity.budget.is_some() { BUDGET } else { LIMIT };
        Self {
            reading: Gate::bounded(shares.reading, shares.reading_of_one),
            kept: Gate::bounded(shares.kept, shares.kept_of_one),
            shares,
            cure,
            patience: PATIENCE,
        }
    }

    /// The answers that are read of a part: first one of the usual length, then the longest.
    pub(in crate::cluster) fn answers(&self) -> [u64; 2] {
        [self.shares.usual_part, self.shares.part]
    }

    /// Reserves memory for an answer of so many bytes before it is read.
    pub(in crate::cluster) async fn enter(
        &self,
        tenant: &str,
        name: &str,
        answer: u64,
    ) -> Result<Share, StoreError> {
        let entering = self.reading.enter(tenant, InventoryShares::reading(answer));
        match tokio::time::timeout(self.patience, entering).await {
            Ok(entered) => entered.map_err(|_| self.long_part(name)),
            Err(_) => {
                let source = ApiError::Timeout(self.patience);
                Err(StoreError::Api { name: name.to_owned(), verb: "read", source })
            }
        }
    }

    /// A part that is longer than any that is read.
    pub(super) fn long_part(&self, name: &str) -> StoreError {
        StoreError::LongPart { name: name.to_owned(), most: self.shares.part >> 10, cure: self.cure }
    }

    /// Takes the memory that a part uses after it was read.
    pub(super) fn keep(
        &self,
        taken: &mut Taken,
        tenant: &str,
        name: &str,
        text: usize,
    ) -> Result<(), StoreError> {
        let before = InventoryShares::kept(taken.text);
        taken.text = taken.text.saturating_add(text as u64);
        let (name, most, cure) = (name.to_owned(), self.shares.most >> 20, self.cure);
        if taken.text > self.shares.most {
            return Err(StoreError::TooLong { name, most, cure });
        }
        let more = InventoryShares::kept(taken.text) - before;
        if more > 0 {
            let share = self.kept.try_enter(tenant, more).ok_or(StoreError::NoRoom { name, cure })?;
            taken.shares.push(share);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::capacity::MemoryBudget;

    const MIB: u64 = 1 << 20;

    fn rooms(memory: u64, budget: Option<u64>) -> InventoryRooms {
        let capacity = Capacity::of(memory * MIB);
        let within = |bytes| capacity.within(MemoryBudget::Bytes(bytes * MIB)).expect("enough");
        InventoryRooms { patience: Duration::ZERO, ..InventoryRooms::new(&budget.map_or(capacity, within)) }
    }

    /// Reads an inventory of this much text in such parts.
    async fn read(rooms: &InventoryRooms, tenant: &str, text: u64, part: u64) -> Result<Taken, StoreError> {
        let (mut taken, mut left) = (Taken::default(), text);
        while left > 0 {
            let next = left.min(part);
            let _share = rooms.enter(tenant, "ns/inv-a", rooms.answers()[1]).await?;
            rooms.keep(&mut taken, tenant, "ns/inv-a", usize::try_from(next).expect("small"))?;
            left -= next;
        }
        Ok(taken)
    }

    #[tokio::test]
    async fn small_ones_take_nothing_once_they_are_read_and_large_ones_what_they_come_to() {
        let rooms = rooms(512, None);
        let small = read(&rooms, "a", 256 << 10, 256 << 10).await.expect("it fits");
        assert_eq!((rooms.reading.taken(), rooms.kept.taken()), (0, 0));
        let large = read(&rooms, "a", (256 << 10) + 1000, 200 << 10).await.expect("it fits");
        assert_eq!((rooms.reading.taken(), rooms.kept.taken()), (0, 3000));
        drop((small, large));
        assert_eq!(rooms.kept.taken(), 0);
    }

    #[tokio::test]
    async fn one_that_is_too_long_is_refused_with_all_its_parts() {
        for (budget, says, cure) in [(None, "8 MiB", LIMIT), (Some(32), "2 MiB", BUDGET)] {
            let rooms = rooms(512, budget);
            let refused = read(&rooms, "a", 9 << 20, 1 << 20).await.expect_err("it is too long").to_string();
            assert!(refused.contains("ns/inv-a") && refused.contains(says), "{refused}");
            assert!(refused.ends_with(&format!("raise {cure}")), "{refused}");
            assert_eq!((rooms.reading.taken(), rooms.kept.taken()), (0, 0));
        }
    }

    #[tokio::test]
    async fn whatever_a_namespace_keeps_it_reads_small_ones_and_its_largest_is_readable_with_the_least_budget()
     {
        for (memory, budget) in [(128, None), (128, Some(32)), (512, None), (512, Some(32)), (512, Some(64))]
        {
            let rooms = rooms(memory, budget);
            let mut kept = Vec::new();
            let refused = loop {
                match read(&rooms, "hog", rooms.shares.most, 450 << 10).await {
                    Ok(taken) => kept.push(taken),
                    Err(refused) => break refused,
                }
            };
            assert!(!kept.is_empty(), "{memory} {budget:?}");
            assert!(matches!(refused, StoreError::NoRoom { .. }), "{refused}");
            // No more than its part, of what is read and of what is being read.
            let capacity = Capacity::of(memory * MIB);
            let capacity =
                budget.map_or(capacity, |b| capacity.within(MemoryBudget::Bytes(b * MIB)).unwrap());
            let most = capacity.of_one(capacity.inventories);
            assert!(rooms.kept.taken() + rooms.shares.reading_of_one <= most, "{memory} {budget:?}");
            drop(read(&rooms, "hog", 256 << 10, 256 << 10).await.expect("a small one is read"));
            drop(read(&rooms, "other", rooms.shares.most, 1 << 20).await.expect("there is room for others"));
            // As soon as one is gone, there is room for another.
            kept.pop();
            drop(read(&rooms, "hog", rooms.shares.most, 450 << 10).await.expect("there is room again"));
        }
    }

    #[tokio::test]
    async fn readers_take_turns_and_one_that_waits_for_too_long_tries_again_later() {
        let rooms = rooms(512, Some(32));
        let [usual, _] = rooms.answers();
        let held = rooms.enter("a", "ns/inv-a", usual).await.expect("there is room");
        let waits = rooms.enter("a", "ns/inv-b", usual).await.expect_err("it is one at a time");
        assert_eq!(waits.reason(), crate::api::reason::Reason::ApiServerUnavailable);
        drop(rooms.enter("b", "ns/inv-c", usual).await.expect("others do not wait"));
        drop(held);
        drop(rooms.enter("a", "ns/inv-b", usual).await.expect("it is its turn"));
        let long = rooms.enter("a", "ns/inv-a", 100 << 20).await.expect_err("it never fits").to_string();
        assert!(long.contains("the ConfigMap ns/inv-a is larger than 1"), "{long}");
    }
}
