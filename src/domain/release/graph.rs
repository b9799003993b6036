//! Which release depends on which: both directions, and the cycles.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::domain::objects::identity::ReleaseId;

/// How many dependencies one change may follow in search of the shortest cycles. A release that is
/// not reached by then names another cycle that it leads to.
const SEARCHED: usize = 20_000;

/// The dependencies of all releases on releases.
#[derive(Debug, Default)]
pub struct DependencyGraph {
    /// From a release to its dependencies; without those that have none.
    dependencies: HashMap<ReleaseId, BTreeSet<ReleaseId>>,
    /// The other direction.
    dependents: HashMap<ReleaseId, BTreeSet<ReleaseId>>,
    /// For each release that is part of a cycle: the shortest one, shared by its members.
    cycles: HashMap<ReleaseId, Arc<[ReleaseId]>>,
}

impl DependencyGraph {
    /// The dependencies of a release have changed; none when the release is gone. Returns the
    /// releases whose cycle is another one than before, or that are not part of one any more.
    pub fn set(&mut self, release: &ReleaseId, dependencies: BTreeSet<ReleaseId>) -> BTreeSet<ReleaseId> {
        let before = self.dependencies.remove(release).unwrap_or_default();
        if before == dependencies {
            if !before.is_empty() {
                self.dependencies.insert(release.clone(), before);
            }
            return BTreeSet::new();
        }
        let stale = self.cycles_through(release, &before);
        for gone in before.difference(&dependencies) {
            if let Some(dependents) = self.dependents.get_mut(gone) {
                dependents.remove(release);
                if dependents.is_empty() {
                    self.dependents.remove(gone);
                }
            }
        }
        for new in dependencies.difference(&before) {
            self.dependents.entry(new.clone()).or_default().insert(release.clone());
        }
        if !dependencies.is_empty() {
            self.dependencies.insert(release.clone(), dependencies);
        }
        self.update_cycles(release, stale)
    }

    /// The releases whose cycle is through a release with these dependencies: all of them are in
    /// cycles, and the release leads to them.
    fn cycles_through(&self, release: &ReleaseId, dependencies: &BTreeSet<ReleaseId>) -> BTreeSet<ReleaseId> {
        let mut stale = BTreeSet::new();
        if !self.cycles.contains_key(release) {
            return stale;
        }
        let (mut reached, mut known) = (HashSet::new(), HashMap::new());
        let mut left: Vec<&ReleaseId> = dependencies.iter().collect();
        while let Some(at) = left.pop() {
            let Some(cycle) = self.cycles.get(at).filter(|_| reached.insert(at)) else { continue };
            if *known.entry(Arc::as_ptr(cycle)).or_insert_with(|| cycle.contains(release)) {
                stale.insert(at.clone());
            }
            left.extend(self.dependencies_of(at));
        }
        stale
    }

    /// Finds the cycles again that the release was part of, and those that it is part of now.
    fn update_cycles(
        &mut self,
        release: &ReleaseId,
        mut outdated: BTreeSet<ReleaseId>,
    ) -> BTreeSet<ReleaseId> {
        outdated.insert(release.clone());
        let mut found: HashMap<ReleaseId, Arc<[ReleaseId]>> = HashMap::new();
        let mut left = SEARCHED;
        for component in self.components(&outdated) {
            let mut first: Option<Arc<[ReleaseId]>> = None;
            for id in component {
                if found.contains_key(id) {
                    continue;
                }
                // There is at least one cycle to name.
                let mut unlimited = usize::MAX;
                let limit = if first.is_none() { &mut unlimited } else { &mut left };
                let Some(mut cycle) = self.find_cycle(id, limit) else {
                    found.extend(first.clone().map(|first| (id.clone(), first)));
                    continue;
                };
                // One cycle has one form, whichever of its members it was found from.
                let least = cycle.iter().enumerate().min_by_key(|(_, id)| *id).map_or(0, |(at, _)| at);
                cycle.rotate_left(least);
                let cycle: Arc<[ReleaseId]> = cycle.into();
                for member in cycle.iter() {
                    found.entry(member.clone()).or_insert_with(|| Arc::clone(&cycle));
                }
                first.get_or_insert(cycle);
            }
        }
        outdated.extend(found.keys().cloned());
        outdated.retain(|id| {
            let before = match found.get(id) {
                Some(cycle) => self.cycles.insert(id.clone(), Arc::clone(cycle)),
                None => self.cycles.remove(id),
            };
            before.as_deref() != found.get(id).map(|cycle| &**cycle)
        });
        outdated
    }

