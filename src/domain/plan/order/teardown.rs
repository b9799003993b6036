//! The explicit order of a removal: the reverse of the apply, by the annotations of the objects in
//! the cluster. Their manifests are gone, and people may have edited the annotations: so nothing is
//! refused here, and a cycle means that there is no explicit order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::graph::{Waits, sorted};
use crate::domain::objects::identity::ObjectId;
use crate::domain::objects::live::Record;
use crate::domain::objects::placement::Placement;
use crate::domain::plan::stage::{Stage, stage};

/// What a deletion waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// An object of a later wave is gone, or is kept.
    Gone(usize),
    /// A dependent is gone. While it is kept, the object is kept too.
    Released(usize),
    /// An object of the namespace or of the kind is being deleted.
    Deleted(usize),
}

impl Until {
    fn target(self) -> usize {
        match self {
            Self::Gone(node) | Self::Released(node) | Self::Deleted(node) => node,
        }
    }
}

/// The explicit order of the objects that are removed together. Its nodes are the objects, and
/// behind them the barriers of the waves.
#[derive(Debug)]
pub struct Teardown {
    objects: usize,
    waits: Vec<Vec<Until>>,
    sorted: Vec<usize>,
}

/// How far the removal of an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeardownState {
    /// It has not been looked at.
    Untouched,
    /// It still exists: it is being deleted, or could not be deleted.
    Remains,
    /// It is gone, or is not ours.
    Gone,
    /// It is kept.
    Kept,
}

/// What is done next. Objects are numbered in the given order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TeardownBatch {
    /// The objects that are deleted now.
    pub delete: Vec<usize>,
    /// The objects that are kept, each with the kept object that depends on it.
    pub spared: Vec<(usize, usize)>,
    /// The objects that are deleted later.
    pub waiting: Vec<usize>,
    /// The remaining objects that these wait for.
    pub holding: Vec<usize>,
}

/// The state of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeState {
    Ready,
    Waiting,
    Remains,
    Gone,
    Kept,
    Spared(usize),
}

impl Teardown {
    /// The order of objects with these places; `None` when there is no explicit order.
    pub fn of(objects: &[(&ObjectId, Option<&Placement>)]) -> Option<Self> {
        if objects.iter().all(|(_, placement)| placement.is_none()) {
            return None;
        }
        let mut waits: Vec<Vec<Until>> = vec![Vec::new(); objects.len()];
        let is_base =
            |n: usize| objects[n].1.is_none() && stage(&objects[n].0.group_kind()) <= Stage::Bindings;
        let (base, others): (Vec<usize>, Vec<usize>) = (0..objects.len()).partition(|n| is_base(*n));
        depends(objects, &mut waits);
        contains(objects, &others, &mut waits);
        let mut waves: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for &n in &others {
            let wave = objects[n].1.and_then(|placement| placement.wave).unwrap_or_default();
            waves.entry(wave).or_default().push(n);
        }
        let mut after = None;
        for members in waves.values().rev() {
            members.iter().for_each(|&n| waits[n].extend(after.map(Until::Gone)));
            let barrier = members.iter().copied().chain(after).map(Until::Gone).collect();
            after = Some(waits.len());
            waits.push(barrier);
        }
        // What the others are built on goes last.
        let rest = waits.len();
        waits.push(others.into_iter().map(Until::Deleted).collect());
        base.into_iter().for_each(|n| waits[n].push(Until::Deleted(rest)));
        let graph: Waits = waits.iter().map(|w| w.iter().map(|until| until.target()).collect()).collect();
        let sorted = sorted(&graph).ok()?;
        Some(Self { objects: objects.len(), waits, sorted })
    }

