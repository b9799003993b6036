//! Clouds as resources: Crossplane, AWS, Google and Azure controllers.

use super::check::Check::{Both, Has, Is, Reason, Text, Unset};
use super::entry::{CatalogueEntry, of};

/// The entries.
#[rustfmt::skip]
pub(super) const TABLE: &[CatalogueEntry] = &[
    // Crossplane: Synced is about the spec, Ready about the resource. An error of an update
    // leaves Ready as it was.
    of("apiextensions.crossplane.io", &["Composition", "CompositionRevision", "EnvironmentConfig"]).no_status(),
    of("apiextensions.crossplane.io", &["CompositeResourceDefinition"]).needs(&[Is("Established")]),
    of("pkg.crossplane.io", &["Provider", "Configuration", "Function"]).needs(&[Is("Installed"), Is("Healthy")]),
    of("pkg.crossplane.io", &["ProviderRevision", "ConfigurationRevision", "FunctionRevision"]),
    of("pkg.crossplane.io", &["DeploymentRuntimeConfig", "ControllerConfig", "ImageConfig"]).no_status(),
    of("apiextensions.crossplane.io", &[]),
    of("pkg.crossplane.io", &[]),
    of("protection.crossplane.io", &[]),
    of("ops.crossplane.io", &[]),
    of("*.crossplane.io", &["ProviderConfig", "ClusterProviderConfig", "ProviderConfigUsage", "StoreConfig"]).no_status(),
    of("*.upbound.io", &["ProviderConfig", "ClusterProviderConfig", "ProviderConfigUsage", "StoreConfig"]).no_status(),
    of("*.crossplane.io", &[]).suspended(&[Reason("Synced", &["ReconcilePaused"])]).waits(&[Has("Synced", "False"), Has("LastAsyncOperation", "False")]).needs(&[Is("Synced"), Is("Ready")]).only(),
    of("*.upbound.io", &[]).suspended(&[Reason("Synced", &["ReconcilePaused"])]).waits(&[Has("Synced", "False"), Has("LastAsyncOperation", "False")]).needs(&[Is("Synced"), Is("Ready")]).only(),

    of("*.services.k8s.aws", &[]).waits(&[Is("ACK.Terminal"), Is("ACK.Recoverable")]).needs(&[Is("ACK.ResourceSynced")]).only(),
    of("core.cnrm.cloud.google.com", &["ConfigConnector", "ConfigConnectorContext"]).needs(&[Text("/status/healthy", &["true"])]).only(),
    of("customize.core.cnrm.cloud.google.com", &[]),
    of("*.cnrm.cloud.google.com", &[]).needs(&[Is("Ready")]).only(),
    of("*.azure.com", &[]),
    of("infra.contrib.fluxcd.io", &["Terraform"]).suspended(&[Both(&Reason("Ready", &["TerraformPlannedWithChanges"]), &Unset("/spec/approvePlan")), Both(&Reason("Ready", &["TerraformPlannedWithChanges"]), &Text("/spec/planOnly", &["true"]))]).needs(&[Is("Ready")]),
    of("app.terraform.io", &[]).waits(&[Text("/status/runStatus/status", &["errored"])]),
];
