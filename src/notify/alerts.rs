//! One Alertmanager: its board, and the task that keeps it up to date.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::board::AlertBoard;
use super::client::{NewsClient, Sent};
use super::frame::{Frame, NewsLine, serve};
use super::mailbox::Mailbox;
use super::trouble::Trouble;
use crate::domain::notify::format::{Alert, alert_request};
use crate::domain::notify::news::News;
use crate::domain::notify::receiver::NewsReceiver;
use crate::domain::notify::reply::NewsFate;
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
        if self.with(|board| board.stand(news, mailbox, at, now)) {
            self.frame.count(NewsResult::Dropped, 1);
        }
        self.frame.wake();
    }

    /// No alert of the release is true any more.
    pub fn clear(&self, uid: &str) {
        self.with(|board| board.end(uid, None, Timestamp::now(), Instant::now()));
        self.frame.wake();
    }
}

impl NewsLine for AlertLine {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    // Its alerts end by themselves.
    fn clear_all(&self) {
        self.with(|board| *board = AlertBoard::default());
    }

    async fn send(&self, receiver: &NewsReceiver) {
        let Some(client) = NewsClient::of(receiver) else { return std::future::pending().await };
        let between = Duration::from_secs(60) / receiver.per_minute.max(1);
        let (mut trouble, mut most) = (Trouble::default(), receiver.kind.most(receiver.batch));
        loop {
            self.frame.gathered(|| self.with(|board| board.wakes_at(receiver.group))).await;
            let due = self.with(|board| board.due(Instant::now(), most));
            if due.is_empty() {
                continue;
            }
            let alerts: Vec<Alert<'_>> =
                due.iter().map(|(_, alert)| Alert { news: &alert.news, ended: alert.ended }).collect();
            let request = alert_request(receiver, &alerts, Timestamp::now());
            let Sent { fate, problem, .. } = client.send(request).await;
            match fate {
                NewsFate::Delivered => {
                    trouble.over(&receiver.name);
                    most = receiver.kind.most(receiver.batch);
                    let news = self.with(|board| board.done(&due, Instant::now()));
                    self.frame.count(NewsResult::Delivered, news);
                }
                NewsFate::Refused if due.len() > 1 => {
                    // One of them is the reason; the others are delivered without it.
                    most = due.len() / 2;
                    self.frame.count(NewsResult::Retried, due.len());
                }
                NewsFate::Refused => {
                    self.with(|board| board.forget(&due));
                    self.frame.count(NewsResult::Refused, due.len());
                    for (_, alert) in &due {
                        trouble.refused(&receiver.name, &alert.news, &problem);
                    }
                }
                NewsFate::Later(asked) => {
                    self.frame.count(NewsResult::Retried, due.len());
                    tokio::time::sleep(trouble.pause(&receiver.name, asked, &problem)).await;
                }
            }
            tokio::time::sleep(between).await;
        }
    }
}
