//! How builds are run.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::limits::{LEAST_MEMORY, MAX_CPU, MAX_TIME, MOST_MEMORY, PROGRAM_BYTES};

/// Whether a kind of artifacts is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BuildSwitch {
    /// They are.
    #[default]
    Enabled,
    /// They are refused.
    Disabled,
}

impl FromStr for BuildSwitch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "Enabled" => Ok(Self::Enabled),
            "Disabled" => Ok(Self::Disabled),
            _ => Err("must be Enabled or Disabled".to_owned()),
        }
    }
}

/// How builds are run.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Whether kustomizations are built.
    pub kustomize: BuildSwitch,
    /// Whether Helm charts are rendered.
    pub helm: BuildSwitch,
    /// The program for kustomizations; absent: the one on PATH.
    pub binary: Option<PathBuf>,
    /// The program for Helm charts; absent: the one on PATH.
    pub helm_binary: Option<PathBuf>,
    /// Whether builds run where they cannot be confined completely.
    pub allow_unconfined: bool,
    /// The directory for the files of builds; absent: that of the system.
    pub directory: Option<PathBuf>,
    /// How many builds run at once.
    pub concurrent: usize,
    /// How many of them at most are of one tenant.
    pub of_one: usize,
    /// The memory of one build, in bytes.
    pub memory: u64,
    /// The memory for outputs that are kept, in bytes.
    pub cache: u64,
    /// The binary that is the launcher, see [`launch`](super::sandbox::launch).
    pub launcher: PathBuf,
    /// The most time of one build.
    pub time: Duration,
    /// The most processor time of one build, in whole seconds.
    pub cpu: Duration,
}

impl Default for BuildOptions {
    /// For the process of a person.
    fn default() -> Self {
        Self {
            kustomize: BuildSwitch::Enabled,
            helm: BuildSwitch::Enabled,
            binary: None,
            helm_binary: None,
            allow_unconfined: false,
            directory: None,
            concurrent: 1,
            of_one: usize::MAX,
            memory: MOST_MEMORY,
            cache: 0,
            // This binary, also while another one takes its place.
            launcher: PathBuf::from("/proc/self/exe"),
            time: MAX_TIME,
            cpu: MAX_CPU,
        }
    }
}

impl BuildOptions {
    /// How many builds run at once, and the memory of each: all of them, each with what its program
    /// needs for itself, have no more than the memory of all builds together. Where that is too little
    /// for so many, fewer run at once; one always does.
    pub fn shares(all: u64, concurrent: usize) -> (usize, u64) {
        let fit = all / (LEAST_MEMORY + PROGRAM_BYTES);
        let concurrent = (concurrent as u64).min(fit).max(1);
        let share = (all / concurrent).saturating_sub(PROGRAM_BYTES);
        (usize::try_from(concurrent).unwrap_or(1), share.clamp(LEAST_MEMORY, MOST_MEMORY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_builds_together_have_no_more_than_their_memory() {
        const MIB: u64 = 1 << 20;
        let check = |all: u64, asked: usize, expected: (usize, u64)| {
            let (concurrent, memory) = BuildOptions::shares(all * MIB, asked);
            assert_eq!((concurrent, memory / MIB), expected, "{all} {asked}");
            let sum = concurrent as u64 * (memory + PROGRAM_BYTES);
            assert!(sum <= (all * MIB).max(LEAST_MEMORY + PROGRAM_BYTES), "{all} {asked}: {sum}");
        };
        // A pod of 512 MiB, which is the default.
        check(256, 2, (2, 64));
        check(256, 1, (1, 192));
        check(256, 4, (2, 64));
        check(1024, 4, (4, 192));
        check(1024, 100, (8, 64));
        check(1 << 20, 2, (2, 1024));
        // One build is always possible.
        check(64, 2, (1, 64));
        check(0, 0, (1, 64));
    }
}
