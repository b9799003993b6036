//! The alerts that stand for one Alertmanager. It does not remember over restarts, and neither does
//! Alertmanager: what stands is sent again and again, and what has ended until it was accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::mailbox::Mailbox;
use crate::domain::notify::news::News;
use crate::domain::notify::situation::NewsKind;

/// How often an alert that stands is sent again. No pause between attempts is longer: it would end meanwhile.
pub const AGAIN: Duration = Duration::from_secs(60);
/// An alert that was accepted that long ago is late: when it comes no more, Alertmanager ends it after five minutes.
const LATE: Duration = Duration::from_secs(180);
/// When an alert is sent again that was refused.
const REFUSED: Duration = Duration::from_secs(3600);
/// The most alerts.
const MAX_ALERTS: usize = 20_000;
/// How long the end of an alert is sent that is not accepted: by then, Alertmanager has ended it by itself.
const ENDING: Duration = Duration::from_secs(300);

/// An alert.
#[derive(Clone, Debug)]
pub struct StandingAlert {
    /// What it says.
    pub news: Arc<News>,
    /// When it ended, if it has.
    pub ended: Option<Timestamp>,
    /// Of whom.
    pub mailbox: Weak<Mailbox>,
    /// Until when its end is sent.
    until: Option<Instant>,
    next: NextSend,
    version: u64,
}

/// When an alert is sent.
#[derive(Clone, Copy, Debug)]
enum NextSend {
    /// As news: Alertmanager does not know of the last change, which came then.
    News(Instant),
    /// Again: it was sent then.
    Again(Instant),
}

impl StandingAlert {
    /// Whether its Alertmanager should know what it says, and does not.
    pub fn is_late(&self, now: Instant) -> bool {
        self.ended.is_none()
            && match self.next {
                NextSend::News(_) => true,
                NextSend::Again(at) => at + LATE <= now,
            }
    }
}

/// Of which release, and what.
pub type AlertKey = (String, NewsKind);

/// What has become of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertChange {
    /// It has stood before.
    Known,
    /// It is to be sent.
    Changed,
    /// There is no place for it.
    NoPlace,
}

/// The alerts, by release and outcome.
#[derive(Debug, Default)]
pub struct AlertBoard {
    version: u64,
    alerts: BTreeMap<AlertKey, StandingAlert>,
    /// Those to be sent as news, the oldest first.
    news: BTreeSet<(Instant, AlertKey)>,
    /// Those to be sent again, the oldest first.
    again: BTreeSet<(Instant, AlertKey)>,
}

impl AlertBoard {
    fn remove(&mut self, key: &AlertKey) -> Option<StandingAlert> {
        let alert = self.alerts.remove(key)?;
        match alert.next {
            NextSend::News(at) => self.news.remove(&(at, key.clone())),
            NextSend::Again(at) => self.again.remove(&(at, key.clone())),
        };
        Some(alert)
    }

    fn put(&mut self, key: AlertKey, alert: StandingAlert) {
        self.remove(&key);
        match alert.next {
            NextSend::News(at) => self.news.insert((at, key.clone())),
            NextSend::Again(at) => self.again.insert((at, key.clone())),
        };
        self.alerts.insert(key, alert);
    }

    /// This is true of a release now, and no other alert is. It is sent once it was true for `settles_in`.
    pub fn stand(
        &mut self,
        (news, settles_in): (News, Duration),
        mailbox: &Arc<Mailbox>,
        at: Timestamp,
        now: Instant,
    ) -> AlertChange {
        let key = (news.uid.clone(), news.kind);
        let has_ended = self.end(&news.uid, Some(news.kind), at, now);
        let mailbox = Arc::downgrade(mailbox);
        let is_full = self.alerts.len() >= MAX_ALERTS;
        let (next, result) = match self.alerts.get_mut(&key) {
            None if is_full => return AlertChange::NoPlace,
            Some(known) if known.ended.is_none() => {
                let words = |news: &News| {
                    let News { reason, message, revision, repository, cluster, .. } = news;
                    [Some(reason), Some(message), revision.as_ref(), Some(repository), cluster.as_ref()]
                        .map(|word| word.cloned())
                };
                let is_same = words(&known.news) == words(&news);
                let result = if has_ended { AlertChange::Changed } else { AlertChange::Known };
                if is_same {
                    // It may be another actor of the same release.
                    known.mailbox = mailbox;
                    return result;
                }
                // Alertmanager gets new words with the next repetition; only a new alert is urgent, and one that was
                // refused.
                match known.next {
                    NextSend::Again(at) if at > now => (NextSend::News(now), AlertChange::Changed),
                    NextSend::News(at) if at > now => {
                        (NextSend::News(at.min(now + settles_in)), AlertChange::Changed)
                    }
                    next => (next, result),
                }
            }
            _ => (NextSend::News(now + settles_in), AlertChange::Changed),
        };
        self.version += 1;
        let (news, version) = (Arc::new(news), self.version);
        self.put(key, StandingAlert { news, ended: None, mailbox, until: None, next, version });
        result
    }

