//! Kinds that the API server does not serve yet, and the releases that depend on objects of them.
//! Nothing can be watched there: while a release waits, discovery is read again and again, once for
//! all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::cluster::session::Session;
use crate::domain::identity::{GroupKind, ReleaseId};

/// How often discovery is read.
const LOOK: Duration = Duration::from_secs(5);

/// The releases that wait for kinds. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MissingKinds(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    releases: BTreeMap<ReleaseId, Vec<(GroupKind, String)>>,
    /// Whether a task looks for them.
    is_looking: bool,
}

impl MissingKinds {
    /// A release waits for a kind in a version. It is notified by `wake` when the kind is served.
    pub fn wait(
        &self,
        session: &Session,
        release: &ReleaseId,
        kind: (GroupKind, String),
        wake: &mpsc::UnboundedSender<ReleaseId>,
    ) {
        let mut waiting = self.waiting();
        waiting.releases.entry(release.clone()).or_default().push(kind);
        if std::mem::replace(&mut waiting.is_looking, true) {
            return;
        }
        drop(waiting);
        let (this, session, wake) = (self.clone(), session.as_process(), wake.clone());
        tokio::spawn(async move { this.look(&session, &wake).await });
    }

    /// A release does not wait for a kind any more.
    pub fn forget(&self, release: &ReleaseId) {
        self.waiting().releases.remove(release);
    }

    async fn look(&self, session: &Session, wake: &mpsc::UnboundedSender<ReleaseId>) {
        loop {
            tokio::time::sleep(LOOK).await;
            {
                let mut waiting = self.waiting();
                if waiting.releases.is_empty() {
                    waiting.is_looking = false;
                    return;
                }
            }
            // While the API server does not answer, nothing is known.
            let Ok(known) = session.discovery().await else { continue };
            let Ok(discovery) = session.rediscover(&known).await else { continue };
            let is_served = |(kind, version): &(GroupKind, String)| discovery.served(kind, version).is_some();
            let mut found = Vec::new();
            self.waiting().releases.retain(|release, kinds| {
                let is_waiting = !kinds.iter().any(is_served);
                if !is_waiting {
                    found.push(release.clone());
                }
                is_waiting
            });
            for release in found {
                // The receiver is gone while the process ends.
                let _ = wake.send(release);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
