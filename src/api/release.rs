//! The custom resource `OCIArtifactRelease`: spec and defaults. The doc comments
//! are the descriptions that `kubectl explain` prints.

use std::collections::BTreeMap;

use kube::core::Rule;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::helm::HelmOptions;
use super::content::layers::LayersMode;
use super::dependency::DependencyReference;
pub use super::drift::{Drift, DriftMode, IgnoreRule, PointerPath};
use super::duration::{is_between, is_duration, is_within};
use super::guards::{Promotion, PruneGuard, ScheduleWindow, is_age};
use super::health::{HealthCheck, HealthCheckExpr};
use super::kube_config::KubeConfig;
use super::notify::NotificationReceiver;
use super::object_reference::LocalObjectReference;
use super::patch::{Image, Patch};
use super::plan::ApprovalMode;
use super::post_build::PostBuild;
pub use super::provider::RegistryProvider;
pub use super::rollback::{Rollback, RollbackMode};
use super::status::ReleaseStatus;
use super::verify::{Decryption, Verify};

/// API group.
pub const GROUP: &str = "supercargo.dev";
/// API version.
pub const VERSION: &str = "v1alpha1";
/// Kind.
pub const KIND: &str = "OCIArtifactRelease";
/// Plural resource name.
pub const PLURAL: &str = "ociartifactreleases";

/// A configuration artifact in an OCI registry and how to apply it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "supercargo.dev",
    version = "v1alpha1",
    kind = "OCIArtifactRelease",
    plural = "ociartifactreleases",
    singular = "ociartifactrelease",
    shortname = "oar",
    category = "supercargo",
    namespaced,
    status = "ReleaseStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Revision","type":"string","jsonPath":".status.shortRevision"}"#,
    printcolumn = r#"{"name":"Suspended","type":"boolean","jsonPath":".spec.suspend"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Last Applied","type":"string","jsonPath":".status.lastAppliedRevision","priority":1}"#,
    printcolumn = r#"{"name":"Drifted","type":"string","jsonPath":".status.conditions[?(@.type==\"Drifted\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Verified","type":"string","jsonPath":".status.conditions[?(@.type==\"Verified\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Source","type":"string","jsonPath":".spec.url","priority":1}"#,
    printcolumn = r#"{"name":"Cluster","type":"string","jsonPath":".status.cluster","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    validation = Rule::new("self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name must be a DNS label: at most 63 lower case letters, digits or '-'"),
    validation = Rule::new("!has(self.spec.rollback) || self.spec.rollback.mode == 'Off' || (has(self.spec.wait) && self.spec.wait) || (has(self.spec.healthChecks) && self.spec.healthChecks.size() > 0)").message("rollback.mode needs wait or healthChecks: without them no revision is known to be healthy"),
    validation = Rule::new("!has(self.spec.dependsOn) || !self.spec.dependsOn.exists(d, d.name == self.metadata.name && !has(d.namespace) && (!has(d.kind) || d.kind == 'OCIArtifactRelease'))").message("dependsOn must not name the release itself"),
    validation = Rule::new("!has(self.spec.approvalTimeout) || self.spec.approval == 'Manual'").message("approvalTimeout needs approval: Manual"),
    doc = "OCIArtifactRelease applies a configuration artifact from an OCI registry to the cluster."
)]
#[serde(rename_all = "camelCase")]
pub struct OCIArtifactReleaseSpec {
    /// Repository of the artifact, `oci://host[:port]/path`, without tag or digest: set those in `ref`.
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.startsWith('oci://')").message("url must start with oci://"))]
    #[x_kube(validation = Rule::new("!self.contains('@')").message("url must not contain a digest or credentials, use ref.digest and secretRef"))]
    #[x_kube(validation = Rule::new("self.contains('@') || !self.matches('^oci://[^/]+/.*:[^/]*$')").message("url must not contain a tag, use ref.tag"))]
    #[x_kube(validation = Rule::new("!self.startsWith('oci://') || self.contains('@') || self.matches('^oci://[^/]+/.*:[^/]*$') || self.matches('^oci://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$') || self.matches('^oci://[[][0-9A-Fa-f:]+[]](:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$')").message("url must be oci://host[:port]/path, the path in lower case letters, digits and separators"))]
    pub url: String,

    /// Revision of the artifact. `digest` takes precedence over `semver`, `semver` over `tag`; the default is the tag `latest`.
    #[serde(default, rename = "ref")]
    pub reference: Reference,

    /// Interval at which the registry is checked for a new revision, 10s to 24h; jittered by 5 percent.
    #[serde(default = "five_minutes")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = is_duration("interval"), validation = is_between("interval", "10s"))]
    pub interval: String,

    /// Delay before the first retry of a failure; then with exponential backoff, up to the interval and at least 5 minutes.
    #[serde(default = "thirty_seconds")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = is_duration("retryInterval"), validation = is_between("retryInterval", "1s"))]
    pub retry_interval: String,

