//! What a release hears of its notifications: which were accepted, and which receivers cannot be notified, for its
//! status.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::places::PlaceKind;
use crate::api::notified::{NotificationFailure, NotifiedEntry};
use crate::api::notify::MAX_OWN_RECEIVERS;
use crate::domain::notify::declared::{DeclaredReceiver, is_own_name};
use crate::domain::notify::news::{MAX_NEWS_BYTES, News, cut};
use crate::fair::Share;

/// How long a message about a notification stays: a receiver that fails in another way each time is no reason for
/// more writes of the status.
const QUIET: Duration = Duration::from_secs(20);

/// The mailbox of a release. It ends with its actor: notifications of a release that is gone, or that
/// another replica has, are not sent.
#[derive(Debug, Default)]
pub struct Mailbox {
    state: Mutex<State>,
    notify: Notify,
    /// Ends with the mailbox.
    lifetime: CancellationToken,
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.lifetime.cancel();
    }
}

#[derive(Debug, Default)]
struct State {
    /// By receiver: the last notification that was handed over, so that it is not handed over again
    /// before the status says that it was accepted.
    offered: BTreeMap<String, String>,
    accepted: Vec<NotifiedEntry>,
    /// How many notifications receivers have been sent and have not answered.
    in_flight: usize,
    /// Whether this replica gives the release away: nothing more is sent.
    is_closed: bool,
    is_asked: bool,
    /// Why receivers of the release cannot be notified.
    failures: BTreeMap<String, NotificationFailure>,
    /// By receiver: when its failure changed last.
    changed: BTreeMap<String, Instant>,
    /// By kind of place.
    queues: [PlaceQueue; 2],
}

/// A notification that a receiver has not answered yet. It ends with this value.
#[derive(Debug)]
pub(super) struct InFlight(Weak<Mailbox>);

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(mailbox) = self.0.upgrade() {
            mailbox.with(|state| state.in_flight -= 1);
            mailbox.notify.notify_one();
        }
    }
}

/// Whether the release waits for a place among the receivers for which something waits.
#[derive(Debug, Default)]
enum PlaceQueue {
    #[default]
    None,
    Waits,
    /// It has one, and is about to use it.
    Has(Share),
}

