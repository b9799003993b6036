//! The alerts that stand for one Alertmanager. It does not remember over restarts, and neither does
//! Alertmanager: what stands is sent again and again, and what has ended until it was accepted.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::mailbox::Mailbox;
use crate::domain::notify::news::News;
use crate::domain::notify::situation::NewsKind;

/// How often an alert that stands is sent again.
const AGAIN: Duration = Duration::from_secs(60);
/// The most alerts.
const MAX_ALERTS: usize = 20_000;

/// An alert.
#[derive(Clone, Debug)]
pub struct StandingAlert {
    /// What it says.
    pub news: Arc<News>,
    /// When it ended, if it has.
    pub ended: Option<Timestamp>,
    /// Of whom.
    mailbox: Weak<Mailbox>,
    /// Since when Alertmanager does not know of the last change, if it does not.
    changed: Option<Instant>,
    sent: Option<Instant>,
    version: u64,
}

/// Of which release, and what.
pub type AlertKey = (String, NewsKind);

/// The alerts, by release and outcome.
#[derive(Debug, Default)]
pub struct AlertBoard {
    version: u64,
    alerts: BTreeMap<AlertKey, StandingAlert>,
}

impl AlertBoard {
    /// This is true of a release now, and no other alert is. Returns whether there was no place for it.
    pub fn stand(&mut self, news: News, mailbox: &Arc<Mailbox>, at: Timestamp, now: Instant) -> bool {
        let key = (news.uid.clone(), news.kind);
        self.end(&news.uid, Some(news.kind), at, now);
        let known = self.alerts.get(&key);
        let is_known = known.is_some_and(|known| known.ended.is_none());
        if let Some(known) = known.filter(|known| {
            is_known && known.news.reason == news.reason && known.news.message == news.message
        }) {
            // Another actor of the same release.
            let mailbox = Arc::downgrade(mailbox);
            let alert = StandingAlert { mailbox, ..known.clone() };
            self.alerts.insert(key, alert);
            return false;
        }
        if known.is_none() && self.alerts.len() >= MAX_ALERTS {
            return true;
        }
        // Alertmanager gets new words with the next repetition; only a new alert is urgent.
        let (changed, sent) = match known.filter(|_| is_known) {
            Some(known) => (known.changed, known.sent),
            None => (Some(now), None),
        };
        self.version += 1;
        let (mailbox, version) = (Arc::downgrade(mailbox), self.version);
        let alert = StandingAlert { news: Arc::new(news), ended: None, mailbox, changed, sent, version };
        self.alerts.insert(key, alert);
        false
    }

    /// No alert of the release is true any more, but for `except`.
    pub fn end(&mut self, uid: &str, except: Option<NewsKind>, at: Timestamp, now: Instant) {
        for kind in NewsKind::ALL.into_iter().filter(|kind| Some(*kind) != except) {
            if let Some(alert) = self.alerts.get_mut(&(uid.to_owned(), kind)).filter(|a| a.ended.is_none()) {
                self.version += 1;
                alert.version = self.version;
                (alert.ended, alert.changed) = (Some(at), alert.changed.or(Some(now)));
            }
        }
    }

    /// When the next alerts are to be sent; `None` when there are none.
    pub fn wakes_at(&self, group: Duration) -> Option<Instant> {
        self.alerts.values().map(|alert| alert.due(group)).min()
    }

    /// Those that are to be sent now. Those of releases that another replica has, or nobody, are forgotten:
    /// they end by themselves if nobody sends them.
    pub fn due(&mut self, now: Instant, most: usize) -> Vec<(AlertKey, StandingAlert)> {
        self.alerts.retain(|_, alert| alert.ended.is_some() || alert.mailbox.strong_count() > 0);
        let due = self.alerts.iter().filter(|(_, alert)| alert.due(Duration::ZERO) <= now);
        due.take(most).map(|(key, alert)| (key.clone(), alert.clone())).collect()
    }