    /// The groups of releases below the given ones that all depend on each other: each release of
    /// a group is part of a cycle. (Tarjan's algorithm with a stack of its own.)
    fn components<'g>(&'g self, roots: &'g BTreeSet<ReleaseId>) -> Vec<Vec<&'g ReleaseId>> {
        struct Visit {
            index: usize,
            low: usize,
            open: bool,
        }
        let mut visits: HashMap<&ReleaseId, Visit> = HashMap::new();
        let (mut open, mut found) = (Vec::new(), Vec::new());
        // Without dependents it is in no cycle; most releases with dependencies have none.
        for root in roots.iter().filter(|root| self.dependents.contains_key(*root)) {
            if visits.contains_key(root) {
                continue;
            }
            let mut stack = vec![(root, self.dependencies_of(root))];
            visits.insert(root, Visit { index: visits.len(), low: visits.len(), open: true });
            open.push(root);
            while let Some((at, left)) = stack.last_mut() {
                let at = *at;
                if let Some(next) = left.next() {
                    match visits.get(next).map(|visit| (visit.open, visit.index)) {
                        Some((true, index)) => lower(&mut visits, at, index),
                        Some((false, _)) => {}
                        None => {
                            let index = visits.len();
                            visits.insert(next, Visit { index, low: index, open: true });
                            open.push(next);
                            stack.push((next, self.dependencies_of(next)));
                        }
                    }
                    continue;
                }
                stack.pop();
                let Some((low, index)) = visits.get(at).map(|visit| (visit.low, visit.index)) else {
                    continue;
                };
                if let Some((parent, _)) = stack.last() {
                    lower(&mut visits, parent, low);
                }
                if low != index {
                    continue;
                }
                let start = open.iter().rposition(|id| *id == at).unwrap_or_default();
                let component: Vec<&ReleaseId> = open.split_off(start);
                for id in &component {
                    if let Some(visit) = visits.get_mut(id) {
                        visit.open = false;
                    }
                }
                let depends_on_itself = || self.dependencies.get(at).is_some_and(|next| next.contains(at));
                if component.len() > 1 || depends_on_itself() {
                    found.push(component);
                }
            }
        }
        return found;

        fn lower<'g>(visits: &mut HashMap<&'g ReleaseId, Visit>, id: &'g ReleaseId, to: usize) {
            if let Some(visit) = visits.get_mut(id) {
                visit.low = visit.low.min(to);
            }
        }
    }

    /// The shortest cycle through a release. It begins with the release. None if there is none
    /// within so many dependencies.
    fn find_cycle(&self, release: &ReleaseId, limit: &mut usize) -> Option<Vec<ReleaseId>> {
        let mut came_from: HashMap<&ReleaseId, &ReleaseId> = HashMap::new();
        let mut layer = vec![release];
        while !layer.is_empty() {
            let mut next_layer = Vec::new();
            for at in layer {
                for next in self.dependencies.get(at).into_iter().flatten() {
                    *limit = limit.checked_sub(1)?;
                    if next == release {
                        return Some(path(&came_from, release, at));
                    }
                    if !came_from.contains_key(next) {
                        came_from.insert(next, at);
                        next_layer.push(next);
                    }
                }
            }
            layer = next_layer;
        }
        None
    }

    /// A cycle that a release leads to, if the release is part of one: it begins with the release,
    /// if it contains it, and the last one depends on the first.
    pub fn cycle_of(&self, release: &ReleaseId) -> Option<Vec<ReleaseId>> {
        let cycle = self.cycles.get(release)?;
        let start = cycle.iter().position(|id| id == release).unwrap_or_default();
        Some(cycle.iter().cycle().skip(start).take(cycle.len()).cloned().collect())
    }

    /// The releases that depend on a release directly.
    pub fn dependents_of(&self, release: &ReleaseId) -> impl Iterator<Item = &ReleaseId> {
        self.dependents.get(release).into_iter().flatten()
    }

    /// The releases that a release depends on directly.
    pub fn dependencies_of(&self, release: &ReleaseId) -> impl Iterator<Item = &ReleaseId> {
        self.dependencies.get(release).into_iter().flatten()
    }

    /// Everything that a release depends on, directly or through others.
    pub fn reachable_from(&self, release: &ReleaseId) -> HashSet<&ReleaseId> {
        let mut found = HashSet::new();
        let mut left: Vec<&ReleaseId> = self.dependencies_of(release).collect();
        while let Some(at) = left.pop() {
            if found.insert(at) {
                left.extend(self.dependencies_of(at));
            }
        }
        found
    }
}

