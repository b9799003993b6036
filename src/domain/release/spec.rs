//! A release whose spec has been parsed and validated. Later code never reads the raw
//! spec.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::approval::{ApprovalPolicy, GivenApproval};
use super::awaited::Awaited;
use super::dependency::Dependency;
use super::guards::Guards;
use super::inputs::{RenderInputs, declared, declared_chart};
use super::invalid::{InvalidSpec, invalid, object_name};
use super::pin::{PinnedRevision, rollback_mode};
use crate::api::keys;
use crate::api::layers::LayersMode;
use crate::api::release::{DeletionPolicy, DriftMode, OCIArtifactRelease, RegistryProvider, RollbackMode};
use crate::api::status::MAX_HISTORY;
use crate::domain::artifact::wanted::WantedVersion;
use crate::domain::health::ExpressionRules;
use crate::domain::inventory::Provenance;
use crate::domain::manifest::chart::ChartOptions;
use crate::domain::manifest::patch::allowance::Allowance;
use crate::domain::manifest::patch::image::{Image, ImageChange};
use crate::domain::manifest::patch::spec::ParsedPatch;
use crate::domain::manifest::patch::target::PatchTarget;
use crate::domain::manifest::substitute::{Redaction, Substitution};
use crate::domain::objects::identity::ReleaseId;
use crate::domain::plan::delegated::Ignore;
use crate::domain::remote::source::ClusterSource;
use crate::domain::schedule::parse_duration;
use crate::domain::verify::declared::Declared;

/// Part of every applied key: raised when the rendering changes in a way that
/// gives other objects for the same artifact and options.
const RENDER_VERSION: &str = "1";

