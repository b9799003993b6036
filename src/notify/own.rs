//! The receivers that releases name themselves. A line exists only while something waits for its receiver.
//! Tenants share the places for requests, so that a slow receiver of one holds up nobody else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::client::{NewsClient, Sent};
use super::mailbox::Mailbox;
use super::queue::{NewsQueue, WaitingNews};
use super::trouble::Trouble;
use super::view::{OwnReceivers, ReleaseView, SecretReader};
use crate::api::status::ReleaseStatus;
use crate::domain::notify::declared::DeclaredReceiver;
use crate::domain::notify::format::request;
use crate::domain::notify::hosts::AllowedHosts;
use crate::domain::notify::news::{News, NewsSubject};
use crate::domain::notify::receiver::NewsReceiver;
use crate::domain::notify::record::{STALE, announcement};
use crate::domain::notify::reply::NewsFate;
use crate::domain::notify::situation::situation;
use crate::fair::Gate;
use crate::observe::labels::NewsResult;
use crate::observe::metrics::Metrics;

/// Requests at the same time. One namespace gets at most half of them.
const IN_FLIGHT: u64 = 32;
/// The most receivers of a namespace for which something waits.
const MAX_LINES: usize = 64;
/// The most notifications that wait for one receiver.
const MAX_WAITING: usize = 16;

/// What a release says when its receivers are not allowed.
const NOT_ALLOWED: &str = "receivers of releases are not allowed (--allow-release-notifications): remove spec.notify, or ask the administrator";

/// Namespace, uid of the release, name of the receiver.
type LineKey = (String, String, String);

/// The lines of all releases; clones share them.
#[derive(Clone)]
pub struct OwnLines(Arc<Shared>);

struct Shared {
    lines: Mutex<BTreeMap<LineKey, Arc<OwnLine>>>,
    gate: Arc<Gate>,
    hosts: AllowedHosts,
    metrics: Option<Arc<Metrics>>,
}

struct OwnLine {
    declared: DeclaredReceiver,
    secrets: Mutex<Arc<dyn SecretReader>>,
    queue: Mutex<NewsQueue>,
    wake: Notify,
    stop: CancellationToken,
}

