//! Controllers that deliver: Argo, Flux, Flagger, Tekton, and what promotes and builds.

use super::check::Check::{Behind, Both, EachSame, Has, Is, Reaches, Reason, Some, Text, Unset};
use super::entry::{CatalogueEntry, of};

/// The entries.
#[rustfmt::skip]
pub(super) const TABLE: &[CatalogueEntry] = &[
    // Flux: Ready is transient, Stalled is final. Alerts and Providers have no status.
    of("kustomize.toolkit.fluxcd.io", &["Kustomization"]).needs(&[Is("Ready")]),
    of("helm.toolkit.fluxcd.io", &["HelmRelease"]).failed(&[Is("Stalled")]).waits(&[Is("Reconciling")]).needs(&[Is("Ready")]).only(),
    // A repository of OCI charts has no status.
    of("source.toolkit.fluxcd.io", &["HelmRepository"]).needs(&[Is("Ready")]).quiet(),
    of("source.toolkit.fluxcd.io", &["GitRepository", "OCIRepository", "HelmChart", "Bucket", "ExternalArtifact"]).needs(&[Is("Ready")]),
    of("image.toolkit.fluxcd.io", &["ImageRepository", "ImagePolicy", "ImageUpdateAutomation"]).needs(&[Is("Ready")]),
    of("notification.toolkit.fluxcd.io", &["Receiver"]).needs(&[Is("Ready")]),
    of("notification.toolkit.fluxcd.io", &["Alert", "Provider"]).no_status(),
    of("fluxcd.controlplane.io", &[]).needs(&[Is("Ready")]),
    of("supercargo.dev", &["OCIArtifactRelease"]).needs(&[Is("Ready")]),
    of("flagger.app", &["Canary"]).needs(&[Text("/status/phase", &["Initialized", "Succeeded"])]).only(),
    of("flagger.app", &["MetricTemplate", "AlertProvider"]).no_status(),

    // Argo. A Rollout writes the generation that it has seen as text.
    of("argoproj.io", &["Application"]).suspended(&[Text("/status/health/status", &["Suspended"]), Both(&Unset("/spec/syncPolicy/automated"), &Text("/status/sync/status", &["OutOfSync"]))]).waits(&[Text("/status/operationState/phase", &["Running", "Terminating"])]).needs(&[Text("/status/health/status", &["Healthy"]), Text("/status/sync/status", &["Synced"])]).only(),
    of("argoproj.io", &["ApplicationSet"]).waits(&[Is("ErrorOccurred")]).needs(&[Is("ResourcesUpToDate")]).only(),
    of("argoproj.io", &["AppProject", "WorkflowTemplate", "ClusterWorkflowTemplate", "AnalysisTemplate", "ClusterAnalysisTemplate"]).no_status(),
    of("argoproj.io", &["Workflow"]).failed(&[Text("/status/phase", &["Failed", "Error"])]).needs(&[Text("/status/phase", &["Succeeded"])]).only(),
    of("argoproj.io", &["CronWorkflow"]).waits(&[Is("SpecError"), Is("SubmissionError")]).only().quiet(),
    of("argoproj.io", &["AnalysisRun"]).failed(&[Text("/status/phase", &["Failed", "Error"])]).needs(&[Text("/status/phase", &["Successful"])]).only(),
    of("argoproj.io", &["Experiment"]).failed(&[Text("/status/phase", &["Failed", "Error"])]).needs(&[Text("/status/phase", &["Successful"])]).only(),
    of("argoproj.io", &["Rollout"]).suspended(&[Text("/spec/paused", &["true"]), Text("/status/controllerPause", &["true"])])
        .failed(&[Reason("Progressing", &["ProgressDeadlineExceeded", "RolloutAborted"])])
        .waits(&[Is("InvalidSpec"), Text("/status/phase", &["Degraded", "Progressing"]), Both(&Both(&Behind("/status/updatedReplicas", "/status/replicas"), &Unset("/spec/strategy/blueGreen")), &Unset("/spec/strategy/canary/trafficRouting")), Text("/status/abort", &["true"]), Behind("/status/observedGeneration", "/metadata/generation"), Behind("/status/workloadObservedGeneration", "/metadata/annotations/rollout.argoproj.io~1workload-generation")])
        .needs(&[Reaches("/status/updatedReplicas", "/spec/replicas"), Reaches("/status/availableReplicas", "/spec/replicas")]).only(),
    of("argoproj.io", &["EventBus", "EventSource", "Sensor"]),

    of("promoter.argoproj.io", &["CommitStatus", "PullRequest"]).needs(&[Is("Ready")]).only(),
    of("promoter.argoproj.io", &["ArgoCDCommitStatus"]).waits(&[Unset("/status/applicationsSelected")]).needs(&[Is("Ready")]),
    of("promoter.argoproj.io", &["GitCommitStatus", "TimedCommitStatus", "WebRequestCommitStatus"]).waits(&[Some("/status/environments", "/phase", &["pending", "failure"])]).needs(&[Is("Ready")]),
    of("promoter.argoproj.io", &["ChangeTransferPolicy"]).waits(&[Unset("/status/active/dry/sha"), Unset("/status/proposed/dry/sha")]).needs(&[Is("Ready")]).only(),
    of("promoter.argoproj.io", &["PromotionStrategy"]).needs(&[Is("Ready"), EachSame("/status/environments", "/active/dry/sha", "/proposed/dry/sha")]).only(),
    of("promoter.argoproj.io", &[]).needs(&[Is("Ready")]),

    of("numaplane.numaproj.io", &[]).failed(&[Text("/status/phase", &["Failed"])]).waits(&[Text("/status/phase", &["Pending"]), Has("ChildResourcesHealthy", "False"), Has("ProgressiveUpgradeSucceeded", "False")]),
    of("numaflow.numaproj.io", &[]).suspended(&[Text("/status/phase", &["Paused"])]).waits(&[Text("/metadata/labels/numaplane.numaproj.io~1progressive-result-state", &["failed"])]),

    of("tekton.dev", &["TaskRun", "PipelineRun", "CustomRun"]).failed(&[Has("Succeeded", "False")]).needs(&[Is("Succeeded")]).only(),
    of("tekton.dev", &["Task", "Pipeline", "ClusterTask", "StepAction"]).no_status(),
    of("triggers.tekton.dev", &["TriggerTemplate", "TriggerBinding", "ClusterTriggerBinding", "Trigger"]).no_status(),
    of("kpack.io", &["Build"]).failed(&[Has("Succeeded", "False")]).needs(&[Is("Succeeded")]).only(),
    of("pulumi.com", &["Stack"]).failed(&[Reason("Stalled", &["SpecInvalid", "UpdateFailed"])]).needs(&[Is("Ready")]).only(),
    of("kargo.akuity.io", &["Stage"]).suspended(&[Reason("Ready", &["NoFreight"])]),
    of("tower.ansible.com", &["AnsibleJob"]).failed(&[Text("/status/ansibleJobResult/status", &["failed", "error", "canceled"])]).needs(&[Text("/status/ansibleJobResult/status", &["successful"])]).only(),
    of("lifecycle.keptn.sh", &["KeptnTask", "KeptnWorkloadVersion", "KeptnAppVersion", "KeptnEvaluation", "KeptnWorkloadInstance"]),
    of("metrics.keptn.sh", &["Analysis"]).waits(&[Both(&Text("/status/state", &["Completed"]), &Text("/status/pass", &["false"]))]).needs(&[Text("/status/state", &["Completed"])]).only(),
    of("metrics.keptn.sh", &["KeptnMetric"]),
    of("metrics.keptn.sh", &["AnalysisDefinition", "AnalysisValueTemplate", "KeptnMetricsProvider"]).no_status(),
];
