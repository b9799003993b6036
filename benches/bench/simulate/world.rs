//! Releases and the replicas that work on them. What a replica decides is decided by the code of the operator: whose a
//! release is, how many runs work at once, which request is next, and when a release is checked again.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use supercargo::api::status::OwnerStatus;
use supercargo::domain::replicas::{Duty, Replica, ReplicaState, Replicas, ShardKey, duty};
use supercargo::domain::schedule::{Ended, RunIntervals, next};
use supercargo::fair::Gate;
use supercargo::observe::metrics::Metrics;
use supercargo::reconcile::scope::slot::{WorkerPool, WorkerSlot};

use super::clock::Clock;
use super::site::{Class, Cores, Servers};

/// Runs at once, as the operator has them by default.
const CONCURRENCY: usize = 16;
/// Requests at once, as the operator has them.
const IN_FLIGHT: u64 = 48;
/// How many requests of the person who creates releases are in progress.
const CREATORS: usize = 16;
/// The objects of a release.
const OBJECTS: usize = 3;
/// The interval of all releases.
pub const INTERVAL: Duration = Duration::from_secs(600);

/// A release.
pub struct Release {
    namespace: String,
    key: ShardKey,
    owner: RefCell<Option<OwnerStatus>>,
    /// Whether its revision is applied.
    is_applied: Cell<bool>,
    /// The holder that has begun to work on it last.
    worked_by: RefCell<Option<String>>,
}

/// A replica.
pub struct Worker {
    name: Replica,
    cores: Cores,
    pool: WorkerPool,
    gate: Arc<Gate>,
    is_leader: Cell<bool>,
    is_alive: Cell<bool>,
    /// What changes of releases of others have cost, and is not worked off yet.
    owed: Cell<Duration>,
    /// The releases that are about to get another owner.
    moving: RefCell<HashSet<usize>>,
}

/// All of it.
pub struct World {
    /// The time.
    pub clock: Clock,
    /// The servers.
    pub servers: Servers,
    /// The replicas that have ever been there.
    pub workers: RefCell<Vec<Rc<Worker>>>,
    /// Those that share the releases.
    members: RefCell<Replicas>,
    /// The releases.
    pub releases: Vec<Release>,
    /// How many are applied.
    pub applied: Cell<usize>,
    /// How many have been confirmed by the replica that they belong to.
    pub confirmed: Cell<usize>,
    random: RefCell<fastrand::Rng>,
}

impl Worker {
    fn state(&self) -> ReplicaState {
        let holder = Some(self.name.holder.clone());
        ReplicaState { holder, leads: self.is_leader.get(), is_settled: true }
    }

    /// How long its cores have worked.
    pub fn worked(&self) -> Duration {
        self.cores.worked()
    }

    async fn work(&self, time: Duration) {
        self.cores.work(time + self.owed.take()).await;
    }
}

impl World {
    /// So many releases in so many namespaces, none of them created yet.
    pub fn new(clock: &Clock, servers: Servers, releases: usize, namespaces: usize) -> Rc<World> {
        let release = |n: usize| {
            let namespace = format!("team-{}", n % namespaces);
            Release {
                key: ShardKey::of(&namespace, &format!("app-{n}"), None),
                namespace,
                owner: RefCell::default(),
                is_applied: Cell::default(),
                worked_by: RefCell::default(),
            }
        };
        Rc::new(World {
            clock: clock.clone(),
            servers,
            workers: RefCell::default(),
            members: RefCell::default(),
            releases: (0..releases).map(release).collect(),
            applied: Cell::default(),
            confirmed: Cell::default(),
            random: RefCell::new(fastrand::Rng::with_seed(1)),
        })
    }

    /// A replica starts, on these cores. The first one leads.
    pub fn join(&self, cores: Cores) -> Rc<Worker> {
        let count = self.workers.borrow().len();
        let name = Replica { name: format!("supercargo-{count}"), holder: format!("supercargo-{count}_1") };
        let metrics = Arc::new(Metrics::new("0").expect("metrics"));
        let worker = Rc::new(Worker {
            name,
            cores,
            pool: WorkerPool::new(CONCURRENCY, &metrics),
            gate: Gate::new(IN_FLIGHT),
            is_leader: Cell::new(count == 0),
            is_alive: Cell::new(true),
            owed: Cell::default(),
            moving: RefCell::default(),
        });
        self.workers.borrow_mut().push(Rc::clone(&worker));
        self.know();
        worker
    }