impl OwnLine {
    fn with<T>(&self, change: impl FnOnce(&mut NewsQueue) -> T) -> T {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn secrets(&self) -> MutexGuard<'_, Arc<dyn SecretReader>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for OwnLines {
    fn default() -> Self {
        Self::new(AllowedHosts::default(), None)
    }
}

impl OwnLines {
    /// Lines to these hosts.
    pub fn new(hosts: AllowedHosts, metrics: Option<Arc<Metrics>>) -> Self {
        let (lines, gate) = (Mutex::default(), Gate::new(IN_FLIGHT));
        Self(Arc::new(Shared { lines, gate, hosts, metrics }))
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<LineKey, Arc<OwnLine>>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the lines of a release but those of these receivers; returns the names of those that ended.
    pub fn keep(&self, namespace: &str, uid: &str, declared: &[DeclaredReceiver]) -> Vec<String> {
        let mut lines = self.lines();
        let first = (namespace.to_owned(), uid.to_owned(), String::new());
        let of_release = lines.range(first..).take_while(|(key, _)| key.0 == namespace && key.1 == uid);
        let over = of_release.filter(|(_, line)| !declared.contains(&line.declared));
        let over: Vec<LineKey> = over.map(|(key, _)| key.clone()).collect();
        for line in over.iter().filter_map(|key| lines.remove(key)).collect::<Vec<_>>() {
            line.stop.cancel();
        }
        over.into_iter().map(|(_, _, name)| name).collect()
    }

    /// Hands what a status says to the receivers of the release that have not been notified.
    pub fn tell(
        &self,
        release: ReleaseView<'_>,
        status: &ReleaseStatus,
        cluster: Option<&str>,
        mailbox: &Arc<Mailbox>,
        now: Timestamp,
    ) {
        let ReleaseView { id, uid, labels, url, own } = release;
        let Some(OwnReceivers { declared, secrets }) = own else {
            self.keep(&id.namespace, uid, &[]);
            mailbox.keep_own(&[]);
            return;
        };
        for name in self.keep(&id.namespace, uid, declared) {
            mailbox.offer_again(&name);
        }
        mailbox.keep_own(declared);
        if self.0.hosts.is_empty() {
            declared.iter().for_each(|one| mailbox.fails(&one.name, NOT_ALLOWED.to_owned()));
            return;
        }
        let Some(situation) = situation(status) else { return };
        let subject = NewsSubject { release: id, uid, labels, repository: url, cluster };
        for one in *declared {
            let notified = status.notified.iter().find(|entry| entry.receiver == one.name);
            let next = announcement(&situation, notified, mailbox.waits(&one.name), now)
                .filter(|next| one.interest.wants(next.kind));
            let Some(next) = next else {
                mailbox.withdraw(&one.name);
                self.withdraw(&id.namespace, uid, &one.name, situation.digest.as_deref());
                continue;
            };
            let news = News::new(subject, &situation, &next, status, now);
            if let Some(line) = self.line(&id.namespace, uid, &one.name) {
                // The release may have another account now: the Secret is read with its rights.
                *line.secrets() = Arc::clone(secrets);
            }
            if !mailbox.offer(&one.name, &news.id) {
                continue;
            }
            let came = Instant::now();
            let weak = Arc::downgrade(mailbox);
            let waiting = WaitingNews { news: Arc::new(news), mailbox: weak, due: came + next.pause, came };
            if let Err(problem) = self.add(one, secrets, waiting) {
                mailbox.offer_again(&one.name);
                mailbox.fails(&one.name, problem.to_owned());
            }
        }
    }

    /// The line of a receiver, while something waits for it.
    fn line(&self, namespace: &str, uid: &str, receiver: &str) -> Option<Arc<OwnLine>> {
        let key = (namespace.to_owned(), uid.to_owned(), receiver.to_owned());
        self.lines().get(&key).cloned()
    }

    /// Adds a notification; an error when there is no place for it.
    fn add(
        &self,
        declared: &DeclaredReceiver,
        secrets: &Arc<dyn SecretReader>,
        one: WaitingNews,
    ) -> Result<(), &'static str> {
        let namespace = one.news.release.namespace.clone();
        let key = (namespace.clone(), one.news.uid.clone(), declared.name.clone());
        let mut lines = self.lines();
        // One whose actor is gone is about to end, with what it has.
        lines.retain(|known, line| *known != key || !line.stop.is_cancelled());
        if let Some(line) = lines.get(&key) {
            if line.with(|queue| queue.add(one)) {
                self.count(declared, NewsResult::Dropped, 1);
            }
            line.wake.notify_one();
            return Ok(());
        }
        let first = (namespace.clone(), String::new(), String::new());
        let waiting = lines.range(first..).take_while(|(key, _)| key.0 == namespace).count();
        if waiting >= MAX_LINES {
            self.count(declared, NewsResult::Dropped, 1);
            return Err("too many receivers of the namespace have notifications that wait");
        }
        let mut queue = NewsQueue::holding(MAX_WAITING);
        let stop = one.mailbox.upgrade().map(|mailbox| mailbox.lifetime()).unwrap_or_default();
        queue.add(one);
        let line = Arc::new(OwnLine {
            declared: declared.clone(),
            secrets: Mutex::new(Arc::clone(secrets)),
            queue: Mutex::new(queue),
            wake: Notify::new(),
            stop,
        });
        lines.insert(key.clone(), Arc::clone(&line));
        tokio::spawn(self.clone().serve(key, line));
        Ok(())
    }

    /// Removes what is not true any more.
    fn withdraw(&self, namespace: &str, uid: &str, receiver: &str, digest: Option<&str>) {
        if let Some(line) = self.line(namespace, uid, receiver) {
            line.with(|queue| queue.withdraw(uid, digest));
            line.wake.notify_one();
        }
    }

