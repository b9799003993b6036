//! The model against clusters that are written down here.

use serde_json::json;

use super::*;
use crate::action::{Place, Step};

fn names() -> Names {
    Names { home: "home".to_owned(), away: "away".to_owned() }
}

fn piece(kind: Kind, name: u8, variant: u8) -> Piece {
    Piece { kind, name, variant, how: How::Plain, step: None, place: Place::default() }
}

fn revision(pieces: &[Piece]) -> Revision {
    Revision { a: pieces.to_vec(), ..Revision::default() }
}

/// A release of two ConfigMaps.
fn world() -> World {
    let mut world = World::new(names());
    let pieces = [piece(Kind::ConfigMap, 0, 1), piece(Kind::ConfigMap, 1, 1)];
    world.act(&Action::Push { release: 0, tag: "1.0.0".to_owned(), revision: revision(&pieces) });
    world.act(&Action::Create { release: 0, spec: Spec::default() });
    world
}

fn release(ready: &str) -> Value {
    json!({
        "metadata": {"name": "r0", "generation": 1},
        "status": {"observedGeneration": 1, "conditions": [
            {"type": "Ready", "status": ready, "reason": "R", "message": "M"}]},
    })
}

fn object(name: &str, owner: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "home", "uid": "u",
            "labels": {"supercargo.dev/name": owner, "supercargo.dev/namespace": "home"}},
        "data": {"v": value},
    })
}

/// What is there when all is well.
fn seen() -> Snapshot {
    let mut seen = Snapshot::default();
    seen.releases.insert(0, release("True"));
    for name in ["o0", "o1"] {
        let id = format!("home_{name}__ConfigMap");
        seen.objects.insert(id.clone(), object(name, "r0", "1"));
        seen.references.insert((0, id.clone()), object(name, "nobody", "1"));
        seen.inventories.entry(0).or_default().insert(id);
    }
    seen
}

#[test]
fn what_is_as_it_should_be_is_not_complained_about_and_anything_else_is() {
    let check = |says: Option<&str>, change: &dyn Fn(&mut World, &mut Snapshot)| {
        let (mut world, mut seen) = (world(), seen());
        change(&mut world, &mut seen);
        let wrong = world.judge(&seen);
        match says {
            None => assert!(wrong.is_empty(), "{wrong:?}"),
            Some(says) => assert!(wrong.iter().any(|wrong| wrong.contains(says)), "{says}: {wrong:?}"),
        }
    };
    let id = "home_o0__ConfigMap";
    check(None, &|_, _| {});
    check(Some("o0__ConfigMap is not there"), &|_, seen| drop(seen.objects.remove(id)));
    check(Some("/data/v is \"2\" and not \"1\""), &|_, seen| {
        seen.objects.insert(id.to_owned(), object("o0", "r0", "2"));
    });
    check(Some("is not labelled as its own"), &|_, seen| {
        seen.objects.insert(id.to_owned(), object("o0", "r7", "1"));
    });
    check(Some("is not Ready and should be"), &|_, seen| drop(seen.releases.insert(0, release("False"))));
    check(Some("in no inventory of it"), &|_, seen| {
        seen.objects.insert("home_o5__ConfigMap".to_owned(), object("o5", "r0", "1"));
    });
    check(Some("which it does not want any more"), &|_, seen| {
        seen.objects.insert("home_o5__ConfigMap".to_owned(), object("o5", "r0", "1"));
        seen.inventories.entry(0).or_default().insert("home_o5__ConfigMap".to_owned());
    });
    check(None, &|world, seen| {
        world.act(&Action::Specify { release: 0, change: Change::Prune(false) });
        seen.objects.insert("home_o5__ConfigMap".to_owned(), object("o5", "r0", "1"));
        seen.inventories.entry(0).or_default().insert("home_o5__ConfigMap".to_owned());
    });
    check(Some("has no inventory"), &|_, seen| seen.inventories.clear());
    check(Some("is not in its inventory"), &|_, seen| {
        seen.inventories.entry(0).or_default().remove(id);
    });
    check(Some("which is gone"), &|_, seen| {
        seen.inventories.entry(0).or_default().insert("home_o5__ConfigMap".to_owned());
    });
    check(Some("has not looked at its spec"), &|_, seen| {
        seen.releases.entry(0).and_modify(|release| release["metadata"]["generation"] = json!(2));
    });
    check(Some("was deleted and is still there"), &|world, _| world.act(&Action::Delete { release: 0 }));
    check(Some("in no inventory of it"), &|world, seen| {
        world.act(&Action::Delete { release: 0 });
        seen.releases.clear();
        seen.inventories.clear();
    });
    check(None, &|world, seen| {
        world.act(&Action::Specify { release: 0, change: Change::Policy(Policy::Orphan) });
        world.act(&Action::Delete { release: 0 });
        seen.releases.clear();
        seen.inventories.clear();
    });
}

