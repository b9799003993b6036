//! A share for everybody of what all tenants use: places among the requests to the
//! API server or to a registry, and memory. `domain::fair` decides who gets how much.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::domain::fair::admits_within;

/// Something of which there is only so much.
#[derive(Debug)]
pub struct Gate {
    capacity: u64,
    /// The most that one tenant may have.
    most: u64,
    /// Whether that is a promise, and not only what is fair.
    is_budget: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: u64,
    /// How many have waited so far.
    came: u64,
    tenants: HashMap<Arc<str>, Tenant>,
}

#[derive(Debug, Default)]
struct Tenant {
    has: u64,
    /// Who of it waits, the longest first.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// The how manieth it is that waits.
    came: u64,
    weight: u64,
    reply: oneshot::Sender<Share>,
}

/// A tenant asks for more than it can ever have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("needs more than the {most} that one tenant can have")]
pub struct NeverFits {
    /// What it can have.
    pub most: u64,
}

/// What a tenant has of it; given back when dropped.
#[derive(Debug)]
pub struct Share {
    gate: Arc<Gate>,
    tenant: Arc<str>,
    weight: AtomicU64,
}

impl Gate {
    /// So much of it.
    pub fn new(capacity: u64) -> Arc<Self> {
        Self::bounded(capacity, capacity / 2)
    }

    /// The same where one tenant has no more than `most`, also while nobody else wants any.
    pub fn bounded(capacity: u64, most: u64) -> Arc<Self> {
        let half = capacity / 2;
        Arc::new(Self { capacity, most: most.min(half), is_budget: most < half, state: Mutex::default() })
    }

    /// The budget of one tenant, if there is one: what needs more never gets it.
    pub fn budget(&self) -> Option<u64> {
        self.is_budget.then_some(self.most)
    }

    /// Waits until the tenant may have so much more. Half of it is only what is fair: what needs more gets
    /// all that a tenant can have, alone, so that nobody waits for ever.
    ///
    /// # Errors
    /// When it is more than the budget of the tenant.
    pub async fn enter(self: &Arc<Self>, tenant: &str, weight: u64) -> Result<Share, NeverFits> {
        match self.budget() {
            Some(most) if weight > most => Err(NeverFits { most }),
            _ => Ok(self.wait(tenant, weight.min(self.most)).await),
        }
    }

    /// Waits until the tenant may have one place more.
    pub async fn place(self: &Arc<Self>, tenant: &str) -> Share {
        self.wait(tenant, 1.min(self.most)).await
    }

    async fn wait(self: &Arc<Self>, tenant: &str, weight: u64) -> Share {
        let tenant: Arc<str> = tenant.into();
        loop {
            // Dropped after what it waits with.
            let mut place = WaitingPlace { gate: self, tenant: &tenant, is_left: true };
            let waits = {
                let mut state = self.state();
                if state.is_first(&tenant)
                    && let Some(share) = self.try_take(&mut state, &tenant, weight)
                {
                    place.is_left = false;
                    return share;
                }
                let (reply, waits) = oneshot::channel();
                let came = state.came;
                state.came += 1;
                let queue = &mut state.tenants.entry(Arc::clone(&tenant)).or_default().waiting;
                queue.push_back(Waiting { came, weight, reply });
                waits
            };
            let reply = waits.await;
            place.is_left = false;
            if let Ok(share) = reply {
                return share;
            }
        }
    }

    /// So much more of it, if the tenant may have that now and no one of it waits.
    pub fn try_enter(self: &Arc<Self>, tenant: &str, weight: u64) -> Option<Share> {
        let tenant: Arc<str> = tenant.into();
        let mut state = self.state();
        state.is_first(&tenant).then(|| self.try_take(&mut state, &tenant, weight))?
    }

