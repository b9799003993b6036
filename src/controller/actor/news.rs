//! What the receivers of notifications hear of the release, and the record of it in the status.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::{Actor, Next, STATUS_RETRY};
use crate::api::notified::NotifiedEntry;
use crate::api::status::ReleaseStatus;
use crate::controller::report;
use crate::domain::identity::ReleaseId;
use crate::domain::notify::declared::declared;
use crate::domain::notify::record::remember;
use crate::notify::{OwnReceivers, ReleaseView, SecretReader};
use crate::reconcile::env::Env;
use crate::reconcile::error::chain;
use crate::reconcile::source::receivers::read_receiver_secret;

/// How long a release that goes to another replica waits for the answers of receivers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Reads the Secrets of one release.
struct ReleaseSecrets {
    env: Env,
    id: ReleaseId,
    account: Option<String>,
}

impl SecretReader for ReleaseSecrets {
    fn read<'s>(&'s self, name: &'s str) -> BoxFuture<'s, Result<BTreeMap<String, Vec<u8>>, String>> {
        Box::pin(read_receiver_secret(&self.env, &self.id, self.account.as_deref(), name))
    }
}

impl Actor {
    fn with_view(&self, look: impl FnOnce(ReleaseView<'_>)) {
        let Some(seen) = self.seen() else { return };
        let (metadata, spec) = (&seen.resource.metadata, &seen.resource.spec);
        let declared = declared(&spec.notify);
        let own = (!declared.is_empty()).then(|| OwnReceivers {
            declared: &declared,
            secrets: Arc::new(ReleaseSecrets {
                env: self.shared.env.clone(),
                id: self.id.clone(),
                account: spec.service_account_name.clone(),
            }),
        });
        look(ReleaseView {
            id: &self.id,
            uid: metadata.uid.as_deref().unwrap_or_default(),
            labels: metadata.labels.as_ref().unwrap_or(&BTreeMap::new()),
            url: &spec.url,
            own: own.as_ref(),
        });
    }

    /// Tells the receivers what the status in the cluster says. It does not wait for them.
    pub(super) fn tell(&mut self) {
        let last = Arc::clone(self.status.open());
        self.with_view(|view| self.shared.news.tell(view, &last, &self.mailbox, Timestamp::now()));
    }

    /// What the status says has to be known at Alertmanagers until the first run has ended, which may take long.
    pub(super) fn stand_again(&self, status: &ReleaseStatus) {
        let now = Timestamp::now();
        self.with_view(|view| self.shared.news.stand_again(view, status, &self.mailbox, now));
    }

    /// Adds what the receivers have accepted to a status that is about to be written. It is given back if
    /// the write fails.
    pub(super) fn note_accepted(&self, status: &mut ReleaseStatus) -> Vec<NotifiedEntry> {
        let accepted = self.mailbox.take();
        for entry in &accepted {
            remember(&mut status.notified, entry.clone());
        }
        self.with_view(|view| self.shared.news.record(view, status, Timestamp::now()));
        status.notification_failures = self.mailbox.failures();
        accepted
    }

    /// The release is gone, and what is said of it is not true any more.
    pub(super) fn leave(&self) -> Next {
        self.with_view(|view| self.shared.news.gone(&view.id.namespace, view.uid));
        Next::Over
    }

    /// This replica gives the release away. What receivers are just being sent is not sent again by the next
    /// one, if they answer soon.
    pub(super) async fn give_away(&mut self) {
        if tokio::time::timeout(LAST_ANSWERS, self.mailbox.close()).await.is_err() {
            tracing::debug!(release = %self.id, "receivers have not answered; the next owner notifies them again");
        }
        if self.mailbox.has_accepted() {
            self.record_accepted().await;
        }
    }

    /// Writes what the receivers have accepted, when no run is about to write the status. An error is
    /// no reason for a run: it is retried.
    pub(super) async fn record_accepted(&mut self) {
        let is_asked = self.mailbox.take_asked();
        let last = Arc::clone(self.status.open());
        let mut status = (*last).clone();
        let accepted = self.note_accepted(&mut status);
        if accepted.is_empty() && status.notification_failures == last.notification_failures {
            if is_asked {
                self.tell();
            }
            return;
        }
        let uid = self.latest.get().uid.clone().unwrap_or_default();
        match self.shared.env.session.write_status(&self.id, &uid, &status).await {
            Ok(()) => {
                report::publish_unnotified(&self.shared.env.session, (&self.id, &uid), &last, &status);
                self.status = Arc::new(status).into();
                // It may have become outdated on its way.
                self.tell();
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                tracing::warn!(error = chain(&error), "cannot record notifications in the status");
                self.mailbox.put_back(accepted);
                self.mailbox.again(STATUS_RETRY);
            }
        }
    }
}
