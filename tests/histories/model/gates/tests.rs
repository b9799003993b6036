//! What is written and said here has to be found right or wrong.

use serde_json::json;

use super::*;
use crate::action::{Action, How, Place, Reference, Revision};
use crate::kinds::{Kind, Names};

const OPEN: Gates = Gates { rollback: Rollback::OnFailure, manual: false, closed: false, guarded: false };
const MANUAL: Gates = Gates { manual: true, ..OPEN };
const CLOSED: Gates = Gates { closed: true, ..OPEN };
const GUARDED: Gates = Gates { guarded: true, ..OPEN };

fn spec(gates: Gates) -> Spec {
    let reference = Reference::Tag("1.0.0".to_owned());
    Spec { reference, wait: true, gates: Some(gates), ..Spec::default() }
}

/// A release; revision 1 is good, and revision 2 is bad.
fn trail(gates: Gates) -> Trail {
    let mut trail = Trail::default();
    trail.pushed("sha256:1", 1, false);
    trail.pushed("sha256:2", 2, true);
    trail.pushed("sha256:3", 3, false);
    trail.born(0, &spec(gates));
    trail
}

fn object(number: u8, patched: Option<u8>) -> Value {
    json!({"kind": "ConfigMap", "metadata": {"name": "o0", "annotations": {VARIANT: number.to_string()}},
        "data": {"patched": patched.map(|n| n.to_string())}})
}

fn status(reason: &str, more: Value) -> Value {
    let ready = if reason == "ReconciliationSucceeded" { "True" } else { "False" };
    let message = "`kubectl annotate supercargo.dev/approve=token`";
    let mut object = json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1,
        "conditions": [{"type": "Ready", "status": ready, "reason": reason, "message": message}]}});
    for (field, value) in more.as_object().expect("fields") {
        object["status"][field] = value.clone();
    }
    object
}

fn ready(number: u8) -> Value {
    let (revision, digest) = (format!("1.0.0@sha256:{number}"), format!("sha256:{number}"));
    let history = json!([{"digest": digest, "outcome": "Healthy"}]);
    status("ReconciliationSucceeded", json!({"lastAppliedRevision": revision, "history": history}))
}

/// Revision 2 has failed; `top` is at the top of the history.
fn failed(back: bool, top: u8) -> Value {
    let mut entry = json!({"key": "k2", "digest": "sha256:2", "since": "now", "message": "why"});
    match back {
        true => entry["backTo"] = json!("1.0.0@sha256:1"),
        false => entry["frozen"] = json!("why"),
    }
    let outcome = if top == 2 { "Failed" } else { "Healthy" };
    let history = json!([{"digest": format!("sha256:{top}"), "outcome": outcome}]);
    let reason = if back { "RolledBack" } else { "Frozen" };
    status(reason, json!({"quarantine": [entry], "history": history}))
}

fn check(gates: Gates, says: Option<&str>, acts: &dyn Fn(&mut Trail)) {
    let mut trail = trail(gates);
    acts(&mut trail);
    let wrong = trail.take_wrong();
    match says {
        None => assert!(wrong.is_empty(), "{wrong:?}"),
        Some(says) => assert!(wrong.iter().any(|wrong| wrong.contains(says)), "{says}: {wrong:?}"),
    }
}

fn job(number: u8) -> Value {
    json!({"kind": "Job", "metadata": {"name": "o0", "annotations": {VARIANT: number.to_string()}}})
}

/// Revision 1 is applied, and revision 2 has failed after it.
fn fails(trail: &mut Trail) {
    trail.applied(0, &object(1, None));
    trail.said(0, &ready(1));
    trail.applied(0, &object(2, None));
    trail.said(0, &failed(true, 2));
}