#[test]
fn what_is_applied_stays_so_while_a_newer_revision_cannot_be_had() {
    let missing =
        Action::Specify { release: 0, change: Change::Reference(Reference::Tag("3.0.0".to_owned())) };
    let refused = Action::Push { release: 0, tag: "1.0.0".to_owned(), revision: broken() };
    let check = |says: Option<&str>, actions: &[&Action], change: &dyn Fn(&mut Snapshot)| {
        let (mut world, mut seen) = (world(), seen());
        seen.results.insert(0, "key".to_owned());
        world.settled(&seen);
        actions.iter().for_each(|action| world.act(action));
        seen.releases.insert(0, release("False"));
        change(&mut seen);
        let wrong = world.judge(&seen);
        match says {
            None => assert!(wrong.is_empty(), "{wrong:?}"),
            Some(says) => assert!(wrong.iter().any(|wrong| wrong.contains(says)), "{says}: {wrong:?}"),
        }
    };
    let id = "home_o0__ConfigMap";
    let edited = |seen: &mut Snapshot| drop(seen.objects.insert(id.to_owned(), object("o0", "r0", "2")));
    for action in [&missing, &refused] {
        check(None, &[action], &|_| {});
        check(Some("it is not so: /data/v"), &[action], &edited);
        check(Some("it is not there"), &[action], &|seen| drop(seen.objects.remove(id)));
    }
    // Part of another revision was applied since.
    check(None, &[&missing], &|seen| {
        edited(seen);
        seen.results.clear();
    });
    let report = Action::Specify { release: 0, change: Change::Drift(Drift::Report) };
    check(None, &[&missing, &report], &edited);
    let path = Action::Specify { release: 0, change: Change::Path(Path::A) };
    check(None, &[&missing, &path], &edited);
}

#[test]
fn a_release_that_cannot_be_ready_may_be_not_ready_and_may_not_be_ready() {
    let check = |action: Action, ready: bool| {
        let (mut world, mut seen) = (world(), seen());
        world.act(&action);
        seen.releases.insert(0, release("False"));
        assert_eq!(world.judge(&seen), Vec::<String>::new(), "{action:?}");
        seen.releases.insert(0, release("True"));
        assert_eq!(world.judge(&seen).is_empty(), ready, "{action:?}");
    };
    let specify = |change| Action::Specify { release: 0, change };
    check(specify(Change::Reference(Reference::Tag("3.0.0".to_owned()))), false);
    check(Action::Push { release: 0, tag: "1.0.0".to_owned(), revision: broken() }, false);
    // With nothing to write no rights are needed.
    check(specify(Change::Account(Account::Missing)), true);
}

fn broken() -> Revision {
    Revision { broken: true, ..revision(&[piece(Kind::ConfigMap, 0, 1)]) }
}

