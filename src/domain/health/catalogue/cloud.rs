//! Clouds as resources: Crossplane, AWS, Google and Azure controllers.

use super::entry::Check::{Both, Has, Is, Reason, Text};
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

    of("*.services.k8s.aws", &[]).failed(&[Is("ACK.Terminal")]).waits(&[Is("ACK.Recoverable")]).needs(&[Is("ACK.ResourceSynced")]).only(),
    of("core.cnrm.cloud.google.com", &["ConfigConnector", "ConfigConnectorContext"]).needs(&[Text("/status/healthy", &["true"])]).only(),
    of("*.cnrm.cloud.google.com", &[]).suspended(&[Reason("Ready", &["DependencyNotReady"])]).needs(&[Is("Ready")]).only(),
    of("*.azure.com", &[]).failed(&[Both(&Has("Ready", "False"), &Text("/status/conditions/0/severity", &["Error"]))]).needs(&[Is("Ready")]).only(),
    of("infra.contrib.fluxcd.io", &["Terraform"]).suspended(&[Text("/spec/suspend", &["true"]), Reason("Ready", &["TerraformPlannedWithChanges"])]).needs(&[Is("Ready")]),
    of("app.terraform.io", &[]).waits(&[Text("/status/runStatus/status", &["errored"])]),
];
