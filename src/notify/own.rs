//! The receivers that releases name themselves. A line exists only while something waits for its receiver.
//! Tenants share the places for lines and those for requests, so that a slow receiver of one holds up nobody else.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use jiff::Timestamp;

use super::mailbox::Mailbox;
use super::own_line::{FirstNews, OwnLine, OwnWay};
use super::places::{PlaceKind, Places};
use super::queue::WaitingNews;
use super::view::{OwnReceivers, ReleaseView, SecretReader};
use crate::api::status::ReleaseStatus;
use crate::domain::notify::declared::DeclaredReceiver;
use crate::domain::notify::hosts::AllowedHosts;
use crate::domain::notify::news::{News, NewsSubject};
use crate::domain::notify::receiver::ReceiverType;
use crate::domain::notify::record::announcement;
use crate::domain::notify::situation::{Situation, situation};
use crate::fair::Gate;
use crate::observe::metrics::Metrics;

/// Requests at the same time. One namespace gets at most half of them.
const IN_FLIGHT: u64 = 32;
/// The same of those about alerts.
const ALERTS_IN_FLIGHT: u64 = 16;
/// A release that waits longer than that for a place says so.
const LONG: Duration = Duration::from_secs(10);
/// How long a place is kept for a release that is about to use it. At the end of a run it asks for one again.
const KEPT: Duration = Duration::from_secs(10);

