//! One Alertmanager: its board, and what is sent of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::board::{AGAIN, AlertBoard, AlertChange, StandingAlert};
use super::due::{BoardLine, DueAlerts};
use super::frame::{Frame, NewsLine, serve};
use super::mailbox::Mailbox;
use crate::domain::notify::format::{NewsRequest, alert_request};
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

    /// This is true of a release now. It is sent once it was true for so long.
    pub fn stand(&self, news: (News, Duration), mailbox: &Arc<Mailbox>) {
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

impl BoardLine for AlertLine {
    fn with<T>(&self, change: impl FnOnce(&mut AlertBoard) -> T) -> T {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut board);
        self.frame.waiting(board.oldest());
        changed
    }

    // The administrator has named it.
    fn tell(&self, _: &StandingAlert, _: Option<&str>) {}
}

impl NewsLine for AlertLine {
    type Sent<'l> = DueAlerts<'l, Self>;

    const LONGEST_PAUSE: Duration = AGAIN;

    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn wakes_at(&self, group: Duration) -> Option<Instant> {
        self.with(|board| board.wakes_at(group))
    }

    fn take<'l>(&'l self, _: &'l NewsReceiver, most: usize) -> Option<DueAlerts<'l, Self>> {
        DueAlerts::from(self, most)
    }

    fn request(receiver: &NewsReceiver, due: &DueAlerts<'_, Self>) -> NewsRequest {
        alert_request(receiver, &due.alerts(), Timestamp::now())
    }

    // Its alerts end by themselves.
    fn clear_all(&self) {
        self.with(|board| *board = AlertBoard::default());
    }
}
