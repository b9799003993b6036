//! The receivers that releases name themselves. A line exists only while something waits for its receiver.
//! Tenants share the places for lines and those for requests, so that a slow receiver of one holds up nobody else.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use jiff::Timestamp;

use super::mailbox::Mailbox;
use super::own_line::{OwnLine, OwnWay};
use super::queue::WaitingNews;
use super::view::{OwnReceivers, ReleaseView, SecretReader};
use crate::api::status::ReleaseStatus;
use crate::domain::notify::declared::DeclaredReceiver;
use crate::domain::notify::hosts::AllowedHosts;
use crate::domain::notify::news::{News, NewsSubject};
use crate::domain::notify::record::announcement;
use crate::domain::notify::situation::situation;
use crate::fair::Gate;
use crate::observe::metrics::Metrics;

/// Requests at the same time. One namespace gets at most half of them.
const IN_FLIGHT: u64 = 32;
/// The most receivers for which something waits, of all namespaces.
const MAX_LINES: u64 = 2048;
/// The most of one namespace. It gets no more than it leaves for others.
const MAX_LINES_OF_ONE: u64 = 64;
/// A release that waits longer than that for a place says so.
const LONG: Duration = Duration::from_secs(10);
/// How long a place is kept for a release that is about to use it. At the end of a run it asks for one again.
const KEPT: Duration = Duration::from_secs(10);

/// What a release says when its receivers are not allowed.
const NOT_ALLOWED: &str = "receivers of releases are not allowed (--allow-release-notifications): remove spec.notify, or ask the administrator";
/// What a release says while there is no place for one of its receivers.
const NO_PLACE: &str =
    "notifications wait for too many other receivers; this one is next when one of them is done";

/// Namespace, uid of the release, name of the receiver.
type LineKey = (String, String, String);

/// The lines of all releases; clones share them.
#[derive(Clone)]
pub struct OwnLines(Arc<Shared>);

struct Shared {
    lines: Mutex<BTreeMap<LineKey, Arc<OwnLine>>>,
    places: Arc<Gate>,
    way: Arc<OwnWay>,
}

/// There is no place for another receiver.
#[derive(Debug, PartialEq, Eq)]
struct NoPlace;

impl Default for OwnLines {
    fn default() -> Self {
        Self::new(AllowedHosts::default(), None)
    }
}

impl OwnLines {
    /// Lines to these hosts.
    pub fn new(hosts: AllowedHosts, metrics: Option<Arc<Metrics>>) -> Self {
        let way = Arc::new(OwnWay { in_flight: Gate::new(IN_FLIGHT), hosts, metrics });
        let places = Gate::bounded(MAX_LINES, MAX_LINES_OF_ONE);
        Self(Arc::new(Shared { lines: Mutex::default(), places, way }))
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
        if self.0.way.hosts.is_empty() {
            declared.iter().for_each(|one| mailbox.fails(&one.name, NOT_ALLOWED, None));
            return;
        }
        declared.iter().for_each(|one| mailbox.is_over(&one.name, NOT_ALLOWED));
        let Some(situation) = situation(status) else { return };
        let subject = NewsSubject { release: id, uid, labels, repository: url, cluster };
        for one in *declared {
            let notified = status.notified.iter().find(|entry| entry.receiver == one.name);
            let next = announcement(&situation, notified, mailbox.waits(&one.name), now)
                .filter(|next| one.interest.wants(next.kind));
            let Some(next) = next else {
                mailbox.withdraw(&one.name);
                mailbox.is_over(&one.name, NO_PLACE);
                if let Some(line) = self.line(&id.namespace, uid, &one.name) {
                    line.withdraw(uid, situation.digest.as_deref());
                }
                continue;
            };
            let news = News::new(subject, &situation, &next, status, now);
            if let Some(line) = self.line(&id.namespace, uid, &one.name) {
                line.set_secrets(secrets);
            }
            if !mailbox.offer(&one.name, &news.id) {
                continue;
            }
            let came = Instant::now();
            let weak = Arc::downgrade(mailbox);
            let waiting = WaitingNews { news: Arc::new(news), mailbox: weak, due: came + next.pause, came };
            match self.add(one, secrets, waiting) {
                Ok(()) => mailbox.is_over(&one.name, NO_PLACE),
                Err(NoPlace) => {
                    mailbox.offer_again(&one.name);
                    self.queue(&id.namespace, &one.name, mailbox);
                }
            }
        }
    }

    /// The line of a receiver, while something waits for it.
    fn line(&self, namespace: &str, uid: &str, receiver: &str) -> Option<Arc<OwnLine>> {
        let key = (namespace.to_owned(), uid.to_owned(), receiver.to_owned());
        self.lines().get(&key).cloned()
    }

    /// Adds a notification, if there is a place for its receiver.
    fn add(
        &self,
        declared: &DeclaredReceiver,
        secrets: &Arc<dyn SecretReader>,
        one: WaitingNews,
    ) -> Result<(), NoPlace> {
        let namespace = one.news.release.namespace.clone();
        let key = (namespace.clone(), one.news.uid.clone(), declared.name.clone());
        let mut lines = self.lines();
        // One whose actor is gone is about to end, with what it has.
        if let Some(line) = lines.get(&key).filter(|line| !line.stop.is_cancelled()) {
            line.add(one);
            return Ok(());
        }
        let kept = one.mailbox.upgrade().and_then(|mailbox| mailbox.take_place());
        let place = kept.or_else(|| self.0.places.try_enter(&namespace, 1)).ok_or(NoPlace)?;
        let line = OwnLine::new(declared, secrets, one, place, &self.0.way);
        let before = lines.insert(key.clone(), Arc::clone(&line));
        drop(lines);
        drop(before);
        tokio::spawn(self.clone().serve(key, line));
        Ok(())
    }

