//! The memory of the ConfigMaps and Secrets that decide what is rendered: of those that are being read
//! and used, and of those that are kept between runs, in both cases a fair share for each namespace.

use std::sync::Arc;

use crate::domain::release::inputs::MAX_INPUT_BYTES;
use crate::fair::{Gate, NeverFits, Share};

/// What reading takes at first, in bytes: most inputs are small.
pub const USUAL: u64 = 64 << 10;
/// What inputs of so many bytes take: as read, as rendered from, and as texts that are never shown.
pub const fn weight_of(bytes: usize) -> u64 {
    WEIGHT * bytes as u64
}

const WEIGHT: u64 = 8;

/// The memory of all inputs.
#[derive(Debug)]
pub struct InputRoom {
    used: Arc<Gate>,
    kept: Arc<Gate>,
}

impl Default for InputRoom {
    /// For the process of a person, who has few.
    fn default() -> Self {
        Self::new(1 << 50)
    }
}

impl InputRoom {
    /// So many bytes, half of them for what is kept between runs.
    pub fn new(bytes: u64) -> Self {
        Self::bounded(bytes, bytes / 2)
    }

    /// The same where one namespace has at most so many of them.
    pub fn bounded(bytes: u64, most: u64) -> Self {
        Self { used: Gate::bounded(bytes / 2, most / 2), kept: Gate::bounded(bytes / 2, most / 2) }
    }

    /// The most bytes that the inputs of one release may have because of the budget of a namespace; absent:
    /// what any release may have.
    pub fn bounded_most(&self) -> Option<usize> {
        let most = usize::try_from(self.used.budget()? / WEIGHT).ok()?;
        (most < MAX_INPUT_BYTES).then_some(most)
    }

    /// Waits until the inputs of a release may take so much for a run.
    ///
    /// # Errors
    /// When it is more than a namespace can have.
    pub async fn enter(&self, namespace: &str, bytes: u64) -> Result<Share, NeverFits> {
        self.used.enter(namespace, bytes).await
    }

    /// So much to keep, if there is room for it.
    pub fn keep(&self, namespace: &str, bytes: u64) -> Option<Share> {
        self.kept.try_enter(namespace, bytes)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const MOST: u64 = weight_of(MAX_INPUT_BYTES);

    #[tokio::test]
    async fn however_many_releases_have_inputs_their_memory_is_bounded_and_shared() {
        let room = InputRoom::new(64 << 20);
        let kept: Vec<Share> = (0..10_000).map_while(|_| room.keep("hog", 1 << 20)).collect();
        assert_eq!(kept.len(), 16);
        assert!(room.keep("good", 1 << 20).is_some());
        let mut used = Vec::new();
        while let Some(share) = room.enter("hog", MOST).now_or_never() {
            used.push(share);
        }
        assert_eq!(used.len(), 2);
        assert!(room.enter("good", MOST).now_or_never().is_some());
    }

    #[tokio::test]
    async fn inputs_that_the_budget_of_a_namespace_never_holds_are_not_waited_for() {
        let check = async |bytes: u64, most: u64, expected: Option<usize>| {
            let room = InputRoom::bounded(bytes, most);
            assert_eq!(room.bounded_most(), expected, "{bytes} {most}");
            let largest = weight_of(expected.unwrap_or(MAX_INPUT_BYTES));
            assert!(room.enter("a", largest).now_or_never().unwrap().is_ok());
            if expected.is_some() {
                assert!(room.enter("a", largest + WEIGHT).now_or_never().unwrap().is_err());
            }
        };
        check(64 << 20, 32 << 20, None).await;
        check(64 << 20, 4 << 20, Some(256 << 10)).await;
        check(512 << 20, 100 << 20, None).await;
        // Half of it is no budget: the largest inputs are possible, one at a time.
        check(16 << 20, 8 << 20, None).await;
    }

    #[tokio::test]
    async fn small_inputs_do_not_wait_for_the_room_of_the_largest() {
        let room = InputRoom::new(64 << 20);
        let mut used = Vec::new();
        for tenant in ["a", "b", "c", "d", "e"] {
            while let Some(share) = room.enter(tenant, MOST).now_or_never() {
                used.push(share);
            }
        }
        assert!(room.enter("f", MOST).now_or_never().is_none());
        assert!(room.enter("f", weight_of(40 << 10)).now_or_never().is_some());
    }
}
