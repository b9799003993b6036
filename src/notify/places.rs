//! The places for receivers that releases name: tenants share them, so that a slow receiver of one holds up nobody else.

use std::sync::Arc;

use crate::fair::{Gate, Share};

/// The most receivers for which something waits, of all namespaces.
const MAX_LINES: u64 = 2048;
/// The most alerts that stand, of all namespaces: each is a request a minute.
const MAX_ALERTS: u64 = 1024;
/// The most of one namespace that it shares with others. It gets no more than it leaves for them.
pub const SHARED: u64 = 60;
/// What every namespace has in any case, however many others there are.
pub const RESERVED: u64 = 4;
/// More than there are namespaces.
const UNLIMITED: u64 = 1 << 40;

/// What a place is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceKind {
    /// A receiver for which notifications wait.
    News,
    /// An alert that stands. These may stand for days, apart from the others.
    Alert,
}

/// The places.
pub struct Places {
    /// By kind.
    shared: [Arc<Gate>; 2],
    reserved: [Arc<Gate>; 2],
}

impl Default for Places {
    fn default() -> Self {
        let reserved = || Gate::bounded(UNLIMITED, RESERVED);
        Self {
            shared: [Gate::bounded(MAX_LINES, SHARED), Gate::bounded(MAX_ALERTS, SHARED)],
            reserved: [reserved(), reserved()],
        }
    }
}

impl Places {
    /// A place, if there is one now.
    pub fn take(&self, kind: PlaceKind, namespace: &str) -> Option<Share> {
        let shared = self.shared[kind as usize].try_enter(namespace, 1);
        shared.or_else(|| self.reserved[kind as usize].try_enter(namespace, 1))
    }

    /// Those that are shared, to wait for one.
    pub fn shared(&self, kind: PlaceKind) -> Arc<Gate> {
        Arc::clone(&self.shared[kind as usize])
    }

    /// How many are taken.
    #[cfg(test)]
    pub fn taken(&self, kind: PlaceKind) -> u64 {
        self.shared[kind as usize].taken() + self.reserved[kind as usize].taken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_namespace_more_has_places_however_many_there_are() {
        let places = Places::default();
        let mut kept = Vec::new();
        for namespace in (0..3000).map(|n| format!("ns{n}")) {
            for kind in [PlaceKind::News, PlaceKind::Alert] {
                let mine: Vec<Share> = std::iter::from_fn(|| places.take(kind, &namespace)).collect();
                assert!(
                    (RESERVED..=RESERVED + SHARED).contains(&(mine.len() as u64)),
                    "{namespace}: {}",
                    mine.len()
                );
                kept.push(mine);
            }
        }
        assert!(places.shared[0].taken() <= MAX_LINES && places.shared[1].taken() <= MAX_ALERTS);
    }
}
