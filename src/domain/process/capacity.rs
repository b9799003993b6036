//! How much memory of the process artifacts and inventories may use: a share of its limit, so that
//! the artifacts of one tenant do not kill the process for all.

use crate::domain::manifest::budget::MAX_DECODED_BYTES;

/// A process with an unknown limit.
const UNKNOWN: u64 = 2 << 30;
/// The least that is useful.
const LEAST: u64 = 128 << 20;

/// More than anything in the process needs.
const UNSHARED: u64 = 1 << 50;
/// What the build of a person may take.
const MAX_BUILD: u64 = 1 << 30;
/// An object takes about 200 bytes of it.
const MAX_INVENTORY: u64 = 64 << 20;

/// The longest answer that is read of a part of an inventory. etcd takes 1.5 MiB, and the operator writes
/// text in which few characters are escaped.
const MAX_PART: u64 = 4 << 20;
/// The same for a part that the operator has written.
const USUAL_PART: u64 = 1 << 20;
/// What a part uses while it is read, for each byte of the answer: as an answer and as text.
const READ: u64 = 2;
/// Bytes of memory for each byte of the text of an inventory, once it is read.
const DECODED: u64 = 3;
/// The longest answer about an object that a person looks at: etcd takes 1.5 MiB, and JSON may be twice that.
const MAX_LOOK: u64 = 3 << 20;
/// How many of them are read at a time for one person.
const LOOKS: u64 = 4;
/// The text that every inventory can have along with all others.
const FREE: u64 = 256 << 10;

/// The least that one namespace needs: less would not do for an inventory of the usual size.
pub const LEAST_BUDGET: u64 = 32 << 20;
/// The most text of an inventory, as a part of the room that its namespace has for inventories.
const TEXT: u64 = 4;

/// The most memory that one namespace may take, of artifacts, patches, inputs and inventories together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryBudget {
    /// So many bytes.
    Bytes(u64),
    /// A part of the memory of the process.
    Percent(u8),
}

/// A budget with which a namespace could do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--max-memory-per-namespace is {} MiB; a namespace needs at least {} MiB",
    .bytes >> 20,
    LEAST_BUDGET >> 20
)]
pub struct SmallBudget {
    bytes: u64,
}

/// Shares of the memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The most that a usual artifact needs, unpacked and decoded.
    pub usual: u64,
    /// The most that any artifact may need.
    pub most: u64,
    /// The room of all layers that are being pulled, approximately.
    pub pulled: u64,
    /// The room of all usual artifacts, approximately.
    pub all_usual: u64,
    /// The room of all large artifacts: less than two of them need before they are rendered,
    /// with the reserve, and enough for one in addition to the rendered ones.
    pub all_large: u64,
    /// The room of all large specs.
    pub specs: u64,
    /// The room of the ConfigMaps and Secrets that decide what is rendered.
    pub inputs: u64,
    /// The most bytes of the text of one inventory.
    pub inventory: u64,
    /// The room of all large inventories.
    pub inventories: u64,
    /// The memory of all builds together. Their processes share the limit of this one.
    pub builds: u64,
    /// The memory for outputs of builds that are kept.
    pub outputs: u64,
    /// The most that one namespace may take of all rooms together; absent: half of each.
    pub budget: Option<u64>,
}

/// How the room of inventories is divided. What is being read has a room of its own: else the inventories
/// that a namespace keeps would leave it none to read another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InventoryShares {
    /// The longest answer that is read of a part, in bytes.
    pub part: u64,
    /// The same for a part of the usual size, which is tried first.
    pub usual_part: u64,
    /// The room of all parts that are being read, and what one namespace gets of it.
    pub reading: u64,
    /// See [`InventoryShares::reading`].
    pub reading_of_one: u64,
    /// The room of all inventories that were read, and what one namespace gets of it.
    pub kept: u64,
    /// See [`InventoryShares::kept`].
    pub kept_of_one: u64,
    /// The most bytes of the text of one inventory.
    pub most: u64,
}

impl InventoryShares {
    /// What an answer of so many bytes uses while it is read.
    pub const fn reading(answer: u64) -> u64 {
        READ * answer
    }

    /// What an inventory with so many bytes of text uses.
    pub const fn kept(text: u64) -> u64 {
        DECODED * text.saturating_sub(FREE)
    }
}

