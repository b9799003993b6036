//! How much of a shared capacity a tenant may use.

/// Whether a tenant that uses `mine` may use `weight` more, of a `capacity` of which
/// `taken` is in use.
///
/// No tenant gets more than what is left for the others afterwards. So one tenant gets
/// at most half of it, and two that ask in turn a third each. The first one keeps what
/// it has, and gets no more until it has less than what is left.
pub fn admits(capacity: u64, taken: u64, mine: u64, weight: u64) -> bool {
    let left = capacity.checked_sub(taken).and_then(|left| left.checked_sub(weight));
    left.is_some_and(|left| mine.saturating_add(weight) <= left)
}

/// The same where no tenant gets more than `most`, also while nobody else wants any.
pub fn admits_within(most: u64, capacity: u64, taken: u64, mine: u64, weight: u64) -> bool {
    mine.saturating_add(weight) <= most && admits(capacity, taken, mine, weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_more_than_is_left_for_the_others() {
        let check = |taken: u64, mine: u64, weight: u64, expected: bool| {
            assert_eq!(admits(100, taken, mine, weight), expected, "{taken} {mine} {weight}");
        };
        check(0, 0, 50, true);
        check(0, 0, 51, false);
        check(49, 49, 1, true);
        check(50, 50, 1, false);
        // A newcomer next to one that has all it can get.
        check(50, 0, 25, true);
        check(50, 0, 26, false);
        check(99, 0, 1, false);
        check(100, 0, 1, false);
        check(u64::MAX, 0, 1, false);
        check(0, 0, u64::MAX, false);
        check(0, u64::MAX, 1, false);
        check(100, 0, 0, true);
    }

    #[test]
    fn nobody_has_more_than_the_budget_of_each() {
        let check = |most: u64, mine: u64, weight: u64, expected: bool| {
            assert_eq!(admits_within(most, 100, mine, mine, weight), expected, "{most} {mine} {weight}");
        };
        check(10, 0, 10, true);
        check(10, 0, 11, false);
        check(10, 9, 1, true);
        check(10, 10, 1, false);
        check(10, 10, 0, true);
        // What is left for others counts, too.
        check(90, 0, 51, false);
        check(u64::MAX, u64::MAX, 1, false);
        check(0, 0, 1, false);
    }

    #[test]
    fn however_many_take_turns_one_more_gets_something_too() {
        for tenants in 1_usize..60 {
            let mut has = vec![0_u64; tenants];
            loop {
                let taken: u64 = has.iter().sum();
                let least = (0..tenants).min_by_key(|n| has[*n]).unwrap();
                if !admits(256, taken, has[least], 1) {
                    break;
                }
                has[least] += 1;
            }
            let taken: u64 = has.iter().sum();
            let most = has.iter().max().unwrap();
            assert!(256 - taken >= *most && admits(256, taken, 0, 1), "{tenants}: {has:?}");
        }
    }

    #[test]
    fn one_after_another_each_gets_half_of_what_is_left() {
        let mut taken = 0;
        let mut found = Vec::new();
        for _ in 0..5 {
            let mine = (1..).take_while(|mine| admits(256, taken + mine - 1, mine - 1, 1)).count() as u64;
            found.push(mine);
            taken += mine;
        }
        assert_eq!(found, [128, 64, 32, 16, 8]);
    }
}
