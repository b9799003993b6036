//! The model of what is real in a cluster: cores that serve one after another, and an API server that tells every
//! replica of a change.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::clock::Clock;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A person creates or changes a release.
    Release,
    /// The operator writes metadata of a release: its finalizer.
    Finalizer,
    /// It writes the status, or the owner in it.
    Status,
    /// A dry run of an object.
    DryRun,
    /// An object is applied.
    Apply,
    /// The inventory is written.
    Inventory,
    /// An event.
    Event,
    /// A read of one object.
    Read,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 8] = [
        Class::Release,
        Class::Finalizer,
        Class::Status,
        Class::DryRun,
        Class::Apply,
        Class::Inventory,
        Class::Event,
        Class::Read,
    ];

    /// Whether it changes a release, which every replica watches.
    pub fn is_of_a_release(self) -> bool {
        matches!(self, Class::Release | Class::Finalizer | Class::Status)
    }
}

/// What things cost, as time of one core.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    /// Of the API server and etcd, for a request of each class, in the order of [`Class::ALL`].
    pub requests: [Duration; Class::ALL.len()],
    /// What each of them costs more for each release that is applied already. The API server looks at all Services
    /// when it allocates the address of one, and its controllers at all of a namespace.
    pub growth: [Duration; Class::ALL.len()],
    /// Of the API server, for a change that it tells one watcher of.
    pub told: Duration,
    /// Of the API server and the replica, for one release of a list.
    pub listed: Duration,
    /// Of the operator, for a run that applies, its requests included.
    pub rollout: Duration,
    /// Of the operator, for a run that finds nothing changed.
    pub check: Duration,
    /// Of the operator, for a change of a release that another replica works on.
    pub seen: Duration,
    /// Of the registry, for a request.
    pub registry: Duration,
}

impl Costs {
    /// Of a request, when so many releases are applied.
    pub fn of(&self, class: Class, applied: usize) -> Duration {
        let at = Class::ALL.iter().position(|known| *known == class).unwrap_or_default();
        self.requests[at] + self.growth[at] * u32::try_from(applied).unwrap_or(u32::MAX)
    }
}

/// Some cores, and who waits for them: in turn.
#[derive(Clone)]
pub struct Cores {
    clock: Clock,
    free: Arc<Semaphore>,
    /// How long they have worked, together.
    worked: Rc<Cell<Duration>>,
}

impl Cores {
    /// So many.
    pub fn new(clock: &Clock, count: usize) -> Cores {
        Cores { clock: clock.clone(), free: Arc::new(Semaphore::new(count)), worked: Rc::default() }
    }

    /// Uses one for so long.
    pub async fn work(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let core = self.free.acquire().await.expect("it is never closed");
        self.clock.sleep(time).await;
        self.worked.set(self.worked.get() + time);
        drop(core);
    }

    /// How long they have worked, together.
    pub fn worked(&self) -> Duration {
        self.worked.get()
    }
}

/// The servers.
pub struct Servers {
    /// Where the API server and etcd run.
    pub cores: Cores,
    /// Where the registry runs.
    pub registry: Cores,
    /// What things cost.
    pub costs: Costs,
    /// How many replicas watch all releases.
    pub watchers: Cell<u32>,
}

impl Servers {
    /// On these cores.
    pub fn new(cores: Cores, registry: Cores, costs: Costs) -> Servers {
        Servers { cores, registry, costs, watchers: Cell::default() }
    }

    /// Answers a request when so many releases are applied. Its watchers hear of it later, which costs the server.
    pub async fn answer(&self, class: Class, applied: usize) {
        let told =
            if class.is_of_a_release() { self.costs.told * self.watchers.get() } else { Duration::ZERO };
        self.cores.work(self.costs.of(class, applied) + told).await;
    }
}
