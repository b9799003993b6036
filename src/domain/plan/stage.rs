//! The order of work: which kinds are applied before which.

use crate::domain::objects::identity::{GroupKind, ObjectId};

/// A stage of the apply. All of a stage is applied before the next begins;
/// pruning and deletion go backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// CustomResourceDefinitions and Namespaces, which are waited for.
    Definitions,
    /// Classes, roles, quotas and ServiceAccounts.
    Foundations,
    /// RoleBindings. While the role is missing, the API server refuses them for
    /// accounts that may not bind every role.
    Bindings,
    /// ConfigMaps and Secrets.
    Configuration,
    /// Services and storage.
    Services,
    /// What runs pods.
    Workloads,
    /// Everything else.
    Others,
    /// Webhook configurations, which could deny the rest.
    Webhooks,
}

impl Stage {
    /// Every stage, in the order of the apply.
    pub const ALL: [Stage; 8] = [
        Stage::Definitions,
        Stage::Foundations,
        Stage::Bindings,
        Stage::Configuration,
        Stage::Services,
        Stage::Workloads,
        Stage::Others,
        Stage::Webhooks,
    ];
}

/// Stage, and rank inside it, of the kinds that have one.
const RANKS: &[(&str, &str, Stage)] = &[
    ("apiextensions.k8s.io", "CustomResourceDefinition", Stage::Definitions),
    ("", "Namespace", Stage::Definitions),
    ("scheduling.k8s.io", "PriorityClass", Stage::Foundations),
    ("node.k8s.io", "RuntimeClass", Stage::Foundations),
    ("storage.k8s.io", "StorageClass", Stage::Foundations),
    ("snapshot.storage.k8s.io", "VolumeSnapshotClass", Stage::Foundations),
    ("networking.k8s.io", "IngressClass", Stage::Foundations),
    ("gateway.networking.k8s.io", "GatewayClass", Stage::Foundations),
    ("resource.k8s.io", "DeviceClass", Stage::Foundations),
    ("", "ResourceQuota", Stage::Foundations),
    ("", "LimitRange", Stage::Foundations),
    ("", "ServiceAccount", Stage::Foundations),
    ("rbac.authorization.k8s.io", "ClusterRole", Stage::Foundations),
    ("rbac.authorization.k8s.io", "Role", Stage::Foundations),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", Stage::Bindings),
    ("rbac.authorization.k8s.io", "RoleBinding", Stage::Bindings),
    ("", "ConfigMap", Stage::Configuration),
    ("", "Secret", Stage::Configuration),
    ("", "Service", Stage::Services),
    ("", "PersistentVolume", Stage::Services),
    ("", "PersistentVolumeClaim", Stage::Services),
    ("networking.k8s.io", "NetworkPolicy", Stage::Services),
    ("", "Pod", Stage::Workloads),
    ("", "ReplicationController", Stage::Workloads),
    ("apps", "ReplicaSet", Stage::Workloads),
    ("apps", "DaemonSet", Stage::Workloads),
    ("apps", "Deployment", Stage::Workloads),
    ("apps", "StatefulSet", Stage::Workloads),
    ("batch", "Job", Stage::Workloads),
    ("batch", "CronJob", Stage::Workloads),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", Stage::Webhooks),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", Stage::Webhooks),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy", Stage::Webhooks),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding", Stage::Webhooks),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", Stage::Webhooks),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", Stage::Webhooks),
];

fn rank(group: &str, kind: &str) -> (Stage, usize) {
    match RANKS.iter().position(|(g, k, _)| *g == group && *k == kind) {
        Some(n) => (RANKS[n].2, n),
        None => (Stage::Others, RANKS.len()),
    }
}

/// The stage of a kind. A class of any group counts as one by its name.
pub fn stage(kind: &GroupKind) -> Stage {
    rank(&kind.group, &kind.kind).0
}

/// What objects are sorted by: stage, rank of the kind, then identity.
pub fn order(id: &ObjectId) -> (Stage, usize, &str, &str, &str, &str) {
    let (stage, rank) = rank(&id.group, &id.kind);
    (stage, rank, &id.group, &id.kind, &id.namespace, &id.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_in_the_order_of_need() {
        let mut ids: Vec<ObjectId> = [
            "a_x_autoscaling_HorizontalPodAutoscaler",
            "_x_admissionregistration.k8s.io_ValidatingWebhookConfiguration",
            "a_x_apps_Deployment",
            "a_x__Service",
            "a_x__ConfigMap",
            "a_b_rbac.authorization.k8s.io_RoleBinding",
            "a_b_rbac.authorization.k8s.io_Role",
            "a_a__ServiceAccount",
            "_a__Namespace",
            "_c_apiextensions.k8s.io_CustomResourceDefinition",
        ]
        .iter()
        .map(|i| ObjectId::from_inventory_id(i).unwrap())
        .collect();
        ids.sort_by(|a, b| order(a).cmp(&order(b)));
        let kinds: Vec<&str> = ids.iter().map(|i| i.kind.as_str()).collect();
        assert_eq!(
            kinds,
            [
                "CustomResourceDefinition",
                "Namespace",
                "ServiceAccount",
                "Role",
                "RoleBinding",
                "ConfigMap",
                "Service",
                "Deployment",
                "HorizontalPodAutoscaler",
                "ValidatingWebhookConfiguration"
            ]
        );
    }
}
