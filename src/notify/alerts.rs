//! One Alertmanager: its board, and what is sent of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::attempts::Batch;
use super::board::{AlertBoard, AlertChange, AlertKey, StandingAlert};
use super::frame::{Frame, NewsLine, serve};
use super::mailbox::Mailbox;
use crate::domain::notify::format::{Alert, NewsRequest, alert_request};
use crate::domain::notify::news::News;
use crate::domain::notify::receiver::NewsReceiver;
use crate::observe::labels::NewsResult;
use crate::observe::metrics::Metrics;

/// An Alertmanager.
pub struct AlertLine {
    frame: Frame,
    board: Mutex<AlertBoard>,
}

impl AlertLine {
    /// Starts to send to it.
    pub fn start(receiver: NewsReceiver, metrics: &Arc<Metrics>) -> Arc<Self> {
        let line = Arc::new(Self { frame: Frame::new(receiver, metrics), board: Mutex::default() });
        tokio::spawn(serve(Arc::clone(&line)));
        line
    }

    fn with<T>(&self, change: impl FnOnce(&mut AlertBoard) -> T) -> T {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut board);
        self.frame.waiting(board.oldest());
        changed
    }

    /// This is true of a release now.
    pub fn stand(&self, news: News, mailbox: &Arc<Mailbox>) {
        let (at, now) = (Timestamp::now(), Instant::now());
        match self.with(|board| board.stand(news, mailbox, at, now)) {
            AlertChange::NoPlace => self.frame.count(NewsResult::Dropped, 1),
            AlertChange::Changed => self.frame.wake(),
            AlertChange::Known => {}
        }
    }

    /// No alert of the release is true any more.
    pub fn clear(&self, uid: &str) {
        if self.with(|board| board.end(uid, None, Timestamp::now(), Instant::now())) {
            self.frame.wake();
        }
    }
}

impl NewsLine for AlertLine {
    type Sent<'l> = DueAlerts<'l>;

    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn wakes_at(&self, group: Duration) -> Option<Instant> {
        self.with(|board| board.wakes_at(group))
    }

    fn take<'l>(&'l self, _: &'l NewsReceiver, most: usize) -> Option<DueAlerts<'l>> {
        let alerts = self.with(|board| board.due(Instant::now(), most));
        (!alerts.is_empty()).then_some(DueAlerts { line: self, alerts })
    }

    fn request(receiver: &NewsReceiver, due: &DueAlerts<'_>) -> NewsRequest {
        let alerts: Vec<Alert<'_>> =
            due.alerts.iter().map(|(_, alert)| Alert { news: &alert.news, ended: alert.ended }).collect();
        alert_request(receiver, &alerts, Timestamp::now())
    }

    // Its alerts end by themselves.
    fn clear_all(&self) {
        self.with(|board| *board = AlertBoard::default());
    }
}

/// Alerts that are being sent. They stay on the board meanwhile.
pub struct DueAlerts<'l> {
    line: &'l AlertLine,
    alerts: Vec<(AlertKey, StandingAlert)>,
}

impl Batch for DueAlerts<'_> {
    fn count(&self) -> usize {
        self.alerts.len()
    }

    fn delivered(self) -> usize {
        self.line.with(|board| board.done(&self.alerts, Instant::now()))
    }

    fn refused(self, _: &str) -> Vec<Arc<News>> {
        self.line.with(|board| board.forget(&self.alerts));
        self.alerts.into_iter().map(|(_, alert)| alert.news).collect()
    }

    fn delayed(self, _: &str) {}
}
