//! Builds the kustomization of an artifact, or renders its Helm chart, to manifests.

use std::time::Instant;

use bytes::Bytes;

use crate::api::reason::Reason;
use crate::builder::{BuildError, BuildSource, Chart, Tree};
use crate::cluster::session::Session;
use crate::domain::manifest::chart::{ChartRecord, ClusterCapabilities, chart_inputs, output_trace};
use crate::observe::labels::{BuildResult, Phase};
use crate::oci::Queue;
use crate::reconcile::cache::drift::Sightings;
use crate::reconcile::error::{ReconcileError, failure};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::registry_wait::{RegistryWait, wait_beside};
use crate::reconcile::trust::admission::{Admitted, Unbuilt};

/// How much of its memory reservation the output of a build may take: the rest is for its objects.
const SHARE: u64 = 4;

/// The names of outputs, in messages about them.
const BUILT: &str = "kustomize-build.yaml";
const RENDERED: &str = "helm-template.yaml";

/// Builds the content, if it is a kustomization or a chart. No worker waits for that. `seen` is as for
/// the fetch; `known` is what the chart of the revision was rendered for before.
///
/// # Errors
/// Why it cannot be built, or that something is more urgent.
pub async fn build(
    scope: &Scope<'_>,
    session: &Session,
    seen: Option<Sightings<'_>>,
    mut content: Admitted,
    known: Option<&ClusterCapabilities>,
) -> Result<Admitted, ReconcileError> {
    let (started, release) = (Instant::now(), scope.release);
    let unbuilt = content.take_unbuilt();
    if release.chart.is_some() && !content.is_chart() {
        let message = "spec.helm is set, and the artifact is not a Helm chart; remove spec.helm";
        return Err(failure(Reason::ArtifactInvalid, message).into());
    }
    let (name, source): (&str, BuildSource) = match unbuilt {
        None => return Ok(content),
        Some(Unbuilt::Kustomization(files, directory)) => (BUILT, Tree { files, directory }.into()),
        Some(Unbuilt::Chart(files)) => (RENDERED, chart(scope, session, files, known).await?.into()),
    };
    scope.slot.release();
    let (doing, directory) = (source.doing(), source.directory());
    let most = content.room().most / SHARE;
    let building = scope.env.builder.build(&release.id.namespace, source, most);
    let built = wait_beside(scope, seen, &Queue::default(), &doing, building).await;
    scope.timer.add(Phase::Build, started.elapsed());
    let count = |result| scope.env.metrics.build(result);
    match built {
        RegistryWait::Preempted => Err(ReconcileError::SUPERSEDED),
        RegistryWait::Done(Ok(output)) => {
            count(if output.took.is_some() { BuildResult::Built } else { BuildResult::Cached });
            content.set_built(name, output);
            Ok(content)
        }
        RegistryWait::Done(Err(error)) => {
            count(match &error {
                BuildError::Refused(_) => BuildResult::Refused,
                BuildError::Failed(_) | BuildError::TooLarge(_) => BuildResult::Failed,
                BuildError::NotAllowed(_) | BuildError::Unavailable(_) => BuildResult::Unavailable,
            });
            Err(failure(error.reason(), error.to_string()).into())
        }
        RegistryWait::TimedOut => {
            count(BuildResult::Unavailable);
            let seconds = release.timeout.as_secs();
            let message = match directory {
                Some(shown) => {
                    format!("timed out building the kustomization {shown} after spec.timeout ({seconds}s)")
                }
                None => format!("timed out rendering the Helm chart after spec.timeout ({seconds}s)"),
            };
            Err(failure(Reason::BuildUnavailable, message).into())
        }
    }
}

/// What an inventory records of the rendering of a chart; absent for other content.
///
/// # Errors
/// When it is not what `known` records of the same.
pub async fn recorded(
    scope: &Scope<'_>,
    content: &Admitted,
    key: &str,
    known: Option<&ChartRecord>,
) -> Result<Option<ChartRecord>, ReconcileError> {
    let Some(capabilities) = content.capabilities() else { return Ok(None) };
    let mut record = ChartRecord {
        key: key.to_owned(),
        capabilities: ClusterCapabilities::clone(capabilities),
        renderer: content.built().unwrap_or_default().to_owned(),
        output: None,
    };
    if !scope.release.inputs.has_secret() {
        let files = content.files().to_vec();
        let traced =
            tokio::task::spawn_blocking(move || files.first().map(|(_, manifests)| output_trace(manifests)));
        // The runtime shuts down.
        record.output = traced.await.map_err(|_| ReconcileError::SUPERSEDED)?;
    }
    if known.is_some_and(|known| known.denies(&record)) {
        let message = "the Helm chart renders to something else than before, although neither the chart nor its \
                       values have changed; set the value that the chart makes by chance or by the time, or let it \
                       refer to a Secret that exists";
        return Err(failure(Reason::BuildFailed, message).into());
    }
    Ok(Some(record))
}

/// A chart, with what it is rendered with. Its namespace is where its objects go that name none.
async fn chart(
    scope: &Scope<'_>,
    session: &Session,
    files: Vec<(String, Bytes)>,
    known: Option<&ClusterCapabilities>,
) -> Result<Chart, ReconcileError> {
    let release = scope.release;
    let inputs = chart_inputs(&release.id.name, release.chart.as_deref(), &release.inputs);
    let inputs = inputs.map_err(|why| failure(Reason::BuildFailed, why))?;
    let namespace = release.target_namespace.as_ref().unwrap_or(&release.default_namespace).clone();
    let capabilities = match known {
        Some(known) => known.clone(),
        None => session.capabilities().await?,
    };
    let (capabilities, recorded) = (Some(capabilities.into()), known.is_some());
    Ok(Chart { files, namespace, inputs, capabilities, recorded })
}