    /// What is done next.
    pub fn next(&self, state: impl Fn(usize) -> TeardownState) -> TeardownBatch {
        let mut states = vec![NodeState::Waiting; self.waits.len()];
        for &node in &self.sorted {
            states[node] = match (node < self.objects).then(|| state(node)) {
                Some(TeardownState::Remains) => NodeState::Remains,
                Some(TeardownState::Gone) => NodeState::Gone,
                Some(TeardownState::Kept) => NodeState::Kept,
                Some(TeardownState::Untouched) => self.open(node, &states).unwrap_or(NodeState::Ready),
                None => self.open(node, &states).unwrap_or(NodeState::Gone),
            };
        }
        let mut holds = vec![false; self.waits.len()];
        for &node in self.sorted.iter().rev() {
            let is_held = if node < self.objects { states[node] == NodeState::Waiting } else { holds[node] };
            let awaited = self.waits[node].iter().filter(|_| is_held);
            awaited.for_each(|until| match until {
                Until::Gone(target) | Until::Released(target) => holds[*target] = true,
                Until::Deleted(_) => {}
            });
        }
        let mut batch = TeardownBatch::default();
        for node in 0..self.objects {
            match states[node] {
                NodeState::Ready => batch.delete.push(node),
                NodeState::Waiting => batch.waiting.push(node),
                NodeState::Spared(by) => batch.spared.push((node, by)),
                NodeState::Remains if holds[node] => batch.holding.push(node),
                NodeState::Remains | NodeState::Gone | NodeState::Kept => {}
            }
        }
        batch
    }

    /// What keeps a node open; `None` for nothing.
    fn open(&self, node: usize, states: &[NodeState]) -> Option<NodeState> {
        let mut result = None;
        for until in &self.waits[node] {
            match (until, states[until.target()]) {
                (Until::Released(by), NodeState::Kept | NodeState::Spared(_)) => {
                    return Some(NodeState::Spared(*by));
                }
                (_, NodeState::Gone) => {}
                (Until::Gone(_), NodeState::Kept | NodeState::Spared(_)) => {}
                (Until::Deleted(_), state) if state != NodeState::Waiting => {}
                _ => result = Some(NodeState::Waiting),
            }
        }
        result
    }
}

/// A dependency waits for its dependents.
fn depends(objects: &[(&ObjectId, Option<&Placement>)], waits: &mut [Vec<Until>]) {
    let numbers: HashMap<&ObjectId, usize> =
        objects.iter().enumerate().map(|(n, (id, _))| (*id, n)).collect();
    for (dependent, (_, placement)) in objects.iter().enumerate() {
        for id in placement.iter().flat_map(|placement| &placement.depends_on) {
            if let Some(dependency) = numbers.get(id).filter(|n| **n != dependent) {
                waits[*dependency].push(Until::Released(dependent));
            }
        }
    }
}

/// A Namespace and a definition wait for what would be deleted with them.
fn contains(objects: &[(&ObjectId, Option<&Placement>)], others: &[usize], waits: &mut [Vec<Until>]) {
    let is_container =
        |id: &ObjectId| id.is("", "Namespace") || id.is("apiextensions.k8s.io", "CustomResourceDefinition");
    let placed = objects.iter().enumerate().filter(|(_, (_, placement))| placement.is_some());
    for (n, (id, _)) in placed.filter(|(_, (id, _))| is_container(id)) {
        // A definition is named by its plural and its group.
        let group = id.name.split_once('.').map_or("", |(_, group)| group);
        let is_inside = |other: &ObjectId| match id.group.as_str() {
            "" => other.namespace == id.name,
            _ => other.group == group && !group.is_empty(),
        };
        let inside = others.iter().filter(|m| **m != n && is_inside(objects[**m].0));
        waits[n].extend(inside.map(|m| Until::Deleted(*m)));
    }
}