#[test]
fn a_quarantined_revision_is_not_written_until_somebody_asks_for_it() {
    let quarantined = Some("and is quarantined: ");
    check(OPEN, None, &fails);
    check(OPEN, quarantined, &|trail| {
        fails(trail);
        trail.applied(0, &object(2, None));
    });
    check(OPEN, quarantined, &|trail| {
        fails(trail);
        trail.applied(0, &job(2));
    });
    // With other inputs, it is another revision.
    check(OPEN, None, &|trail| {
        fails(trail);
        trail.applied(0, &object(2, Some(1)));
    });
    check(OPEN, None, &|trail| {
        fails(trail);
        trail.specifies(0, &Spec { patched: Some(1), ..spec(OPEN) });
        trail.applied(0, &job(2));
    });
    let retried = |digest: &'static str, handled: bool| {
        move |trail: &mut Trail| {
            fails(trail);
            trail.retries(0, &format!("{digest}@7"));
            if handled {
                let mut again = failed(true, 2);
                again["status"]["lastHandledRetry"] = json!(format!("{digest}@7"));
                trail.said(0, &again);
            }
            trail.applied(0, &object(2, None));
        }
    };
    check(OPEN, None, &retried("sha256:2", false));
    check(OPEN, quarantined, &retried("sha256:2", true));
    check(OPEN, quarantined, &retried("sha256:1", false));
    check(OPEN, None, &|trail| {
        fails(trail);
        trail.specifies(0, &spec(Gates { rollback: Rollback::Off, ..OPEN }));
        trail.applied(0, &object(2, None));
    });
    check(OPEN, Some("has forgotten that revision 2 has failed"), &|trail| {
        fails(trail);
        trail.said(0, &status("Progressing", json!({})));
    });
    check(OPEN, None, &|trail| {
        fails(trail);
        trail.applied(0, &object(3, None));
        trail.said(0, &ready(3));
        trail.applied(0, &object(2, None));
    });
    check(OPEN, Some("revision 1 is not bad"), &|trail| {
        let mut wrong = failed(true, 1);
        wrong["status"]["quarantine"][0]["digest"] = json!("sha256:1");
        trail.said(0, &wrong);
    });
}

#[test]
fn there_is_one_way_back_for_one_verdict() {
    let back = |times: usize| {
        move |trail: &mut Trail| {
            fails(trail);
            for _ in 0..times {
                trail.said(0, &failed(true, 2));
                trail.said(0, &failed(true, 1));
            }
        }
    };
    check(OPEN, None, &back(1));
    check(OPEN, Some("has gone back from revision 2 twice"), &back(2));
    check(OPEN, Some("going back from revision 2 has failed"), &|trail| {
        fails(trail);
        let mut both = failed(true, 2);
        both["status"]["quarantine"][0]["frozen"] = json!("why");
        trail.said(0, &both);
    });
}

#[test]
fn only_an_approved_plan_is_written() {
    let nobody = Some("and nobody has approved it");
    let waits = |number: u8, hash: &str| {
        let plan = json!({"hash": hash, "revision": format!("1.0.0@sha256:{number}")});
        status("ApprovalRequired", json!({"plan": plan}))
    };
    check(MANUAL, nobody, &|trail| trail.applied(0, &object(1, None)));
    check(MANUAL, nobody, &|trail| trail.applied(0, &job(1)));
    check(MANUAL, nobody, &|trail| {
        trail.said(0, &waits(1, "one"));
        trail.approves(0, "two");
        trail.applied(0, &object(1, None));
    });
    let approved = |trail: &mut Trail| {
        trail.said(0, &waits(1, "one"));
        trail.approves(0, "one");
        trail.applied(0, &object(1, None));
        trail.said(0, &ready(1));
    };
    check(MANUAL, None, &approved);
    // Drift is corrected, another revision waits, and so does the same one with other inputs.
    check(MANUAL, None, &|trail| {
        approved(trail);
        trail.applied(0, &object(1, None));
    });
    check(MANUAL, nobody, &|trail| {
        approved(trail);
        trail.applied(0, &object(3, None));
    });
    check(MANUAL, nobody, &|trail| {
        approved(trail);
        trail.applied(0, &object(1, Some(1)));
    });
    // The way back needs no approval.
    check(MANUAL, None, &|trail| {
        approved(trail);
        trail.said(0, &waits(2, "two"));
        trail.approves(0, "two");
        trail.applied(0, &object(2, None));
        trail.said(0, &failed(true, 2));
        trail.applied(0, &object(1, None));
    });
    // A run may be for the spec before.
    check(OPEN, None, &|trail| {
        trail.specifies(0, &spec(MANUAL));
        trail.applied(0, &object(1, None));
    });
    check(OPEN, nobody, &|trail| {
        trail.said(0, &ready(1));
        trail.specifies(0, &spec(MANUAL));
        trail.specified(0, &json!({"metadata": {"generation": 2}}));
        let mut seen = status("ApprovalRequired", json!({}));
        seen["status"]["observedGeneration"] = json!(2);
        trail.said(0, &seen);
        trail.applied(0, &object(3, None));
    });
}