/// What a release says when its receivers are not allowed.
const NOT_ALLOWED: &str = "receivers of releases are not allowed (--allow-release-notifications): remove spec.notify, or ask the administrator";
/// What a release says of a receiver to which it cannot have anything to say.
const NOTHING: &str = "when selects no outcome that this type of receiver takes, so nothing is sent";
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
    places: Places,
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
        let (in_flight, alerts_in_flight) = (Gate::new(IN_FLIGHT), Gate::new(ALERTS_IN_FLIGHT));
        let way = Arc::new(OwnWay { in_flight, alerts_in_flight, hosts, metrics });
        Self(Arc::new(Shared { lines: Mutex::default(), places: Places::default(), way }))
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<LineKey, Arc<OwnLine>>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the lines of a release but those of these receivers; returns the names of those that ended.
    pub fn keep(&self, namespace: &str, uid: &str, declared: &[DeclaredReceiver]) -> Vec<String> {
        let mut lines = self.lines();
        let first = (namespace.to_owned(), uid.to_owned(), String::new());
        let of_release = lines.range(first..).take_while(|(key, _)| key.0 == namespace && key.1 == uid);
        let over = of_release.filter(|(_, line)| !declared.iter().any(|one| line.is_for(one)));
        let over: Vec<LineKey> = over.map(|(key, _)| key.clone()).collect();
        for line in over.iter().filter_map(|key| lines.remove(key)).collect::<Vec<_>>() {
            line.end(uid);
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
        let ReleaseView { id, uid, url, own, .. } = release;
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
        for one in *declared {
            mailbox.is_over(&one.name, NOT_ALLOWED);
            match one.interest.kinds.is_empty() {
                true => mailbox.fails(&one.name, NOTHING, None),
                false => mailbox.is_over(&one.name, NOTHING),
            }
        }
        let Some(situation) = situation(status) else { return };
        self.stand_again(release, status, cluster, mailbox, now);
        // They have no selector: the labels of a release may be large.
        let (labels, is_alerts) =
            (&BTreeMap::new(), |one: &&DeclaredReceiver| one.kind == ReceiverType::Alertmanager);
        let subject = NewsSubject { release: id, uid, labels, repository: url, cluster };
        for one in declared.iter().filter(|one| !is_alerts(one)) {
            let notified = status.notified.iter().find(|entry| entry.receiver == one.name);
            let next = announcement(&situation, notified, mailbox.waits(&one.name), now);
            let news = next.map(|next| (News::new(subject, &situation, &next, status, now), next.pause));
            let Some((news, pause)) = news.filter(|(news, _)| one.takes(news)) else {
                self.nothing(one, &situation, uid, (&id.namespace, mailbox));
                continue;
            };
            if let Some(line) = self.line(&id.namespace, uid, &one.name) {
                line.set_secrets(secrets);
            }
            if !mailbox.offer(&one.name, &news.id) {
                continue;
            }
            let came = Instant::now();
            let weak = Arc::downgrade(mailbox);
            let waiting = WaitingNews { news: Arc::new(news), mailbox: weak, due: came + pause, came };
            match self.add(one, secrets, FirstNews::News(waiting)) {
                Ok(()) => mailbox.is_over(&one.name, NO_PLACE),
                Err(NoPlace) => {
                    mailbox.offer_again(&one.name);
                    self.queue(&id.namespace, (&one.name, PlaceKind::News), mailbox);
                }
            }
        }
        // It has said all that it has to say: a place that it has got and did not use is for others.
        drop((mailbox.take_place(PlaceKind::News), mailbox.take_place(PlaceKind::Alert)));
    }

    /// What a status says stands at the Alertmanagers of the release, also before it was worked on here: an alert ends by
    /// itself if nobody sends it for minutes.
    pub fn stand_again(
        &self,
        release: ReleaseView<'_>,
        status: &ReleaseStatus,
        cluster: Option<&str>,
        mailbox: &Arc<Mailbox>,
        now: Timestamp,
    ) {
        let ReleaseView { id, uid, url, own, .. } = release;
        let Some(OwnReceivers { declared, secrets }) = own.filter(|_| !self.0.way.hosts.is_empty()) else {
            return;
        };
        let Some(situation) = situation(status) else { return };
        let subject = NewsSubject { release: id, uid, labels: &BTreeMap::new(), repository: url, cluster };
        for one in declared.iter().filter(|one| one.kind == ReceiverType::Alertmanager) {
            self.stand(one, secrets, News::standing(subject, &situation, status, now), mailbox);
        }
    }

    /// A receiver has nothing to hear of a release.
    fn nothing(
        &self,
        one: &DeclaredReceiver,
        situation: &Situation,
        uid: &str,
        (namespace, mailbox): (&str, &Mailbox),
    ) {
        mailbox.withdraw(&one.name);
        mailbox.is_over(&one.name, NO_PLACE);
        mailbox.is_past(&one.name);
        if let Some(line) = self.line(namespace, uid, &one.name) {
            line.withdraw(uid, situation.digest.as_deref());
        }
    }

    /// This is true of a release now: an alert stands at its Alertmanager, or none does.
    fn stand(
        &self,
        one: &DeclaredReceiver,
        secrets: &Arc<dyn SecretReader>,
        (news, settles_in): (News, Duration),
        mailbox: &Arc<Mailbox>,
    ) {
        let (namespace, uid) = (news.release.namespace.clone(), news.uid.clone());
        let line = self.line(&namespace, &uid, &one.name);
        if let Some(line) = &line {
            line.set_secrets(secrets);
        }
        if !one.interest.wants(news.kind) {
            if let Some(line) = line {
                line.withdraw(&uid, None);
            }
            mailbox.is_over(&one.name, NO_PLACE);
            mailbox.is_past(&one.name);
            return;
        }
        let alert = FirstNews::Alert(Box::new(news), settles_in, Arc::clone(mailbox));
        match self.add(one, secrets, alert) {
            Ok(()) => mailbox.is_over(&one.name, NO_PLACE),
            Err(NoPlace) => self.queue(&namespace, (&one.name, PlaceKind::Alert), mailbox),
        }
    }

    /// The line of a receiver, while something waits for it.
    fn line(&self, namespace: &str, uid: &str, receiver: &str) -> Option<Arc<OwnLine>> {
        let key = (namespace.to_owned(), uid.to_owned(), receiver.to_owned());
        self.lines().get(&key).cloned()
    }

    /// Adds a notification or an alert, if there is a place for its receiver.
    fn add(
        &self,
        declared: &DeclaredReceiver,
        secrets: &Arc<dyn SecretReader>,
        one: FirstNews,
    ) -> Result<(), NoPlace> {
        let (release, uid, mailbox, kind) = match &one {
            FirstNews::News(one) => {
                (&one.news.release, &one.news.uid, one.mailbox.upgrade(), PlaceKind::News)
            }
            FirstNews::Alert(news, _, mailbox) => {
                (&news.release, &news.uid, Some(Arc::clone(mailbox)), PlaceKind::Alert)
            }
        };
        let namespace = release.namespace.clone();
        let key = (namespace.clone(), uid.clone(), declared.name.clone());
        let mut lines = self.lines();
        // One whose actor is gone is about to end, with what it has.
        if let Some(line) = lines.get(&key).filter(|line| !line.has_ended()) {
            line.add(one);
            return Ok(());
        }
        let kept = mailbox.and_then(|mailbox| mailbox.take_place(kind));
        let place = kept.or_else(|| self.0.places.take(kind, &namespace)).ok_or(NoPlace)?;
        let line = OwnLine::new(declared, secrets, one, place, &self.0.way);
        let before = lines.insert(key.clone(), Arc::clone(&line));
        drop(lines);
        drop(before);
        tokio::spawn(self.clone().serve(key, line));
        Ok(())
    }

    /// Waits for a place for a receiver of a release. When it is there, the release says again what it has to say: by
    /// then, that may be something else.
    fn queue(&self, namespace: &str, (receiver, kind): (&str, PlaceKind), mailbox: &Arc<Mailbox>) {
        if !mailbox.queues(kind) {
            return;
        }
        let (places, lifetime, mailbox) =
            (self.0.places.shared(kind), mailbox.lifetime(), Arc::downgrade(mailbox));
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
            heard.gets(kind, place);
            drop(heard);
            tokio::time::sleep(KEPT).await;
            drop(mailbox.upgrade().and_then(|mailbox| mailbox.take_place(kind)));
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
            () = line.ended() => false,
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
        // The end that it has sent may be that of an alert which stands: another receiver can have the same URL.
        if line.has_left_alerts() {
            let first = (key.0.clone(), String::new(), String::new());
            let of_namespace = lines.range(first..).take_while(|(of, _)| of.0 == key.0);
            let same = of_namespace.filter(|(_, other)| other.release() == line.release());
            same.for_each(|(_, other)| other.renew());
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
    use crate::domain::notify::situation::NewsKind;
    use crate::notify::places::{RESERVED, SHARED};

    /// The places of one namespace.
    const OF_ONE: u64 = SHARED + RESERVED;

    /// An API server that does not answer.
    struct Silent;

    impl SecretReader for Silent {
        fn read<'s>(&'s self, _: &'s str) -> BoxFuture<'s, Result<BTreeMap<String, Vec<u8>>, String>> {
            Box::pin(std::future::pending())
        }
    }

    fn declared(name: &str) -> DeclaredReceiver {
        let interest = Interest { kinds: NewsKind::ALL.into(), namespaces: None, selector: None };
        DeclaredReceiver {
            name: name.into(),
            kind: ReceiverType::Slack,
            secret: "s".into(),
            interest,
            repositories: Vec::new(),
            template: None,
        }
    }

    fn one(namespace: &str, mailbox: &Arc<Mailbox>) -> FirstNews {
        let release = ReleaseId { namespace: namespace.into(), name: "web".into() };
        let (now, mailbox) = (Instant::now(), Arc::downgrade(mailbox));
        let news = Arc::new(News { release, ..news() });
        FirstNews::News(WaitingNews { news, mailbox, due: now, came: now })
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
        for n in 0..OF_ONE {
            assert_eq!(add("apps", n), Ok(()));
        }
        assert_eq!(add("apps", OF_ONE), Err(NoPlace));
        // Another one of a receiver that has one waiting, and another namespace.
        assert_eq!(add("apps", 0), Ok(()));
        assert_eq!(add("other", 0), Ok(()));
        // The release does not name most of them any more.
        let ended = lines.keep("apps", "u-1", &[declared("spec/0")]).len();
        assert_eq!(ended as u64, OF_ONE - 1);
        while add("apps", 1).is_err() {
            tokio::task::yield_now().await;
        }
        drop(mailbox);
        while !lines.lines().is_empty() || lines.0.places.taken(PlaceKind::News) > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_release_without_a_place_gets_the_next_one() {
        let ((lines, secrets), first) = (lines(), Arc::new(Mailbox::default()));
        for n in 0..OF_ONE {
            lines.add(&declared(&format!("spec/{n}")), &secrets, one("apps", &first)).unwrap();
        }
        let late = Arc::new(Mailbox::default());
        let add = || lines.add(&declared("spec/late"), &secrets, one("apps", &late));
        assert_eq!(add(), Err(NoPlace));
        lines.queue("apps", ("spec/late", PlaceKind::News), &late);
        lines.queue("apps", ("spec/later", PlaceKind::News), &late);
        // It does not overtake the one that waits.
        let receivers: Vec<DeclaredReceiver> = (1..OF_ONE).map(|n| declared(&format!("spec/{n}"))).collect();
        while !late.take_asked() {
            lines.keep("apps", "u-1", &receivers);
            tokio::task::yield_now().await;
        }
        assert_eq!(lines.add(&declared("spec/other"), &secrets, one("apps", &first)), Err(NoPlace));
        assert_eq!(add(), Ok(()));
        assert_eq!(lines.0.places.taken(PlaceKind::News), OF_ONE);
    }

    #[tokio::test]
    async fn alerts_have_places_of_their_own_and_keep_them_while_they_stand() {
        let ((lines, secrets), mailbox) = (lines(), Arc::new(Mailbox::default()));
        let alerts = |n: u64, kinds: &[NewsKind]| DeclaredReceiver {
            kind: ReceiverType::Alertmanager,
            interest: Interest { kinds: kinds.iter().copied().collect(), namespaces: None, selector: None },
            ..declared(&format!("spec/{n}"))
        };
        let stand = |one: &DeclaredReceiver, kind: NewsKind| {
            let release = ReleaseId { namespace: "apps".into(), name: "web".into() };
            lines.stand(one, &secrets, (News { release, kind, ..news() }, Duration::ZERO), &mailbox);
        };
        let said = || mailbox.failures().into_iter().map(|failure| failure.receiver).collect::<Vec<_>>();
        let failed = [NewsKind::Failed];
        for n in 0..=OF_ONE {
            stand(&alerts(n, &failed), NewsKind::Failed);
        }
        assert_eq!((lines.lines().len() as u64, lines.0.places.taken(PlaceKind::Alert)), (OF_ONE, OF_ONE));
        assert_eq!(lines.add(&declared("spec/chat"), &secrets, one("apps", &mailbox)), Ok(()));
        // One that wants to hear of other outcomes is the same: what stands is not ended by it.
        let names: Vec<DeclaredReceiver> =
            (0..OF_ONE).map(|n| alerts(n, &[NewsKind::Failed, NewsKind::Drifted])).collect();
        assert_eq!(lines.keep("apps", "u-1", &names), ["spec/chat"]);
        // The end of one is sent before its place is free, and nobody takes it here.
        lines.keep("apps", "u-1", &names[1..]);
        assert_eq!(
            (lines.lines().len() as u64, lines.0.places.taken(PlaceKind::Alert)),
            (OF_ONE - 1, OF_ONE)
        );
        assert_eq!(said(), [""; 0]);
    }
}
