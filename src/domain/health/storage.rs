//! Volume claims and volumes.

use jiff::{SignedDuration, Timestamp};

use super::fields::Fields;
use super::rule::Rule;
use super::verdict::{Health, young_until};

/// The rules of this family.
pub fn rule(group: &str, kind: &str) -> Option<Rule> {
    let rule: Rule = match (group, kind) {
        ("", "PersistentVolumeClaim") => claim,
        ("", "PersistentVolume") => volume,
        _ => return None,
    };
    Some(rule)
}

/// How long a claim without a provisioner counts as not yet seen by the volume
/// controller.
const UNTOUCHED: SignedDuration = SignedDuration::from_secs(10);

/// The provisioner annotates the claim, and so does the scheduler once it has chosen
/// a node for the first pod.
const PROVISIONER: &str = "/metadata/annotations/volume.kubernetes.io~1storage-provisioner";
const OLD_PROVISIONER: &str = "/metadata/annotations/volume.beta.kubernetes.io~1storage-provisioner";
const SELECTED_NODE: &str = "/metadata/annotations/volume.kubernetes.io~1selected-node";

/// kstatus waits until a claim is bound. A claim of a `WaitForFirstConsumer` class is
/// bound only when a pod uses it, and the pod may be part of a later release or never
/// exist: such a wait would end at the timeout, for a healthy claim. The claim does
/// not have its binding mode, but a claim that remains without annotations shows it.
pub(super) fn claim(fields: Fields<'_>, now: Timestamp) -> Health {
    match fields.text("/status/phase").unwrap_or_default() {
        "Bound" => Health::current("is bound"),
        "Lost" => Health::failed("its volume is lost"),
        _ => {
            if let Some(name) = fields.text(PROVISIONER).or(fields.text(OLD_PROVISIONER)) {
                return Health::in_progress(format!("waiting for {name} to provision a volume"));
            }
            if fields.text(SELECTED_NODE).is_some() || fields.text("/spec/volumeName").is_some() {
                return Health::in_progress("waiting for its volume to be bound");
            }
            match young_until(fields.created(), UNTOUCHED, now) {
                Some(end) => Health::in_progress("waiting for a volume").until(end),
                None => Health::current("has no volume yet, it is bound when a pod first uses it"),
            }
        }
    }
}

pub(super) fn volume(fields: Fields<'_>, _now: Timestamp) -> Health {
    match fields.text("/status/phase").unwrap_or_default() {
        "Failed" => Health::failed(match fields.text("/status/message") {
            Some(message) => format!("cannot be reclaimed: {message}"),
            None => "cannot be reclaimed".to_owned(),
        }),
        "Available" => Health::current("is available"),
        "Bound" => Health::current("is bound"),
        "Released" => Health::current("is released"),
        _ => Health::in_progress("is not available yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HealthState, HealthState::*, RuleSet};
    use serde_json::{Value, json};

    const NOW: &str = "2026-01-01T00:01:00Z";

    fn check(object: Value, state: HealthState, message: &str, changes_at: Option<&str>) {
        let health = RuleSet::default().assess(&object, NOW.parse().unwrap());
        assert_eq!((health.state, health.message.as_str()), (state, message), "{object}");
        assert_eq!(health.changes_at, changes_at.map(|t| t.parse().unwrap()), "{object}");
    }

    #[test]
    fn claims() {
        let claim = |metadata: Value, spec: Value, phase: &str| {
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec,
                "status": {"phase": phase}})
        };
        let created = |at: &str| json!({"creationTimestamp": at});
        let marked =
            |key: &str| json!({"creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {key: "csi"}});
        check(claim(json!({}), json!({}), "Bound"), Current, "is bound", None);
        check(claim(json!({}), json!({}), "Lost"), Failed, "its volume is lost", None);
        check(
            claim(created("2026-01-01T00:00:58Z"), json!({}), "Pending"),
            InProgress,
            "waiting for a volume",
            Some("2026-01-01T00:01:08Z"),
        );
        check(
            claim(created("2026-01-01T00:00:50Z"), json!({}), "Pending"),
            Current,
            "has no volume yet, it is bound when a pod first uses it",
            None,
        );
        check(
            claim(marked("volume.kubernetes.io/storage-provisioner"), json!({}), "Pending"),
            InProgress,
            "waiting for csi to provision a volume",
            None,
        );
        check(
            claim(marked("volume.beta.kubernetes.io/storage-provisioner"), json!({}), "Pending"),
            InProgress,
            "waiting for csi to provision a volume",
            None,
        );
        check(
            claim(marked("volume.kubernetes.io/selected-node"), json!({}), "Pending"),
            InProgress,
            "waiting for its volume to be bound",
            None,
        );
        check(
            claim(created("2026-01-01T00:00:00Z"), json!({"volumeName": "pv-1"}), "Pending"),
            InProgress,
            "waiting for its volume to be bound",
            None,
        );
    }

    #[test]
    fn volumes() {
        let volume =
            |status: Value| json!({"apiVersion": "v1", "kind": "PersistentVolume", "status": status});
        check(volume(json!({})), InProgress, "is not available yet", None);
        check(volume(json!({"phase": "Pending"})), InProgress, "is not available yet", None);
        check(volume(json!({"phase": "Available"})), Current, "is available", None);
        check(
            volume(json!({"phase": "Failed", "message": "no plugin"})),
            Failed,
            "cannot be reclaimed: no plugin",
            None,
        );
    }
}
