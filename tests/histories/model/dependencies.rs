//! Releases that depend on others: who may wait, who is part of a cycle, and who goes first.

use std::collections::{BTreeMap, BTreeSet};

use supercargo_testbed::story::condition;

use super::{Id, Known, WAITS, World, compare, keeps, normal};
use crate::action::{Action, Change, How, InventoryEdit, Number};
use crate::kinds::Kind;
use crate::snapshot::Snapshot;

/// Who has waited since the last judgement.
#[derive(Debug, Clone, Default)]
pub struct Dependencies {
    /// Releases whose dependency has not been there at any time since.
    missing: BTreeMap<Number, Missing>,
    /// Releases that have had a dependency since.
    depended: BTreeSet<Number>,
}

/// What a release had when its dependency was found missing.
#[derive(Debug, Clone)]
struct Missing {
    /// The dependency.
    dependency: Number,
    /// What was applied, whole.
    key: Option<String>,
    /// What was in its inventory.
    listed: BTreeSet<Id>,
}

impl Dependencies {
    /// Something happens.
    pub fn act(&mut self, action: &Action) {
        match action {
            Action::Create { release, .. } => {
                self.missing.retain(|waits, missing| ![waits, &missing.dependency].contains(&release));
            }
            Action::Delete { release }
            | Action::Specify { release, change: Change::DependsOn(_) | Change::Suspend(_) } => {
                self.missing.remove(release);
            }
            Action::Inventory { release, edit } if *edit != InventoryEdit::Delete => {
                self.missing.remove(release);
            }
            _ => {}
        }
    }

    /// A release has a dependency now.
    pub fn depended(&mut self, release: Number) {
        self.depended.insert(release);
    }

    /// Whether a release has had a dependency since the last judgement.
    pub fn has_depended(&self, release: Number) -> bool {
        self.depended.contains(&release)
    }
}

impl World {
    /// Whether a release depends on another one, at last. Both need not be there.
    pub fn leads_to(&self, release: Number, other: Number) -> bool {
        self.follows(release, other, |of| self.releases.get(&of))
    }

