//! All receivers: what a release has to say is handed to those that want it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::watch;

use super::alerts::AlertLine;
use super::frame::{Frame, NewsLine};
use super::line::ReceiverLine;
use super::mailbox::Mailbox;
use super::own::OwnLines;
use super::queue::WaitingNews;
use super::view::ReleaseView;
use crate::api::status::ReleaseStatus;
use crate::domain::notify::config::NotifyConfig;
use crate::domain::notify::news::{News, NewsSubject};
use crate::domain::notify::receiver::{NewsReceiver, ReceiverType};
use crate::domain::notify::record::{announcement, remember};
use crate::domain::notify::situation::situation;
use crate::observe::metrics::Metrics;

/// The receivers; clones share them.
#[derive(Clone, Default)]
pub struct Notifier(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    own: OwnLines,
}

#[derive(Default)]
struct State {
    cluster: Option<String>,
    lines: BTreeMap<String, AnyLine>,
    mailboxes: Vec<Weak<Mailbox>>,
}

/// A receiver.
enum AnyLine {
    /// Each outcome once.
    News(Arc<ReceiverLine>),
    /// What stands.
    Alerts(Arc<AlertLine>),
}

impl AnyLine {
    fn start(receiver: NewsReceiver, metrics: &Arc<Metrics>) -> Self {
        match receiver.kind {
            ReceiverType::Alertmanager => Self::Alerts(AlertLine::start(receiver, metrics)),
            _ => Self::News(ReceiverLine::start(receiver, metrics)),
        }
    }

    fn frame(&self) -> &Frame {
        match self {
            Self::News(line) => line.frame(),
            Self::Alerts(line) => line.frame(),
        }
    }
}

