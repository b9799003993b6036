//! The explicit order of an apply: which objects wait for which, and which of them may be applied
//! now.

use std::collections::{BTreeMap, HashMap};

use super::graph::{Waits, sorted};
use crate::api::reason::Reason;
use crate::api::step::StepPhase;
use crate::domain::message::List;
use crate::domain::objects::identity::{GroupKind, ObjectId};
use crate::domain::objects::placement::{Placement, reference};
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::build::{Step, defined_kinds};
use crate::domain::plan::stage::Stage;

/// How many links of a cycle a message shows.
const LINKS: usize = 5;

/// What an object waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// It has to be healthy.
    Healthy(usize),
    /// It has to be applied: a Namespace, or the definition of the kind.
    Applied(usize),
}

impl Wait {
    fn target(self) -> usize {
        match self {
            Self::Healthy(node) | Self::Applied(node) => node,
        }
    }
}

/// The explicit order of the objects of a plan. Its nodes are the objects, in the order of the
/// plan, and behind them one barrier for each wave: that wave and all before it are healthy. So n
/// objects in waves have about 2n edges.
#[derive(Debug, Default)]
pub struct ExplicitOrder {
    objects: usize,
    waits: Vec<Vec<Wait>>,
    /// All nodes, each after all that it waits for.
    sorted: Vec<usize>,
    /// The objects whose drift is corrected: they do not wait.
    free: Vec<bool>,
}

/// How far an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It is not applied yet.
    Pending,
    /// It is applied, and not known to be healthy.
    Applied,
    /// It is applied and healthy.
    Healthy,
    /// It is applied and has failed.
    Failed,
}

/// What the order says now. Objects are numbered in the order of the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The objects that may be applied now.
    pub ready: Vec<usize>,
    /// How many other objects are not applied yet.
    pub waiting: usize,
    /// The applied objects that these wait for, healthy or not.
    pub needed: Vec<usize>,
    /// Those of them that are not healthy.
    pub awaited: Vec<usize>,
    /// Whether all of the others wait for an object that has failed.
    pub is_stuck: bool,
}

/// The state of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeState {
    Healthy,
    Applied,
    Failed,
    /// It may be applied now.
    Ready,
    Waiting,
    /// It waits for what has failed.
    Blocked,
}

impl ExplicitOrder {
    /// The order that the annotations of the objects ask for; empty without annotations.
    ///
    /// # Errors
    /// Each invalid annotation, each dependency that is not among the objects, and the first cycles.
    pub fn of(steps: &[Step]) -> Result<Self, Vec<ObjectFailure>> {
        let mut failures = Vec::new();
        let mut placements = Vec::with_capacity(steps.len());
        for step in steps {
            // Steps run before or after everything else, and have waves of their own.
            if step.once.is_some() {
                placements.push(None);
                continue;
            }
            placements.push(Placement::of(&step.object).unwrap_or_else(|message| {
                failures.push(invalid(&step.id, message));
                None
            }));
        }
        if !failures.is_empty() {
            return Err(failures);
        }
        if placements.iter().all(Option::is_none) {
            return Ok(Self::default());
        }
        let (waits, waves) = (waits(steps, &placements)?, waves(steps, &placements));
        Self::built(steps, waits, &waves)
    }

    fn built(steps: &[Step], mut waits: Vec<Vec<Wait>>, waves: &[i32]) -> Result<Self, Vec<ObjectFailure>> {
        let objects = steps.len();
        let mut members: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        // Steps are in no wave of the rest.
        for (object, wave) in waves.iter().enumerate().filter(|(object, _)| steps[*object].once.is_none()) {
            members.entry(*wave).or_default().push(object);
        }
        let mut before = None;
        for members in members.values() {
            for &object in members {
                waits[object].extend(before.map(Wait::Healthy));
            }
            let barrier = members.iter().copied().chain(before).map(Wait::Healthy).collect();
            before = Some(waits.len());
            waits.push(barrier);
        }
        let graph: Waits =
            waits.iter().map(|waits| waits.iter().map(|wait| wait.target()).collect()).collect();
        match sorted(&graph) {
            Ok(sorted) => {
                Ok(Self { objects, waits, sorted, free: steps.iter().map(|s| s.drifted).collect() })
            }
            Err(cycles) => Err(cycles.iter().map(|cycle| circular(steps, &waits, waves, cycle)).collect()),
        }
    }