    /// All replicas know which ones there are.
    fn know(&self) {
        let workers = self.workers.borrow();
        let alive = workers.iter().filter(|worker| worker.is_alive.get());
        let members = Replicas::new(alive.clone().map(|worker| worker.name.clone()));
        self.servers.watchers.set(u32::try_from(members.len()).unwrap_or(u32::MAX));
        self.members.replace(members);
        if !alive.clone().any(|worker| worker.is_leader.get())
            && let Some(first) = alive.clone().next()
        {
            first.is_leader.set(true);
        }
    }

    /// All releases are applied, by the replicas that they belong to.
    pub fn have_run(&self) {
        let members = self.members.borrow();
        for release in &self.releases {
            release.is_applied.set(true);
            if let Some(home) = members.home(release.key) {
                release.owner.replace(Some(OwnerStatus { holder: home.holder.clone(), term: 1 }));
            }
        }
        self.applied.set(self.releases.len());
    }

    /// How many releases a replica works on.
    pub fn releases_of(&self, worker: &Worker) -> usize {
        let is_its = |release: &&Release| release.worked_by.borrow().as_deref() == Some(&*worker.name.holder);
        self.releases.iter().filter(is_its).count()
    }

    /// All releases are created, by a person who sends some requests at a time.
    pub fn create(self: &Rc<Self>) {
        let queue = Rc::new(Cell::new(0));
        for _ in 0..CREATORS {
            let (world, queue) = (Rc::clone(self), Rc::clone(&queue));
            self.clock.spawn(async move {
                loop {
                    let n = queue.replace(queue.get() + 1);
                    if n >= world.releases.len() {
                        return;
                    }
                    world.servers.answer(Class::Release, world.applied.get()).await;
                    world.changed(n, None);
                }
            });
        }
    }

    /// A replica is killed. The others know that when its lease has run out.
    pub fn kill(self: &Rc<Self>, worker: &Rc<Worker>, lease: Duration) {
        worker.is_alive.set(false);
        let world = Rc::clone(self);
        self.clock.spawn(async move {
            world.clock.sleep(lease).await;
            // Each of the others decides about all of its releases.
            world.know();
            for n in 0..world.releases.len() {
                world.decide_all(n);
            }
        });
    }

    /// Every replica lists all releases, and works on its own.
    pub fn list(self: &Rc<Self>) {
        for worker in self.workers.borrow().iter() {
            let (world, worker) = (Rc::clone(self), Rc::clone(worker));
            self.clock.spawn(async move {
                const PAGE: usize = 500;
                for begin in (0..world.releases.len()).step_by(PAGE) {
                    let end = world.releases.len().min(begin + PAGE);
                    let count = u32::try_from(end - begin).unwrap_or(u32::MAX);
                    world.servers.cores.work(world.servers.costs.listed * count).await;
                    worker.work(world.servers.costs.seen * count).await;
                    for n in begin..end {
                        world.decide(&worker, n);
                    }
                }
            });
        }
    }

    /// A release has changed: every replica looks at it. The one that has changed it knows already.
    fn changed(self: &Rc<Self>, n: usize, by: Option<&Rc<Worker>>) {
        for worker in self.workers.borrow().iter().filter(|worker| worker.is_alive.get()) {
            worker.owed.set(worker.owed.get() + self.servers.costs.seen);
            if by.is_none_or(|by| !Rc::ptr_eq(by, worker)) {
                self.decide(worker, n);
            }
        }
    }

    fn decide_all(self: &Rc<Self>, n: usize) {
        for worker in self.workers.borrow().iter().filter(|worker| worker.is_alive.get()) {
            self.decide(worker, n);
        }
    }