    fn count(&self, declared: &DeclaredReceiver, result: NewsResult, count: usize) {
        if let Some(metrics) = &self.0.metrics {
            metrics.news(declared.kind, result, count);
        }
    }

    async fn serve(self, key: LineKey, line: Arc<OwnLine>) {
        tokio::select! {
            () = self.send(&key, &line) => {}
            () = line.stop.cancelled() => {}
        }
        let mut lines = self.lines();
        // Another one of that name may have begun.
        if lines.get(&key).is_some_and(|known| Arc::ptr_eq(known, &line)) {
            lines.remove(&key);
        }
    }

    /// Whether nothing waits. Then the line has ended: what comes next begins another one.
    fn is_over(&self, key: &LineKey, line: &Arc<OwnLine>) -> bool {
        let mut lines = self.lines();
        let is_empty = line.with(|queue| queue.oldest().is_none());
        if is_empty && lines.get(key).is_some_and(|known| Arc::ptr_eq(known, line)) {
            lines.remove(key);
        }
        is_empty
    }

    async fn send(&self, key: &LineKey, line: &Arc<OwnLine>) {
        let (namespace, declared) = (key.0.as_str(), &line.declared);
        let (mut trouble, mut opened) = (Trouble::default(), None);
        let mut most = declared.kind.most(false);
        let group = Duration::from_secs(5);
        while !self.is_over(key, line) {
            if let Some(at) = line.with(|queue| queue.wakes_at(group))
                && at > Instant::now()
            {
                tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = line.wake.notified() => {}
                }
                continue;
            }
            let mut taken = line.with(|queue| queue.take(Instant::now(), most));
            let count = taken.len();
            taken.retain(|one| Timestamp::now().duration_since(one.news.at) <= STALE);
            if count > taken.len() {
                self.count(declared, NewsResult::Expired, count - taken.len());
            }
            if taken.is_empty() {
                line.with(NewsQueue::done);
                continue;
            }
            let Sent { fate, problem, .. } = self.request(namespace, line, &taken, &mut opened).await;
            let count = taken.len();
            let name = format!("{} {}", taken[0].news.release, declared.name);
            let mailbox = taken.iter().find_map(|one| one.mailbox.upgrade());
            match fate {
                NewsFate::Delivered => {
                    trouble.over(&name);
                    most = declared.kind.most(false);
                    self.count(declared, NewsResult::Delivered, count);
                    line.with(NewsQueue::done);
                    if let Some(mailbox) = &mailbox {
                        mailbox.works(&declared.name);
                        taken.iter().for_each(|one| mailbox.accept(one.news.entry(&declared.name)));
                    }
                }
                NewsFate::Refused if count > 1 => {
                    most = count / 2;
                    self.count(declared, NewsResult::Retried, count);
                    line.with(|queue| queue.put_back(taken));
                }
                NewsFate::Refused => {
                    self.count(declared, NewsResult::Refused, count);
                    line.with(NewsQueue::done);
                    if let Some(mailbox) = &mailbox {
                        mailbox.fails(&declared.name, format!("{problem}; it is not sent again"));
                    }
                    taken.iter().for_each(|one| trouble.refused(&name, &one.news, &problem));
                }
                NewsFate::Later(asked) => {
                    self.count(declared, NewsResult::Retried, count);
                    line.with(|queue| queue.put_back(taken));
                    let pause = trouble.pause(&name, asked, &problem);
                    if let Some(mailbox) = &mailbox {
                        mailbox.fails(&declared.name, problem);
                    }
                    // A client takes memory, and the mailbox ends with its actor, which ends the line.
                    opened = None;
                    drop(mailbox);
                    tokio::time::sleep(pause).await;
                    continue;
                }
            }
            drop(mailbox);
            tokio::time::sleep(Duration::from_secs(60) / declared.kind.per_minute().clamp(1, 60)).await;
        }
    }