/// A release. A field of the spec is here, in the API type, and in [`Release::parse_within`],
/// which names every one of them; other constructors start with the default, which requests
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct Release {
    /// Namespace and name.
    pub id: ReleaseId,
    /// uid of the custom resource.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// Repository, as written in the spec.
    pub url: String,
    /// What is wanted of it.
    pub wanted: WantedVersion,
    /// The revision that a person has pinned it to.
    pub pin: Option<PinnedRevision>,
    /// Time between two checks of the registry.
    pub interval: Duration,
    /// Time until the first retry.
    pub retry_interval: Duration,
    /// Longest time of pull, apply and health each.
    pub timeout: Duration,
    /// Whether reconciliation is suspended.
    pub suspend: bool,
    /// Names of the Secrets with credentials and TLS material.
    pub pull_secret: Option<String>,
    /// Name of the Secret with TLS material.
    pub cert_secret: Option<String>,
    /// Name of the Secret with the proxy.
    pub proxy_secret: Option<String>,
    /// The source of credentials besides the Secrets.
    pub provider: RegistryProvider,
    /// Plain HTTP.
    pub insecure: bool,
    /// Whose signatures it requires.
    pub verify: Option<Declared>,
    /// Name of the Secret with age identities.
    pub identity_secret: Option<String>,
    /// Whether a range may go back to an older version.
    pub allow_downgrade: bool,
    /// Media type of the layers.
    pub media_type: Option<String>,
    /// Whether all such layers are merged, and not only the first is used.
    pub all_layers: bool,
    /// Directory in the artifact.
    pub path: String,
    /// Namespace for namespaced objects.
    pub target_namespace: Option<String>,
    /// Labels for every object.
    pub labels: BTreeMap<String, String>,
    /// Annotations for every object.
    pub annotations: BTreeMap<String, String>,
    /// Patches, in their order.
    pub patches: Arc<[ParsedPatch]>,
    /// Changes of images, after the patches.
    pub images: Arc<[ImageChange]>,
    /// Patches and changes of images as the spec says them; empty without any.
    pub(super) patched_by: Arc<str>,
    /// How the artifact is rendered, if it is a chart.
    pub chart: Option<Arc<ChartOptions>>,
    /// The same as the spec says it; empty without.
    pub(super) charted_by: Arc<str>,
    /// Variables that are replaced in the objects.
    pub substitution: Option<Arc<Substitution>>,
    /// The same as the spec says it; empty without any.
    pub(super) substituted_by: Arc<str>,
    /// What the spec names as inputs of the rendering, as read for this run.
    pub inputs: Arc<RenderInputs>,
    /// What of them is never shown.
    pub redaction: Arc<Redaction>,
    /// The rules of `ignore` as the spec says them; empty without any.
    pub(super) ignored_by: Arc<str>,
    /// The ServiceAccount whose rights are used.
    pub service_account: Option<String>,
    /// The cluster of its objects, if it is not the operator's own.
    pub kube_config: Option<ClusterSource>,
    /// Whether removed objects are deleted.
    pub prune: bool,
    /// Whether Ready waits for health.
    pub wait: bool,
    /// What is waited for when `wait` is false.
    pub health_checks: Arc<[Awaited]>,
    /// The expressions that judge objects, instead of the built-in rules.
    pub health_rules: Arc<ExpressionRules>,
    /// Whether immutable changes recreate.
    pub force: bool,
    /// How drift is handled.
    pub drift: DriftMode,
    /// Fields that may drift.
    pub ignore: Arc<[Ignore]>,
    /// What happens when a new revision fails.
    pub rollback: RollbackMode,
    /// How many revisions the history has.
    pub history_limit: usize,
    /// What must be ready before a new revision is applied.
    pub depends_on: Arc<[Dependency]>,
    /// What deletion of the release does.
    pub deletion_policy: DeletionPolicy,
    /// The value of the annotation that requests a run now.
    pub reconcile_at: Option<String>,
    /// What holds a new revision back.
    pub guards: Guards,
    /// The digest that may be applied outside of its windows.
    pub override_window: Option<String>,
    /// What a plan needs before it is applied.
    pub approval: ApprovalPolicy,
    /// The approval that a person has given.
    pub approved: Option<GivenApproval>,
    /// The digest whose failed or unknown steps count as done.
    pub steps_done: Option<String>,
    /// The request to try a quarantined revision once more: its digest, and possibly more after an `@`.
    pub retry: Option<String>,
    /// The cluster in which a person gives up the objects of the release.
    pub leaves_cluster: Option<String>,
    /// The namespace of namespaced objects that name none.
    pub default_namespace: String,
    /// Where its objects come from, if a person has set it.
    pub provenance: Option<Provenance>,
}

/// The namespace and name of the custom resource.
pub fn id_of(resource: &OCIArtifactRelease) -> ReleaseId {
    ReleaseId {
        namespace: resource.metadata.namespace.clone().unwrap_or_default(),
        name: resource.metadata.name.clone().unwrap_or_default(),
    }
}

/// Whether a run of it has started: our finalizer is set before anything else.
pub fn has_begun(resource: &OCIArtifactRelease) -> bool {
    resource.metadata.finalizers.iter().flatten().any(|f| f == keys::FINALIZER)
}

fn duration(field: &str, text: &str, least: Duration) -> Result<Duration, InvalidSpec> {
    let most = Duration::from_secs(24 * 3600);
    let parsed = parse_duration(text).map_err(|e| invalid(field, e.to_string()))?;
    if parsed < least || parsed > most {
        return Err(invalid(field, format!("must be between {}s and 24h", least.as_secs())));
    }
    Ok(parsed)
}

fn name(field: &str, name: Option<&String>) -> Result<Option<String>, InvalidSpec> {
    name.map(|name| object_name(name).map_err(|problem| invalid(field, problem))).transpose()
}

impl Release {
    /// Parses a custom resource.
    ///
    /// # Errors
    /// The first invalid field. Admission refuses most of these before, but a resource
    /// may be older than the schema.
    pub fn parse(resource: &OCIArtifactRelease) -> Result<Self, InvalidSpec> {
        Self::parse_within(resource, &mut Allowance::default())
    }