/// Of objects that left the revision and are kept, those on which one that opts out of deletion
/// depends, directly or through others.
pub fn spared<'r>(retained: impl Iterator<Item = (&'r ObjectId, &'r Record)>) -> BTreeSet<ObjectId> {
    let records: HashMap<&ObjectId, &Record> = retained.collect();
    let opts_out = |id: &&&ObjectId| records.get(*id).is_some_and(|record| record.prune_disabled);
    let mut open: Vec<&ObjectId> = records.keys().filter(opts_out).copied().collect();
    let mut spared = BTreeSet::new();
    while let Some(id) = open.pop() {
        let placement = records.get(id).and_then(|record| record.placement.as_deref());
        for dependency in placement.into_iter().flat_map(|placement| &placement.depends_on) {
            if let Some((known, _)) = records.get_key_value(dependency)
                && spared.insert((*known).clone())
            {
                open.push(known);
            }
        }
    }
    spared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ObjectId {
        ObjectId::from_inventory_id(text).unwrap()
    }

    /// Objects by their inventory ids, each with its wave and what it depends on.
    fn teardown(objects: &[(&str, &str, &str)]) -> Option<Teardown> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let read: Vec<(ObjectId, Option<Placement>)> = objects
            .iter()
            .map(|(object, wave, on)| {
                (id(object), Placement::lenient(some(wave).as_deref(), some(on).as_deref()))
            })
            .collect();
        let placed: Vec<_> = read.iter().map(|(id, placement)| (id, placement.as_ref())).collect();
        Teardown::of(&placed)
    }

    /// The batches until nothing is left, when everything that is deleted is gone at once, except
    /// the objects that stay in a state.
    fn check(objects: &[(&str, &str, &str)], stays: &[(usize, TeardownState)], expected: &[&[usize]]) {
        let teardown = teardown(objects).unwrap();
        let mut states = vec![TeardownState::Untouched; objects.len()];
        let mut batches = Vec::new();
        loop {
            let batch = teardown.next(|n| states[n]);
            if batch.delete.is_empty() {
                break;
            }
            for n in &batch.delete {
                let stays = stays.iter().find(|(stays, _)| stays == n);
                states[*n] = stays.map_or(TeardownState::Gone, |(_, state)| *state);
            }
            batches.push(batch.delete);
        }
        assert_eq!(batches, expected, "{objects:?}");
    }

    #[test]
    fn a_removal_is_the_reverse_of_the_apply() {
        let (a, b, c) = ("n_a__ConfigMap", "n_b__ConfigMap", "n_c__ConfigMap");
        let on_a = "/namespaces/n/ConfigMap/a";
        let on_b = "/namespaces/n/ConfigMap/b";
        check(&[(a, "", ""), (b, "", on_a), (c, "", on_b)], &[], &[&[2], &[1], &[0]]);
        check(&[(a, "-1", ""), (b, "", ""), (c, "5", "")], &[], &[&[2], &[1], &[0]]);
        check(&[(a, "", ""), (b, "", on_a), (c, "", "")], &[], &[&[1, 2], &[0]]);
        // What is not removed does not matter.
        check(&[(a, "", "/namespaces/n/ConfigMap/other,/namespaces/n/ConfigMap/a")], &[], &[&[0]]);
    }

    #[test]
    fn what_the_others_are_built_on_goes_last() {
        let namespace = ("_n__Namespace", "", "");
        let definition = ("_widgets.example.com_apiextensions.k8s.io_CustomResourceDefinition", "", "");
        let (a, widget) = ("n_a__ConfigMap", "n_w_example.com_Widget");
        let on_widget = "example.com/namespaces/n/Widget/w";
        check(&[(a, "", on_widget), (widget, "", ""), namespace, definition], &[], &[&[0], &[1, 2, 3]]);
        check(&[(a, "-1", ""), (widget, "-2", ""), namespace], &[], &[&[0], &[1, 2]]);
        // Also with a wave of its own.
        check(&[("_n__Namespace", "-3", ""), (a, "", "")], &[], &[&[1], &[0]]);
        check(&[("_n__Namespace", "", "/Node/x"), (a, "", "")], &[], &[&[0, 1]]);
    }

    #[test]
    fn a_dependency_waits_for_its_dependents_and_is_kept_with_them() {
        let (a, b) = ("n_a__ConfigMap", "n_b__ConfigMap");
        let objects = [(a, "", ""), (b, "", "/namespaces/n/ConfigMap/a"), ("n_c__ConfigMap", "-1", "")];
        check(&objects, &[(1, TeardownState::Remains)], &[&[1]]);
        let teardown = teardown(&objects).unwrap();
        let next =
            |second: TeardownState| teardown.next(|n| if n == 1 { second } else { TeardownState::Untouched });
        assert_eq!(
            next(TeardownState::Remains),
            TeardownBatch { waiting: vec![0, 2], holding: vec![1], ..TeardownBatch::default() }
        );
        // A wave does not wait for what is kept.
        assert_eq!(
            next(TeardownState::Kept),
            TeardownBatch { delete: vec![2], spared: vec![(0, 1)], ..TeardownBatch::default() }
        );
    }

    #[test]
    fn without_an_order_there_is_no_teardown() {
        let a = "n_a__ConfigMap";
        assert!(teardown(&[(a, "", "")]).is_none());
        let round =
            [(a, "", "/namespaces/n/ConfigMap/b"), ("n_b__ConfigMap", "", "/namespaces/n/ConfigMap/a")];
        assert!(teardown(&round).is_none());
        // An edited wave must not delete a namespace before what is in it.
        assert!(teardown(&[("_n__Namespace", "3", ""), (a, "", "")]).is_none());
    }
}