    /// Whether no object has an annotation: all are applied by their stages alone.
    pub fn is_empty(&self) -> bool {
        self.objects == 0
    }

    /// Which objects may be applied now, and what the others wait for.
    pub fn survey(&self, stand: impl Fn(usize) -> Stand) -> Survey {
        let mut states = vec![NodeState::Waiting; self.waits.len()];
        for &node in &self.sorted {
            states[node] = match (node < self.objects).then(|| stand(node)) {
                Some(Stand::Healthy) => NodeState::Healthy,
                Some(Stand::Applied) => NodeState::Applied,
                Some(Stand::Failed) => NodeState::Failed,
                Some(Stand::Pending) if self.free[node] => NodeState::Ready,
                Some(Stand::Pending) => self.waiting(node, &states).unwrap_or(NodeState::Ready),
                None => self.waiting(node, &states).unwrap_or(NodeState::Healthy),
            };
        }
        let held = |node: usize| matches!(states[node], NodeState::Waiting | NodeState::Blocked);
        let mut is_needed = vec![false; self.waits.len()];
        for &node in self.sorted.iter().rev() {
            if node < self.objects && !held(node) || node >= self.objects && !is_needed[node] {
                continue;
            }
            for wait in &self.waits[node] {
                if let Wait::Healthy(target) = wait {
                    is_needed[*target] = true;
                }
            }
        }
        let objects = || 0..self.objects;
        let is_applied = |node: &usize| {
            matches!(states[*node], NodeState::Healthy | NodeState::Applied | NodeState::Failed)
        };
        let needed: Vec<usize> = objects().filter(|node| is_needed[*node] && is_applied(node)).collect();
        let awaited = needed.iter().copied().filter(|node| states[*node] != NodeState::Healthy).collect();
        let waiting = objects().filter(|node| held(*node)).count();
        let blocked = objects().filter(|node| states[*node] == NodeState::Blocked).count();
        let ready: Vec<usize> = objects().filter(|node| states[*node] == NodeState::Ready).collect();
        Survey {
            is_stuck: ready.is_empty() && waiting > 0 && blocked == waiting,
            ready,
            waiting,
            needed,
            awaited,
        }
    }

    /// Whether a node still waits; `None` when it does not.
    fn waiting(&self, node: usize, states: &[NodeState]) -> Option<NodeState> {
        let mut result = None;
        for wait in &self.waits[node] {
            match (wait, states[wait.target()]) {
                (_, NodeState::Blocked) | (Wait::Healthy(_), NodeState::Failed) => {
                    return Some(NodeState::Blocked);
                }
                (_, NodeState::Healthy) => {}
                (Wait::Applied(_), NodeState::Applied | NodeState::Failed | NodeState::Ready) => {}
                (_, NodeState::Waiting) | (Wait::Healthy(_), NodeState::Applied | NodeState::Ready) => {
                    result = Some(NodeState::Waiting);
                }
            }
        }
        result
    }
}

/// What each object depends on, and what it needs in any case.
fn waits(steps: &[Step], placements: &[Option<Placement>]) -> Result<Vec<Vec<Wait>>, Vec<ObjectFailure>> {
    let numbers: HashMap<&ObjectId, usize> = steps.iter().enumerate().map(|(n, s)| (&s.id, n)).collect();
    let definitions: HashMap<GroupKind, usize> = steps
        .iter()
        .enumerate()
        .filter_map(|(n, s)| Some((defined_kinds(std::slice::from_ref(&s.object)).pop()?, n)))
        .collect();
    let mut failures = Vec::new();
    let mut all = Vec::with_capacity(steps.len());
    for (number, (step, placement)) in steps.iter().zip(placements).enumerate() {
        let mut waits = Vec::new();
        if step.once.is_some() {
            all.push(waits);
            continue;
        }
        for id in placement.iter().flat_map(|p| &p.depends_on) {
            match numbers.get(id) {
                Some(target) if runs_last(&steps[*target]) => {
                    let message = format!("depends on {id}, a step that runs after all other objects");
                    failures.push(invalid(&step.id, message));
                }
                Some(target) => waits.push(Wait::Healthy(*target)),
                None => failures.push(invalid(&step.id, missing(id, steps))),
            }
        }
        let needs = prerequisites(step).filter_map(|id| numbers.get(&id).copied());
        let needs = needs.chain(definitions.get(&step.id.group_kind()).copied());
        waits.extend(needs.filter(|target| *target != number).map(Wait::Applied));
        all.push(waits);
    }
    if failures.is_empty() { Ok(all) } else { Err(failures) }
}

