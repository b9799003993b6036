//! The spreading of releases over replicas, by rendezvous hashing: each replica has a score for a
//! release, and the highest one has the release. A replica that comes or goes moves only its own share.
//!
//! The hash is the same in every version of the program: replicas of two versions that disagree would
//! hand releases to each other for ever.

use sha2::{Digest, Sha256};

/// A replica that works on releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its name, the same after a restart of its container.
    pub name: String,
    /// What it is called as the owner of a release. Another one after its Lease was lost.
    pub holder: String,
}

/// The replicas among which releases are spread, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replicas(Vec<(u64, Replica)>);

/// What decides where a release is: its own name, or what it has in common with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardKey(u64);

impl ShardKey {
    /// The key of a release: that of its label `supercargo.dev/shard-key`, if it has one.
    pub fn of(namespace: &str, name: &str, label: Option<&str>) -> Self {
        match label {
            Some(label) => Self(hash(&["label", label])),
            None => Self(hash(&["release", namespace, name])),
        }
    }
}

impl Replicas {
    /// These replicas.
    pub fn new(replicas: impl IntoIterator<Item = Replica>) -> Self {
        let mut all: Vec<(u64, Replica)> =
            replicas.into_iter().map(|replica| (hash(&["replica", &replica.name]), replica)).collect();
        all.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        Self(all)
    }

    /// The replica that a release belongs to; `None` when there is none.
    pub fn home(&self, key: ShardKey) -> Option<&Replica> {
        // The order of the names decides between two equal scores.
        let best = self.0.iter().max_by_key(|(hash, _)| mix(mix(*hash) ^ key.0));
        best.map(|(_, replica)| replica)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Replica> {
        self.0.iter().map(|(_, replica)| replica)
    }
}

/// The first 64 bits of a hash of texts. No two lists of texts are hashed as the same bytes.
fn hash(texts: &[&str]) -> u64 {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    let digest: [u8; 32] = hasher.finalize().into();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Spreads the bits of a number over all of it (the finalizer of SplitMix64, Steele et al. 2014).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicas(count: usize) -> Replicas {
        let replica = |n: usize| Replica { name: format!("pod-{n}"), holder: format!("pod-{n}_1") };
        Replicas::new((0..count).map(replica))
    }

    fn keys() -> impl Iterator<Item = ShardKey> {
        (0..20_000).map(|n| ShardKey::of("apps", &format!("release-{n}"), None))
    }

    fn home(replicas: &Replicas, key: ShardKey) -> String {
        replicas.home(key).map(|replica| replica.name.clone()).unwrap_or_default()
    }

    #[test]
    fn each_replica_has_about_the_same_number_of_releases() {
        for count in [1, 2, 3, 5, 16] {
            let replicas = replicas(count);
            let mut shares = vec![0_usize; count];
            for key in keys() {
                let name = home(&replicas, key);
                shares[name.strip_prefix("pod-").unwrap().parse::<usize>().unwrap()] += 1;
            }
            let even = 20_000 / count;
            let is_even = |share: &usize| share.abs_diff(even) * 10 <= even;
            assert!(shares.iter().all(is_even), "{count}: {shares:?}");
        }
    }

    #[test]
    fn a_replica_that_comes_or_goes_moves_only_its_own_share() {
        let (four, five) = (replicas(4), replicas(5));
        for key in keys() {
            let (before, after) = (home(&four, key), home(&five, key));
            assert!(before == after || after == "pod-4", "{before} {after}");
        }
        let moved = keys().filter(|key| home(&four, *key) != home(&five, *key)).count();
        assert!((3_600..4_400).contains(&moved), "{moved}");
    }

    #[test]
    fn the_place_of_a_release_is_the_same_in_every_version() {
        let replicas = replicas(5);
        let check = |key: ShardKey, expected: &str| assert_eq!(home(&replicas, key), expected);
        check(ShardKey::of("apps", "shop", None), "pod-3");
        check(ShardKey::of("apps", "web", None), "pod-3");
        check(ShardKey::of("", "", None), "pod-1");
        check(ShardKey::of("apps", "shop", Some("together")), "pod-0");
        check(ShardKey::of("other", "web", Some("together")), "pod-0");
        assert_eq!(Replicas::default().home(ShardKey::of("apps", "shop", None)), None);
    }

    #[test]
    fn a_key_is_not_that_of_another_release() {
        let key = |namespace: &str, name: &str| ShardKey::of(namespace, name, None);
        assert_ne!(key("a", "bc"), key("ab", "c"));
        assert_ne!(key("a", "b"), ShardKey::of("a", "b", Some("b")));
        assert_eq!(ShardKey::of("a", "b", Some("x")), ShardKey::of("c", "d", Some("x")));
    }
}
