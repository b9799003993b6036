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
        }
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