#[test]
fn a_window_that_is_closed_and_a_guard_hold() {
    check(CLOSED, Some("and no window is open"), &|trail| trail.applied(0, &object(1, None)));
    check(CLOSED, None, &|trail| {
        trail.specifies(0, &spec(OPEN));
        trail.applied(0, &object(1, None));
    });
    let nobody = Some("o0 was deleted, and nobody has approved that");
    check(OPEN, None, &|trail| trail.removed(0, "o0"));
    check(GUARDED, nobody, &|trail| trail.removed(0, "o0"));
    check(GUARDED, nobody, &|trail| {
        trail.said(0, &status("PruneNotApproved", json!({})));
        trail.approves(0, "other");
        trail.removed(0, "o0");
    });
    check(GUARDED, None, &|trail| {
        trail.said(0, &status("PruneNotApproved", json!({})));
        trail.approves(0, "token");
        trail.removed(0, "o0");
    });
    check(GUARDED, None, &|trail| {
        fails(trail);
        trail.removed(0, "o0");
    });
    check(GUARDED, None, &|trail| {
        trail.died(0);
        trail.removed(0, "o0");
    });
}

/// A world with that release at a revision, and the objects of another one.
fn world(gates: Gates, wanted: u8, there: u8) -> (World, Snapshot) {
    let mut world = World::new(Names { home: "home".to_owned(), away: "away".to_owned() });
    let how = if wanted == 2 { How::Sick } else { How::Plain };
    for (number, how) in [(1, How::Plain), (wanted, how)] {
        let piece = Piece {
            kind: Kind::ConfigMap,
            name: 0,
            variant: number,
            how,
            step: None,
            place: Place::default(),
        };
        let revision = Revision { a: vec![piece], ..Revision::default() };
        world.act(&Action::Push { release: 0, tag: "1.0.0".to_owned(), revision });
    }
    world.act(&Action::Create { release: 0, spec: spec(gates) });
    let mut seen = Snapshot::default();
    let mut object = object(there, None);
    object["metadata"]["labels"] = json!({"supercargo.dev/name": "r0", "supercargo.dev/namespace": "home"});
    seen.objects.insert("home_o0__ConfigMap".to_owned(), object);
    (world, seen)
}

#[test]
fn what_comes_of_a_revision_is_what_its_gates_say() {
    let check = |gates: Gates, (wanted, there): (u8, u8), said: Value, says: Option<&str>| {
        let mut trail = trail(gates);
        fails(&mut trail);
        let (world, mut seen) = world(gates, wanted, there);
        trail.said(0, &said);
        drop(trail.take_wrong());
        seen.releases.insert(0, said);
        let wrong = trail.judge(&world, &seen);
        match says {
            None => assert!(wrong.is_empty(), "{wrong:?}"),
            Some(says) => assert!(wrong.iter().any(|wrong| wrong.contains(says)), "{says}: {wrong:?}"),
        }
    };
    let may = |reason: &'static str| Some(reason);
    let mut back = failed(true, 1);
    back["status"]["failures"] = json!([{"object": "ConfigMap/away/o0"}]);
    check(OPEN, (2, 1), back.clone(), None);
    check(OPEN, (2, 2), back, Some("has gone back to revision 1, and home_o0__ConfigMap is of another"));
    check(OPEN, (2, 1), failed(true, 1), Some("does not say which objects have failed"));
    check(OPEN, (2, 1), failed(false, 1), None);
    let retried = status("HealthCheckFailed", json!({"history": [{"outcome": "Healthy"}]}));
    check(OPEN, (2, 1), retried, may("may be []"));
    let off = Gates { rollback: Rollback::Off, ..OPEN };
    check(off, (2, 2), status("HealthCheckFailed", json!({})), None);
    check(off, (2, 1), failed(true, 1), may("may be [\"HealthCheckFailed\""));
    check(OPEN, (3, 1), failed(true, 1), may("may be [\"ReconciliationSucceeded\"]"));
    check(MANUAL, (3, 1), status("ApprovalRequired", json!({})), None);
    check(MANUAL, (3, 3), status("ApprovalRequired", json!({})), Some("is of that revision"));
    check(MANUAL, (3, 1), status("OutsideWindow", json!({})), may("may be [\"ApprovalRequired\"]"));
    check(CLOSED, (3, 1), status("OutsideWindow", json!({})), None);
    check(CLOSED, (3, 1), ready(3), may("may be [\"OutsideWindow\"]"));
    check(
        GUARDED,
        (3, 1),
        status("PruneNotApproved", json!({})),
        may("may be [\"ReconciliationSucceeded\"]"),
    );
}