    /// Time limit for each of: the pull, the apply, and the wait for health.
    #[serde(default = "five_minutes")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = is_duration("timeout"), validation = is_between("timeout", "1s"))]
    pub timeout: String,

    /// Suspends reconciliation: no pull, no apply, no drift correction. Applied objects are kept. Deletion still works.
    #[serde(default)]
    pub suspend: bool,

    /// Secret of type kubernetes.io/dockerconfigjson with credentials for the registry, in the release's namespace. Default: the image pull secrets of the ServiceAccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,

    /// Secret with TLS data for the registry: `ca.crt` and, as a pair, `tls.crt` and `tls.key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalObjectReference>,

    /// Secret with the proxy for the registry: `address` and optionally `username` and `password`. Default: the controller's HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalObjectReference>,

    /// Source of credentials if no Secret has any for the registry. aws, azure and gcp: the workload identity of the controller's pod, for the registries of that cloud.
    #[serde(default)]
    pub provider: RegistryProvider,

    /// Uses plain HTTP for the registry.
    #[serde(default)]
    pub insecure: bool,

    /// Required signers of the artifact. If not set, the artifact is not verified, and the condition Verified says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,

    /// Keys to decrypt the artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decryption: Option<Decryption>,

    /// Layers of the artifact that are used. First: the first layer with manifests. All: all layers with manifests, merged in their order; a file in two of them is an error.
    #[serde(default)]
    pub layers: LayersMode,

    /// Layers with the manifests, by their media type. The default is every layer that is tar, tar+gzip, tar+zstd or YAML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_selector: Option<LayerSelector>,

    /// Directory in the artifact.
    #[serde(default = "whole_artifact")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.split('/').exists(p, p == '..')").message("path must be relative to the artifact and must not contain '..'"))]
    pub path: String,

    /// Options of a Helm chart. Only for an artifact that is one; a chart is rendered also without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<HelmOptions>,

    /// Sets the namespace of every namespaced object. Namespace objects are never renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("targetNamespace must be the name of a namespace, or not set"))]
    pub target_namespace: Option<String>,

    /// Labels and annotations added to every object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadata>,

    /// New names, tags or digests for container images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub images: Vec<Image>,

    /// Kustomize patches: strategic merge, or JSON patch (RFC 6902). Applied in order, before targetNamespace and commonMetadata.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub patches: Vec<Patch>,

    /// Variables that are replaced in the objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_build: Option<PostBuild>,

    /// ServiceAccount, in the release's namespace, whose rights are used to apply and delete objects and to read Secrets and ConfigMaps named in the spec. Default: the controller's --default-service-account, otherwise the controller's own rights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("serviceAccountName must be the name of a ServiceAccount, or not set"))]
    pub service_account_name: Option<String>,

    /// Another cluster for the objects of the release. The release, its status, its inventory and the Secrets that its spec names stay in this cluster. With serviceAccountName (or the controller's --default-service-account), the kubeconfig's user impersonates the ServiceAccount of that name in the release's namespace there; otherwise objects are applied with the rights of the kubeconfig's user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_config: Option<KubeConfig>,

    /// Deletes objects that are no longer in the artifact.
    pub prune: bool,

    /// Sets Ready only when all objects are healthy.
    #[serde(default)]
    pub wait: bool,

    /// Objects to wait for when `wait` is false, in the artifact or not. They are read with the rights of the release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub health_checks: Vec<HealthCheck>,

    /// How the objects of a kind are judged, instead of the built-in rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, a.apiVersion.split('/')[0] == b.apiVersion.split('/')[0] && a.apiVersion.contains('/') == b.apiVersion.contains('/') && (has(a.kind) ? a.kind : '') == (has(b.kind) ? b.kind : '')))").message("healthCheckExprs must have different groups and kinds"))]
    pub health_check_exprs: Vec<HealthCheckExpr>,

    /// Recreates objects that cannot be updated, for example after a change of an immutable field. Never recreates objects that hold data, such as a Namespace, CustomResourceDefinition, PersistentVolume or PersistentVolumeClaim.
    #[serde(default)]
    pub force: bool,

    /// Handling of drift: objects that differ from what was applied.
    #[serde(default)]
    pub drift: Drift,

    /// Handling of a new revision that fails.
    #[serde(default)]
    pub rollback: Rollback,

    /// Number of revisions in `status.history`, 2 to 20. The last healthy one is always among them.
    #[serde(default = "five")]
    #[schemars(range(min = 2, max = 20))]
    pub history_limit: i32,

    /// Objects that must be ready before a new revision is applied: other releases, or objects of any kind. When a release and its dependency are both deleted, the release is deleted first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub depends_on: Vec<DependencyReference>,

    /// Windows in which a new revision may be applied. Without a window that allows it, it may be applied at any time that no window denies. Drift correction, the way back to an earlier revision, and deletion do not wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub schedule: Vec<ScheduleWindow>,

    /// Minimum age of a new revision: by the verified time of its signature, otherwise by the time at which this release saw it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = is_age())]
    pub minimum_age: Option<String>,

