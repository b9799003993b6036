//! What the tables of the gates share, and the table of their order.

use serde_json::json;

use super::{ArrivalFacts, Decision, Facts, decide};
use crate::api::reason::Reason;
use crate::domain::release::Release;

/// A release that passes every gate.
pub fn release() -> Release {
    let resource = json!({
        "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
        "metadata": {"name": "app", "namespace": "team"},
        "spec": {"url": "oci://r.io/team/app", "prune": true},
    });
    Release::parse(&serde_json::from_value(resource).unwrap()).unwrap()
}

/// A new revision, seen first at that time.
pub fn arrival(now: &str) -> ArrivalFacts<'static> {
    let now = now.parse().unwrap();
    ArrivalFacts {
        revision: "1@sha256:a",
        digest: "sha256:a",
        now,
        first_seen: now,
        signed_at: None,
        is_known: false,
        across_namespaces: false,
        unpromoted: &[],
    }
}

/// The reason and message of a gate that blocks a release.
pub fn held(decision: Decision) -> Option<(Reason, String)> {
    match decision {
        Decision::Pass => None,
        Decision::Wait(blocker, _) | Decision::Refuse(blocker) => Some((blocker.reason, blocker.message)),
    }
}

#[test]
fn the_first_gate_that_holds_decides() {
    let check = |suspend: bool, frozen: &str, expected: Option<Reason>| {
        let mut release = release();
        release.suspend = suspend;
        release.labels.insert("frozen".to_owned(), frozen.to_owned());
        assert_eq!(held(decide(&Facts::of(&release))).map(|(reason, _)| reason), expected);
    };
    check(false, "false", None);
    check(false, "true", Some(Reason::InvalidSpec));
    check(true, "true", Some(Reason::Suspended));
}