impl Notifier {
    /// Sends to the receivers that releases name, as far as they are allowed.
    pub fn new(own: OwnLines) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), own }))
    }

    /// Sends to the receivers of a configuration, too, and follows its changes until the process ends.
    pub fn follow(&self, mut config: watch::Receiver<Arc<NotifyConfig>>, metrics: Arc<Metrics>) {
        self.apply(&config.borrow_and_update().clone(), &metrics);
        let follower = self.clone();
        tokio::spawn(async move {
            while config.changed().await.is_ok() {
                let changed = Arc::clone(&config.borrow_and_update());
                follower.apply(&changed, &metrics);
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, config: &NotifyConfig, metrics: &Arc<Metrics>) {
        let mut state = self.state();
        state.cluster.clone_from(&config.cluster);
        // What was handed over to these is handed over again: it went with the line, or the receiver did not
        // take it as it was.
        let mut changed: Vec<String> = Vec::new();
        state.lines.retain(|name, line| {
            // Another type has other words and metrics.
            let kind = line.frame().receiver().kind;
            let stays = config.receivers.iter().any(|new| new.name == *name && new.kind == kind);
            if !stays {
                line.frame().end();
                changed.push(name.clone());
            }
            stays
        });
        for receiver in &config.receivers {
            match state.lines.get(&receiver.name) {
                Some(line) if line.frame().change(receiver.clone()) => changed.push(receiver.name.clone()),
                Some(_) => {}
                None => {
                    let line = AnyLine::start(receiver.clone(), metrics);
                    state.lines.insert(receiver.name.clone(), line);
                }
            }
        }
        let ask = |mailbox: Arc<Mailbox>| {
            for name in &changed {
                match config.receivers.iter().any(|receiver| receiver.name == *name) {
                    true => mailbox.offer_again(name),
                    false => mailbox.withdraw(name),
                }
            }
            mailbox.ask();
        };
        state.mailboxes.retain(|mailbox| mailbox.upgrade().map(ask).is_some());
    }

    /// The mailbox of a release.
    pub fn mailbox(&self) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        let mut state = self.state();
        // The list does not grow with every release that has been.
        if state.mailboxes.len() == state.mailboxes.capacity() {
            state.mailboxes.retain(|mailbox| mailbox.strong_count() > 0);
        }
        state.mailboxes.push(Arc::downgrade(&mailbox));
        mailbox
    }

    /// Hands what a status says to the receivers that have not been notified. The status is the one in the
    /// cluster.
    pub fn tell(
        &self,
        release: ReleaseView<'_>,
        status: &ReleaseStatus,
        mailbox: &Arc<Mailbox>,
        now: Timestamp,
    ) {
        let state = self.state();
        self.0.own.tell(release, status, state.cluster.as_deref(), mailbox, now);
        if state.lines.is_empty() {
            return;
        }
        let Some(situation) = situation(status) else { return };
        let ReleaseView { id, uid, labels, url, .. } = release;
        let subject =
            NewsSubject { release: id, uid, labels, repository: url, cluster: state.cluster.as_deref() };
        for (name, line) in &state.lines {
            let receiver = line.frame().receiver();
            let concerned = receiver.interest.concerns(&id.namespace, labels);
            let line = match line {
                AnyLine::News(line) if concerned => line,
                AnyLine::News(line) => {
                    mailbox.withdraw(name);
                    line.withdraw_release(uid);
                    continue;
                }
                AnyLine::Alerts(line) if concerned && receiver.interest.wants(situation.kind) => {
                    line.stand(News::standing(subject, &situation, status, now), mailbox);
                    continue;
                }
                AnyLine::Alerts(line) => {
                    line.clear(uid);
                    continue;
                }
            };
            let notified = status.notified.iter().find(|entry| entry.receiver == *name);
            let next = announcement(&situation, notified, mailbox.waits(name), now)
                .filter(|next| receiver.interest.wants(next.kind));
            let Some(next) = next else {
                mailbox.withdraw(name);
                line.withdraw(uid, situation.digest.as_deref());
                continue;
            };
            let news = News::new(subject, &situation, &next, status, now);
            if receiver.takes(&news) && mailbox.offer(name, &news.id) {
                let came = Instant::now();
                let mailbox = Arc::downgrade(mailbox);
                line.add(WaitingNews { news: Arc::new(news), mailbox, due: came + next.pause, came });
            }
        }
    }

    /// What a status says stands at Alertmanagers, before the release was worked on here: an alert ends by itself if
    /// nobody sends it for minutes.
    pub fn stand_again(
        &self,
        release: ReleaseView<'_>,
        status: &ReleaseStatus,
        mailbox: &Arc<Mailbox>,
        now: Timestamp,
    ) {
        let state = self.state();
        self.0.own.stand_again(release, status, state.cluster.as_deref(), mailbox, now);
        let Some(situation) = situation(status) else { return };
        let ReleaseView { id, uid, labels, url, .. } = release;
        let subject =
            NewsSubject { release: id, uid, labels, repository: url, cluster: state.cluster.as_deref() };
        for line in state.lines.values() {
            let AnyLine::Alerts(line) = line else { continue };
            let interest = &line.frame().receiver().interest;
            if interest.concerns(&id.namespace, labels) && interest.wants(situation.kind) {
                line.stand(News::standing(subject, &situation, status, now), mailbox);
            }
        }
    }

    /// The release is gone: nothing of it stands any more.
    pub fn gone(&self, namespace: &str, uid: &str) {
        self.0.own.keep(namespace, uid, &[]);
        for line in self.state().lines.values() {
            if let AnyLine::Alerts(line) = line {
                line.clear(uid);
            }
        }
    }

    /// Brings what a status says of receivers up to date before it is written: what they have accepted, and
    /// what they do not want to hear but what ends an earlier notification.
    pub fn record(&self, release: ReleaseView<'_>, status: &mut ReleaseStatus, now: Timestamp) {
        let state = self.state();
        if status.notified.is_empty() {
            return;
        }
        let ReleaseView { id, uid, labels, url, own } = release;
        let interest_of = |name: &str| {
            // An Alertmanager has no record: what stands is sent again and again.
            let has_record = |kind: ReceiverType| kind != ReceiverType::Alertmanager;
            let own = own.and_then(|own| own.declared.iter().find(|one| one.name == name));
            let own = own.filter(|one| has_record(one.kind)).map(|one| one.interest.clone());
            let line = state.lines.get(name).map(|line| line.frame().receiver());
            let line = line.filter(|line| has_record(line.kind)).map(|line| line.interest.clone());
            line.or(own)
        };
        status.notified.retain(|entry| interest_of(&entry.receiver).is_some());
        let Some(situation) = situation(status) else { return };
        let subject = NewsSubject { release: id, uid, labels, repository: url, cluster: None };
        for entry in status.notified.clone() {
            let Some(interest) = interest_of(&entry.receiver) else { continue };
            let next = announcement(&situation, Some(&entry), false, now);
            if let Some(next) = next.filter(|next| !interest.wants(next.kind)) {
                let news = News::new(subject, &situation, &next, status, now);
                remember(&mut status.notified, news.entry(&entry.receiver));
            }
        }
    }
}