    /// The same, within a budget for the patches; it fails when they need more.
    ///
    /// # Errors
    /// As [`Release::parse`].
    pub fn parse_within(
        resource: &OCIArtifactRelease,
        allowance: &mut Allowance,
    ) -> Result<Self, InvalidSpec> {
        let spec = &resource.spec;
        let annotation = |key: &str| {
            resource.metadata.annotations.as_ref().and_then(|a| a.get(key)).filter(|v| !v.is_empty()).cloned()
        };
        let pin = annotation(keys::PIN).map(|pin| PinnedRevision::parse(pin, annotation(keys::PIN_REASON)));
        let pin = pin.transpose().map_err(|problem| invalid("ref", problem))?;
        let common = spec.common_metadata.clone().unwrap_or_default();
        let patches = ParsedPatch::parse_all("patches", &spec.patches, allowance)?;
        let ignore = spec.drift.ignore.iter().enumerate().map(|(n, rule)| {
            let target = rule.target.as_ref().map(|target| PatchTarget::parse(target, allowance)).transpose();
            let target = target.map_err(|e| invalid(&format!("drift.ignore[{n}].target"), e))?;
            Ok(Ignore { target, paths: rule.paths.iter().map(|p| p.0.clone()).collect() })
        });
        let ignore = ignore.collect::<Result<Vec<Ignore>, InvalidSpec>>()?;
        let images: Vec<Image> = spec.images.iter().map(Image::from).collect();
        let is_patched = !(spec.patches.is_empty() && images.is_empty());
        // Plain structures always serialize successfully.
        let patched_by = is_patched.then(|| serde_json::to_string(&(&spec.patches, &spec.images)));
        let (substitution, substituted_by) = declared(spec)?;
        let (chart, charted_by) = declared_chart(spec)?;
        let ignored_by = (!spec.drift.ignore.is_empty()).then(|| serde_json::to_string(&spec.drift.ignore));
        Ok(Self {
            patches: patches.into(),
            images: ImageChange::parse_all("images", &images, allowance)?.into(),
            patched_by: patched_by.and_then(Result::ok).unwrap_or_default().into(),
            ignored_by: ignored_by.and_then(Result::ok).unwrap_or_default().into(),
            chart,
            charted_by,
            substitution,
            substituted_by,
            inputs: Arc::default(),
            redaction: Redaction::default().shared(),
            id: id_of(resource),
            uid: resource.metadata.uid.clone().unwrap_or_default(),
            generation: resource.metadata.generation.unwrap_or_default(),
            url: spec.url.clone(),
            wanted: match &pin {
                Some(pin) => WantedVersion::Digest(pin.digest.clone()),
                None => {
                    WantedVersion::of(&spec.reference).map_err(|(field, problem)| invalid(field, problem))?
                }
            },
            pin,
            interval: duration("interval", &spec.interval, Duration::from_secs(10))?,
            retry_interval: duration("retryInterval", &spec.retry_interval, Duration::from_secs(1))?,
            timeout: duration("timeout", &spec.timeout, Duration::from_secs(1))?,
            suspend: spec.suspend,
            pull_secret: name("secretRef.name", spec.secret_ref.as_ref().map(|r| &r.name))?,
            cert_secret: name("certSecretRef.name", spec.cert_secret_ref.as_ref().map(|r| &r.name))?,
            proxy_secret: name("proxySecretRef.name", spec.proxy_secret_ref.as_ref().map(|r| &r.name))?,
            provider: spec.provider,
            insecure: spec.insecure,
            verify: verify(spec)?,
            identity_secret: name(
                "decryption.secretRef.name",
                spec.decryption.as_ref().map(|d| &d.secret_ref.name),
            )?,
            allow_downgrade: spec.reference.allow_downgrade,
            media_type: spec.layer_selector.as_ref().map(|s| s.media_type.clone()),
            all_layers: spec.layers == LayersMode::All,
            path: spec.path.clone(),
            target_namespace: name("targetNamespace", spec.target_namespace.as_ref())?,
            labels: common.labels.into_iter().map(|(k, v)| (k, v.0)).collect(),
            annotations: common.annotations.into_iter().map(|(k, v)| (k, v.0)).collect(),
            service_account: name("serviceAccountName", spec.service_account_name.as_ref())?,
            kube_config: (spec.kube_config.as_ref().map(ClusterSource::parse).transpose())
                .map_err(|(field, problem)| invalid(&field, problem))?,
            prune: spec.prune,
            wait: spec.wait,
            health_checks: Awaited::parse_all(&spec.health_checks, &id_of(resource).namespace)
                .map_err(|(field, problem)| invalid(&field, problem))?
                .into(),
            health_rules: ExpressionRules::parse(&spec.health_check_exprs)
                .map_err(|(field, problem)| invalid(&field, problem))?
                .into(),
            force: spec.force,
            drift: spec.drift.mode,
            ignore: ignore.into(),
            rollback: rollback_mode(spec).map_err(|problem| invalid("rollback.mode", problem))?,
            history_limit: usize::try_from(spec.history_limit).unwrap_or_default().clamp(2, MAX_HISTORY),
            depends_on: Dependency::parse_all(&spec.depends_on, &id_of(resource).namespace)
                .map_err(|(field, problem)| invalid(&field, problem))?
                .into(),
            guards: Guards::parse(
                spec,
                &id_of(resource),
                duration("timeout", &spec.timeout, Duration::from_secs(1))?,
            )
            .map_err(|(field, problem)| invalid(&field, problem))?,
            override_window: annotation(keys::OVERRIDE_WINDOW),
            deletion_policy: spec.deletion_policy,
            reconcile_at: annotation(keys::RECONCILE_AT),
            approval: ApprovalPolicy::parse(spec.approval, spec.approval_timeout.as_deref())
                .map_err(|problem| invalid("approvalTimeout", problem))?,
            approved: annotation(keys::APPROVE).map(|hash| GivenApproval {
                hash,
                by: annotation(keys::APPROVED_BY),
                at: annotation(keys::APPROVED_AT),
            }),
            steps_done: annotation(keys::STEPS_DONE),
            retry: annotation(keys::RETRY),
            leaves_cluster: annotation(keys::LEAVE_CLUSTER),
            default_namespace: id_of(resource).namespace,
            provenance: None,
        })
    }

