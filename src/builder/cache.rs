//! Outputs of builds that are kept in memory, so that a correction of drift does not build again.
//!
//! The key is a hash of all that a build reads. So a release that finds an output has its input already:
//! there is nothing to be learned from the output of another tenant, and nobody can put another
//! output in its place.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// The hash of all that a build reads.
pub(super) type BuildKey = [u8; 32];

/// What is known of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Its output.
    Output(Bytes),
    /// Its output has more bytes than these.
    MoreThan(u64),
    /// A run has shown that its output is that of another key.
    As(BuildKey),
}

/// The outputs, the ones that were used last.
#[derive(Debug)]
pub(super) struct OutputCache {
    most: u64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<BuildKey, (u64, Known)>,
    bytes: u64,
    turn: u64,
}

/// What an entry takes in addition to its output.
const ENTRY_BYTES: u64 = 256;

fn size(known: &Known) -> u64 {
    match known {
        Known::Output(bytes) => bytes.len() as u64 + ENTRY_BYTES,
        Known::MoreThan(_) | Known::As(_) => ENTRY_BYTES,
    }
}

impl OutputCache {
    /// A cache of so many bytes.
    pub fn new(most: u64) -> Self {
        Self { most, kept: Mutex::default() }
    }

    /// What is known; its use keeps it.
    pub fn get(&self, key: &BuildKey) -> Option<Known> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.turn += 1;
        let turn = kept.turn;
        let (seen, known) = kept.entries.get_mut(key)?;
        *seen = turn;
        Some(known.clone())
    }

    /// Keeps it, and forgets what was used longest ago.
    pub fn put(&self, key: BuildKey, known: Known) {
        let more = size(&known);
        if more > self.most / 2 {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.turn += 1;
        let turn = kept.turn;
        if let Some((_, old)) = kept.entries.insert(key, (turn, known)) {
            kept.bytes -= size(&old);
        }
        kept.bytes += more;
        while kept.bytes > self.most {
            let oldest = kept.entries.iter().min_by_key(|(_, (seen, _))| *seen).map(|(key, _)| *key);
            let Some((_, old)) = oldest.and_then(|key| kept.entries.remove(&key)) else { return };
            kept.bytes -= size(&old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_is_kept_within_the_limit() {
        let cache = OutputCache::new(10 * ENTRY_BYTES);
        let key = |n: u8| [n; 32];
        let output = |bytes: u64| Known::Output(vec![0; bytes as usize].into());
        cache.put(key(0), output(ENTRY_BYTES));
        for n in 1..20 {
            cache.put(key(n), output(ENTRY_BYTES));
            assert!(cache.get(&key(0)).is_some(), "{n}");
        }
        assert_eq!(cache.get(&key(1)), None);
        assert!(cache.get(&key(19)).is_some());
        // What is too large pushes nothing out.
        cache.put(key(99), output(6 * ENTRY_BYTES));
        assert_eq!(cache.get(&key(99)), None);
        assert!(cache.get(&key(0)).is_some());
        cache.put(key(0), Known::MoreThan(7));
        assert_eq!(cache.get(&key(0)), Some(Known::MoreThan(7)));
        assert!(cache.kept.lock().unwrap().bytes <= 10 * ENTRY_BYTES);
    }
}
