//! A clock that a simulation sets: it goes on to the next sleeper when nobody has anything left to do.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::executor::{LocalPool, LocalSpawner};
use futures::task::LocalSpawnExt;

/// The time, and who sleeps; clones share it.
#[derive(Clone)]
pub struct Clock {
    state: Rc<State>,
    spawner: LocalSpawner,
}

#[derive(Default)]
struct State {
    now: Cell<Duration>,
    came: Cell<u64>,
    sleepers: RefCell<BinaryHeap<Reverse<Sleeper>>>,
}

struct Sleeper {
    at: Duration,
    came: u64,
    waker: Waker,
}

impl Sleeper {
    fn rank(&self) -> (Duration, u64) {
        (self.at, self.came)
    }
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Sleeper {}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl Clock {
    /// At zero, for the tasks of a pool.
    pub fn new(pool: &LocalPool) -> Clock {
        Clock { state: Rc::default(), spawner: pool.spawner() }
    }

    /// The time since the simulation began.
    pub fn now(&self) -> Duration {
        self.state.now.get()
    }

    /// Sleeps so long.
    pub fn sleep(&self, time: Duration) -> Sleep {
        Sleep { clock: self.clone(), at: self.now() + time }
    }

    /// Starts a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.spawner.spawn_local(task).expect("the pool is there");
    }

    /// Lets all tasks go on until it is `done`, or until all of them wait for something that does not come.
    pub fn run(&self, pool: &mut LocalPool, done: impl Fn() -> bool) {
        loop {
            pool.run_until_stalled();
            if done() {
                return;
            }
            let Some(Reverse(first)) = self.state.sleepers.borrow_mut().pop() else { return };
            self.state.now.set(first.at.max(self.now()));
            first.waker.wake();
        }
    }
}

/// Until a time.
pub struct Sleep {
    clock: Clock,
    at: Duration,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let state = &self.clock.state;
        if state.now.get() >= self.at {
            return Poll::Ready(());
        }
        let came = state.came.get();
        state.came.set(came + 1);
        let waker = context.waker().clone();
        state.sleepers.borrow_mut().push(Reverse(Sleeper { at: self.at, came, waker }));
        Poll::Pending
    }
}
