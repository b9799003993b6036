//! Where kustomize sets common labels and annotations, and where it looks for
//! the names of other objects.

use super::fields::Field;

const fn field(group: &'static str, kind: &'static str, path: &'static str, create: bool) -> Field {
    Field { group, kind, path, create }
}

/// Labels, in metadata and in selectors.
pub(in crate::domain::manifest::patch) const LABELS: &[Field] = &[
    field("", "Service", "spec/selector", true),
    field("", "ReplicationController", "spec/selector", true),
    field("", "Deployment", "spec/selector/matchLabels", true),
    field(
        "apps",
        "Deployment",
        "spec/template/spec/affinity/podAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
        false,
    ),
    field(
        "apps",
        "Deployment",
        "spec/template/spec/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
        false,
    ),
    field(
        "apps",
        "Deployment",
        "spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
        false,
    ),
    field(
        "apps",
        "Deployment",
        "spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
        false,
    ),
    field(
        "apps",
        "Deployment",
        "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels",
        false,
    ),
    field("", "ReplicaSet", "spec/selector/matchLabels", true),
    field("", "DaemonSet", "spec/selector/matchLabels", true),
    field("apps", "StatefulSet", "spec/selector/matchLabels", true),
    field(
        "apps",
        "StatefulSet",
        "spec/template/spec/affinity/podAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
        false,
    ),
    field(
        "apps",
        "StatefulSet",
        "spec/template/spec/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
        false,
    ),
    field(
        "apps",
        "StatefulSet",
        "spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
        false,
    ),
    field(
        "apps",
        "StatefulSet",
        "spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
        false,
    ),
    field(
        "apps",
        "StatefulSet",
        "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels",
        false,
    ),
    field("batch", "Job", "spec/selector/matchLabels", false),
    field("batch", "CronJob", "spec/jobTemplate/spec/selector/matchLabels", false),
    field("policy", "PodDisruptionBudget", "spec/selector/matchLabels", false),
    field("networking.k8s.io", "NetworkPolicy", "spec/podSelector/matchLabels", false),
    field("networking.k8s.io", "NetworkPolicy", "spec/ingress/from/podSelector/matchLabels", false),
    field("networking.k8s.io", "NetworkPolicy", "spec/egress/to/podSelector/matchLabels", false),
    field("", "", "metadata/labels", true),
    field("", "ReplicationController", "spec/template/metadata/labels", true),
    field("", "Deployment", "spec/template/metadata/labels", true),
    field("", "ReplicaSet", "spec/template/metadata/labels", true),
    field("", "DaemonSet", "spec/template/metadata/labels", true),
    field("apps", "StatefulSet", "spec/template/metadata/labels", true),
    field("apps", "StatefulSet", "spec/volumeClaimTemplates[]/metadata/labels", true),
    field("batch", "Job", "spec/template/metadata/labels", true),
    field("batch", "CronJob", "spec/jobTemplate/metadata/labels", true),
    field("batch", "CronJob", "spec/jobTemplate/spec/template/metadata/labels", true),
];

/// Annotations, of objects and of their pod templates.
pub(in crate::domain::manifest::patch) const ANNOTATIONS: &[Field] = &[
    field("", "", "metadata/annotations", true),
    field("", "ReplicationController", "spec/template/metadata/annotations", true),
    field("", "Deployment", "spec/template/metadata/annotations", true),
    field("", "ReplicaSet", "spec/template/metadata/annotations", true),
    field("", "DaemonSet", "spec/template/metadata/annotations", true),
    field("", "StatefulSet", "spec/template/metadata/annotations", true),
    field("batch", "Job", "spec/template/metadata/annotations", true),
    field("batch", "CronJob", "spec/jobTemplate/metadata/annotations", true),
    field("batch", "CronJob", "spec/jobTemplate/spec/template/metadata/annotations", true),
];

