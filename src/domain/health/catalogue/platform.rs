//! Certificates, secrets, policies, monitoring, operators.

use super::check::Check::{Both, Has, Is, Reason, Set, Text, Unset};
use super::entry::{CatalogueEntry, of};

/// The entries.
#[rustfmt::skip]
pub(super) const TABLE: &[CatalogueEntry] = &[
    of("cert-manager.io", &["Certificate", "Issuer", "ClusterIssuer"]).needs(&[Is("Ready")]),
    of("cert-manager.io", &["CertificateRequest"]).failed(&[Is("Denied"), Is("InvalidRequest"), Reason("Ready", &["Failed", "Denied"])]).needs(&[Is("Ready")]),
    of("acme.cert-manager.io", &["Order"]).failed(&[Text("/status/state", &["invalid", "errored", "expired"])]).needs(&[Text("/status/state", &["valid"])]).only(),
    of("acme.cert-manager.io", &["Challenge"]).failed(&[Text("/status/state", &["invalid", "errored", "expired"])]).needs(&[Text("/status/state", &["valid"])]).only(),
    of("certmanager.k8s.io", &["Certificate", "Issuer", "ClusterIssuer"]).needs(&[Is("Ready")]),
    of("trust.cert-manager.io", &["Bundle"]).needs(&[Is("Synced")]),
    of("external-secrets.io", &["ExternalSecret", "ClusterExternalSecret", "PushSecret", "SecretStore", "ClusterSecretStore"]).needs(&[Is("Ready")]),
    of("generators.external-secrets.io", &[]).no_status(),
    of("kubernetes-client.io", &["ExternalSecret"]).needs(&[Text("/status/status", &["SUCCESS"])]).only(),
    of("bitnami.com", &["SealedSecret"]).needs(&[Is("Synced")]),
    of("secrets.hashicorp.com", &["VaultAuth", "VaultConnection"]).needs(&[Text("/status/valid", &["true"])]).only(),
    of("secrets-store.csi.x-k8s.io", &["SecretProviderClass"]).no_status(),
    of("onepassword.com", &["OnePasswordItem"]).needs(&[Is("Ready")]),
    of("services.cloud.sap.com", &["ServiceBinding", "ServiceInstance"]).needs(&[Is("Ready"), Is("Succeeded")]),

    of("kyverno.io", &["Policy", "ClusterPolicy"]).needs(&[Is("Ready")]),
    of("kyverno.io", &["CleanupPolicy", "ClusterCleanupPolicy", "PolicyException"]).no_status(),
    of("policies.kyverno.io", &["DeletingPolicy", "NamespacedDeletingPolicy"]).no_status(),
    of("policies.kyverno.io", &[]).needs(&[Text("/status/conditionStatus/ready", &["true"])]).only(),
    of("templates.gatekeeper.sh", &["ConstraintTemplate"]).needs(&[Text("/status/created", &["true"])]).only(),
    of("policy.open-cluster-management.io", &["Policy"]).suspended(&[Text("/spec/disabled", &["true"])]).waits(&[Text("/status/compliant", &["NonCompliant", "Pending"])]),
    of("policy.open-cluster-management.io", &["ConfigurationPolicy", "CertificatePolicy"]).needs(&[Text("/status/compliant", &["Compliant"])]),
    of("policy.open-cluster-management.io", &["OperatorPolicy"]).needs(&[Text("/status/compliant", &["Compliant"]), Is("Compliant")]),

    of("monitoring.coreos.com", &["Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler"]).needs(&[Is("Available"), Is("Reconciled")]).only(),
    of("monitoring.coreos.com", &["ServiceMonitor", "PodMonitor", "Probe", "PrometheusRule", "AlertmanagerConfig", "ScrapeConfig"]).no_status(),
    of("operator.victoriametrics.com", &[]).suspended(&[Text("/status/updateStatus", &["paused"])]).waits(&[Text("/status/updateStatus", &["expanding", "failed"])]).only(),
    of("grafana.integreatly.org", &["Grafana"]).waits(&[Text("/status/stageStatus", &["failed"])]).needs(&[Text("/status/stage", &["complete"]), Text("/status/stageStatus", &["success"])]).only(),
    of("grafana.integreatly.org", &[]),
    of("loki.grafana.com", &["LokiStack"]).needs(&[Is("Ready")]).only(),
    of("tempo.grafana.com", &["TempoStack", "TempoMonolithic"]).needs(&[Is("Ready")]).only(),
    of("opentelemetry.io", &["OpenTelemetryCollector", "Instrumentation", "OpAMPBridge"]).no_status(),
    of("jaegertracing.io", &["Jaeger"]).needs(&[Text("/status/phase", &["Running"])]).only(),
    of("logging.banzaicloud.io", &["Logging", "Flow", "Output", "ClusterFlow", "ClusterOutput"]).waits(&[Text("/status/active", &["false"])]).only().quiet(),
    of("datadoghq.com", &["DatadogMetric"]).waits(&[Is("Error")]).needs(&[Is("Valid")]).only(),
    of("coralogix.com", &[]),
    of("k8s.keycloak.org", &["Keycloak"]).waits(&[Is("HasErrors")]).needs(&[Is("Ready")]),
    of("k8s.keycloak.org", &["KeycloakRealmImport"]).needs(&[Is("Done")]),

    // The lifecycle manager of operators: an upgrade that a person must approve is no fault.
    of("operators.coreos.com", &["Subscription"]).waits(&[Is("ResolutionFailed"), Is("CatalogSourcesUnhealthy"), Has("InstallPlanFailed", "True"), Text("/status/state", &["UpgradeFailed"]), Both(&Is("InstallPlanPending"), &Both(&Unset("/status/installedCSV"), &Set("/status/conditions"))), Both(&Is("InstallPlanPending"), &Text("/spec/installPlanApproval", &["Automatic"]))]).needs(&[Set("/status/state")]).only(),
    of("operators.coreos.com", &["ClusterServiceVersion"]).needs(&[Text("/status/phase", &["Succeeded"])]).only(),
    of("operators.coreos.com", &["InstallPlan"]).suspended(&[Text("/status/phase", &["RequiresApproval"])]).failed(&[Text("/status/phase", &["Failed"])]).needs(&[Text("/status/phase", &["Complete"])]).only(),
    of("operators.coreos.com", &["CatalogSource"]).needs(&[Text("/status/connectionState/lastObservedState", &["READY"])]).only(),
    of("operators.coreos.com", &["OperatorGroup", "OperatorCondition"]).no_status(),
    of("olm.operatorframework.io", &["ClusterExtension"]).waits(&[Reason("Progressing", &["Retrying", "RollingOut", "Blocked"])]).needs(&[Is("Installed")]).only(),
    of("olm.operatorframework.io", &["ClusterCatalog"]).waits(&[Reason("Progressing", &["Retrying", "Blocked"])]).needs(&[Is("Serving")]).only(),
    of("multicluster.openshift.io", &["MultiClusterEngine"]).needs(&[Text("/status/phase", &["Available"])]).only(),
    of("config.openshift.io", &["ClusterOperator"]).waits(&[Is("Degraded"), Is("Progressing")]).needs(&[Is("Available")]).only(),
    of("core.gardener.cloud", &["Shoot"]).suspended(&[Text("/status/hibernated", &["true"])]).needs(&[Text("/status/lastOperation/state", &["Succeeded"]), Is("APIServerAvailable"), Is("ControlPlaneHealthy"), Is("SystemComponentsHealthy")]).only(),
    of("capabilities.3scale.net", &["Application"]).suspended(&[Text("/status/state", &["suspended"])]).needs(&[Is("Ready")]),
    of("capabilities.3scale.net", &[]).needs(&[Set("/status/conditions")]),
    of("iammanager.keikoproj.io", &["Iamrole"]).needs(&[Text("/status/state", &["Ready"])]).only(),
    of("spot.io", &["SpotDeployment"]),
    of("node.k8s.io", &[]).no_status(),
    of("rbacmanager.reactiveops.io", &["RBACDefinition"]).no_status(),
];