    /// Releases that must have had the same digest before a new revision is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Promotion>,

    /// Limits to what a new revision may remove without approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune_guard: Option<PruneGuard>,

    /// Approval of new revisions. Automatic: they are applied at once. Manual: the plan of a new revision is in `status.plan`, and waits until the annotation supercargo.dev/approve has its hash. Drift correction needs no approval.
    #[serde(default)]
    pub approval: ApprovalMode,

    /// Time after which an approval does not count any more, 1m to 720h; without it, an approval does not expire. Needs `approval: Manual`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = is_duration("approvalTimeout"), validation = is_within("approvalTimeout", "1m", "720h"))]
    pub approval_timeout: Option<String>,

    /// Receivers of notifications about this release. The administrator must allow their hosts (--allow-release-notifications); otherwise they get nothing, and `status.notificationFailures` says so. The release does not depend on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, a.name == b.name))").message("notify must have different names"))]
    pub notify: Vec<NotificationReceiver>,

    /// Handling of the objects when the release is deleted. MirrorPrune: deleted if `prune` is true, otherwise kept. Delete: deleted. WaitForTermination: deleted, and the release is kept until they are gone. Orphan: kept. WaitForApproval: deleted once a person approves it; the release is kept until then.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// The keys of labels and annotations.
fn has_keys(field: &str) -> Rule {
    let key = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
    Rule::new(format!("self.all(k, k.size() <= 317 && k.matches('{key}'))")).message(
        format!("keys of {field} must be NAME or DOMAIN/NAME, the name at most 63 letters, digits, '-', '_' and '.'")
            .as_str(),
    )
}

fn five_minutes() -> String {
    "5m".into()
}

fn thirty_seconds() -> String {
    "30s".into()
}

fn five() -> i32 {
    5
}

fn whole_artifact() -> String {
    "./".into()
}

fn latest() -> Option<String> {
    Some("latest".into())
}

/// Revision of the artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.semverFilter) || has(self.semver)").message("ref.semverFilter needs ref.semver"))]
#[x_kube(validation = Rule::new("!has(self.tag) || !self.tag.contains('@') || !(has(self.semver) || has(self.digest))").message("ref.tag with a digest must not be combined with ref.semver or ref.digest"))]
pub struct Reference {
    /// Tag, alone or with the digest that it should name: `1.0.0@sha256:…`. The digest is applied; if the tag names another one, or is gone, the release says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(@.*)?$')").message("ref.tag must be at most 128 letters, digits, '_', '.' and '-', and must not begin with '.' or '-'"))]
    #[x_kube(validation = Rule::new("!self.contains('@') || self.matches('^[^@]*@sha256:[a-f0-9]{64}$')").message("the digest in ref.tag must be sha256: and 64 hexadecimal digits in lower case"))]
    pub tag: Option<String>,
    /// Range of versions in the syntax of Masterminds/semver, such as ">=1.0.0 <2.0.0"; the highest tag in the range is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub semver: Option<String>,
    /// Regular expression; tags that do not match are ignored before the range is evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub semver_filter: Option<String>,
    /// Allows `semver` to select an older version when the newest tag was removed. If false, the release keeps the applied version and reports the refused downgrade.
    #[serde(default)]
    pub allow_downgrade: bool,
    /// Digest, `sha256:` and 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^sha256:[a-f0-9]{64}$')").message("ref.digest must be sha256: and 64 hexadecimal digits in lower case"))]
    pub digest: Option<String>,
}

impl Default for Reference {
    fn default() -> Self {
        Self { tag: latest(), semver: None, semver_filter: None, allow_downgrade: false, digest: None }
    }
}

/// Selects layers of the artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayerSelector {
    /// Media type of the layers; `layers` says whether the first layer of that type is used, or all of them.
    #[schemars(length(min = 1, max = 255))]
    pub media_type: String,
}

/// Labels and annotations added to every object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct CommonMetadata {
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('supercargo.dev/'))").message("labels of supercargo.dev/ are set by supercargo"))]
    #[x_kube(validation = has_keys("labels"))]
    #[x_kube(validation = Rule::new("self.all(k, self[k].matches('^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$'))").message("values of labels must be letters, digits, '-', '_' and '.', and must begin and end with a letter or digit"))]
    pub labels: BTreeMap<String, LabelValue>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = has_keys("annotations"))]
    pub annotations: BTreeMap<String, AnnotationValue>,
}

/// Value of a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct LabelValue(#[schemars(length(max = 63))] pub String);

/// Value of an annotation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct AnnotationValue(#[schemars(length(max = 4096))] pub String);

/// Handling of the objects of a deleted release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Deleted if `prune` is true, otherwise kept.
    #[default]
    MirrorPrune,
    /// Deleted.
    Delete,
    /// Deleted; the release is kept until they are gone.
    WaitForTermination,
    /// Kept.
    Orphan,
    /// Deleted once a person approves exactly these objects; the release is kept until then.
    WaitForApproval,
}
