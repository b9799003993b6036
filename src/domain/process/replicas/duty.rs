//! What a replica has to do about a release.
//!
//! The status of a release names its owner: the replica that works on it. Nobody is named while one
//! replica can do all the work: then the leader does. A release changes its owner in one write, which
//! fails if the owner is not the expected one any more. The owner does that write after its last run,
//! or another replica does it after the owner's Lease has run out. So no release has two owners.

use super::spread::{Replica, Replicas, ShardKey};
use crate::api::status::OwnerStatus;

/// What a replica is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaState {
    /// What it is called as an owner; absent: it shares no work, and works only while it leads.
    pub holder: Option<String>,
    /// Whether it leads: it works on the releases without an owner.
    pub leads: bool,
    /// Whether the replicas have been the same ones for a while: what is in work moves only then.
    pub is_settled: bool,
}

/// What a replica does about a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// It works on it.
    Work,
    /// It is its own, and goes to another one after the run that may be in progress.
    HandOver(Replica),
    /// Its owner seems to be gone. When that is certain, it takes it.
    Take,
    /// It is another one's.
    Leave,
}

/// What a replica does about a release with this owner and this key. `is_at_work`: it has begun
/// already. `replicas` are those that releases are spread over, with this one. `is_alive` tells whether
/// the Lease of an owner is valid.
pub fn duty(
    owner: Option<&OwnerStatus>,
    key: ShardKey,
    is_at_work: bool,
    state: &ReplicaState,
    replicas: &Replicas,
    is_alive: impl Fn(&str) -> bool,
) -> Duty {
    let Some(me) = &state.holder else {
        return match (state.leads, named(owner)) {
            (false, _) => Duty::Leave,
            (true, None) => Duty::Work,
            (true, Some(other)) if is_alive(other) => Duty::Leave,
            (true, Some(_)) => Duty::Take,
        };
    };
    let home = replicas.home(key);
    let is_home = home.is_some_and(|home| home.holder == *me);
    match named(owner) {
        Some(other) if other != me => match is_home && !is_alive(other) {
            true => Duty::Take,
            false => Duty::Leave,
        },
        None if !state.leads => Duty::Leave,
        Some(_) | None => match home {
            Some(other) if !is_home && (state.is_settled || !is_at_work) => Duty::HandOver(other.clone()),
            _ => Duty::Work,
        },
    }
}

/// The replica that is the owner; `None`: the leader.
fn named(owner: Option<&OwnerStatus>) -> Option<&str> {
    owner.map(|owner| owner.holder.as_str()).filter(|holder| !holder.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two keys: of `a`'s share, and of `b`'s.
    fn keys() -> (Replicas, ShardKey, ShardKey) {
        let replica = |name: &str| Replica { name: name.to_owned(), holder: format!("{name}_1") };
        let both = Replicas::new(["a", "b"].map(replica));
        let of = |name: &str| {
            let keys = (0..99).map(|n| ShardKey::of("apps", &format!("r{n}"), None));
            keys.into_iter().find(|key| both.home(*key).unwrap().name == name).unwrap()
        };
        let (a, b) = (of("a"), of("b"));
        (both, a, b)
    }

    fn to(replicas: &Replicas, name: &str) -> Duty {
        Duty::HandOver(replicas.iter().find(|replica| replica.name == name).unwrap().clone())
    }

    #[test]
    fn what_a_replica_that_shares_the_work_does() {
        let (both, mine, other) = keys();
        let work = || Duty::Work;
        let check =
            |owner: &str, key: ShardKey, leads: bool, is_at_work: bool, is_settled: bool, expected: Duty| {
                let owner = (owner != "-").then(|| OwnerStatus { holder: owner.to_owned(), term: 3 });
                let state = ReplicaState { holder: Some("a_1".to_owned()), leads, is_settled };
                let alive = |holder: &str| ["a_1", "b_1"].contains(&holder);
                let found = duty(owner.as_ref(), key, is_at_work, &state, &both, alive);
                assert_eq!(found, expected, "{owner:?} {leads} {is_at_work} {is_settled}");
            };
        // Its own, where it belongs.
        check("a_1", mine, false, true, true, work());
        check("a_1", mine, true, false, false, work());
        // Its own, and another one's by now: when that has lasted, or before it has begun.
        check("a_1", other, false, true, true, to(&both, "b"));
        check("a_1", other, false, true, false, work());
        check("a_1", other, false, false, false, to(&both, "b"));
        // Without an owner: only the leader acts.
        for nobody in ["-", ""] {
            check(nobody, mine, true, false, false, work());
            check(nobody, other, true, false, false, to(&both, "b"));
            check(nobody, other, true, true, false, work());
            check(nobody, mine, false, false, true, Duty::Leave);
        }
        // Another one's, which is there.
        check("b_1", mine, true, false, true, Duty::Leave);
        check("b_1", other, true, false, true, Duty::Leave);
        // Its owner is gone: who has it by the hash takes it, leader or not.
        check("a_0", mine, false, false, false, Duty::Take);
        check("c_1", mine, true, false, true, Duty::Take);
        check("c_1", other, true, false, true, Duty::Leave);
    }

    #[test]
    fn of_replicas_that_share_no_work_the_leader_does_everything() {
        let (_, key, _) = keys();
        let check = |owner: &str, leads: bool, expected: Duty| {
            let owner = (owner != "-").then(|| OwnerStatus { holder: owner.to_owned(), term: 1 });
            let state = ReplicaState { holder: None, leads, is_settled: true };
            let alive = |holder: &str| holder == "b_1";
            assert_eq!(duty(owner.as_ref(), key, true, &state, &Replicas::default(), alive), expected);
        };
        check("-", true, Duty::Work);
        check("", true, Duty::Work);
        check("-", false, Duty::Leave);
        check("b_1", true, Duty::Leave);
        check("b_0", true, Duty::Take);
        check("b_0", false, Duty::Leave);
    }

    /// Whatever two replicas know, at most one of them works on a release: what they do depends on its
    /// owner alone, and only one is the owner.
    #[test]
    fn two_replicas_with_different_views_do_not_work_on_the_same_release() {
        let (both, mine, other) = keys();
        let alone = Replicas::new(both.iter().take(1).cloned());
        let views = [&both, &alone, &Replicas::default()];
        for owner in ["a_1", "b_1", "c_1", ""] {
            let owner = OwnerStatus { holder: owner.to_owned(), term: 1 };
            for key in [mine, other] {
                for flags in 0..64_u32 {
                    let flag = |n: u32| flags & 1 << n != 0;
                    let works = |me: &str, view: &Replicas, leads: bool, n: u32| {
                        let state = ReplicaState { holder: Some(me.to_owned()), leads, is_settled: flag(n) };
                        let found = duty(Some(&owner), key, flag(n + 1), &state, view, |_| flag(n + 2));
                        matches!(found, Duty::Work | Duty::HandOver(_))
                    };
                    for (a, b) in [(0, 1), (1, 0), (2, 0), (0, 2), (0, 0)] {
                        // There is one leader.
                        for leader in ["a", "b"] {
                            let first = works("a_1", views[a], leader == "a", 0);
                            let second = works("b_1", views[b], leader == "b", 3);
                            assert!(!(first && second), "{owner:?}");
                        }
                    }
                }
            }
        }
    }
}