#[test]
fn a_range_means_its_newest_tag_and_a_digest_what_the_tag_was_then() {
    let mut world = world();
    let push = |world: &mut World, tag: &str, name: u8| {
        let revision = revision(&[piece(Kind::Secret, name, 0)]);
        world.act(&Action::Push { release: 0, tag: tag.to_owned(), revision });
    };
    push(&mut world, "1.1.0", 1);
    push(&mut world, "2.0.0", 2);
    let mut check = |reference: Reference, name: &str| {
        world.act(&Action::Specify { release: 0, change: Change::Reference(reference) });
        let wanted = world.wanted(0).expect("there is one");
        assert_eq!(wanted.objects.keys().collect::<Vec<_>>(), [&format!("home_{name}__Secret")]);
        world.clone()
    };
    check(Reference::Range("1.x".to_owned()), "o1");
    check(Reference::Range(">=1.0.0".to_owned()), "o2");
    let mut pinned = check(Reference::Digest("1.1.0".to_owned()), "o1");
    push(&mut pinned, "1.1.0", 3);
    assert!(pinned.wanted(0).expect("there is one").objects.contains_key("home_o1__Secret"));
    assert_eq!(pinned.untold, BTreeSet::new(), "who follows a digest has nothing to be told");
    let tag = Reference::Tag("1.1.0".to_owned());
    pinned.act(&Action::Specify { release: 0, change: Change::Reference(tag) });
    push(&mut pinned, "1.1.0", 4);
    assert_eq!(pinned.untold, BTreeSet::from([0]));
}

#[test]
fn what_hands_did_is_excused_only_where_drift_is_not_corrected_and_only_once() {
    let check = |mode: Drift, excused: bool| {
        let (mut world, mut seen) = (world(), seen());
        world.act(&Action::Specify { release: 0, change: Change::Drift(mode) });
        let hand = Action::Hand { kind: Kind::ConfigMap, name: 0, away: false, edit: Edit::Change };
        world.act(&hand);
        seen.objects.insert("home_o0__ConfigMap".to_owned(), object("o0", "r0", "by hand"));
        assert_eq!(world.judge(&seen).is_empty(), excused, "{mode:?}");
    };
    check(Drift::Correct, false);
    check(Drift::Report, true);
    check(Drift::Off, true);
}

fn step(name: u8, after: bool, end: End) -> Piece {
    Piece { step: Some(Step { after, wave: 0, end }), ..piece(Kind::Job, name, 0) }
}

fn push(pieces: &[Piece]) -> Action {
    Action::Push { release: 0, tag: "1.0.0".to_owned(), revision: revision(pieces) }
}

fn run(key: &str, attempt: usize) -> Run {
    Run { release: 0, id: "home_o2_batch_Job".to_owned(), key: key.to_owned(), attempt }
}

fn with_reason(ready: &str, reason: &str) -> Value {
    let condition = |kind: &str| json!({"type": kind, "status": ready, "reason": reason, "message": "M"});
    let mut release = release(ready);
    release["status"]["conditions"] = json!([condition("Ready"), condition("Stalled")]);
    release
}