    /// These were accepted, or will never be. Returns how many of them were news.
    pub fn done(&mut self, sent: &[(AlertKey, StandingAlert)], now: Instant) -> usize {
        let mut news = 0;
        for (key, sent) in sent {
            news += usize::from(sent.changed.is_some());
            match self.alerts.get_mut(key) {
                Some(alert) if alert.version != sent.version => {}
                Some(alert) if alert.ended.is_none() => (alert.changed, alert.sent) = (None, Some(now)),
                Some(_) => drop(self.alerts.remove(key)),
                None => {}
            }
        }
        news
    }

    /// These are refused: they are not sent again before they change.
    pub fn forget(&mut self, sent: &[(AlertKey, StandingAlert)]) {
        self.alerts
            .retain(|key, alert| !sent.iter().any(|(k, sent)| k == key && sent.version == alert.version));
    }

    /// Since when Alertmanager does not know of something.
    pub fn oldest(&self) -> Option<Instant> {
        self.alerts.values().filter_map(|alert| alert.changed).min()
    }
}

impl StandingAlert {
    fn due(&self, group: Duration) -> Instant {
        let changed = self.changed.map(|at| at + group);
        let again = self.sent.map(|at| at + AGAIN);
        changed.into_iter().chain(again).min().unwrap_or_else(Instant::now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notify::news::tests::news;

    fn at() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
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
        assert!(!board.stand(of("u", NewsKind::Failed, "a"), &mailbox, at(), start));
        assert_eq!(board.wakes_at(Duration::from_secs(5)), Some(later(5)));
        assert_eq!(shown(&mut board, start), ["u Failed stands"]);
        // A retry is no news, and neither are other words.
        board.stand(of("u", NewsKind::Failed, "a"), &mailbox, at(), later(1));
        board.stand(of("u", NewsKind::Failed, "b"), &mailbox, at(), later(1));
        assert_eq!((shown(&mut board, later(59)).len(), board.oldest()), (0, None));
        assert_eq!(shown(&mut board, later(60)), ["u Failed stands"]);
        // Another outcome ends it.
        board.stand(of("u", NewsKind::RolledBack, "c"), &mailbox, at(), later(61));
        assert_eq!(shown(&mut board, later(61)), ["u Failed ended", "u RolledBack stands"]);
        board.end("u", None, at(), later(62));
        assert_eq!(board.oldest(), Some(later(62)));
        assert_eq!(shown(&mut board, later(62)), ["u RolledBack ended"]);
        assert_eq!((board.wakes_at(Duration::ZERO), board.alerts.len()), (None, 0));
        board.end("u", None, at(), later(63));
        assert_eq!(board.alerts.len(), 0);
    }

    #[test]
    fn what_changes_while_it_is_sent_is_sent_again() {
        let (mut board, start, mailbox) = (AlertBoard::default(), Instant::now(), Arc::default());
        board.stand(of("u", NewsKind::Failed, "a"), &mailbox, at(), start);
        let sending = board.due(start, 100);
        board.end("u", None, at(), start);
        assert_eq!(board.done(&sending, start), 1);
        assert_eq!(shown(&mut board, start), ["u Failed ended"]);
        // It is back before its end was accepted.
        board.stand(of("u", NewsKind::Failed, "a"), &mailbox, at(), start);
        board.end("u", None, at(), start);
        board.stand(of("u", NewsKind::Failed, "a"), &mailbox, at(), start);
        assert_eq!(shown(&mut board, start), ["u Failed stands"]);
    }

    #[test]
    fn alerts_of_releases_that_another_replica_has_are_not_ended_here() {
        let (mut board, start, mailbox) = (AlertBoard::default(), Instant::now(), Arc::default());
        board.stand(of("u", NewsKind::Failed, "a"), &mailbox, at(), start);
        drop(mailbox);
        assert_eq!(shown(&mut board, start), [""; 0]);
        assert_eq!(board.wakes_at(Duration::ZERO), None);
    }
}