/// How much of the API server's answers is in memory while persons look at objects of a release in the process of the
/// operator. Of what is compared, an object of each of a few persons is in memory at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookShares {
    /// The longest answer that is read, in bytes.
    pub text: u64,
    /// The most that one side of a comparison takes, as estimated from its text.
    pub side: u64,
    /// The room of all answers that are being read, and what one person gets of it.
    pub reading: u64,
    /// See [`LookShares::reading`].
    pub reading_of_one: u64,
}

impl Default for Capacity {
    /// For the process of a person, who runs one command at a time: it may hold several
    /// artifacts at once, and no other process would free the room that it waits for.
    fn default() -> Self {
        let (all, most, inventory) = (UNSHARED, MAX_DECODED_BYTES, MAX_INVENTORY);
        Self {
            usual: most,
            most,
            pulled: all,
            all_usual: all,
            all_large: all,
            specs: all,
            inputs: all,
            inventory,
            inventories: all,
            builds: MAX_BUILD,
            outputs: 0,
            budget: None,
        }
    }
}

impl Capacity {
    /// For a process with a limit of so many bytes. More than a third of them is for
    /// artifacts: estimates are not exact, and the rest of the process needs memory too.
    pub fn of(memory: u64) -> Self {
        let memory = memory.max(LEAST);
        let most = (memory / 16).min(MAX_DECODED_BYTES);
        let usual = (memory / 256).min(16 << 20);
        let inventory = (memory / 64).min(MAX_INVENTORY);
        let (pulled, all_usual, specs, inventories) = (memory / 8, memory / 16, memory / 8, memory / 4);
        let (builds, outputs, inputs) = (memory / 2, memory / 32, memory / 8);
        Self {
            usual,
            most,
            pulled,
            all_usual,
            all_large: 3 * most - most / 10,
            specs,
            inputs,
            inventory,
            inventories,
            builds,
            outputs,
            budget: None,
        }
    }

    /// The same with a budget for each namespace. An artifact, and an inventory, is no larger than what
    /// its namespace gets of the room: one that is larger would wait for ever.
    ///
    /// # Errors
    /// When the budget is too small to work with.
    pub fn within(self, budget: MemoryBudget) -> Result<Self, SmallBudget> {
        let bytes = match budget {
            MemoryBudget::Bytes(bytes) => bytes,
            // The builds have half of the memory.
            MemoryBudget::Percent(percent) => self.builds.saturating_mul(2 * u64::from(percent)) / 100,
        };
        if bytes < LEAST_BUDGET {
            return Err(SmallBudget { bytes });
        }
        let bounded = Self { budget: Some(bytes), ..self };
        Ok(Self {
            usual: self.usual.min(bounded.of_one(self.all_usual)),
            most: self.most.min(bounded.of_one(self.all_large)),
            inventory: self.inventory.min(bounded.of_one(self.inventories) / TEXT),
            ..bounded
        })
    }

    /// The most of a room that one namespace gets: half of it, or its part of the budget. The parts of
    /// all rooms together are the budget, because a namespace may fill all of them at once.
    pub fn of_one(&self, room: u64) -> u64 {
        let half = room / 2;
        let Some(budget) = self.budget else { return half };
        let rooms = [self.pulled, self.all_usual, self.all_large, self.specs, self.inputs, self.inventories];
        let all = rooms.into_iter().map(u128::from).sum::<u128>().max(1);
        let part = u128::from(room) * u128::from(budget) / all;
        u64::try_from(part).map_or(half, |part| part.min(half))
    }

    /// How the room of inventories is divided. One namespace can read any part, whatever it keeps, and
    /// keep its largest inventory.
    pub fn inventory_shares(&self) -> InventoryShares {
        let (all, of_one, most) = (self.inventories, self.of_one(self.inventories), self.inventory);
        let part = (of_one.saturating_sub(InventoryShares::kept(most)) / READ).min(MAX_PART);
        let reading_of_one = InventoryShares::reading(part).max(of_one / 4);
        let reading = (all / 4).max(2 * reading_of_one);
        InventoryShares {
            part,
            usual_part: part.min(USUAL_PART),
            reading,
            reading_of_one,
            kept: all.saturating_sub(reading),
            kept_of_one: of_one.saturating_sub(reading_of_one),
            most,
        }
    }