    fn follows<'k>(&self, from: Number, to: Number, known: impl Fn(Number) -> Option<&'k Known>) -> bool {
        let mut seen = BTreeSet::new();
        let mut at = from;
        while let Some(next) = known(at).and_then(|known| known.spec.depends_on) {
            if next == to {
                return true;
            }
            if !seen.insert(next) {
                return false;
            }
            at = next;
        }
        false
    }

    /// Whether a release is part of a cycle.
    pub fn circles(&self, release: Number) -> bool {
        self.leads_to(release, release)
    }

    /// Whether a release need not be Ready, because its dependency is not as it wants it.
    pub(super) fn may_wait(&self, release: Number, seen: &Snapshot) -> bool {
        let Some(known) = self.releases.get(&release) else { return false };
        let Some(dependency) = known.spec.depends_on else { return false };
        // One on its way out may still close a cycle, which stops all.
        let any = |of: Number| self.releases.get(&of).or_else(|| self.going.get(&of));
        if self.follows(release, release, any) {
            return true;
        }
        !self.passes(dependency, seen) && !self.is_applied(release, known, seen)
    }

    // Whether it is certain that a release is no reason to wait.
    fn passes(&self, dependency: Number, seen: &Snapshot) -> bool {
        let Some(status) = seen.releases.get(&dependency) else { return false };
        let fetches = condition(status, "FetchFailed").is_none_or(|c| c.status != "True");
        let current = status["status"]["observedGeneration"] == status["metadata"]["generation"];
        // One that is suspended is Ready in no judgement.
        self.is(dependency, seen, "True", None) && fetches && current
    }

    // Whether it is certain that a release has applied what it wants.
    fn is_applied(&self, release: Number, known: &Known, seen: &Snapshot) -> bool {
        let (Some(applied), Some(wanted)) = (self.results.get(&release), self.wanted(release)) else {
            return false;
        };
        let lost = self.forgiven.get(&release).is_some_and(|ids| !ids.is_empty());
        !lost
            && applied.revision == wanted.revision
            && applied.renders_as(known)
            && seen.results.get(&release) == Some(&applied.key)
    }

    // Each one of a cycle says so, and keeps what it has.
    pub(super) fn judge_circle(&self, release: Number, seen: &Snapshot, wrong: &mut Vec<String>) {
        let Some(status) = seen.releases.get(&release) else { return };
        for (kind, expected) in [("Ready", "False"), ("Stalled", "True")] {
            let says = condition(status, kind).map(|c| (c.status, c.reason)).unwrap_or_default();
            if says != (expected.to_owned(), "DependencyCycle".to_owned()) {
                wrong.push(format!("r{release} is part of a cycle, and {kind} is {}/{}", says.0, says.1));
            }
        }
        let Some(applied) = self.results.get(&release) else { return };
        let lost = self.forgiven.get(&release).is_some_and(|ids| !ids.is_empty());
        if lost || seen.results.get(&release) != Some(&applied.key) {
            return;
        }
        for (id, before) in &applied.objects {
            if self.touched.contains_key(id) || self.strayed.contains(id) {
                continue;
            }
            let Some(object) = seen.objects.get(id) else {
                wrong.push(format!("r{release} is part of a cycle, and {id} is not there any more"));
                continue;
            };
            let mut paths = Vec::new();
            if self.owner(object) == Some(release) {
                compare(&normal(object), before, "", &mut paths);
            }
            if !paths.is_empty() {
                wrong.push(format!(
                    "r{release} is part of a cycle, and {id} has changed: {}",
                    paths.join("; ")
                ));
            }
        }
    }

    // Without its dependency nothing of a new revision is written.
    pub(super) fn judge_waiting(&self, seen: &Snapshot, wrong: &mut Vec<String>) {
        for (release, missing) in &self.dependencies.missing {
            let (Some(wanted), Some(_)) = (self.wanted(*release), seen.releases.get(release)) else {
                continue;
            };
            if self.forgiven.get(release).is_some_and(|ids| !ids.is_empty()) {
                continue;
            }
            let dependency = missing.dependency;
            if self.blocked(*release, seen) == [WAITS] && seen.results.get(release) != missing.key.as_ref() {
                wrong.push(format!(
                    "r{release} waits for r{dependency}, which is not there: {:?} was applied, and {:?} is",
                    missing.key,
                    seen.results.get(release)
                ));
            }
            for (id, piece) in &wanted.objects {
                let is_new = seen.objects.get(id).is_some_and(|object| self.owner(object) == Some(*release))
                    && !self.uids.contains_key(id)
                    && !missing.listed.contains(id);
                // What runs once is in no inventory when it has ended.
                let once = piece.how == How::Once || piece.kind == Kind::Job && missing.key.is_some();
                if is_new && !once && !self.touched.contains_key(id) && !self.strayed.contains(id) {
                    wrong.push(format!(
                        "r{release} waits for r{dependency}, which is not there, and {id} was written"
                    ));
                }
            }
        }
    }

    /// Whether a release that is deleted may still be there: it may not delete its objects, or waits
    /// for one that may not.
    pub(super) fn is_stuck(&self, release: Number, known: &Known, seen: &Snapshot) -> bool {
        let mut all = BTreeSet::new();
        let mut left = vec![(release, known)];
        while let Some((release, known)) = left.pop() {
            if keeps(&known.spec) || !all.insert(release) {
                continue;
            }
            if !self.may(&known.spec) {
                return true;
            }
            let waits = |(other, known): &(&Number, &Known)| {
                known.spec.depends_on == Some(release) && seen.releases.contains_key(*other)
            };
            left.extend(self.going.iter().filter(waits).map(|(other, known)| (*other, known)));
        }
        false
    }

    /// The cluster was judged.
    pub(super) fn remember_waiting(&mut self, seen: &Snapshot) {
        let all = &mut self.dependencies;
        *all = Dependencies::default();
        for (release, known) in &self.releases {
            let Some(dependency) = known.spec.depends_on else { continue };
            all.depended.insert(*release);
            let there = self.releases.contains_key(&dependency) || seen.releases.contains_key(&dependency);
            if !there && !known.spec.suspend {
                let key = seen.results.get(release).cloned();
                let listed = seen.inventories.get(release).cloned().unwrap_or_default();
                all.missing.insert(*release, Missing { dependency, key, listed });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::action::{Account, Drift, Edit, Path, Piece, Place, Policy, Revision, Spec};
    use crate::kinds::Names;

    fn push(release: Number, name: u8, variant: u8) -> Action {
        let (kind, how, place) = (Kind::ConfigMap, How::Plain, Place::default());
        let piece = Piece { kind, name, variant, how, step: None, place };
        let revision = Revision { a: vec![piece], ..Revision::default() };
        Action::Push { release, tag: "1.0.0".to_owned(), revision }
    }

    fn specify(release: Number, change: Change) -> Action {
        Action::Specify { release, change }
    }

    fn release(ready: &str, reason: &str) -> Value {
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": reason, "message": "M"});
        let stalled = if reason == "DependencyCycle" { "True" } else { "False" };
        json!({
            "metadata": {"generation": 1},
            "status": {"observedGeneration": 1,
                "conditions": [condition("Ready", ready), condition("Stalled", stalled)]},
        })
    }

    fn write(seen: &mut Snapshot, release: Number, value: &str) {
        let id = format!("home_o{release}__ConfigMap");
        let object = |owner: String| {
            json!({"metadata": {"uid": "u", "labels": {"supercargo.dev/name": owner, "supercargo.dev/namespace": "home"}},
                "data": {"v": value}})
        };
        seen.objects.insert(id.clone(), object(format!("r{release}")));
        seen.references.insert((release, id.clone()), object("nobody".to_owned()));
        seen.inventories.entry(release).or_default().insert(id);
    }

    /// `r1` depends on `r0`, which is there or not; both have applied their only revision.
    fn begin(there: bool) -> (World, Snapshot) {
        let mut world = World::new(Names { home: "home".to_owned(), away: "away".to_owned() });
        let mut seen = Snapshot::default();
        for of in [0, 1] {
            world.act(&push(of, of, 1));
            if of == 1 || there {
                let depends_on = (of == 1).then_some(0);
                world.act(&Action::Create { release: of, spec: Spec { depends_on, ..Spec::default() } });
                seen.releases.insert(of, release("True", "R"));
                seen.results.insert(of, format!("key-{of}"));
                write(&mut seen, of, "1");
            }
        }
        assert_eq!(world.judge(&seen), Vec::<String>::new());
        world.settled(&seen);
        (world, seen)
    }

    /// That happens, and then it is seen: what the model says contains `says`.
    fn check(there: bool, actions: &[Action], says: Option<&str>, change: &dyn Fn(&mut Snapshot)) {
        let (mut world, mut seen) = begin(there);
        actions.iter().for_each(|action| world.act(action));
        change(&mut seen);
        let wrong = world.judge(&seen);
        match says {
            None => assert!(wrong.is_empty(), "{actions:?}: {wrong:?}"),
            Some(says) => {
                assert!(wrong.iter().any(|wrong| wrong.contains(says)), "{actions:?}: {says}: {wrong:?}");
            }
        }
    }

    fn is(release_of: Number, ready: &'static str, reason: &'static str) -> impl Fn(&mut Snapshot) {
        move |seen| drop(seen.releases.insert(release_of, release(ready, reason)))
    }

    #[test]
    fn a_release_whose_dependency_is_ready_is_as_if_it_had_none() {
        let new = || push(1, 1, 2);
        check(true, &[], None, &|_| {});
        check(true, &[], Some("r1 is not Ready and should be"), &is(1, "False", "DependencyNotReady"));
        check(true, &[new()], Some("r1 is not Ready and should be"), &is(1, "False", "DependencyNotReady"));
        check(true, &[new()], Some("is not as kubectl would make it"), &|seen| {
            let reference = seen.references.get_mut(&(1, "home_o1__ConfigMap".to_owned()));
            reference.expect("it is there")["data"]["v"] = json!("2");
        });
        check(true, &[new()], None, &|seen| write(seen, 1, "2"));
    }

    #[test]
    fn a_release_waits_for_one_that_is_not_ready_and_keeps_what_it_has() {
        let new = || push(1, 1, 2);
        let waits = |seen: &mut Snapshot| {
            is(0, "False", "ManifestInvalid")(seen);
            is(1, "False", "DependencyNotReady")(seen);
        };
        let broken = || {
            let revision = Revision { broken: true, ..Revision::default() };
            Action::Push { release: 0, tag: "1.0.0".to_owned(), revision }
        };
        check(true, &[broken(), new()], None, &waits);
        check(true, &[specify(0, Change::Suspend(true)), new()], None, &|seen| {
            is(0, "Unknown", "Suspended")(seen);
            is(1, "False", "DependencyNotReady")(seen);
        });
        // What is applied is no change that waits.
        check(true, &[broken()], Some("r1 is not Ready and should be"), &waits);
        check(true, &[broken(), specify(1, Change::Path(Path::A))], None, &waits);
        check(true, &[broken(), specify(1, Change::Prune(false))], Some("r1 is not Ready"), &waits);
        let does_not_say = Some("r1 waits for its dependency and does not say so");
        check(true, &[broken(), new()], does_not_say, &|seen| {
            waits(seen);
            is(1, "False", "Other")(seen);
        });
        let missing = || specify(1, Change::Account(Account::Missing));
        check(true, &[broken(), new(), missing()], None, &|seen| {
            waits(seen);
            is(1, "False", "Other")(seen);
        });
        // Drift of what is applied is corrected.
        check(true, &[broken(), new()], Some("it is not so: /data/v"), &|seen| {
            waits(seen);
            write(seen, 1, "by hand");
        });
        check(true, &[broken(), new(), specify(1, Change::Drift(Drift::Report))], None, &|seen| {
            waits(seen);
            write(seen, 1, "by hand");
        });
    }

    #[test]
    fn nothing_new_is_written_without_the_dependency() {
        let new = || push(1, 5, 2);
        let waits = is(1, "False", "DependencyNotReady");
        let writes = |seen: &mut Snapshot| {
            waits(seen);
            write(seen, 5, "2");
            let object = seen.objects.get_mut("home_o5__ConfigMap").expect("it is there");
            object["metadata"]["labels"]["supercargo.dev/name"] = json!("r1");
            seen.inventories.entry(1).or_default().insert("home_o5__ConfigMap".to_owned());
        };
        let was_written = Some("which is not there, and home_o5__ConfigMap was written");
        check(false, &[new()], None, &waits);
        check(false, &[new()], was_written, &writes);
        check(false, &[new()], Some("(\"key-1\") was applied, and None is"), &|seen| {
            waits(seen);
            seen.results.clear();
        });
        // It was there for a moment, or was not needed.
        let (create, delete) =
            (Action::Create { release: 0, spec: Spec::default() }, Action::Delete { release: 0 });
        check(false, &[new(), create, delete], None, &writes);
        let (none, some) = (specify(1, Change::DependsOn(None)), specify(1, Change::DependsOn(Some(0))));
        check(false, &[new(), none, some], None, &writes);
    }

    #[test]
    fn each_release_of_a_cycle_says_so_and_keeps_what_it_has() {
        let closes = || specify(0, Change::DependsOn(Some(1)));
        let says = |seen: &mut Snapshot| {
            is(0, "False", "DependencyCycle")(seen);
            is(1, "False", "DependencyCycle")(seen);
        };
        check(true, &[closes()], None, &says);
        check(true, &[closes(), push(1, 1, 2)], None, &says);
        check(true, &[closes()], Some("r1 is part of a cycle, and Ready is True/R"), &|_| {});
        check(true, &[closes()], Some("r0 is part of a cycle, and Ready is False/Dep"), &|seen| {
            says(seen);
            is(0, "False", "DependencyNotReady")(seen);
        });
        check(true, &[closes()], Some("home_o1__ConfigMap is not there any more"), &|seen| {
            says(seen);
            seen.objects.remove("home_o1__ConfigMap");
        });
        check(true, &[closes()], Some("home_o1__ConfigMap has changed: /data/v"), &|seen| {
            says(seen);
            write(seen, 1, "2");
        });
        let hand = Action::Hand { kind: Kind::ConfigMap, name: 1, away: false, edit: Edit::Change };
        check(true, &[closes(), hand], None, &|seen| {
            says(seen);
            write(seen, 1, "2");
        });
        let opens = || specify(1, Change::DependsOn(None));
        check(true, &[closes(), opens()], Some("r1 is not Ready and should be"), &says);
        check(true, &[closes(), opens()], None, &|_| {});
        // One outside waits for the cycle.
        let (mut world, mut seen) = begin(true);
        world.act(&closes());
        says(&mut seen);
        world.settled(&seen);
        assert_eq!(world.held.get(&1), Some(&"depends on itself"));
        world.act(&push(1, 1, 2));
        assert_eq!(world.held.get(&1), Some(&"depends on itself"));
        world.act(&opens());
        assert_eq!(world.held.get(&1), None);
    }

    #[test]
    fn releases_that_are_deleted_together_go() {
        let delete = |release| Action::Delete { release };
        let both = || vec![delete(0), delete(1)];
        let gone = |seen: &mut Snapshot| *seen = Snapshot::default();
        let r0_is_left = |seen: &mut Snapshot| {
            drop(seen.releases.remove(&1));
            seen.objects.remove("home_o1__ConfigMap");
        };
        check(true, &both(), None, &gone);
        check(true, &both(), Some("r0 was deleted and is still there"), &r0_is_left);
        check(true, &[delete(1), delete(0)], Some("r1 was deleted and is still there"), &|_| {});
        let policy = || specify(0, Change::Policy(Policy::Delete));
        check(true, &[policy(), delete(0)], Some("r0 was deleted and is still there"), &|_| {});
        // A dependent that may not delete its objects is waited for.
        let stuck = || vec![specify(1, Change::Account(Account::Missing)), policy(), delete(0), delete(1)];
        check(true, &stuck(), None, &|_| {});
        check(true, &stuck(), Some("r0 was deleted and is still there"), &|seen| {
            seen.releases.remove(&1);
            seen.inventories.remove(&1);
            seen.objects.remove("home_o1__ConfigMap");
        });
    }
}
