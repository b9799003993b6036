//! The polling wait. It is the only one in a run, and holds no worker: the slot of the run is
//! released while it sleeps.

use std::time::Duration;

use tokio::time::Instant;

use crate::reconcile::scope::signals::Signals;
use crate::reconcile::scope::slot::WorkerSlot;

/// How often to poll, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct PollPace {
    /// The first pause. Each next one is twice as long.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// When the wait gives up.
    pub timeout: Duration,
}

/// What ends a wait before its time, or a pause of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Nothing ends it early.
    Never,
    /// The end of the process, or Ctrl-C.
    Stopped,
    /// The same, or a newer spec.
    Superseded,
    /// The same; and a change of an object ends the pause.
    Changed,
}

/// What follows a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Poll now.
    Look,
    /// The time is over.
    TimedOut,
    /// The wait was ended early.
    Ended,
}

/// A wait.
#[derive(Debug)]
pub struct Poll<'a> {
    signals: &'a Signals,
    slot: Option<&'a WorkerSlot>,
    until: Until,
    pause: Duration,
    longest: Duration,
    give_up: Instant,
}

impl<'a> Poll<'a> {
    /// Begins now.
    pub fn new(pace: PollPace, until: Until, signals: &'a Signals, slot: Option<&'a WorkerSlot>) -> Self {
        let PollPace { first, longest, timeout } = pace;
        Self { signals, slot, until, pause: first, longest, give_up: Instant::now() + timeout }
    }

    /// The length of the next pause.
    pub fn next_pause(&self) -> Duration {
        self.pause
    }

    /// Sleeps, unless the wait is over.
    pub async fn pause(&mut self) -> Tick {
        if self.is_ended() {
            return Tick::Ended;
        }
        if Instant::now() >= self.give_up {
            return Tick::TimedOut;
        }
        let slot = self.slot.filter(|slot| slot.is_taken());
        slot.inspect(|slot| slot.release());
        tokio::select! {
            () = self.woken() => {}
            () = tokio::time::sleep(self.pause) => self.pause = (self.pause * 2).min(self.longest),
        }
        if let Some(slot) = slot {
            slot.take().await;
        }
        if self.is_ended() { Tick::Ended } else { Tick::Look }
    }

    fn is_ended(&self) -> bool {
        match self.until {
            Until::Never => false,
            Until::Stopped => self.signals.is_stopping(),
            Until::Superseded | Until::Changed => self.signals.is_superseded(),
        }
    }

    async fn woken(&self) {
        match self.until {
            Until::Never => std::future::pending().await,
            Until::Stopped => self.signals.stopped().await,
            Until::Superseded => self.signals.superseded().await,
            Until::Changed => self.signals.changed().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::observe::metrics::Metrics;
    use crate::reconcile::scope::slot::WorkerPool;

    const PACE: PollPace =
        PollPace { first: Duration::ZERO, longest: Duration::ZERO, timeout: Duration::from_secs(3600) };

    #[tokio::test]
    async fn a_wait_ends_by_its_time_or_what_it_is_for() {
        let check = async |pace: PollPace, until: Until, signal: fn(&Signals), expected: Tick| {
            let signals = Signals::default();
            signal(&signals);
            assert_eq!(Poll::new(pace, until, &signals, None).pause().await, expected, "{until:?}");
        };
        let over = PollPace { timeout: Duration::ZERO, ..PACE };
        for until in [Until::Never, Until::Stopped, Until::Superseded, Until::Changed] {
            check(PACE, until, |_| {}, Tick::Look).await;
            check(over, until, |_| {}, Tick::TimedOut).await;
        }
        check(PACE, Until::Never, Signals::stop, Tick::Look).await;
        check(PACE, Until::Stopped, Signals::supersede, Tick::Look).await;
        check(PACE, Until::Stopped, Signals::stop, Tick::Ended).await;
        check(PACE, Until::Superseded, Signals::supersede, Tick::Ended).await;
        check(over, Until::Changed, Signals::stop, Tick::Ended).await;
    }

    #[tokio::test]
    async fn a_pause_lets_another_run_work() {
        let metrics = Arc::new(Metrics::new("1.2.3").unwrap());
        let pool = WorkerPool::new(1, &metrics);
        let (first, second) = (WorkerSlot::new(&pool), WorkerSlot::new(&pool));
        first.take().await;
        let signals = Signals::default();
        let mut poll = Poll::new(PACE, Until::Never, &signals, Some(&first));
        let (tick, ()) = tokio::join!(poll.pause(), async {
            second.take().await;
            second.release();
        });
        assert_eq!(tick, Tick::Look);
        assert!(first.is_taken(), "it goes on with its own slot");
        first.release();
        poll.pause().await;
        assert!(!first.is_taken(), "what was free stays free");
    }
}