    /// What persons may take of it while they look at objects. The objects of almost all releases are far smaller.
    pub fn look_shares(&self) -> LookShares {
        // The builds have half of the memory.
        let memory = self.builds.saturating_mul(2);
        let text = (memory / 128).min(MAX_LOOK);
        let reading_of_one = LOOKS * text;
        LookShares { text, side: memory / 32, reading: 3 * reading_of_one, reading_of_one }
    }

    /// How many of the builds at once may be of one namespace: all of them, or as the budget is to the
    /// memory. The memory of a build is not divided, so that one is always possible.
    pub fn builds_of_one(&self, concurrent: usize) -> usize {
        let Some(budget) = self.budget else { return concurrent };
        let part = concurrent as u128 * u128::from(budget) / u128::from(self.builds.max(1)) / 2;
        usize::try_from(part).unwrap_or(concurrent).clamp(1, concurrent.max(1))
    }

    /// For the limit of the process's control group and the memory of the machine, if they
    /// are known.
    pub fn found(limit: Option<u64>, machine: Option<u64>) -> Self {
        // Without a limit it shares the machine with other processes.
        let machine = machine.map(|bytes| bytes / 2);
        Self::of(limit.into_iter().chain(machine).min().unwrap_or(UNKNOWN))
    }
}

/// The limit in a file of a control group, such as `memory.max`; `None` if there is
/// none.
pub fn limit_of_group(text: &str) -> Option<u64> {
    // Without a limit version 2 has `max`, and version 1 the largest number of pages.
    text.trim().parse().ok().filter(|bytes| *bytes > 0 && *bytes < 1 << 60)
}

