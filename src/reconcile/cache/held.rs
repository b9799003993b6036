//! What the objects hold that a release would remove once a person approves it: a release that waits
//! for the approval does not look for it in each run.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::domain::identity::ObjectId;
use crate::domain::plan::removal::{HeldContent, PlannedRemoval};
use crate::domain::release::approval::GivenApproval;

/// After this time it is looked for again, although nothing has changed.
const OUTDATED: Duration = Duration::from_secs(1800);

/// The last answer.
#[derive(Debug, Default)]
pub struct HeldCache(Option<Box<(HeldQuestion, Instant, Vec<HeldContent>)>>);

/// What the answer depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldQuestion {
    /// Names the objects that would be removed.
    removal: String,
    /// What the release keeps, as a hash.
    kept: u64,
    /// An approval is only compared with what is there now.
    given: Option<GivenApproval>,
}

impl HeldQuestion {
    /// About a removal whose losses are not known yet.
    pub fn new(removal: &PlannedRemoval, kept: &[&ObjectId], given: Option<&GivenApproval>) -> Self {
        let mut kept: Vec<&ObjectId> = kept.to_vec();
        kept.sort_unstable();
        let mut hash = DefaultHasher::new();
        kept.hash(&mut hash);
        Self { removal: removal.token(), kept: hash.finish(), given: given.cloned() }
    }
}

impl HeldCache {
    /// The answer to the same question, if it is not too old.
    pub fn answer(&self, question: &HeldQuestion, now: Instant) -> Option<Vec<HeldContent>> {
        let (of, at, losses) = self.0.as_deref()?;
        (of == question && now.saturating_duration_since(*at) < OUTDATED).then(|| losses.clone())
    }

    /// Stores an answer.
    pub fn remember(&mut self, question: HeldQuestion, now: Instant, losses: &[HeldContent]) {
        self.0 = Some(Box::new((question, now, losses.to_vec())));
    }

    /// Nothing waits any more.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_the_same_question_and_not_for_ever() {
        let id = |name: &str| ObjectId::from_inventory_id(&format!("_{name}__Namespace")).unwrap();
        let question = |cause: &str, uid: &str, kept: &[&str], given: Option<&str>| {
            let objects = vec![(id("n"), uid.to_owned())];
            let removal = PlannedRemoval { cause: cause.into(), objects, ..PlannedRemoval::default() };
            let given = given.map(|hash| GivenApproval { hash: hash.into(), by: None, at: None });
            let kept: Vec<ObjectId> = kept.iter().map(|name| id(name)).collect();
            HeldQuestion::new(&removal, &kept.iter().collect::<Vec<_>>(), given.as_ref())
        };
        let (now, losses) = (Instant::now(), [HeldContent { id: id("n"), words: "holds x".into() }]);
        let mut cache = HeldCache::default();
        let asked = || question("d", "u", &["a", "b"], None);
        assert_eq!(cache.answer(&asked(), now), None);
        cache.remember(asked(), now, &losses);
        let check = |question: HeldQuestion, later: u64, known: bool| {
            let found = cache.answer(&question, now + Duration::from_secs(later));
            assert_eq!(found.as_deref(), known.then_some(&losses[..]), "{question:?} {later}");
        };
        check(asked(), 1799, true);
        check(question("d", "u", &["b", "a"], None), 0, true);
        check(asked(), 1800, false);
        check(question("e", "u", &["a", "b"], None), 0, false);
        check(question("d", "v", &["a", "b"], None), 0, false);
        check(question("d", "u", &["a"], None), 0, false);
        check(question("d", "u", &["a", "b"], Some("removal-0")), 0, false);
        cache.forget();
        assert_eq!(cache.answer(&asked(), now), None);
    }
}