    /// No alert of the release is true any more, but for `except`. Returns whether one was.
    pub fn end(&mut self, uid: &str, except: Option<NewsKind>, at: Timestamp, now: Instant) -> bool {
        let mut has_ended = false;
        for kind in NewsKind::ALL.into_iter().filter(|kind| Some(*kind) != except) {
            let key = (uid.to_owned(), kind);
            let Some(alert) = self.alerts.get(&key).filter(|alert| alert.ended.is_none()).cloned() else {
                continue;
            };
            self.version += 1;
            let next = match alert.next {
                NextSend::News(since) => NextSend::News(since.min(now)),
                NextSend::Again(_) => NextSend::News(now),
            };
            let (ended, until) = (Some(at), Some(now + ENDING));
            self.put(key, StandingAlert { ended, until, next, version: self.version, ..alert });
            has_ended = true;
        }
        has_ended
    }

    /// When the next alerts are to be sent; `None` when there are none.
    pub fn wakes_at(&self, group: Duration) -> Option<Instant> {
        let news = self.news.first().map(|(at, _)| *at + group);
        let again = self.again.first().map(|(at, _)| *at + AGAIN);
        news.into_iter().chain(again).min()
    }

    /// Those that are to be sent now: news first, then those that were sent longest ago. Those of releases that
    /// another replica has, or nobody, are forgotten: they end by themselves if nobody sends them. So are ends that
    /// were not accepted for so long.
    pub fn due(&mut self, now: Instant, most: usize) -> Vec<(AlertKey, StandingAlert)> {
        let (mut due, mut gone) = (Vec::new(), Vec::new());
        let news = self.news.iter().take_while(|(at, _)| *at <= now);
        let again = self.again.iter().take_while(|(at, _)| *at + AGAIN <= now);
        for (_, key) in news.chain(again) {
            let Some(alert) = self.alerts.get(key) else { continue };
            let is_left = alert.ended.is_none() && alert.mailbox.strong_count() == 0;
            if is_left || alert.until.is_some_and(|until| until <= now) {
                gone.push(key.clone());
                continue;
            }
            if due.len() == most {
                break;
            }
            due.push((key.clone(), alert.clone()));
        }
        for key in gone {
            self.remove(&key);
        }
        due
    }

    /// These were accepted, or will never be. Returns how many of them were news.
    pub fn done(&mut self, sent: &[(AlertKey, StandingAlert)], now: Instant) -> usize {
        for (key, sent) in sent {
            match self.alerts.get(key).cloned() {
                Some(alert) if alert.version != sent.version => {}
                Some(alert) if alert.ended.is_none() => {
                    self.put(key.clone(), StandingAlert { next: NextSend::Again(now), ..alert });
                }
                Some(_) => drop(self.remove(key)),
                None => {}
            }
        }
        sent.iter().filter(|(_, sent)| matches!(sent.next, NextSend::News(_))).count()
    }

    /// These are refused: an end is forgotten, and what stands is not sent again before it changes, or for an hour.
    pub fn put_off(&mut self, sent: &[(AlertKey, StandingAlert)], now: Instant) {
        for (key, sent) in sent {
            let same = self.alerts.get(key).filter(|alert| alert.version == sent.version).cloned();
            match same {
                Some(alert) if alert.ended.is_none() => {
                    self.put(key.clone(), StandingAlert { next: NextSend::Again(now + REFUSED), ..alert });
                }
                Some(_) => drop(self.remove(key)),
                None => {}
            }
        }
    }

    /// What stands is news again: something else may have ended it.
    pub fn renew(&mut self, now: Instant) {
        let standing = self.alerts.iter().filter(|(_, alert)| alert.ended.is_none());
        for (key, alert) in standing.map(|(key, alert)| (key.clone(), alert.clone())).collect::<Vec<_>>() {
            if let NextSend::Again(_) = alert.next {
                self.put(key, StandingAlert { next: NextSend::News(now), ..alert });
            }
        }
    }

    /// Whether such an alert stands.
    pub fn stands(&self, alert: &StandingAlert) -> bool {
        let key = (alert.news.uid.clone(), alert.news.kind);
        self.alerts.get(&key).is_some_and(|known| known.ended.is_none())
    }