    /// One request. The Secret is read for it, so that another value is used at once.
    async fn request(
        &self,
        namespace: &str,
        line: &OwnLine,
        taken: &[WaitingNews],
        opened: &mut Option<(NewsReceiver, NewsClient)>,
    ) -> Sent {
        let _place = self.0.gate.place(namespace).await;
        let secrets = Arc::clone(&line.secrets());
        let data = secrets.read(&line.declared.secret).await;
        let receiver = data.and_then(|data| line.declared.opened(&data, &self.0.hosts));
        let receiver = match receiver {
            Ok(receiver) => receiver,
            Err(problem) => return later(problem),
        };
        if opened.as_ref().is_none_or(|(known, _)| *known != receiver) {
            *opened = NewsClient::of(&receiver).map(|client| (receiver, client));
        }
        let Some((receiver, client)) = opened else {
            return later(format!("ca.crt in Secret {} has no valid certificate", line.declared.secret));
        };
        let news: Vec<&News> = taken.iter().map(|one| &*one.news).collect();
        let sent = client.send(request(receiver, &news, Timestamp::now())).await;
        // What a connection fails of says more of the network than a tenant should know.
        match sent.is_answered {
            true => sent,
            false => Sent { problem: "the receiver cannot be reached".to_owned(), ..sent },
        }
    }
}

fn later(problem: String) -> Sent {
    Sent { fate: NewsFate::Later(None), problem, is_answered: false }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;

    use super::*;
    use crate::domain::identity::ReleaseId;
    use crate::domain::notify::hosts::HostPattern;
    use crate::domain::notify::interest::Interest;
    use crate::domain::notify::news::tests::news;
    use crate::domain::notify::receiver::ReceiverType;
    use crate::domain::notify::situation::NewsKind;

    /// An API server that does not answer.
    struct Silent;

    impl SecretReader for Silent {
        fn read<'s>(&'s self, _: &'s str) -> BoxFuture<'s, Result<BTreeMap<String, Vec<u8>>, String>> {
            Box::pin(std::future::pending())
        }
    }

    fn declared(name: &str) -> DeclaredReceiver {
        let interest = Interest { kinds: NewsKind::ALL.into(), namespaces: None, selector: None };
        DeclaredReceiver { name: name.into(), kind: ReceiverType::Slack, secret: "s".into(), interest }
    }

    fn one(namespace: &str, mailbox: &Arc<Mailbox>) -> WaitingNews {
        let release = ReleaseId { namespace: namespace.into(), name: "web".into() };
        let (now, mailbox) = (Instant::now(), Arc::downgrade(mailbox));
        WaitingNews { news: Arc::new(News { release, ..news() }), mailbox, due: now, came: now }
    }

    #[tokio::test]
    async fn what_waits_for_receivers_of_releases_has_a_bound_and_ends_with_the_release() {
        let hosts = AllowedHosts::new(vec![HostPattern::parse("a.example").unwrap()], Vec::new());
        let (lines, mailbox) = (OwnLines::new(hosts, None), Arc::new(Mailbox::default()));
        let secrets: Arc<dyn SecretReader> = Arc::new(Silent);
        let add = |namespace: &str, receiver: usize| {
            lines.add(&declared(&format!("spec/{receiver}")), &secrets, one(namespace, &mailbox))
        };
        for n in 0..MAX_LINES {
            assert_eq!(add("apps", n), Ok(()));
        }
        assert!(add("apps", MAX_LINES).is_err());
        // Another one of a receiver that has one waiting, and another namespace.
        assert_eq!(add("apps", 0), Ok(()));
        assert_eq!(add("other", 0), Ok(()));
        // The release does not name most of them any more.
        assert_eq!(lines.keep("apps", "u-1", &[declared("spec/0")]).len(), MAX_LINES - 1);
        assert_eq!(add("apps", 1), Ok(()));
        drop(mailbox);
        while !lines.lines().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