    /// The same without the fields that change objects: for steps that render nothing.
    #[must_use]
    pub fn without_rendering(&self) -> Self {
        Self {
            patches: Arc::default(),
            images: Arc::default(),
            ignore: Arc::default(),
            patched_by: Arc::default(),
            ignored_by: Arc::default(),
            chart: None,
            charted_by: Arc::default(),
            substitution: None,
            substituted_by: Arc::default(),
            ..self.clone()
        }
    }

    /// Identifies an artifact and everything that decides what is rendered from it and
    /// which fields of that are applied: two runs with the same key have the same
    /// objects. 32 hexadecimal digits.
    pub fn applied_key(&self, digest: &str) -> String {
        let rendered_from = (
            (RENDER_VERSION, digest, &self.default_namespace, &self.id.name),
            (&self.media_type, &self.path, &self.target_namespace, &self.service_account),
            (&self.labels, &self.annotations),
        );
        // Strings and maps of strings always serialize successfully.
        let mut text = serde_json::to_vec(&rendered_from).unwrap_or_default();
        text.extend_from_slice(self.patched_by.as_bytes());
        text.extend_from_slice(self.ignored_by.as_bytes());
        text.extend_from_slice(self.charted_by.as_bytes());
        text.extend_from_slice(self.substituted_by.as_bytes());
        text.extend_from_slice(self.inputs.fingerprint.as_bytes());
        if self.verify.as_ref().is_some_and(|v| v.images.is_some()) {
            // The objects contain their digests.
            text.extend_from_slice(b"images");
        }
        if self.all_layers {
            text.extend_from_slice(b"layers");
        }
        hex::encode(&Sha256::digest(text)[..16])
    }