#[test]
fn a_step_runs_once_for_what_is_rolled_out() {
    let good = [piece(Kind::ConfigMap, 0, 1), step(2, false, End::Cleaned)];
    let other = [piece(Kind::ConfigMap, 0, 2), step(2, false, End::Cleaned)];
    let bad = [piece(Kind::ConfigMap, 0, 2), step(2, false, End::Fails)];
    let specify = |change| Action::Specify { release: 0, change };
    let wait = specify(Change::Wait(true));
    let path = specify(Change::Path(Path::A));
    let lost = Action::Inventory { release: 0, edit: InventoryEdit::Lose };
    let delete = Action::Hand { kind: Kind::Job, name: 2, away: false, edit: Edit::Delete };
    // It is rolled out with the key `a`, and then that happens, and these run.
    let check = |says: Option<&str>, actions: &[&Action], runs: &[Run]| {
        let (mut world, mut seen) = (World::new(names()), seen());
        world.act(&push(&good));
        world.act(&Action::Create { release: 0, spec: Spec::default() });
        seen.results.insert(0, "a".to_owned());
        assert_eq!(world.against_runs(vec![run("a", 1)], &seen), Vec::<String>::new());
        world.settled(&seen);
        actions.iter().for_each(|action| world.act(action));
        seen.releases.insert(0, release("Unknown"));
        let wrong = world.against_runs(runs.to_vec(), &seen);
        match says {
            None => assert!(wrong.is_empty(), "{wrong:?}"),
            Some(says) => assert!(wrong.iter().any(|wrong| wrong.contains(says)), "{says}: {wrong:?}"),
        }
    };
    let twice = Some("and may have been 1 times");
    check(None, &[], &[]);
    check(twice, &[], &[run("a", 1)]);
    check(twice, &[&wait], &[run("a", 1)]);
    check(twice, &[&lost], &[run("a", 1)]);
    check(None, &[&delete], &[run("a", 1)]);
    check(Some("for the 2th time"), &[], &[run("a", 2)]);
    check(None, &[&path], &[run("b", 1)]);
    check(twice, &[&path], &[run("b", 1), run("b", 1)]);
    check(twice, &[&path], &[run("a", 1)]);
    check(None, &[&push(&other), &push(&good)], &[run("b", 1), run("a", 1)]);
    check(Some("and may have been 2 times"), &[&push(&other), &push(&good)], &[run("a", 1), run("a", 1)]);
    // What fails at once leaves the one before it applied.
    check(None, &[&push(&bad), &push(&good)], &[run("b", 1)]);
    check(twice, &[&push(&bad), &push(&good)], &[run("b", 1), run("a", 1)]);
    check(None, &[&push(&bad), &push(&good), &lost], &[run("b", 1), run("a", 1)]);
    check(None, &[&push(&bad), &push(&other), &push(&good)], &[run("b", 1), run("c", 1), run("a", 1)]);
}

#[test]
fn a_step_is_run_again_only_if_it_fails_and_somebody_asks() {
    let check = |end: End, asks: usize, attempt: usize, fine: bool| {
        let mut world = World::new(names());
        world.act(&push(&[step(2, false, end)]));
        world.act(&Action::Create { release: 0, spec: Spec::default() });
        (0..asks).for_each(|_| world.steps.asked(0));
        let wrong = world.against_runs(vec![run("a", attempt)], &Snapshot::default());
        assert_eq!(wrong.is_empty(), fine, "{wrong:?}");
    };
    check(End::Fails, 0, 1, true);
    check(End::Fails, 0, 2, false);
    check(End::Fails, 1, 2, true);
    check(End::Fails, 1, 3, false);
    check(End::Stays, 1, 2, false);
}

#[test]
fn a_step_that_has_not_run_is_missed() {
    let check = |runs: &[Run], fine: bool| {
        let (mut world, mut seen) = (World::new(names()), seen());
        world.act(&push(&[step(2, true, End::Stays)]));
        world.act(&Action::Create { release: 0, spec: Spec::default() });
        seen.results.insert(0, "a".to_owned());
        assert_eq!(world.against_runs(runs.to_vec(), &seen).is_empty(), fine, "{runs:?}");
    };
    check(&[run("a", 1)], true);
    check(&[], false);
    check(&[run("b", 1)], false);
}