    /// Waits for a place for a receiver of a release. When it is there, the release says again what it has to say: by
    /// then, that may be something else.
    fn queue(&self, namespace: &str, receiver: &str, mailbox: &Arc<Mailbox>) {
        if !mailbox.queues() {
            return;
        }
        let (places, lifetime, mailbox) =
            (Arc::clone(&self.0.places), mailbox.lifetime(), Arc::downgrade(mailbox));
        let (namespace, receiver) = (namespace.to_owned(), receiver.to_owned());
        let waiting = async move {
            let mut entering = std::pin::pin!(places.place(&namespace));
            let place = tokio::select! {
                place = &mut entering => place,
                () = tokio::time::sleep(LONG) => {
                    if let Some(mailbox) = mailbox.upgrade() {
                        mailbox.fails(&receiver, NO_PLACE, None);
                    }
                    entering.await
                }
            };
            let Some(heard) = mailbox.upgrade() else { return };
            heard.gets(place);
            drop(heard);
            tokio::time::sleep(KEPT).await;
            drop(mailbox.upgrade().and_then(|mailbox| mailbox.take_place()));
        };
        tokio::spawn(async move {
            tokio::select! {
                () = waiting => {}
                () = lifetime.cancelled() => {}
            }
        });
    }

    async fn serve(self, key: LineKey, line: Arc<OwnLine>) {
        let sending = AssertUnwindSafe(line.send(|| self.is_over(&key, &line))).catch_unwind();
        let has_crashed = tokio::select! {
            ended = sending => ended.is_err(),
            () = line.stop.cancelled() => false,
        };
        if has_crashed {
            tracing::error!(
                namespace = key.0,
                receiver = key.2,
                "sending notifications to a receiver of a release crashed"
            );
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
        let is_empty = line.is_empty();
        if is_empty && lines.get(key).is_some_and(|known| Arc::ptr_eq(known, line)) {
            lines.remove(key);
        }
        is_empty
    }
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

    fn lines() -> (OwnLines, Arc<dyn SecretReader>) {
        let hosts = AllowedHosts::new(vec![HostPattern::parse("a.example").unwrap()], Vec::new());
        (OwnLines::new(hosts, None), Arc::new(Silent))
    }

    #[tokio::test]
    async fn what_waits_for_receivers_of_releases_has_a_bound_and_ends_with_the_release() {
        let ((lines, secrets), mailbox) = (lines(), Arc::new(Mailbox::default()));
        let add = |namespace: &str, receiver: u64| {
            lines.add(&declared(&format!("spec/{receiver}")), &secrets, one(namespace, &mailbox))
        };
        for n in 0..MAX_LINES_OF_ONE {
            assert_eq!(add("apps", n), Ok(()));
        }
        assert_eq!(add("apps", MAX_LINES_OF_ONE), Err(NoPlace));
        // Another one of a receiver that has one waiting, and another namespace.
        assert_eq!(add("apps", 0), Ok(()));
        assert_eq!(add("other", 0), Ok(()));
        // The release does not name most of them any more.
        let ended = lines.keep("apps", "u-1", &[declared("spec/0")]).len();
        assert_eq!(ended as u64, MAX_LINES_OF_ONE - 1);
        while add("apps", 1).is_err() {
            tokio::task::yield_now().await;
        }
        drop(mailbox);
        while !lines.lines().is_empty() || lines.0.places.taken() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_release_without_a_place_gets_the_next_one() {
        let ((lines, secrets), first) = (lines(), Arc::new(Mailbox::default()));
        for n in 0..MAX_LINES_OF_ONE {
            lines.add(&declared(&format!("spec/{n}")), &secrets, one("apps", &first)).unwrap();
        }
        let late = Arc::new(Mailbox::default());
        let add = || lines.add(&declared("spec/late"), &secrets, one("apps", &late));
        assert_eq!(add(), Err(NoPlace));
        lines.queue("apps", "spec/late", &late);
        lines.queue("apps", "spec/later", &late);
        // It does not overtake the one that waits.
        let receivers: Vec<DeclaredReceiver> =
            (1..MAX_LINES_OF_ONE).map(|n| declared(&format!("spec/{n}"))).collect();
        while !late.take_asked() {
            lines.keep("apps", "u-1", &receivers);
            tokio::task::yield_now().await;
        }
        assert_eq!(lines.add(&declared("spec/other"), &secrets, one("apps", &first)), Err(NoPlace));
        assert_eq!(add(), Ok(()));
        assert_eq!(lines.0.places.taken(), MAX_LINES_OF_ONE);
    }

    #[tokio::test]
    async fn one_namespace_more_has_a_place_however_many_there_are() {
        let ((lines, secrets), mailbox) = (lines(), Arc::new(Mailbox::default()));
        let mut served = 0;
        for namespace in (0..1000).map(|n| format!("ns{n}")) {
            let add =
                |n: u64| lines.add(&declared(&format!("spec/{n}")), &secrets, one(&namespace, &mailbox));
            let count = (0..MAX_LINES_OF_ONE * 2).take_while(|n| add(*n).is_ok()).count();
            if count == 0 {
                break;
            }
            served += 1;
        }
        let taken = lines.0.places.taken();
        assert!(
            served > MAX_LINES / MAX_LINES_OF_ONE && taken < MAX_LINES,
            "{served} namespaces, {taken} places"
        );
    }
}