    /// Whether it waits for the health of objects.
    pub fn awaits_health(&self) -> bool {
        self.wait || !self.health_checks.is_empty()
    }
}

fn verify(spec: &crate::api::release::OCIArtifactReleaseSpec) -> Result<Option<Declared>, InvalidSpec> {
    let Some(verify) = &spec.verify else { return Ok(None) };
    let declared = Declared::parse(verify).map_err(|(below, problem)| match below.as_str() {
        "" => invalid("verify", problem),
        below => invalid(&format!("verify.{below}"), problem),
    })?;
    for (secret, field) in declared.secrets() {
        name(&format!("{field}.name"), Some(&secret.to_owned()))?;
    }
    Ok(Some(declared))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(spec: Value) -> Result<Release, InvalidSpec> {
        let mut whole = json!({"url": "oci://registry.example/app", "prune": true});
        for (key, value) in spec.as_object().unwrap() {
            whole[key] = value.clone();
        }
        let resource = json!({
            "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
            "metadata": {"name": "web", "namespace": "apps", "generation": 3,
                         "annotations": {"supercargo.dev/reconcile-at": "now"}},
            "spec": whole,
        });
        Release::parse(&serde_json::from_value(resource).unwrap())
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let check = |spec: Value, expected: &str| {
            let error = parse(spec).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check(json!({"interval": "1s"}), "spec.interval: must be between 10s and 24h");
        check(json!({"interval": "1x"}), "spec.interval: ");
        check(json!({"timeout": "999999999h"}), "spec.timeout: ");
        check(json!({"ref": {"semver": ">=a.b"}}), "spec.ref.semver: ");
        check(json!({"ref": {"semver": "1", "semverFilter": "("}}), "spec.ref.semverFilter: ");
        check(json!({"ref": {"tag": "1@latest"}}), "spec.ref.tag: after 1@ must come a digest");
        check(
            json!({"drift": {"ignore": [{"target": {"kind": "("}, "paths": ["/spec"]}]}}),
            "spec.drift.ignore[0].target: kind: \"(\" is not a valid regular expression, or is too large",
        );
    }

    #[test]
    fn ignore_rules_match_whole_names() {
        let release = parse(json!({"drift": {"ignore": [
            {"target": {"kind": "Deploy.*", "name": "web"}, "paths": ["/spec/replicas"]},
            {"paths": ["/metadata/annotations/x"]},
        ]}}))
        .unwrap();
        let paths = |version: &str, kind: &str, name: &str| {
            let named = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
            let object = crate::domain::objects::object::Object::new(named).unwrap();
            crate::domain::plan::delegated::Delegation::of(&[], &release.ignore).paths(&object).len()
        };
        assert_eq!(paths("apps/v1", "Deployment", "web"), 2);
        assert_eq!(paths("apps/v1", "Deployment", "web-2"), 1);
        assert_eq!(paths("v1", "Service", "web"), 1);
    }

    #[test]
    fn the_applied_key_follows_what_is_rendered_and_nothing_else() {
        let key = |spec: Value, digest: &str| parse(spec).unwrap().applied_key(digest);
        let base = key(json!({}), "sha256:a");
        assert_eq!(base, key(json!({"interval": "1h", "wait": true, "prune": false}), "sha256:a"));
        assert_ne!(base, key(json!({}), "sha256:b"));
        assert_ne!(base, key(json!({"targetNamespace": "x"}), "sha256:a"));
        assert_ne!(base, key(json!({"path": "x"}), "sha256:a"));
        assert_ne!(base, key(json!({"layers": "All"}), "sha256:a"));
        // A rule that comes or goes changes whose a field is.
        let ignoring = |path: &str| key(json!({"drift": {"ignore": [{"paths": [path]}]}}), "sha256:a");
        assert_ne!(base, ignoring("/spec/replicas"));
        assert_ne!(ignoring("/spec/paused"), ignoring("/spec/replicas"));
        assert_ne!(base, key(json!({"commonMetadata": {"labels": {"a": "b"}}}), "sha256:a"));
    }
}