#[test]
fn after_a_failed_step_the_applied_revision_stays() {
    let check = |says: Option<&str>, reason: &str, change: &dyn Fn(&mut Snapshot)| {
        let (mut world, mut seen) = (world(), seen());
        seen.results.insert(0, "a".to_owned());
        world.settled(&seen);
        world.act(&push(&[
            piece(Kind::ConfigMap, 0, 2),
            piece(Kind::ConfigMap, 5, 2),
            step(2, false, End::Fails),
        ]));
        seen.releases.insert(0, with_reason("False", reason));
        change(&mut seen);
        let wrong = world.judge(&seen);
        match says {
            None => assert!(wrong.is_empty(), "{wrong:?}"),
            Some(says) => assert!(wrong.iter().any(|wrong| wrong.contains(says)), "{says}: {wrong:?}"),
        }
    };
    check(None, "StepFailed", &|_| {});
    check(Some("Stalled has the reason"), "Other", &|_| {});
    check(Some("a is not applied"), "StepFailed", &|seen| seen.results.clear());
    check(Some("home_o5__ConfigMap was written"), "StepFailed", &|seen| {
        seen.objects.insert("home_o5__ConfigMap".to_owned(), object("o5", "r0", "2"));
    });
    check(Some("it is not so: /data/v"), "StepFailed", &|seen| {
        seen.objects.insert("home_o0__ConfigMap".to_owned(), object("o0", "r0", "2"));
    });
    check(Some("a step of it fails"), "StepFailed", &|seen| drop(seen.releases.insert(0, release("True"))));
}

#[test]
fn what_is_created_comes_after_what_it_waits_for() {
    let check = |pieces: &[Piece], created: &[&str], fine: bool| {
        let mut world = World::new(names());
        world.act(&push(pieces));
        world.act(&Action::Create { release: 0, spec: Spec::default() });
        let created: Vec<Id> = created.iter().map(|name| format!("home_{name}")).collect();
        let wrong = world.against_order(&created);
        assert_eq!(wrong.is_empty(), fine, "{created:?}: {wrong:?}");
    };
    let placed = |name: u8, wave: i8, after: Option<(Kind, u8)>| Piece {
        place: Place { wave, after },
        ..piece(Kind::ConfigMap, name, 0)
    };
    let (a, b, role) = ("o0__ConfigMap", "o1__ConfigMap", "o3_rbac.authorization.k8s.io_Role");
    let waves = [placed(0, 1, None), placed(1, -1, None), piece(Kind::Role, 3, 0)];
    check(&waves, &[b, a], true);
    check(&waves, &[a, b], false);
    check(&waves, &[role, b, a], true);
    check(&waves, &[b, role, a], true);
    check(&waves, &[b, a, role], false);
    // What is made anew corrects drift.
    check(&waves, &[a, b, a], true);
    let needs = [placed(0, 0, Some((Kind::ConfigMap, 1))), placed(1, 0, None)];
    check(&needs, &[b, a], true);
    check(&needs, &[a, b], false);
    let steps = [step(2, false, End::Stays), placed(0, -5, None), step(4, true, End::Stays)];
    let (before, after) = ("o2_batch_Job", "o4_batch_Job");
    check(&steps, &[before, a, after], true);
    check(&steps, &[a, before], false);
    check(&steps, &[after, a], false);
}

#[test]
fn what_a_kept_object_depends_on_is_kept_too() {
    let check = |prune: Option<&str>, depends_on: Option<&str>, fine: bool| {
        let (mut world, mut seen) = (world(), seen());
        world.act(&Action::Delete { release: 0 });
        seen.releases.clear();
        seen.inventories.clear();
        let annotations = |name: &str, annotation: &str, value: Option<&str>, seen: &mut Snapshot| {
            let object = seen.objects.get_mut(&format!("home_{name}__ConfigMap")).expect("it is there");
            object["metadata"]["annotations"][annotation] = json!(value);
        };
        annotations("o1", "supercargo.dev/prune", prune, &mut seen);
        annotations("o1", "config.kubernetes.io/depends-on", depends_on, &mut seen);
        let wrong = world.judge(&seen);
        assert_eq!(wrong.is_empty(), fine, "{wrong:?}");
    };
    let on = |name: &str| format!("/{}/ConfigMap/{name}", ["namespaces", "home"].join("/"));
    let (on, other) = (on("o0"), on("o7"));
    check(Some("disabled"), Some(&on), true);
    check(None, Some(&on), false);
    check(Some("disabled"), None, false);
    check(Some("disabled"), Some(&other), false);
}