impl Mailbox {
    /// The status of the release says that these receivers cannot be notified.
    pub fn knows(&self, failures: &[NotificationFailure]) {
        let known = failures.iter().map(|one| (one.receiver.clone(), one.clone())).collect();
        self.with(|state| state.failures = known);
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A receiver has accepted a notification.
    pub(super) fn accept(&self, entry: NotifiedEntry) {
        self.with(|state| {
            state.failures.remove(&entry.receiver);
            state.accepted.push(entry);
        });
        self.notify.notify_one();
    }

    /// A receiver has accepted what it gets again and again: nothing of that is in the status.
    pub(super) fn hears(&self, receiver: &str) {
        let removed = self.with(|state| state.failures.remove(receiver));
        if removed.is_some() {
            self.notify.notify_one();
        }
    }

    /// The receivers have changed: the release should say again what it has to say.
    pub(super) fn ask(&self) {
        self.with(|state| state.is_asked = true);
        self.notify.notify_one();
    }

    /// Notes that a notification is handed over; returns whether it was not before.
    pub(super) fn offer(&self, receiver: &str, id: &str) -> bool {
        self.with(|state| {
            let before = state.offered.insert(receiver.to_owned(), id.to_owned());
            before.as_deref() != Some(id)
        })
    }

    /// There is nothing to tell this receiver any more.
    pub(super) fn withdraw(&self, receiver: &str) {
        self.with(|state| state.offered.remove(receiver));
    }

    /// What ends when the mailbox does.
    pub(super) fn lifetime(&self) -> CancellationToken {
        self.lifetime.child_token()
    }

    /// A receiver of the release cannot be notified of this, or of anything.
    pub(super) fn fails(&self, receiver: &str, message: &str, news: Option<&News>) {
        let failure = NotificationFailure {
            receiver: receiver.to_owned(),
            message: cut(message, MAX_NEWS_BYTES),
            outcome: news.map(|news| news.kind.as_str().to_owned()),
            digest: news.and_then(|news| news.digest.clone()),
        };
        let is_new = self.with(|state| {
            let before = state.failures.get(receiver);
            let is_about = |known: &&NotificationFailure| {
                known.outcome == failure.outcome && known.digest == failure.digest
            };
            let was_said = state.changed.get(receiver).is_some_and(|at| at.elapsed() < QUIET);
            if before == Some(&failure) || was_said && before.is_some_and(|known| is_about(&known)) {
                return false;
            }
            state.changed.insert(receiver.to_owned(), Instant::now());
            state.failures.insert(receiver.to_owned(), failure);
            true
        });
        if is_new {
            self.notify.notify_one();
        }
    }

    /// The outcome of which a receiver could not be notified is over.
    pub(super) fn is_past(&self, receiver: &str) {
        let removed = self.with(|state| match state.failures.get(receiver)?.outcome {
            Some(_) => state.failures.remove(receiver),
            None => None,
        });
        if removed.is_some() {
            self.notify.notify_one();
        }
    }

    /// The cause of this message is over.
    pub(super) fn is_over(&self, receiver: &str, message: &str) {
        let is_it = |failure: &NotificationFailure| failure.message == message;
        let removed = self.with(|state| match state.failures.get(receiver).is_some_and(is_it) {
            true => state.failures.remove(receiver),
            false => None,
        });
        if removed.is_some() {
            self.notify.notify_one();
        }
    }

    /// Queues for a place; returns whether the release was not in the queue.
    pub(super) fn queues(&self, kind: PlaceKind) -> bool {
        self.with(|state| {
            let queue = &mut state.queues[kind as usize];
            let is_new = matches!(queue, PlaceQueue::None);
            if is_new {
                *queue = PlaceQueue::Waits;
            }
            is_new
        })
    }

    /// It is the turn of the release: it should say again what it has to say.
    pub(super) fn gets(&self, kind: PlaceKind, place: Share) {
        self.with(|state| state.queues[kind as usize] = PlaceQueue::Has(place));
        self.ask();
    }

    /// Takes the place that the release has got, if any.
    pub(super) fn take_place(&self, kind: PlaceKind) -> Option<Share> {
        self.with(|state| {
            let queue = &mut state.queues[kind as usize];
            match std::mem::take(queue) {
                PlaceQueue::Has(place) => Some(place),
                other => {
                    *queue = other;
                    None
                }
            }
        })
    }

    /// Forgets the receivers that the release does not name any more.
    pub(super) fn keep_own(&self, declared: &[DeclaredReceiver]) {
        let stays = |name: &String| !is_own_name(name) || declared.iter().any(|one| one.name == *name);
        let is_other = self.with(|state| {
            let before = state.failures.len();
            state.failures.retain(|name, _| stays(name));
            state.offered.retain(|name, _| stays(name));
            state.changed.retain(|name, _| stays(name));
            state.failures.len() != before
        });
        if is_other {
            self.notify.notify_one();
        }
    }

    /// The receivers of the release that cannot be notified, for the status.
    pub fn failures(&self) -> Vec<NotificationFailure> {
        self.with(|state| state.failures.values().take(MAX_OWN_RECEIVERS).cloned().collect())
    }

    /// What waits for this receiver is to be handed over again.
    pub(super) fn offer_again(&self, receiver: &str) {
        self.with(|state| state.offered.get_mut(receiver).map(String::clear));
    }

    /// Whether something was handed over to this receiver that it has not accepted yet.
    pub(super) fn waits(&self, receiver: &str) -> bool {
        self.with(|state| state.offered.contains_key(receiver))
    }

    /// Notes that a notification is sent now. `None` if it must not be: this replica gives the release away.
    pub(super) fn begin_sending(self: &Arc<Self>) -> Option<InFlight> {
        let begins = self.with(|state| {
            state.in_flight += usize::from(!state.is_closed);
            !state.is_closed
        });
        begins.then(|| InFlight(Arc::downgrade(self)))
    }

    /// Sends nothing more, and waits until receivers have answered what they were sent.
    pub async fn close(&self) {
        self.with(|state| state.is_closed = true);
        while self.with(|state| state.in_flight > 0) {
            self.notify.notified().await;
        }
    }

    /// Whether something was accepted that the status does not say yet.
    pub fn has_accepted(&self) -> bool {
        self.with(|state| !state.accepted.is_empty())
    }

    /// Takes what was accepted, for the status.
    pub fn take(&self) -> Vec<NotifiedEntry> {
        self.with(|state| std::mem::take(&mut state.accepted))
    }

    /// What was accepted could not be written to the status: it is kept for the next write.
    pub fn put_back(&self, mut entries: Vec<NotifiedEntry>) {
        self.with(|state| {
            entries.append(&mut state.accepted);
            state.accepted = entries;
        });
    }

    /// Wakes the release after that time.
    pub fn again(self: &Arc<Self>, after: Duration) {
        let mailbox = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            if let Some(mailbox) = mailbox.upgrade() {
                mailbox.notify.notify_one();
            }
        });
    }

    /// Whether the receivers have changed since the release last looked.
    pub fn take_asked(&self) -> bool {
        self.with(|state| std::mem::take(&mut state.is_asked))
    }

    /// Waits until there is something for the release to do.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::domain::notify::news::tests::news;

    #[test]
    fn what_a_status_says_of_receivers_fits_and_changes_seldom() {
        let (mailbox, news) = (Mailbox::default(), news());
        let said = || mailbox.failures().into_iter().map(|one| one.message).collect::<Vec<_>>();
        mailbox.fails("spec/a", "the answer is 500", Some(&news));
        mailbox.fails("spec/a", "the answer is 501", Some(&news));
        assert_eq!(said(), ["the answer is 500"]);
        let other = News { digest: None, ..news.clone() };
        mailbox.fails("spec/a", &"x".repeat(5000), Some(&other));
        assert_eq!(said()[0].len(), MAX_NEWS_BYTES);
        for n in 0..10 {
            mailbox.fails(&format!("spec/{n}"), "m", None);
        }
        assert_eq!(said().len(), MAX_OWN_RECEIVERS);
        // The outcome is over; what is wrong with the receiver itself is not.
        mailbox.is_past("spec/a");
        mailbox.is_past("spec/1");
        let left: Vec<String> = mailbox.failures().into_iter().map(|one| one.receiver).collect();
        assert_eq!(left, ["spec/0", "spec/1", "spec/2", "spec/3"]);
    }

    #[tokio::test]
    async fn a_mailbox_that_is_given_away_sends_nothing_more_and_waits_for_what_is_under_way() {
        let mailbox = Arc::new(Mailbox::default());
        let (first, second) = (mailbox.begin_sending().unwrap(), mailbox.begin_sending().unwrap());
        let mut closing = Box::pin(mailbox.close());
        assert!(closing.as_mut().now_or_never().is_none());
        assert!(mailbox.begin_sending().is_none());
        drop(first);
        assert!(closing.as_mut().now_or_never().is_none());
        drop(second);
        closing.await;
        mailbox.close().await;
    }
}
