//! What runs programs: workloads, functions, machines, machine learning.

use super::check::Check::{Behind, Both, Has, Is, Positive, Reaches, Reason, Same, Set, Text, Unset};
use super::entry::{CatalogueEntry, of};

/// The entries.
#[rustfmt::skip]
pub(super) const TABLE: &[CatalogueEntry] = &[
    // OpenKruise: a partition holds an update back on purpose.
    of("apps.kruise.io", &["CloneSet"]).suspended(&[Text("/spec/updateStrategy/paused", &["true"])]).waits(&[Both(&Has("FailedScale", "True"), &Reason("FailedScale", &["FailedScale", "Failed"])), Has("FailedUpdate", "True"), Behind("/status/updatedReadyReplicas", "/status/expectedUpdatedReplicas"), Behind("/status/readyReplicas", "/status/replicas"), Behind("/status/updatedReadyReplicas", "/status/updatedReplicas"), Both(&Unset("/status/expectedUpdatedReplicas"), &Behind("/status/updatedReadyReplicas", "/status/replicas"))]).only(),
    of("apps.kruise.io", &["StatefulSet"]).suspended(&[Text("/spec/updateStrategy/rollingUpdate/paused", &["true"]), Positive("/spec/updateStrategy/rollingUpdate/partition")]).needs(&[Reaches("/status/updatedAvailableReplicas", "/status/replicas")]).only(),
    of("apps.kruise.io", &["DaemonSet"]).suspended(&[Text("/spec/updateStrategy/rollingUpdate/paused", &["true"]), Positive("/spec/updateStrategy/rollingUpdate/partition")]).needs(&[Reaches("/status/updatedNumberScheduled", "/status/desiredNumberScheduled"), Reaches("/status/numberAvailable", "/status/desiredNumberScheduled")]).only(),
    of("apps.kruise.io", &["BroadcastJob"]).suspended(&[Text("/spec/paused", &["true"])]).failed(&[Text("/status/phase", &["failed"])]).needs(&[Text("/status/phase", &["completed"])]).only(),
    of("apps.kruise.io", &["AdvancedCronJob"]).suspended(&[Text("/spec/paused", &["true"])]).only().quiet(),
    of("apps.kruise.io", &["SidecarSet"]).suspended(&[Text("/spec/updateStrategy/type", &["NotUpdate"])]).needs(&[Reaches("/status/updatedPods", "/status/matchedPods")]).only(),
    of("rollouts.kruise.io", &["Rollout"]).suspended(&[Text("/status/phase", &["Disabled"])]).needs(&[Text("/status/phase", &["Healthy"])]).only(),
    of("game.kruise.io", &["GameServer"]).needs(&[Text("/status/currentState", &["Ready"])]),
    of("game.kruise.io", &["GameServerSet"]).suspended(&[Text("/spec/updateStrategy/rollingUpdate/paused", &["true"]), Positive("/spec/updateStrategy/rollingUpdate/partition")]).needs(&[Reaches("/status/updatedReadyReplicas", "/spec/replicas")]).only(),
    of("apps.openshift.io", &["DeploymentConfig"]).failed(&[Reason("Progressing", &["ProgressDeadlineExceeded"])]).waits(&[Both(&Has("Progressing", "Unknown"), &Set("/status/conditions")), Both(&Has("Progressing", "False"), &Set("/status/conditions")), Reason("Progressing", &["ReplicationControllerUpdated"])]).needs(&[Reaches("/status/updatedReplicas", "/status/replicas"), Reaches("/status/availableReplicas", "/status/replicas")]).only(),

    of("serving.knative.dev", &["Service", "Route", "Configuration", "Revision"]).needs(&[Is("Ready")]),
    of("operator.knative.dev", &["KnativeServing", "KnativeEventing"]).needs(&[Is("Ready")]),
    of("eventing.knative.dev", &[]).needs(&[Is("Ready")]),
    of("sources.knative.dev", &[]).needs(&[Is("Ready")]),
    of("messaging.knative.dev", &[]).needs(&[Is("Ready")]),
    of("serving.kserve.io", &["InferenceService"]).suspended(&[Is("Stopped")]).needs(&[Is("Ready")]),
    of("serving.kserve.io", &["ServingRuntime", "ClusterServingRuntime"]).no_status(),
    of("openfaas.com", &["Function"]).suspended(&[Both(&Reason("Healthy", &["ZeroReplicas"]), &Has("Healthy", "False")), Both(&Has("Healthy", "False"), &Is("Ready"))]).needs(&[Is("Ready"), Is("Healthy")]),
    of("core.spinkube.dev", &["SpinApp"]).needs(&[Is("Available"), Reaches("/status/readyReplicas", "/spec/replicas")]),
    of("camel.apache.org", &["Integration"]).needs(&[Is("Ready")]),
    of("batch.volcano.sh", &["Job"]).failed(&[Text("/status/state/phase", &["Failed", "Aborted", "Terminated"])]).needs(&[Text("/status/state/phase", &["Completed"])]).only(),
    of("scheduling.volcano.sh", &["Queue"]).needs(&[Text("/status/state", &["Open"])]).only(),
    of("scheduling.volcano.sh", &["PodGroup"]).needs(&[Text("/status/phase", &["Running", "Completed"])]).only(),
    of("kueue.x-k8s.io", &["ClusterQueue", "LocalQueue"]).suspended(&[Reason("Active", &["Stopped"])]).needs(&[Is("Active")]),
    of("kueue.x-k8s.io", &["ResourceFlavor", "WorkloadPriorityClass", "Topology"]).no_status(),
    of("kueue.x-k8s.io", &["Workload"]).needs(&[Is("Admitted")]).only(),
    of("jobset.x-k8s.io", &["JobSet"]).suspended(&[Is("Suspended")]).failed(&[Is("Failed")]).needs(&[Is("Completed")]).only(),
    of("kubeflow.org", &["PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob"]).failed(&[Is("Failed")]).needs(&[Is("Succeeded")]).only(),
    of("ray.io", &["RayCluster"]).needs(&[Text("/status/state", &["ready"])]).only(),
    of("ray.io", &["RayService"]).needs(&[Text("/status/serviceStatus", &["Running"])]).only(),
    of("ray.io", &["RayJob"]).failed(&[Text("/status/jobStatus", &["FAILED", "STOPPED"])]).needs(&[Text("/status/jobStatus", &["SUCCEEDED"])]).only(),
    of("sparkoperator.k8s.io", &["SparkApplication"]).failed(&[Text("/status/applicationState/state", &["FAILED"])]).needs(&[Text("/status/applicationState/state", &["RUNNING", "COMPLETED"])]).only(),
    of("sparkoperator.k8s.io", &["ScheduledSparkApplication"]).needs(&[Text("/status/scheduleState", &["Scheduled", "Running"])]).only(),
    of("flink.apache.org", &["FlinkDeployment"]).suspended(&[Text("/spec/job/state", &["suspended"])]).failed(&[Text("/status/jobStatus/state", &["FAILED"])]).needs(&[Text("/status/jobManagerDeploymentStatus", &["READY"])]).only(),

    // KEDA: Active is only whether it scales now.
    of("keda.sh", &["ScaledObject", "ScaledJob"]).suspended(&[Is("Paused")]).waits(&[Is("Fallback")]).needs(&[Is("Ready")]).only(),
    of("keda.sh", &["TriggerAuthentication", "ClusterTriggerAuthentication"]).no_status(),
    of("autoscaling.k8s.io", &["VerticalPodAutoscaler"]).waits(&[Is("ConfigUnsupported"), Is("ConfigDeprecated")]).only().quiet(),
    of("karpenter.sh", &["NodeClaim"]).suspended(&[Is("Drifted")]).needs(&[Is("Launched"), Is("Registered"), Is("Initialized"), Is("Ready")]).only(),
    of("karpenter.sh", &["NodePool"]).needs(&[Is("Ready")]),
    of("karpenter.k8s.aws", &["EC2NodeClass"]).needs(&[Is("Ready")]),

    // KubeVirt. A machine that is stopped is as it should be.
    of("kubevirt.io", &["VirtualMachine"]).suspended(&[Text("/status/printableStatus", &["Paused", "Stopped"])]).waits(&[Is("Failure"), Text("/status/printableStatus", &["Provisioning", "Starting", "Stopping", "Terminating", "Migrating", "CrashLoopBackOff", "ErrorUnschedulable", "DataVolumeError", "ErrImagePull", "ImagePullBackOff", "ErrorPvcNotFound", "WaitingForVolumeBinding"])]).needs(&[Is("Ready")]).only(),
    of("kubevirt.io", &["VirtualMachineInstance"]).suspended(&[Is("Paused"), Text("/status/phase", &["Succeeded"])]).failed(&[Text("/status/phase", &["Failed"])]).needs(&[Text("/status/phase", &["Running"]), Is("Ready")]).only(),
    of("cdi.kubevirt.io", &["DataVolume"]).failed(&[Text("/status/phase", &["Failed"])]).needs(&[Text("/status/phase", &["Succeeded", "WaitForFirstConsumer", "PendingPopulation"])]).only(),
    of("kubevirt.io", &["KubeVirt"]).needs(&[Is("Available")]),
    of("cluster.x-k8s.io", &["MachinePool"]).waits(&[Has("Ready", "False"), Text("/status/infrastructureReady", &["false"])]).needs(&[Text("/status/phase", &["Running", "Scaling", "ScalingUp", "ScalingDown"])]).only(),
    of("cluster.x-k8s.io", &["MachineHealthCheck"]).needs(&[Is("RemediationAllowed"), Same("/status/currentHealthy", "/status/expectedMachines")]).only(),
    of("cluster.x-k8s.io", &["Cluster", "Machine", "MachineSet", "MachineDeployment"]).failed(&[Set("/status/failureReason")]),
    of("cluster.x-k8s.io", &["ClusterClass"]),
    of("addons.cluster.x-k8s.io", &["ClusterResourceSet"]).waits(&[Has("ResourcesApplied", "False")]).only().quiet(),
    of("controlplane.cluster.x-k8s.io", &["AWSManagedControlPlane"]).waits(&[Set("/status/failureMessage"), Is("EKSControlPlaneUpdating")]).needs(&[Text("/status/ready", &["true"])]),
    of("*.cluster.x-k8s.io", &[]).waits(&[Set("/status/failureMessage"), Text("/status/ready", &["false"])]),
];