    /// Whether it has no alerts.
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// Since when Alertmanager does not know of something.
    pub fn oldest(&self) -> Option<Instant> {
        self.news.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notify::news::tests::news;

    fn at() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn on(news: News) -> (News, Duration) {
        (news, Duration::ZERO)
    }

    fn shown(board: &mut AlertBoard, now: Instant) -> Vec<String> {
        let due = board.due(now, 100);
        let show = |(_, a): &(AlertKey, StandingAlert)| {
            format!("{} {:?} {}", a.news.uid, a.news.kind, if a.ended.is_some() { "ended" } else { "stands" })
        };
        let shown = due.iter().map(show).collect();
        board.done(&due, now);
        shown
    }

    fn of(uid: &str, kind: NewsKind, message: &str) -> News {
        News { uid: uid.into(), kind, message: message.into(), ..news() }
    }

    #[test]
    fn an_alert_is_sent_while_it_stands_and_once_when_it_has_ended() {
        let (mut board, start, mailbox) = (AlertBoard::default(), Instant::now(), Arc::default());
        let later = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(
            board.stand(on(of("u", NewsKind::Failed, "a")), &mailbox, at(), start),
            AlertChange::Changed
        );
        assert_eq!(board.wakes_at(Duration::from_secs(5)), Some(later(5)));
        assert_eq!(shown(&mut board, start), ["u Failed stands"]);
        // A retry is no news, and neither are other words.
        for words in ["a", "b"] {
            assert_eq!(
                board.stand(on(of("u", NewsKind::Failed, words)), &mailbox, at(), later(1)),
                AlertChange::Known
            );
        }
        assert_eq!((shown(&mut board, later(59)).len(), board.oldest()), (0, None));
        assert_eq!(shown(&mut board, later(60)), ["u Failed stands"]);
        // Another outcome ends it.
        board.stand(on(of("u", NewsKind::RolledBack, "c")), &mailbox, at(), later(61));
        assert_eq!(shown(&mut board, later(61)), ["u Failed ended", "u RolledBack stands"]);
        board.end("u", None, at(), later(62));
        assert_eq!(board.oldest(), Some(later(62)));
        assert_eq!(shown(&mut board, later(62)), ["u RolledBack ended"]);
        assert_eq!((board.wakes_at(Duration::ZERO), board.alerts.len()), (None, 0));
        assert!(!board.end("u", None, at(), later(63)));
        assert_eq!((board.alerts.len(), board.news.len(), board.again.len()), (0, 0, 0));
    }

    #[test]
    fn of_more_alerts_than_fit_those_that_wait_for_longest_are_sent_first() {
        let (mut board, start, mailbox) = (AlertBoard::default(), Instant::now(), Arc::default());
        let later = |seconds: u64| start + Duration::from_secs(seconds);
        for (n, uid) in ["d", "c", "b", "a"].into_iter().enumerate() {
            board.stand(on(of(uid, NewsKind::Failed, "m")), &mailbox, at(), later(n as u64));
        }
        let uids = |board: &mut AlertBoard, now: Instant| {
            let due = board.due(now, 2);
            board.done(&due, now);
            due.iter().map(|((uid, _), _)| uid.clone()).collect::<Vec<_>>().join(" ")
        };
        for (seconds, expected) in
            [(10, "d c"), (20, "b a"), (70, "c d"), (75, ""), (200, "a b"), (201, "c d")]
        {
            assert_eq!(uids(&mut board, later(seconds)), expected, "{seconds}");
        }
        // What is new comes before what is repeated.
        board.stand(on(of("z", NewsKind::Failed, "m")), &mailbox, at(), later(299));
        assert_eq!(uids(&mut board, later(300)), "z a");
    }

    /// A change costs no more with many alerts than with few: each release looks at the board after each run.
    #[test]
    fn twenty_thousand_alerts_at_once_are_no_work_for_seconds() {
        let (mut board, start, mailbox) = (AlertBoard::default(), Instant::now(), Arc::default());
        for n in 0..MAX_ALERTS {
            board.stand(on(of(&n.to_string(), NewsKind::Failed, "m")), &mailbox, at(), start);
            assert!(board.oldest().is_some() && board.wakes_at(Duration::ZERO).is_some());
        }
        let full = board.stand(on(of("more", NewsKind::Failed, "m")), &mailbox, at(), start);
        assert_eq!((full, board.due(start, 250).len()), (AlertChange::NoPlace, 250));
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }

    #[test]
    fn what_changes_while_it_is_sent_is_sent_again() {
        let (mut board, start, mailbox) = (AlertBoard::default(), Instant::now(), Arc::default());
        board.stand(on(of("u", NewsKind::Failed, "a")), &mailbox, at(), start);
        let sending = board.due(start, 100);
        board.end("u", None, at(), start);
        assert_eq!(board.done(&sending, start), 1);
        assert_eq!(shown(&mut board, start), ["u Failed ended"]);
        // It is back before its end was accepted.
        board.stand(on(of("u", NewsKind::Failed, "a")), &mailbox, at(), start);
        board.end("u", None, at(), start);
        board.stand(on(of("u", NewsKind::Failed, "a")), &mailbox, at(), start);
        assert_eq!(shown(&mut board, start), ["u Failed stands"]);
    }

    #[test]
    fn an_end_that_nobody_accepts_is_forgotten_when_alertmanager_has_ended_the_alert_itself() {
        let (mut board, start, mailbox) = (AlertBoard::default(), Instant::now(), Arc::default());
        let later = |seconds: u64| start + Duration::from_secs(seconds);
        board.stand(on(of("u", NewsKind::Failed, "a")), &mailbox, at(), start);
        let due = board.due(start, 1);
        board.done(&due, start);
        board.end("u", None, at(), later(10));
        assert_eq!(board.due(later(309), 1).len(), 1);
        assert!(!board.is_empty());
        assert!(board.due(later(310), 1).is_empty() && board.is_empty());
        // One that stands again does not end.
        board.stand(on(of("u", NewsKind::Failed, "a")), &mailbox, at(), start);
        board.end("u", None, at(), later(10));
        board.stand(on(of("u", NewsKind::Failed, "a")), &mailbox, at(), later(20));
        assert_eq!(shown(&mut board, later(400)), ["u Failed stands"]);
    }

    #[test]
    fn an_alert_that_may_be_over_soon_waits() {
        let (mut board, start, mailbox) = (AlertBoard::default(), Instant::now(), Arc::default());
        let later = |seconds: u64| start + Duration::from_secs(seconds);
        let waits = |words: &str| (of("u", NewsKind::Failed, words), Duration::from_secs(600));
        board.stand(waits("a"), &mailbox, at(), start);
        assert_eq!(board.wakes_at(Duration::ZERO), Some(later(600)));
        assert_eq!(shown(&mut board, later(599)), [""; 0]);
        // Another reason does not wait.
        let changed = board.stand(on(of("u", NewsKind::Failed, "b")), &mailbox, at(), later(10));
        assert_eq!(
            (changed, shown(&mut board, later(10))),
            (AlertChange::Changed, vec!["u Failed stands".to_owned()])
        );
        board.stand(waits("a"), &mailbox, at(), later(11));
        assert_eq!(shown(&mut board, later(70)), ["u Failed stands"]);
    }

    #[test]
    fn an_alert_that_is_refused_is_sent_again_when_it_changes_or_after_an_hour() {
        let (mut board, start, mailbox) = (AlertBoard::default(), Instant::now(), Arc::default());
        let later = |seconds: u64| start + Duration::from_secs(seconds);
        board.stand(on(of("u", NewsKind::Failed, "a")), &mailbox, at(), start);
        let due = board.due(start, 1);
        board.put_off(&due, start);
        let known = board.stand(on(of("u", NewsKind::Failed, "a")), &mailbox, at(), later(1));
        assert_eq!((known, board.due(later(3600), 1).len()), (AlertChange::Known, 0));
        assert_eq!(board.due(later(3660), 1).len(), 1);
        let changed = board.stand(on(of("u", NewsKind::Failed, "b")), &mailbox, at(), later(2));
        assert_eq!((changed, board.due(later(2), 1).len()), (AlertChange::Changed, 1));
        // Nobody has heard of it.
        board.end("u", None, at(), later(3));
        let due = board.due(later(3), 1);
        board.put_off(&due, later(3));
        assert!(board.is_empty());
    }

    #[test]
    fn an_alert_is_late_when_nobody_has_accepted_it_for_minutes() {
        let (mut board, start, mailbox) = (AlertBoard::default(), Instant::now(), Arc::default());
        let later = |seconds: u64| start + Duration::from_secs(seconds);
        board.stand(on(of("u", NewsKind::Failed, "a")), &mailbox, at(), start);
        let new = board.due(start, 1);
        assert!(new[0].1.is_late(start));
        board.done(&new, start);
        let again = board.due(later(60), 1);
        assert!(!again[0].1.is_late(later(179)) && again[0].1.is_late(later(180)));
        board.renew(later(61));
        assert!(board.due(later(61), 1)[0].1.is_late(later(61)));
        assert!(board.stands(&new[0].1));
        board.end("u", None, at(), later(62));
        assert!(!board.stands(&new[0].1) && !board.due(later(62), 1)[0].1.is_late(later(900)));
    }

    #[test]
    fn alerts_of_releases_that_another_replica_has_are_not_ended_here() {
        let (mut board, start, mailbox) = (AlertBoard::default(), Instant::now(), Arc::default());
        board.stand(on(of("u", NewsKind::Failed, "a")), &mailbox, at(), start);
        drop(mailbox);
        assert_eq!(shown(&mut board, start), [""; 0]);
        assert_eq!(board.wakes_at(Duration::ZERO), None);
    }
}