/// The memory of the machine, from `/proc/meminfo`.
pub fn memory_of_machine(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn shares_follow_the_limit() {
        let check = |memory: u64, expected: [u64; 11]| {
            let Capacity {
                usual,
                most,
                pulled,
                all_usual,
                all_large,
                specs,
                inputs,
                inventory,
                inventories,
                builds,
                outputs,
                budget: _,
            } = Capacity::of(memory * MIB);
            let found = [
                usual,
                most,
                pulled,
                all_usual,
                all_large,
                specs,
                inputs,
                inventory,
                inventories,
                builds,
                outputs,
            ];
            let found = found.map(|bytes| bytes / MIB);
            assert_eq!(found, expected, "{memory}");
        };
        check(0, [0, 8, 16, 8, 23, 16, 16, 2, 32, 64, 4]);
        check(512, [2, 32, 64, 32, 92, 64, 64, 8, 128, 256, 16]);
        check(4096, [16, 256, 512, 256, 742, 512, 512, 64, 1024, 2048, 128]);
        check(65536, [16, 768, 8192, 4096, 2227, 8192, 8192, 64, 16384, 32768, 2048]);
    }

    #[test]
    fn what_persons_look_at_is_a_small_part_of_the_memory() {
        let check = |memory: u64, expected: [u64; 4]| {
            let capacity = Capacity::of(memory * MIB);
            let LookShares { text, side, reading, reading_of_one } = capacity.look_shares();
            assert_eq!([text, side, reading, reading_of_one].map(|bytes| bytes / MIB), expected, "{memory}");
            // Of two persons, each has both sides of a comparison.
            assert!(4 * (side + text) + 2 * reading_of_one <= memory * MIB / 4, "{memory}");
        };
        check(128, [1, 4, 12, 4]);
        check(512, [3, 16, 36, 12]);
        check(4096, [3, 128, 36, 12]);
    }

    #[test]
    fn one_namespace_gets_half_of_each_room_or_its_part_of_the_budget() {
        // Memory and budget; the most of an artifact and of the text of an inventory; what one gets of all
        // rooms; its builds, of eight.
        let check = |memory: u64, budget: Option<MemoryBudget>, expected: [u64; 4]| {
            let capacity = Capacity::of(memory * MIB);
            let capacity = budget.map_or(Ok(capacity), |budget| capacity.within(budget)).unwrap();
            let Capacity { pulled, all_usual, all_large, specs, inputs, inventories, .. } = capacity;
            let all = [pulled, all_usual, all_large, specs, inputs, inventories];
            let all: u64 = all.into_iter().map(|room| capacity.of_one(room)).sum();
            let builds = capacity.builds_of_one(8) as u64;
            let found = [capacity.most / MIB, capacity.inventory / MIB, all / MIB, builds];
            assert_eq!(found, expected, "{memory} {budget:?}");
            assert!(
                capacity.usual <= capacity.of_one(all_usual) && capacity.most <= capacity.of_one(all_large)
            );
        };
        let mib = |mib: u64| Some(MemoryBudget::Bytes(mib * MIB));
        check(512, None, [32, 8, 222, 8]);
        check(512, mib(32), [6, 2, 31, 1]);
        check(512, mib(64), [13, 4, 63, 1]);
        check(512, mib(128), [26, 8, 127, 2]);
        check(512, Some(MemoryBudget::Percent(25)), [26, 8, 127, 2]);
        // More than half is no budget for what is shared; builds have one of their own.
        check(512, mib(512), [32, 8, 222, 8]);
        check(512, mib(1 << 20), [32, 8, 222, 8]);
        check(4096, Some(MemoryBudget::Percent(1)), [8, 2, 40, 1]);
        check(128, mib(32), [6, 2, 31, 2]);
    }

    #[test]
    fn one_namespace_can_read_and_keep_an_inventory_of_the_largest_size() {
        for memory in [128, 256, 512, 1024, 4096, 16384, 65536] {
            let capacity = Capacity::of(memory * MIB);
            let budgets = (32..memory).step_by(7).map(|budget| MemoryBudget::Bytes(budget * MIB));
            let all = budgets.map(|budget| capacity.within(budget).unwrap()).chain([capacity]);
            for capacity in all.chain([Capacity::default()]) {
                let shares = capacity.inventory_shares();
                let InventoryShares { part, reading, reading_of_one, kept, kept_of_one, most, .. } = shares;
                let says = format!("{memory} {:?} {shares:?}", capacity.budget);
                // What the operator writes can be read, and one part at a time is possible.
                assert!(2 * part >= 3 * MIB && InventoryShares::reading(part) <= reading_of_one, "{says}");
                assert!(InventoryShares::kept(most) <= kept_of_one.min(kept / 2), "{says}");
                // Two namespaces do so at once, and one has no more than what is its own.
                assert!(2 * reading_of_one <= reading && reading + kept <= capacity.inventories, "{says}");
                assert!(reading_of_one + kept_of_one <= capacity.of_one(capacity.inventories), "{says}");
            }
        }
    }

    #[test]
    fn a_budget_with_which_nothing_works_is_refused() {
        let check = |budget: MemoryBudget, says: Option<&str>| {
            let found = Capacity::of(512 * MIB).within(budget).map_err(|error| error.to_string());
            assert_eq!(found.err().as_deref(), says, "{budget:?}");
        };
        check(MemoryBudget::Bytes(32 * MIB), None);
        let least = "a namespace needs at least 32 MiB";
        check(MemoryBudget::Bytes(31 * MIB), Some(&format!("--max-memory-per-namespace is 31 MiB; {least}")));
        check(MemoryBudget::Percent(5), Some(&format!("--max-memory-per-namespace is 25 MiB; {least}")));
        check(MemoryBudget::Percent(100), None);
    }

    #[test]
    fn the_limit_of_the_group_counts_before_half_of_the_machine() {
        let check = |limit: Option<u64>, machine: Option<u64>, expected: u64| {
            let found = Capacity::found(limit.map(|l| l * MIB), machine.map(|m| m * MIB));
            assert_eq!(found, Capacity::of(expected * MIB), "{limit:?} {machine:?}");
        };
        check(Some(512), Some(8192), 512);
        check(None, Some(8192), 4096);
        // A limit above the memory of the machine has no effect.
        check(Some(16384), Some(8192), 4096);
        check(Some(512), None, 512);
        check(None, None, 2048);
    }

    #[test]
    fn what_the_system_says_is_read() {
        assert_eq!(limit_of_group("536870912\n"), Some(512 * MIB));
        for none in ["max\n", "", "9223372036854771712\n", "0", "-1", "x"] {
            assert_eq!(limit_of_group(none), None, "{none}");
        }
        assert_eq!(memory_of_machine("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 * MIB));
        assert_eq!(memory_of_machine("MemFree: 1 kB\n"), None);
        assert_eq!(memory_of_machine("MemTotal: much\n"), None);
    }
}
