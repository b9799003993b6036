//! Names with meaning on objects: labels, annotations, finalizer, field manager.

/// The field manager of every server-side apply. It is load-bearing: changing
/// it would leave the fields of the old name owned for ever.
pub const FIELD_MANAGER: &str = "supercargo";
/// The finalizer of releases and of the inventories that the operator writes.
pub const FINALIZER: &str = "supercargo.dev/finalizer";
/// Ownership label: the name of the release.
pub const OWNER_NAME: &str = "supercargo.dev/name";
/// Ownership label: the namespace of the release.
pub const OWNER_NAMESPACE: &str = "supercargo.dev/namespace";
/// Ownership label, on objects in another cluster: the uid of the Namespace kube-system of the
/// cluster that has the release.
pub const OWNER_CLUSTER: &str = "supercargo.dev/cluster";
/// On a release whose spec means another cluster than before: the URL of the API server of the one
/// where its objects are left as they are, or `home`.
pub const LEAVE_CLUSTER: &str = "supercargo.dev/leave-cluster";
/// Label of a release: releases with the same value are worked on by the same replica.
pub const SHARD_KEY: &str = "supercargo.dev/shard-key";
/// Label of a Lease: the replicas of which operator it belongs to, as a hash of the name of their Lease
/// for leader election.
pub const REPLICA_OF: &str = "supercargo.dev/replica-of";
/// Label of the Lease of a replica that ends: it gets no more releases.
pub const DRAINING: &str = "supercargo.dev/draining";
/// On a release: any new value reconciles now, once even while suspended.
pub const RECONCILE_AT: &str = "supercargo.dev/reconcile-at";
/// On a release: the hash of the plan that is approved, or the digest whose empty content is allowed
/// to remove everything.
pub const APPROVE: &str = "supercargo.dev/approve";
/// On a release: the digest that may be applied outside of the windows of its spec.
pub const OVERRIDE_WINDOW: &str = "supercargo.dev/override-window";
/// On a release: who has approved the plan.
pub const APPROVED_BY: &str = "supercargo.dev/approved-by";
/// On a release: when the plan was approved, RFC 3339.
pub const APPROVED_AT: &str = "supercargo.dev/approved-at";
/// On an object: the fields whose values are never shown, as JSON pointers or JSONPaths.
pub const SENSITIVE_PATHS: &str = "supercargo.dev/sensitive-paths";
/// On an object: `disabled` keeps it from ever being deleted by supercargo.
pub const PRUNE: &str = "supercargo.dev/prune";
/// On an object, as label or annotation: `disabled` keeps its variables as they are.
pub const SUBSTITUTE: &str = "supercargo.dev/substitute";
/// The same of Flux.
pub const FLUX_SUBSTITUTE: &str = "kustomize.toolkit.fluxcd.io/substitute";
/// The value of [`PRUNE`] and of [`FORCE`]'s opposite.
pub const DISABLED: &str = "disabled";
/// On an object: how it is applied, one of `Override`, `Merge`, `IfNotPresent`, `Ignore`.
pub const APPLY: &str = "supercargo.dev/apply";
/// On an object: `enabled` recreates it when an immutable field has changed.
pub const FORCE: &str = "supercargo.dev/force";
/// The value of [`FORCE`].
pub const ENABLED: &str = "enabled";
/// On a Service or an Ingress: `enabled` lets a wait for health wait for its address.
pub const WAIT_FOR_ADDRESS: &str = "supercargo.dev/wait-for-address";
/// On an object: what its failure means for a wait, one of `Fail`, `Ignore`, `HopeUntilEnd`.
pub const FAIL_MODE: &str = "supercargo.dev/fail-mode";
/// On a workload or a Pod: how often the containers of each pod may fail; on a Job: how
/// often all of its pods together.
pub const FAILURES_ALLOWED: &str = "supercargo.dev/failures-allowed";
/// On an object: how long nothing of it may change while a wait waits for it.
pub const NO_PROGRESS_TIMEOUT: &str = "supercargo.dev/no-progress-timeout";
/// On a workload: `enabled` quotes the last line that a crashed container has logged.
pub const LOG_LINE: &str = "supercargo.dev/log-line";
/// On an object: its wave, an integer. It is applied after all objects of the lower waves are healthy.
pub const WAVE: &str = "supercargo.dev/wave";
/// On an object: the objects that have to be healthy before it is applied, in the form of cli-utils.
pub const DEPENDS_ON: &str = "config.kubernetes.io/depends-on";
/// On an inventory: the source of its objects.
pub const SOURCE: &str = "supercargo.dev/source";
/// On an inventory: the revision of the source.
pub const REVISION: &str = "supercargo.dev/revision";
/// On an inventory: the time of the last apply, RFC 3339.
pub const LAST_APPLIED_TIME: &str = "supercargo.dev/last-applied-time";
/// On an inventory: the tool that its objects are being adopted from; removed when
/// all are adopted.
pub const ADOPTING: &str = "supercargo.dev/adopting";
/// On a Flux Kustomization: its spec before it was adopted.
pub const ADOPTED_FROM: &str = "supercargo.dev/adopted-from";
/// On an object: it is a step that runs once for a revision, `before` or `after` the other objects.
pub const STEP: &str = "supercargo.dev/step";
/// On a step: how long it may take, a duration.
pub const STEP_TIMEOUT: &str = "supercargo.dev/step-timeout";
/// On a step: how often it is run again after a failure.
pub const STEP_RETRIES: &str = "supercargo.dev/step-retries";
/// On a step: when its object is deleted, `Never`, `OnSuccess` or `Always`.
pub const STEP_CLEANUP: &str = "supercargo.dev/step-cleanup";
/// On the object of a step in the cluster: the run that it was created for.
pub const STEP_RUN: &str = "supercargo.dev/step-run";
/// On a step: `true` says that what it does outlives a way back to an earlier revision.
pub const SIDE_EFFECTS: &str = "supercargo.dev/side-effects";
/// On the pods of a Job that is a hook of a chart: the revision and options that it runs for.
pub const HOOK_RUN: &str = "supercargo.dev/hook-run";
/// On a release: the revision, `tag@digest` or a digest, that is applied instead of what the
/// reference names.
pub const PIN: &str = "supercargo.dev/pin";
/// On a release: why it is pinned, for people.
pub const PIN_REASON: &str = "supercargo.dev/pin-reason";
/// On a release: the digest of a quarantined revision that is tried once more. What follows an `@`
/// only makes it another request.
pub const RETRY: &str = "supercargo.dev/retry";
/// On a release: the digest whose failed or unknown steps count as done.
pub const STEPS_DONE: &str = "supercargo.dev/steps-done";
