//! Volume claims and volumes.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

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
                None => Health::current(UNBOUND),
            }
        }
    }
}

/// The verdict for a claim that nobody has acted on: its class decides whether it is right.
const UNBOUND: &str = "has no volume yet, it is bound when a pod first uses it";

/// Which class decides whether a claim ever gets a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassQuestion {
    /// The class of this name.
    Named(String),
    /// The default class.
    Default,
}

/// What was read of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassAnswer {
    /// It exists.
    Exists,
    /// It does not.
    Missing,
    /// It may not be read.
    Unknown,
}

impl ClassQuestion {
    /// The question of a claim that is judged healthy only because a pod may bind it later.
    /// A volume that an administrator has made binds the claim sooner, also without a class
    /// of that name. A class of "" asks for such a volume only.
    pub fn of(object: &Value, own: &Health) -> Option<Self> {
        if object.get("kind")?.as_str()? != "PersistentVolumeClaim" || own.message != UNBOUND {
            return None;
        }
        match object.pointer("/spec/storageClassName").and_then(Value::as_str) {
            Some("") => None,
            Some(name) => Some(Self::Named(name.to_owned())),
            None => Some(Self::Default),
        }
    }

    /// Why the volume never comes, if that is so.
    pub fn judged(&self, answer: ClassAnswer) -> Option<String> {
        match (self, answer) {
            (_, ClassAnswer::Exists | ClassAnswer::Unknown) => None,
            (Self::Named(name), ClassAnswer::Missing) => {
                Some(format!("has no volume, and its StorageClass {name} does not exist"))
            }
            (Self::Default, ClassAnswer::Missing) => {
                Some("has no volume: it names no StorageClass, and there is no default one".to_owned())
            }
        }
    }
}

/// Whether a StorageClass is the default one.
pub fn is_default_class(class: &Value) -> bool {
    let annotations = class.pointer("/metadata/annotations");
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
        .into_iter()
        .any(|key| annotations.and_then(|all| all.get(key)?.as_str()) == Some("true"))
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
    use super::*;
    use serde_json::json;

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
    fn a_missing_class_fails_a_claim_that_nobody_has_acted_on() {
        use ClassAnswer::{Exists, Missing, Unknown};
        let question = |created: &str, spec: Value| {
            let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"creationTimestamp": created}, "spec": spec, "status": {"phase": "Pending"}});
            ClassQuestion::of(&claim, &RuleSet::default().assess(&claim, NOW.parse().unwrap()))
        };
        let old = "2026-01-01T00:00:00Z";
        let named = Some(ClassQuestion::Named("fast".into()));
        assert_eq!(question(old, json!({"storageClassName": "fast"})), named);
        assert_eq!(question(old, json!({})), Some(ClassQuestion::Default));
        assert_eq!(question(old, json!({"storageClassName": ""})), None);
        assert_eq!(question(old, json!({"storageClassName": "fast", "volumeName": "a"})), None);
        assert_eq!(question("2026-01-01T00:00:59Z", json!({"storageClassName": "fast"})), None);
        let check = |question: Option<ClassQuestion>, answer: ClassAnswer, expected: Option<&str>| {
            assert_eq!(question.unwrap().judged(answer).as_deref(), expected, "{answer:?}");
        };
        check(named.clone(), Exists, None);
        check(named.clone(), Unknown, None);
        check(named, Missing, Some("has no volume, and its StorageClass fast does not exist"));
        let none = "has no volume: it names no StorageClass, and there is no default one";
        check(Some(ClassQuestion::Default), Missing, Some(none));
        let class = |key: &str, value: &str| json!({"metadata": {"annotations": {key: value}}});
        assert!(is_default_class(&class("storageclass.kubernetes.io/is-default-class", "true")));
        assert!(is_default_class(&class("storageclass.beta.kubernetes.io/is-default-class", "true")));
        assert!(!is_default_class(&class("storageclass.kubernetes.io/is-default-class", "false")));
        assert!(!is_default_class(&json!({})));
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