    /// How much of it is given away.
    pub fn taken(&self) -> u64 {
        self.state().taken
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_take(self: &Arc<Self>, state: &mut State, tenant: &Arc<str>, weight: u64) -> Option<Share> {
        let mine = state.tenants.get(tenant).map_or(0, |t| t.has);
        if !admits_within(self.most, self.capacity, state.taken, mine, weight) {
            return None;
        }
        state.taken += weight;
        state.tenants.entry(Arc::clone(tenant)).or_default().has += weight;
        let weight = AtomicU64::new(weight);
        Some(Share { gate: Arc::clone(self), tenant: Arc::clone(tenant), weight })
    }

    fn give_back(self: &Arc<Self>, tenant: &Arc<str>, weight: u64) {
        let mut unheard = Vec::new();
        let mut state = self.state();
        state.taken -= weight;
        if let Some(tenant) = state.tenants.get_mut(tenant) {
            tenant.has -= weight;
        }
        // Of those that wait, the one with the least is next.
        while let Some(next) = self.next(&mut state) {
            let Some(waiting) = state.tenants.get_mut(&next).and_then(|t| t.waiting.pop_front()) else {
                break;
            };
            let Some(share) = self.try_take(&mut state, &next, waiting.weight) else { break };
            // One that does not wait any more gives it back, after this.
            unheard.extend(waiting.reply.send(share).err());
        }
        state.tenants.retain(|_, tenant| tenant.has > 0 || !tenant.waiting.is_empty());
        drop(state);
        drop(unheard);
    }

    /// The tenant that may have what it waits for, and has least; of several the one
    /// that waits for longest.
    fn next(&self, state: &mut State) -> Option<Arc<str>> {
        let taken = state.taken;
        let mut least: Option<((u64, u64), &Arc<str>)> = None;
        for (name, tenant) in &mut state.tenants {
            while tenant.waiting.front().is_some_and(|w| w.reply.is_closed()) {
                tenant.waiting.pop_front();
            }
            let Some(first) = tenant.waiting.front() else { continue };
            let fits = admits_within(self.most, self.capacity, taken, tenant.has, first.weight);
            let rank = (tenant.has, first.came);
            if fits && least.is_none_or(|(other, _)| rank < other) {
                least = Some((rank, name));
            }
        }
        least.map(|(_, name)| Arc::clone(name))
    }
}

impl State {
    /// Whether nobody else of the tenant waits.
    fn is_first(&mut self, tenant: &Arc<str>) -> bool {
        let Some(tenant) = self.tenants.get_mut(tenant) else { return true };
        while tenant.waiting.front().is_some_and(|w| w.reply.is_closed()) {
            tenant.waiting.pop_front();
        }
        tenant.waiting.is_empty()
    }
}

/// The place in the queue of one that may stop waiting: then the others move up.
struct WaitingPlace<'a> {
    gate: &'a Arc<Gate>,
    tenant: &'a Arc<str>,
    is_left: bool,
}

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        if self.is_left {
            self.gate.give_back(self.tenant, 0);
        }
    }
}

