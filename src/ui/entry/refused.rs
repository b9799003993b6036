//! Tokens that the API server has not accepted: a client that sends one again and again costs no more reviews.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::token::TokenHash;

/// How long a refusal counts. It is short: a token may be accepted a moment later, when its account exists or the API
/// server has read the keys of an identity provider.
const LIFE: Duration = Duration::from_secs(10);
/// Refusals that are remembered; the oldest is forgotten for another one.
const MOST: usize = 4096;

/// Hashes of refused tokens.
#[derive(Debug, Default)]
pub struct RefusedTokens {
    known: HashSet<TokenHash>,
    /// The same in the order of their refusal.
    order: VecDeque<(Instant, TokenHash)>,
}

impl RefusedTokens {
    /// Whether a token was refused a short time ago.
    pub fn has(&mut self, token: &TokenHash, now: Instant) -> bool {
        self.forget(now);
        self.known.contains(token)
    }

    /// Remembers a refusal.
    pub fn add(&mut self, token: TokenHash, now: Instant) {
        self.forget(now);
        if !self.known.insert(token) {
            return;
        }
        if self.order.len() >= MOST {
            self.drop_oldest();
        }
        self.order.push_back((now, token));
    }

    fn forget(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(at, _)| now.duration_since(*at) >= LIFE) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, oldest)) = self.order.pop_front() {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_counts_for_a_short_time_and_few_are_remembered() {
        let (mut refused, begin) = (RefusedTokens::default(), Instant::now());
        let after = |seconds: u64| begin + Duration::from_secs(seconds);
        refused.add([1; 32], begin);
        refused.add([1; 32], after(5));
        refused.add([2; 32], after(5));
        let mut check = |token: u8, seconds: u64, expected: bool| {
            assert_eq!(refused.has(&[token; 32], after(seconds)), expected, "{token} {seconds}");
        };
        check(1, 0, true);
        check(3, 0, false);
        check(1, 9, true);
        // A token that is sent all the time is asked about again, too.
        check(1, 10, false);
        check(2, 10, true);
        check(2, 15, false);
        for n in 0..2 * MOST {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&(n as u64).to_le_bytes());
            refused.add(hash, after(20));
            assert!(refused.known.len() <= MOST && refused.known.len() == refused.order.len());
        }
        assert!(!refused.has(&[0; 32], after(20)), "the oldest is forgotten");
        assert_eq!(refused.known.len(), MOST);
        refused.has(&[0; 32], after(40));
        assert!(refused.known.is_empty() && refused.order.is_empty());
    }
}