fn runs_last(step: &Step) -> bool {
    step.once.as_ref().is_some_and(|(policy, _)| policy.phase == StepPhase::After)
}

/// The objects without which the API server refuses the object.
fn prerequisites(step: &Step) -> impl Iterator<Item = ObjectId> {
    let id = &step.id;
    let named = |group: &str, kind: &str, namespace: &str, name: &str| ObjectId {
        namespace: namespace.into(),
        name: name.into(),
        group: group.into(),
        kind: kind.into(),
    };
    let text = |pointer: &str| step.object.value().pointer(pointer).and_then(|v| v.as_str());
    let rbac = "rbac.authorization.k8s.io";
    let namespace = (!id.namespace.is_empty()).then(|| named("", "Namespace", "", &id.namespace));
    let other = match (id.group.as_str(), id.kind.as_str()) {
        (group, "RoleBinding" | "ClusterRoleBinding") if group == rbac => {
            text("/roleRef/name").map(|name| match text("/roleRef/kind") {
                Some("Role") => named(rbac, "Role", &id.namespace, name),
                _ => named(rbac, "ClusterRole", "", name),
            })
        }
        ("", "Pod") => {
            text("/spec/serviceAccountName").map(|name| named("", "ServiceAccount", &id.namespace, name))
        }
        _ => None,
    };
    namespace.into_iter().chain(other)
}

/// The wave of each object. What others are built on (definitions, namespaces, classes, accounts and
/// rights) belongs to the first wave, unless it asks for a place of its own.
fn waves(steps: &[Step], placements: &[Option<Placement>]) -> Vec<i32> {
    let first = placements.iter().flatten().filter_map(|p| p.wave).min().unwrap_or_default().min(0);
    let placed = steps.iter().zip(placements);
    placed
        .map(|(step, placement)| match placement {
            None if step.stage <= Stage::Bindings => first,
            None => 0,
            Some(placement) => placement.wave.unwrap_or_default(),
        })
        .collect()
}

fn invalid(id: &ObjectId, message: String) -> ObjectFailure {
    ObjectFailure { id: id.clone(), reason: Reason::ManifestInvalid, message }
}

/// The message about a dependency that is not among the objects.
fn missing(id: &ObjectId, steps: &[Step]) -> String {
    let is_alike = |s: &&Step| s.id.name == id.name && s.id.kind == id.kind && s.id.group == id.group;
    let hint = match steps.iter().find(is_alike) {
        Some(alike) => format!("; the reference to {} is {}", alike.id, reference(&alike.id)),
        None => String::new(),
    };
    format!("depends on {id}, which this revision does not apply{hint}")
}

/// The message about a cycle. Barriers are left out of it.
fn circular(steps: &[Step], waits: &[Vec<Wait>], waves: &[i32], cycle: &[usize]) -> ObjectFailure {
    let objects: Vec<usize> = cycle.iter().copied().filter(|node| *node < steps.len()).collect();
    let link = |at: usize| {
        let (from, to) = (objects[at], objects[(at + 1) % objects.len()]);
        let (this, other) = (&steps[from].id, &steps[to].id);
        let direct = waits[from].iter().find(|wait| wait.target() == to);
        match direct {
            Some(Wait::Healthy(_)) if from == to => format!("{this} depends on itself"),
            Some(Wait::Healthy(_)) => format!("{this} depends on {other}"),
            Some(Wait::Applied(_)) => format!("{this} needs {other}"),
            None => format!("{this} (wave {}) waits for {other} (wave {})", waves[from], waves[to]),
        }
    };
    let links = List::Phrases.few_as(0..objects.len(), LINKS, link);
    let first = objects.first().map_or_else(|| steps[0].id.clone(), |first| steps[*first].id.clone());
    invalid(&first, format!("is in a cycle: {links}"))
}

#[cfg(test)]
#[path = "sequence/tests.rs"]
mod tests;
