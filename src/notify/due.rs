//! Alerts from a board that are being sent.

use std::sync::Arc;
use std::time::Instant;

use super::attempts::Batch;
use super::board::{AlertBoard, AlertKey, StandingAlert};
use crate::domain::notify::format::Alert;
use crate::domain::notify::news::News;

/// A line with a board.
pub trait BoardLine {
    /// Changes the board.
    fn with<T>(&self, change: impl FnOnce(&mut AlertBoard) -> T) -> T;

    /// The releases that have named the receiver hear of a problem of what stands, or that there is none.
    fn tell(&self, alert: &StandingAlert, problem: Option<&str>);
}

/// Alerts that are being sent. They stay on the board meanwhile.
pub struct DueAlerts<'l, L: BoardLine> {
    line: &'l L,
    alerts: Vec<(AlertKey, StandingAlert)>,
}

impl<'l, L: BoardLine> DueAlerts<'l, L> {
    /// Takes what is to be sent now: at most so many. `None` when nothing is.
    pub fn from(line: &'l L, most: usize) -> Option<Self> {
        let alerts = line.with(|board| board.due(Instant::now(), most));
        (!alerts.is_empty()).then_some(Self { line, alerts })
    }

    /// What they say.
    pub fn alerts(&self) -> Vec<Alert<'_>> {
        self.alerts.iter().map(|(_, alert)| Alert { news: &alert.news, ended: alert.ended }).collect()
    }

    fn tell(&self, problem: Option<&str>, concerns: impl Fn(&StandingAlert) -> bool) {
        let said = self.alerts.iter().filter(|(_, alert)| concerns(alert));
        said.for_each(|(_, alert)| self.line.tell(alert, problem));
    }
}

impl<L: BoardLine> Batch for DueAlerts<'_, L> {
    fn count(&self) -> usize {
        self.alerts.len()
    }

    fn delivered(self) -> usize {
        self.tell(None, |_| true);
        self.line.with(|board| board.done(&self.alerts, Instant::now()))
    }

    fn refused(self, problem: &str) -> Vec<Arc<News>> {
        self.tell(Some(&format!("{problem}; it is sent again in an hour")), |alert| alert.ended.is_none());
        self.line.with(|board| board.put_off(&self.alerts, Instant::now()));
        self.alerts.into_iter().map(|(_, alert)| alert.news).collect()
    }

    fn delayed(self, problem: &str) {
        // One repetition that fails is no problem: the alert stands for minutes.
        self.tell(Some(problem), |alert| alert.is_late(Instant::now()));
    }
}