/// The way from a release to another, both included.
fn path<'g>(
    came_from: &HashMap<&'g ReleaseId, &'g ReleaseId>,
    from: &ReleaseId,
    mut to: &'g ReleaseId,
) -> Vec<ReleaseId> {
    let mut way = vec![to.clone()];
    while let Some(before) = came_from.get(to).filter(|_| to != from) {
        to = before;
        way.push(to.clone());
    }
    way.reverse();
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ReleaseId {
        ReleaseId { namespace: "team".into(), name: name.into() }
    }

    fn ids(names: &str) -> BTreeSet<ReleaseId> {
        names.split_whitespace().map(id).collect()
    }

    fn cycle(graph: &DependencyGraph, name: &str) -> String {
        let names = graph.cycle_of(&id(name)).unwrap_or_default().into_iter();
        names.map(|id| id.name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_cycle_is_found_by_the_edge_that_closes_it_and_gone_with_any_edge() {
        let mut graph = DependencyGraph::default();
        let mut set = |name: &str, dependencies: &str, changed: &str, cycles: [&str; 3]| {
            assert_eq!(graph.set(&id(name), ids(dependencies)), ids(changed), "{name}: {dependencies}");
            assert_eq!(["x", "y", "z"].map(|name| cycle(&graph, name)), cycles, "{name}: {dependencies}");
        };
        set("x", "y", "", ["", "", ""]);
        set("y", "z", "", ["", "", ""]);
        set("outside", "x", "", ["", "", ""]);
        set("z", "x", "x y z", ["x y z", "y z x", "z x y"]);
        // The same again is no change.
        set("z", "x", "", ["x y z", "y z x", "z x y"]);
        set("z", "x other", "", ["x y z", "y z x", "z x y"]);
        // A shorter one.
        set("y", "z x", "x y", ["x y", "y x", "z x y"]);
        set("x", "", "x y z", ["", "", ""]);
        set("x", "x", "x", ["x", "", ""]);
        set("x", "", "x", ["", "", ""]);
    }

    #[test]
    fn both_directions_are_known() {
        let mut graph = DependencyGraph::default();
        graph.set(&id("x"), ids("y"));
        graph.set(&id("y"), ids("z"));
        let names = |found: Vec<&ReleaseId>| {
            let mut names: Vec<String> = found.iter().map(|id| id.name.clone()).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(names(graph.dependents_of(&id("y")).collect()), "x");
        assert_eq!(names(graph.dependencies_of(&id("y")).collect()), "z");
        assert_eq!(names(graph.reachable_from(&id("x")).into_iter().collect()), "y z");
        graph.set(&id("x"), BTreeSet::new());
        assert_eq!(graph.dependents_of(&id("y")).count(), 0);
    }

    #[test]
    fn a_hostile_graph_is_searched_within_limits() {
        // Thousands of small cycles: a change of one is not a search of all.
        let mut graph = DependencyGraph::default();
        for n in 0..2_000 {
            graph.set(&id(&format!("a{n}")), ids(&format!("b{n}")));
            assert_eq!(graph.set(&id(&format!("b{n}")), ids(&format!("a{n}"))).len(), 2);
        }
        assert_eq!(cycle(&graph, "b1999"), "b1999 a1999");
        // Everything depends on so much that each has a cycle of its own.
        let mut graph = DependencyGraph::default();
        let next = |n: usize| (1..=64).map(|step| format!("r{} ", (n + step * 31) % 100)).collect::<String>();
        for n in 0..100 {
            graph.set(&id(&format!("r{n}")), ids(&next(n)));
        }
        for n in 0..100 {
            let way = graph.cycle_of(&id(&format!("r{n}"))).unwrap_or_default();
            assert!(way.len() > 1, "r{n}");
            for (from, to) in way.iter().zip(way.iter().cycle().skip(1)) {
                assert!(graph.dependencies_of(from).any(|next| next == to), "r{n}: {way:?}");
            }
        }
    }

    #[test]
    fn ten_thousand_releases_are_searched_without_recursion() {
        let mut graph = DependencyGraph::default();
        for n in 0..10_000 {
            let next = ids(&format!("r{}", n + 1));
            assert_eq!(graph.set(&id(&format!("r{n}")), next).len(), 0);
        }
        assert_eq!(graph.reachable_from(&id("r0")).len(), 10_000);
        // A wide one: each of them depends on one more.
        for n in 0..10_000 {
            graph.set(&id(&format!("wide{n}")), ids("r0"));
        }
        assert!(graph.cycle_of(&id("r0")).is_none());
        // All of the chain become one cycle, and a chain again.
        assert_eq!(graph.set(&id("r10000"), ids("r0")).len(), 10_001);
        assert_eq!(graph.cycle_of(&id("r5000")).map(|cycle| cycle.len()), Some(10_001));
        assert_eq!(graph.set(&id("r5000"), BTreeSet::new()).len(), 10_001);
        assert!(graph.cycle_of(&id("r0")).is_none());
    }
}