impl Share {
    /// Keeps so much of it, and gives back the rest.
    pub fn shrink(&self, weight: u64) {
        let rest = self.weight.fetch_min(weight, Ordering::Relaxed).saturating_sub(weight);
        if rest > 0 {
            self.gate.give_back(&self.tenant, rest);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use futures::future::join_all;

    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        future.now_or_never()
    }

    #[tokio::test]
    async fn one_that_stops_waiting_is_in_nobodys_way() {
        let gate = Gate::new(20);
        let _held = now(gate.enter("a", 8)).unwrap().unwrap();
        assert!(now(gate.enter("a", 8)).is_none());
        drop(now(gate.enter("a", 2)).expect("the first one has stopped"));
        let (mut large, mut small) = (Box::pin(gate.enter("a", 8)), Box::pin(gate.enter("a", 2)));
        assert!((&mut large).now_or_never().is_none() && (&mut small).now_or_never().is_none());
        drop(large);
        assert!((&mut small).now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_tenant_that_holds_on_to_all_it_gets_leaves_others_as_much() {
        let gate = Gate::new(20);
        let mut held = Vec::new();
        while let Some(share) = now(gate.place("hog")) {
            held.push(share);
        }
        assert_eq!(held.len(), 10);
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { join_all((0..100).map(|_| gate.place("hog"))).await.len() }
        });
        tokio::task::yield_now().await;
        for _ in 0..1000 {
            let share = now(gate.place("good")).expect("there is always a place");
            drop(share);
        }
        assert!(!waiting.is_finished());
        waiting.abort();
    }

    #[tokio::test]
    async fn tenants_are_served_in_turn_and_the_one_with_the_least_first() {
        let gate = Gate::new(4);
        let first = gate.place("a").await;
        let second = gate.place("a").await;
        let mut more = std::pin::pin!(gate.place("a"));
        assert!(futures::poll!(more.as_mut()).is_pending());
        let other = now(gate.place("b")).expect("b has nothing yet");
        let mut others = std::pin::pin!(gate.place("b"));
        assert!(futures::poll!(others.as_mut()).is_pending());
        drop(first);
        // Two are taken and two are left, which is no more than one of each would have.
        drop(second);
        let _more = more.await;
        drop(other);
        let _others = others.await;
    }

    #[tokio::test]
    async fn of_those_that_have_nothing_the_one_that_waits_for_longest_is_next() {
        // There is one place, and each tenant always wants it.
        let gate = Gate::new(2);
        let mut held = Some(now(gate.place("t0")).expect("it is the first"));
        let names: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
        let mut waiting: Vec<_> = names.iter().map(|name| (name, Box::pin(gate.place(name)))).collect();
        for (_, waits) in &mut waiting {
            assert!(futures::poll!(waits.as_mut()).is_pending());
        }
        for round in 0..3 {
            for (name, waits) in &mut waiting {
                drop(held.take());
                held = now(waits.as_mut());
                assert!(held.is_some(), "{round}: it is the turn of {name}");
                *waits = Box::pin(gate.place(name));
                assert!(futures::poll!(waits.as_mut()).is_pending());
            }
        }
    }

    #[tokio::test]
    async fn one_that_waits_no_more_is_passed_over() {
        let gate = Gate::new(2);
        let held = gate.place("a").await;
        {
            let mut gone = std::pin::pin!(gate.place("a"));
            assert!(futures::poll!(gone.as_mut()).is_pending());
        }
        let mut next = std::pin::pin!(gate.place("a"));
        assert!(futures::poll!(next.as_mut()).is_pending());
        drop(held);
        drop(tokio::time::timeout(Duration::from_secs(10), next).await.expect("it is its turn"));
        assert!(gate.state().tenants.is_empty());
        assert_eq!(gate.state().taken, 0);
    }

    #[tokio::test]
    async fn one_that_does_not_wait_gets_what_there_is_or_nothing() {
        let gate = Gate::new(8);
        let first = gate.try_enter("a", 4).expect("it is the first");
        assert!(gate.try_enter("a", 1).is_none() && gate.try_enter("b", 3).is_none());
        let second = gate.try_enter("b", 2).expect("there is as much left");
        drop((first, second));
        assert_eq!(gate.taken(), 0);
    }

    #[tokio::test]
    async fn one_tenant_alone_has_no_more_than_the_budget_and_its_next_waits_for_its_own() {
        let gate = Gate::bounded(100, 10);
        let first = now(gate.enter("a", 8)).expect("it is the first").unwrap();
        let mut second = std::pin::pin!(gate.enter("a", 8));
        assert!(futures::poll!(second.as_mut()).is_pending() && gate.try_enter("a", 1).is_none());
        // More than that would be counted as less than it is.
        assert_eq!(now(gate.enter("b", 11)).unwrap().unwrap_err(), NeverFits { most: 10 });
        let _others = now(gate.enter("b", 10)).unwrap().unwrap();
        assert_eq!((gate.taken(), gate.budget(), Gate::new(100).budget()), (18, Some(10), None));
        drop(first);
        drop(now(second).expect("it is its turn"));
    }

    #[tokio::test]
    async fn what_is_not_needed_is_given_back_at_once() {
        let gate = Gate::new(100);
        let large = gate.enter("a", 1000).await.unwrap();
        assert!(now(gate.enter("b", 40)).is_none(), "half of it is the most that one can have");
        large.shrink(10);
        assert!(now(gate.enter("b", 40)).is_some());
        large.shrink(50);
        drop(large);
        assert_eq!(gate.state().taken, 0);
    }
}
