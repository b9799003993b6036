//! More releases and replicas than fit on this machine, by simulation: the decisions are those of the operator, the
//! clock and the servers are a model. Its costs are measured here, and its error is the difference to the rows that
//! were measured.

mod clock;
mod site;
mod world;

use std::rc::Rc;
use std::time::Duration;

use futures::executor::LocalPool;
use supercargo::domain::replicas::LeaseTimes;

use self::clock::Clock;
pub use self::site::{Class, Costs};
use self::site::{Cores, Servers};
use self::world::{INTERVAL, World};
use super::table::{Row, Table};

/// Where everything runs.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The releases.
    pub releases: usize,
    /// Their namespaces.
    pub namespaces: usize,
    /// The replicas.
    pub replicas: usize,
    /// The cores of the API server and etcd. Absent: everything shares two.
    pub cores: Option<usize>,
}

/// What the model says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prediction {
    /// From the first request of the person who creates the releases until all are Ready.
    pub created: Duration,
    /// What a replica uses of a core at rest.
    pub rest: f64,
    /// From the start of all replicas until all releases are confirmed.
    pub restarted: Duration,
    /// From the death of a replica until its releases are confirmed by others; none for a replica alone.
    pub failover: Option<Duration>,
    /// The releases of that replica.
    pub orphans: usize,
}

/// What was measured, for the model to be compared with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// The releases.
    pub releases: usize,
    /// From the first request of the person who creates the releases until all are Ready.
    pub created: Duration,
    /// From the start of the operator until all are confirmed.
    pub restarted: Duration,
    /// The processor time of the operator for each release that it has created.
    pub rollout: Duration,
    /// The same for each that it has confirmed.
    pub check: Duration,
    /// The memory at rest.
    pub memory: MeasuredMemory,
}

/// What was resident at rest, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeasuredMemory {
    /// Of one replica with all of them.
    pub alone: u64,
    /// Of each of two that share them.
    pub shared: u64,
}

/// What a replica has resident at rest, in KiB: it knows all releases, and works on some. What it takes before is more than
/// what a replica without releases takes: connections, and what the allocator keeps of the first runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryModel {
    base: f64,
    known: f64,
    worked: f64,
}

impl MemoryModel {
    /// From one replica with all releases of each run, and from the two that share those of the large one. Those that share
    /// the small one are left, for the error.
    pub fn fit(small: &Measured, large: &Measured) -> Self {
        let [few, many] = [small.releases, large.releases].map(count);
        let [alone_few, alone, shared] =
            [small.memory.alone, large.memory.alone, large.memory.shared].map(kib);
        let each = (alone - alone_few) / (many - few);
        let worked = 2.0 * (alone - shared) / many;
        Self { base: alone - many * each, worked, known: each - worked }
    }

    /// Of the largest share.
    pub fn of(&self, releases: usize, replicas: usize) -> f64 {
        self.base + self.known * count(releases) + self.worked * count(releases.div_ceil(replicas))
    }
}

/// Exact up to 2^32.
fn kib(of: u64) -> f64 {
    f64::from(u32::try_from(of).unwrap_or(u32::MAX))
}

/// The costs, as far as they were measured for themselves. One is left: what the registry takes, and everything that
/// the model does not know. It is chosen so that the model says of the small run what was measured.
pub fn fit(mut costs: Costs, small: &Measured) -> Costs {
    (costs.rollout, costs.check) = (small.rollout, small.check);
    let (mut low, mut high) = (Duration::ZERO, Duration::from_millis(50));
    for _ in 0..12 {
        costs.registry = (low + high) / 2;
        match predict(Plan::here(small.releases), &costs).created < small.created {
            true => low = costs.registry,
            false => high = costs.registry,
        }
    }
    costs
}