/// Namespaces in other places than `metadata.namespace`.
pub(in crate::domain::manifest::patch) const NAMESPACES: &[Field] = &[
    field("", "Namespace", "metadata/name", true),
    field("apiregistration.k8s.io", "APIService", "spec/service/namespace", true),
    field(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "spec/conversion/webhook/clientConfig/service/namespace",
        false,
    ),
];

/// What references may name, and which fields of which kinds are references.
pub(in crate::domain::manifest::patch) struct Named {
    /// Empty: any.
    pub(in crate::domain::manifest::patch) group: &'static str,
    /// Empty: any.
    pub(in crate::domain::manifest::patch) version: &'static str,
    pub(in crate::domain::manifest::patch) kind: &'static str,
    /// Fields of the pod templates of these kinds.
    pub(in crate::domain::manifest::patch) in_pods:
        (&'static [(&'static str, &'static str)], &'static [&'static str]),
    pub(in crate::domain::manifest::patch) fields: &'static [Field],
}

/// Kinds that create pods, and where their pod template is.
const PODS: &[(&str, &str)] = &[
    ("Pod", "spec"),
    ("PodTemplate", "template/spec"),
    ("Deployment", "spec/template/spec"),
    ("ReplicaSet", "spec/template/spec"),
    ("DaemonSet", "spec/template/spec"),
    ("StatefulSet", "spec/template/spec"),
    ("Job", "spec/template/spec"),
    ("CronJob", "spec/jobTemplate/spec/template/spec"),
];

/// The same, for the references that kustomize follows in other such kinds.
const PODS_WITH_CONTROLLERS: &[(&str, &str)] = &[
    ("Pod", "spec"),
    ("StatefulSet", "spec/template/spec"),
    ("Deployment", "spec/template/spec"),
    ("ReplicationController", "spec/template/spec"),
    ("CronJob", "spec/jobTemplate/spec/template/spec"),
    ("Job", "spec/template/spec"),
    ("DaemonSet", "spec/template/spec"),
];

const NO_PODS: (&[(&str, &str)], &[&str]) = (&[], &[]);
const SCALED: &[Field] = &[field("", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name", false)];

const fn workload(kind: &'static str) -> Named {
    Named { group: "", version: "", kind, in_pods: NO_PODS, fields: SCALED }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

/// Names of other objects.
pub(in crate::domain::manifest::patch) const REFERENCES: &[Named] = &[
    workload("Deployment"),
    workload("ReplicationController"),
    workload("ReplicaSet"),
    workload("StatefulSet"),
    Named {
        group: "",
        version: "v1",
        kind: "ConfigMap",
        in_pods: (
            PODS,
            &[
                "volumes/configMap/name",
                "containers/env/valueFrom/configMapKeyRef/name",
                "initContainers/env/valueFrom/configMapKeyRef/name",
                "containers/envFrom/configMapRef/name",
                "initContainers/envFrom/configMapRef/name",
                "volumes/projected/sources/configMap/name",
            ],
        ),
        fields: &[
            field("", "Node", "spec/configSource/configMap", false),
            field("", "Role", "rules/resourceNames", false),
            field("", "ClusterRole", "rules/resourceNames", false),
            field(
                "",
                "Ingress",
                r"metadata/annotations/nginx.ingress.kubernetes.io\/fastcgi-params-configmap",
                false,
            ),
        ],
    },
    Named {
        group: "",
        version: "v1",
        kind: "Secret",
        in_pods: (
            PODS,
            &[
                "volumes/secret/secretName",
                "containers/env/valueFrom/secretKeyRef/name",
                "initContainers/env/valueFrom/secretKeyRef/name",
                "containers/envFrom/secretRef/name",
                "initContainers/envFrom/secretRef/name",
                "imagePullSecrets/name",
                "volumes/projected/sources/secret/name",
            ],
        ),
        fields: &[
            field("", "Ingress", "spec/tls/secretName", false),
            field("", "Ingress", r"metadata/annotations/ingress.kubernetes.io\/auth-secret", false),
            field("", "Ingress", r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-secret", false),
            field("", "Ingress", r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-tls-secret", false),
            field("", "ServiceAccount", "imagePullSecrets/name", false),
            field("", "StorageClass", "parameters/secretName", false),
            field("", "StorageClass", "parameters/adminSecretName", false),
            field("", "StorageClass", "parameters/userSecretName", false),
            field("", "StorageClass", "parameters/secretRef", false),
            field("", "Role", "rules/resourceNames", false),
            field("", "ClusterRole", "rules/resourceNames", false),
            field(
                "serving.knative.dev",
                "Service",
                "spec/template/spec/containers/env/valueFrom/secretKeyRef/name",
                false,
            ),
            field("", "PersistentVolume", "spec/azureFile/secretName", false),
        ],
    },
    Named {
        group: "",
        version: "v1",
        kind: "Service",
        in_pods: NO_PODS,
        fields: &[
            field("apps", "StatefulSet", "spec/serviceName", false),
            field("", "Ingress", "spec/rules/http/paths/backend/serviceName", false),
            field("", "Ingress", "spec/backend/serviceName", false),
            field("", "Ingress", "spec/rules/http/paths/backend/service/name", false),
            field("", "Ingress", "spec/defaultBackend/service/name", false),
            field("apiregistration.k8s.io", "APIService", "spec/service/name", false),
            field(ADMISSION, "ValidatingWebhookConfiguration", "webhooks/clientConfig/service", false),
            field(ADMISSION, "MutatingWebhookConfiguration", "webhooks/clientConfig/service", false),
        ],
    },
    Named {
        group: RBAC,
        version: "",
        kind: "Role",
        in_pods: NO_PODS,
        fields: &[field(RBAC, "RoleBinding", ROLE_REF, false)],
    },
    Named {
        group: RBAC,
        version: "",
        kind: "ClusterRole",
        in_pods: NO_PODS,
        fields: &[
            field(RBAC, "RoleBinding", ROLE_REF, false),
            field(RBAC, "ClusterRoleBinding", ROLE_REF, false),
        ],
    },
    Named {
        group: "",
        version: "v1",
        kind: "ServiceAccount",
        in_pods: (PODS_WITH_CONTROLLERS, &["serviceAccountName"]),
        fields: &[
            field(RBAC, "RoleBinding", "subjects", false),
            field(RBAC, "ClusterRoleBinding", "subjects", false),
        ],
    },
    Named {
        group: "",
        version: "v1",
        kind: "PersistentVolumeClaim",
        in_pods: (PODS_WITH_CONTROLLERS, &["volumes/persistentVolumeClaim/claimName"]),
        fields: &[],
    },
    Named {
        group: "",
        version: "v1",
        kind: "PersistentVolume",
        in_pods: NO_PODS,
        fields: &[
            field("", "PersistentVolumeClaim", "spec/volumeName", false),
            field("", "ClusterRole", "rules/resourceNames", false),
        ],
    },
    Named {
        group: "storage.k8s.io",
        version: "v1",
        kind: "StorageClass",
        in_pods: NO_PODS,
        fields: &[
            field("", "PersistentVolume", "spec/storageClassName", false),
            field("", "PersistentVolumeClaim", "spec/storageClassName", false),
            field("", "StatefulSet", "spec/volumeClaimTemplates/spec/storageClassName", false),
        ],
    },
    Named {
        group: "scheduling.k8s.io",
        version: "v1",
        kind: "PriorityClass",
        in_pods: (PODS_WITH_CONTROLLERS, &["priorityClassName"]),
        fields: &[],
    },
    Named {
        group: ADMISSION,
        version: "",
        kind: "ValidatingAdmissionPolicy",
        in_pods: NO_PODS,
        fields: &[field(ADMISSION, "ValidatingAdmissionPolicyBinding", "spec/policyName", false)],
    },
];

/// The only field that has the kind of the referenced object next to its name.
pub(in crate::domain::manifest::patch) const ROLE_REF: &str = "roleRef/name";
