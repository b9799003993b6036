//! Unavailable registries and API servers, and the releases that wait for them. One probe for each
//! registry finds out when it is available again, and notifies all releases; their own retries
//! would come only after a delay that has doubled meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::oci::{Access, Registry, Repository};

/// The interval of the probes of an unavailable registry.
const PROBE: Duration = Duration::from_secs(5);
/// How long it is probed while no release fails again: each release fails again at its own retries.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// The maximum number of probed registries.
const MAX_PROBES: usize = 256;
/// The average time between two notifications, and the maximum for all of them: the registry has
/// just recovered.
const APART: Duration = Duration::from_millis(20);
const LONGEST_SPREAD: Duration = Duration::from_secs(10);

/// The releases that wait for each registry. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct RegistryRecovery(Arc<Mutex<BTreeMap<Key, Waiting>>>);

/// A registry, and how it is reached.
type Key = (String, String);

#[derive(Debug)]
struct Waiting {
    releases: BTreeSet<ReleaseId>,
    until: Instant,
}

impl RegistryRecovery {
    /// The registry was unavailable for a release, which is notified by `wake` when it is available
    /// again.
    pub fn wait(
        &self,
        (registry, repository, access): (&Registry, Repository, &Arc<Access>),
        release: &ReleaseId,
        wake: &mpsc::UnboundedSender<ReleaseId>,
    ) {
        let key = (repository.registry().to_owned(), access.way());
        let mut all = self.all();
        if let Some(waiting) = all.get_mut(&key) {
            waiting.releases.insert(release.clone());
            waiting.until = Instant::now() + PATIENCE;
            return;
        }
        if all.len() >= MAX_PROBES {
            return;
        }
        let releases = BTreeSet::from([release.clone()]);
        all.insert(key.clone(), Waiting { releases, until: Instant::now() + PATIENCE });
        drop(all);
        let (this, registry, access, wake) =
            (self.clone(), registry.clone(), Arc::clone(access), wake.clone());
        tokio::spawn(async move {
            let answers = || {
                let (registry, repository, access) =
                    (registry.clone(), repository.clone(), Arc::clone(&access));
                async move { registry.answers(&repository, &access).await }
            };
            let back = this.probe(&key, PROBE, answers).await;
            let waiting = this.all().remove(&key).map(|waiting| waiting.releases);
            if let Some(releases) = waiting.filter(|_| back) {
                notify(releases, &wake).await;
            }
        });
    }

    /// The API server was unavailable for a release, which is notified when it is available again.
    pub fn wait_for_api(session: &Session, release: &ReleaseId, wake: &mpsc::UnboundedSender<ReleaseId>) {
        if !session.is_away() {
            return;
        }
        let (session, release, wake) = (session.clone(), release.clone(), wake.clone());
        tokio::spawn(async move {
            // It may answer by now.
            session.answers().await;
            // The receiver is gone while the process ends.
            let _ = wake.send(release);
        });
    }

    /// Probes until the registry answers after a failed probe; false when no release waits any
    /// more. If the first probe is answered although the releases fail, they use their own retries.
    async fn probe<A>(&self, key: &Key, every: Duration, answers: impl Fn() -> A) -> bool
    where
        A: Future<Output = bool>,
    {
        let mut was_away = false;
        loop {
            match answers().await {
                true => return was_away,
                false => was_away = true,
            }
            tokio::time::sleep(every).await;
            if self.all().get(key).is_none_or(|waiting| waiting.until < Instant::now()) {
                return false;
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Key, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notifies them one after another.
async fn notify(releases: BTreeSet<ReleaseId>, wake: &mpsc::UnboundedSender<ReleaseId>) {
    let count = u32::try_from(releases.len()).unwrap_or(u32::MAX).max(1);
    let apart = APART.min(LONGEST_SPREAD / count);
    tracing::info!(releases = count, "a registry is available again");
    for release in releases {
        // The receiver is gone while the process ends.
        let _ = wake.send(release);
        tokio::time::sleep(apart.mul_f64(2.0 * fastrand::f64())).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_that_was_away_is_found_by_the_next_probe_and_one_that_was_not_is_let_be() {
        let check = async |away: u32, patience: Duration, expected: bool, asked: u32| {
            let recovery = RegistryRecovery::default();
            let key = (String::new(), String::new());
            let waiting = Waiting { releases: BTreeSet::new(), until: Instant::now() + patience };
            recovery.all().insert(key.clone(), waiting);
            let count = AtomicU32::new(0);
            let answers = || async { count.fetch_add(1, Ordering::Relaxed) >= away };
            assert_eq!(recovery.probe(&key, Duration::ZERO, answers).await, expected, "{away}");
            assert_eq!(count.load(Ordering::Relaxed), asked, "{away}");
        };
        check(0, PATIENCE, false, 1).await;
        check(1, PATIENCE, true, 2).await;
        check(100, PATIENCE, true, 101).await;
        // A registry that no release waits for any more.
        check(u32::MAX, Duration::ZERO, false, 1).await;
    }

    #[tokio::test]
    async fn all_that_wait_are_notified() {
        let (wake, mut woken) = mpsc::unbounded_channel();
        let name = |n: u32| ReleaseId { namespace: "apps".into(), name: format!("r{n}") };
        notify((0..10).map(name).collect(), &wake).await;
        drop(wake);
        let mut notified = Vec::new();
        while let Some(release) = woken.recv().await {
            notified.push(release);
        }
        assert_eq!(notified, (0..10).map(name).collect::<Vec<_>>());
    }
}