/// Adds the rows of the model: its error for a large run that was measured, and what does not fit here.
pub fn report(table: &mut Table, costs: &Costs, (small, large): (&Measured, &Measured)) {
    let memory = MemoryModel::fit(small, large);
    let found = predict(Plan::here(large.releases), costs);
    let error = |what: &str, model: Duration, measured: Duration| Row {
        work: format!("model: {} releases, {what}", large.releases),
        wall: Some(model),
        note: format!("measured {:.1} s: {:+.0} %", measured.as_secs_f64(), percent(model, measured)),
        ..Row::default()
    };
    table.add(error("created → all Ready", found.created, large.created));
    table.add(error("restart → all confirmed", found.restarted, large.restarted));
    let (resident, shared) = (memory.of(small.releases, 2), kib(small.memory.shared));
    table.add(Row {
        work: format!("model: {} releases on two replicas, memory of each at rest", small.releases),
        note: format!(
            "{:.0} MiB; measured {:.0} MiB: {:+.0} %",
            resident / 1024.0,
            shared / 1024.0,
            (resident / shared - 1.0) * 100.0
        ),
        ..Row::default()
    });
    table.add(Row {
        work: "model: 100000 releases on 16 replicas, memory of each at rest".to_owned(),
        note: format!(
            "{:.0} MiB: {:.1} KiB for each release that it knows, {:.1} KiB more for each that it works on",
            memory.of(100_000, 16) / 1024.0,
            memory.known,
            memory.worked
        ),
        ..Row::default()
    });
    // So many Services are more than Kubernetes supports in one cluster: what each of them makes slower is left out.
    let costs = &Costs { growth: Default::default(), ..costs.clone() };
    for cores in [2, 8, 32] {
        let plan = Plan { releases: 100_000, namespaces: 200, replicas: 16, cores: Some(cores) };
        let found = predict(plan, costs);
        let work =
            |what: &str| format!("model: 100000 releases on 16 replicas, servers with {cores} cores, {what}");
        let row = |what: &str, wall: Duration, note: String| Row {
            work: work(what),
            wall: Some(wall),
            note,
            ..Row::default()
        };
        let rest =
            format!("at rest, interval 10 min: {:.1} % of a core for each replica", found.rest * 100.0);
        table.add(row("created → all Ready", found.created, rest));
        table.add(row("all restarted → all confirmed", found.restarted, String::new()));
        let orphans = format!("{} releases of one replica", found.orphans);
        table.add(row("one killed → its releases confirmed", found.failover.unwrap_or_default(), orphans));
    }
}

fn percent(model: Duration, measured: Duration) -> f64 {
    (model.as_secs_f64() / measured.as_secs_f64() - 1.0) * 100.0
}

impl Plan {
    /// As in the rows that are measured: one replica, one namespace, and two cores for everything.
    fn here(releases: usize) -> Plan {
        Plan { releases, namespaces: 1, replicas: 1, cores: None }
    }
}

/// Runs the model.
pub fn predict(plan: Plan, costs: &Costs) -> Prediction {
    let mut found = Prediction::default();
    let mut pool = LocalPool::new();
    let (clock, world) = build(&pool, plan, costs);
    world.create();
    clock.run(&mut pool, || world.applied.get() == plan.releases);
    found.created = clock.now();
    // What is left behind the last status.
    until(&clock, &mut pool, Duration::from_secs(30));
    let before = clock.now();
    let worked: Duration = world.workers.borrow().iter().map(|worker| worker.worked()).sum();
    until(&clock, &mut pool, INTERVAL);
    let after: Duration = world.workers.borrow().iter().map(|worker| worker.worked()).sum();
    let time = (clock.now() - before).as_secs_f64() * count(plan.replicas);
    found.rest = (after - worked).as_secs_f64() / time;
    if plan.replicas > 1 {
        let dead = world.workers.borrow().last().map(Rc::clone);
        if let Some(dead) = dead {
            let (killed, confirmed) = (clock.now(), world.confirmed.get());
            found.orphans = world.releases_of(&dead);
            world.kill(&dead, LeaseTimes::default().duration);
            clock.run(&mut pool, || world.confirmed.get() >= confirmed + found.orphans);
            found.failover = Some(clock.now() - killed);
        }
    }
    let mut pool = LocalPool::new();
    let (clock, world) = build(&pool, plan, costs);
    world.have_run();
    world.list();
    clock.run(&mut pool, || world.confirmed.get() == plan.releases);
    found.restarted = clock.now();
    found
}

fn build(pool: &LocalPool, plan: Plan, costs: &Costs) -> (Clock, Rc<World>) {
    let clock = Clock::new(pool);
    let shared = Cores::new(&clock, 2);
    let own = |cores: usize| if plan.cores.is_some() { Cores::new(&clock, cores) } else { shared.clone() };
    let servers = Servers::new(own(plan.cores.unwrap_or_default()), own(4), costs.clone());
    let world = World::new(&clock, servers, plan.releases, plan.namespaces);
    for _ in 0..plan.replicas {
        world.join(own(1));
    }
    (clock, world)
}

fn until(clock: &Clock, pool: &mut LocalPool, time: Duration) {
    let end = clock.now() + time;
    let (asleep, is_over) = (clock.clone(), Rc::new(std::cell::Cell::new(false)));
    let over = Rc::clone(&is_over);
    clock.spawn(async move {
        asleep.sleep(end.saturating_sub(asleep.now())).await;
        over.set(true);
    });
    clock.run(pool, || is_over.get());
}

fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap_or(u32::MAX))
}