    fn decide(self: &Rc<Self>, worker: &Rc<Worker>, n: usize) {
        let Some(release) = self.releases.get(n) else { return };
        if worker.moving.borrow().contains(&n) {
            return;
        }
        let has_begun = release.worked_by.borrow().as_deref() == Some(worker.name.holder.as_str());
        let found = {
            let (owner, members) = (release.owner.borrow(), self.members.borrow());
            let workers = self.workers.borrow();
            let is_alive = |holder: &str| {
                workers.iter().any(|worker| worker.name.holder == holder && worker.is_alive.get())
            };
            duty(owner.as_ref(), release.key, has_begun, &worker.state(), &members, is_alive)
        };
        match found {
            Duty::Work if !has_begun => {
                release.worked_by.replace(Some(worker.name.holder.clone()));
                self.clock.spawn(live(Rc::clone(self), Rc::clone(worker), n));
            }
            Duty::HandOver(to) => self.give(worker, n, to),
            Duty::Take => self.give(worker, n, worker.name.clone()),
            Duty::Work | Duty::Leave => {}
        }
    }

    fn give(self: &Rc<Self>, worker: &Rc<Worker>, n: usize, to: Replica) {
        worker.moving.borrow_mut().insert(n);
        self.clock.spawn(move_to(Rc::clone(self), Rc::clone(worker), n, to));
    }

    async fn request(&self, worker: &Worker, namespace: &str, class: Class) {
        let share = worker.gate.enter(namespace, 1).await;
        self.servers.answer(class, self.applied.get()).await;
        drop(share);
    }

    async fn many(&self, worker: &Worker, namespace: &str, class: Class) {
        join_all((0..OBJECTS).map(|_| self.request(worker, namespace, class))).await;
    }
}

/// A release gets another owner.
async fn move_to(world: Rc<World>, worker: Rc<Worker>, n: usize, to: Replica) {
    let Some(release) = world.releases.get(n) else { return };
    world.request(&worker, &release.namespace, Class::Status).await;
    let term = release.owner.borrow().as_ref().map_or(0, |owner| owner.term) + 1;
    release.owner.replace(Some(OwnerStatus { holder: to.holder, term }));
    worker.moving.borrow_mut().remove(&n);
    world.changed(n, None);
}

/// The runs of a release on a replica, until that is killed.
async fn live(world: Rc<World>, worker: Rc<Worker>, n: usize) {
    let Some(release) = world.releases.get(n) else { return };
    let costs = &world.servers.costs;
    let mut is_first = true;
    loop {
        {
            let place = worker.pool.begin(&release.namespace).await;
            let slot = WorkerSlot::new(&worker.pool).with_place(Some(place));
            slot.take().await;
            match release.is_applied.get() {
                false => roll_out(&world, &worker, release, n).await,
                true => {
                    if is_first {
                        // The inventory.
                        world.request(&worker, &release.namespace, Class::Read).await;
                    }
                    world.servers.registry.work(costs.registry).await;
                    worker.work(costs.check).await;
                }
            }
        }
        if !worker.is_alive.get() {
            return;
        }
        if std::mem::take(&mut is_first) {
            world.confirmed.set(world.confirmed.get() + 1);
        }
        let pace = RunIntervals { interval: INTERVAL, retry_interval: INTERVAL };
        let fraction = world.random.borrow_mut().f64();
        world.clock.sleep(next(Ended::Well, pace, fraction).unwrap_or(INTERVAL)).await;
        if !worker.is_alive.get() {
            return;
        }
    }
}

async fn roll_out(world: &Rc<World>, worker: &Rc<Worker>, release: &Release, n: usize) {
    let (costs, namespace) = (&world.servers.costs, release.namespace.as_str());
    world.request(worker, namespace, Class::Finalizer).await;
    world.changed(n, Some(worker));
    // HEAD, manifest and layer.
    for _ in 0..3 {
        world.servers.registry.work(costs.registry).await;
    }
    worker.work(costs.rollout / 2).await;
    for _ in 0..2 {
        world.request(worker, namespace, Class::Read).await;
    }
    world.many(worker, namespace, Class::DryRun).await;
    world.request(worker, namespace, Class::Inventory).await;
    world.many(worker, namespace, Class::Apply).await;
    worker.work(costs.rollout / 2).await;
    world.request(worker, namespace, Class::Inventory).await;
    world.request(worker, namespace, Class::Status).await;
    if !worker.is_alive.get() {
        return;
    }
    world.changed(n, Some(worker));
    release.is_applied.set(true);
    world.applied.set(world.applied.get() + 1);
    let (world, worker, namespace) = (Rc::clone(world), Rc::clone(worker), namespace.to_owned());
    world.clock.clone().spawn(async move {
        world.request(&worker, &namespace, Class::Event).await;
    });
}
