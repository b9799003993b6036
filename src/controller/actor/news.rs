//! What the receivers of notifications hear of the release, and the record of it in the status.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Actor, Next, STATUS_RETRY};
use crate::api::notified::NotifiedEntry;
use crate::api::status::ReleaseStatus;
use crate::domain::notify::record::remember;
use crate::notify::ReleaseView;
use crate::reconcile::error::chain;

impl Actor {
    fn with_view<T>(&self, look: impl FnOnce(ReleaseView<'_>) -> T) -> T {
        let seen = Arc::clone(&self.latest.borrow());
        let metadata = &seen.resource.metadata;
        look(ReleaseView {
            id: &self.id,
            uid: metadata.uid.as_deref().unwrap_or_default(),
            labels: metadata.labels.as_ref().unwrap_or(&std::collections::BTreeMap::new()),
            url: &seen.resource.spec.url,
        })
    }

    /// Tells the receivers what the status in the cluster says. It does not wait for them.
    pub(super) fn tell(&self) {
        self.with_view(|view| self.shared.news.tell(view, &self.status, &self.mailbox, Timestamp::now()));
    }

    /// Adds what the receivers have accepted to a status that is about to be written. It is given back if
    /// the write fails.
    pub(super) fn note_accepted(&self, status: &mut ReleaseStatus) -> Vec<NotifiedEntry> {
        let accepted = self.mailbox.take();
        for entry in &accepted {
            remember(&mut status.notified, entry.clone());
        }
        self.with_view(|view| self.shared.news.record(view, status, Timestamp::now()));
        accepted
    }

    /// The release is gone, and what is said of it is not true any more.
    pub(super) fn leave(&self) -> Next {
        self.with_view(|view| self.shared.news.gone(view.uid));
        Next::Over
    }

    /// Writes what the receivers have accepted, when no run is about to write the status. An error is
    /// no reason for a run: it is retried.
    pub(super) async fn record_accepted(&mut self) {
        let is_asked = self.mailbox.take_asked();
        let mut status = (*self.status).clone();
        let accepted = self.note_accepted(&mut status);
        if accepted.is_empty() {
            if is_asked {
                self.tell();
            }
            return;
        }
        let uid = self.with_view(|view| view.uid.to_owned());
        match self.shared.env.session.write_status(&self.id, &uid, &status).await {
            Ok(()) => {
                self.status = Arc::new(status);
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
