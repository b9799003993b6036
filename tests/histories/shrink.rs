//! The shortest history that still fails: parts are left out, and what is left is
//! carried out again, as long as the time allows.

use std::time::{Duration, Instant};

use crate::action::Action;

/// Leaves out of `actions` whatever is not needed for `fails`, by halves, quarters and so on
/// (delta debugging). `fails` is asked until `limit` is over.
pub fn shrink(
    actions: Vec<Action>,
    limit: Duration,
    mut fails: impl FnMut(&[Action]) -> bool,
) -> Vec<Action> {
    let start = Instant::now();
    let mut left = actions;
    let mut size = left.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < left.len() {
            if start.elapsed() > limit {
                return left;
            }
            let end = (at + size).min(left.len());
            let without = [&left[..at], &left[end..]].concat();
            if !without.is_empty() && fails(&without) {
                left = without;
            } else {
                at = end;
            }
        }
        size /= 2;
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(milliseconds: u64) -> Action {
        Action::Pass { milliseconds }
    }

    #[test]
    fn only_what_is_needed_for_the_failure_is_left() {
        let check = |needed: &[u64]| {
            let all: Vec<Action> = (0..40).map(pass).collect();
            let needed: Vec<Action> = needed.iter().copied().map(pass).collect();
            let fails = |actions: &[Action]| needed.iter().all(|action| actions.contains(action));
            assert_eq!(shrink(all, Duration::from_secs(60), fails), needed);
        };
        check(&[7]);
        check(&[0, 39]);
        check(&[3, 4, 20, 31]);
    }

    #[test]
    fn without_time_everything_is_left() {
        let all: Vec<Action> = (0..4).map(pass).collect();
        assert_eq!(shrink(all.clone(), Duration::ZERO, |_| true), all);
    }
}
