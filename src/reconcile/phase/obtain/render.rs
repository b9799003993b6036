//! Renders the files of an artifact to objects, within its memory limit.

use std::sync::Arc;
use std::time::Instant;

use crate::api::reason::Reason;
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::session::Session;
use crate::domain::health::early::handling::FailureHandling;
use crate::domain::identity::GroupKind;
use crate::domain::manifest::budget::Budget;
use crate::domain::manifest::chart::secret_texts;
use crate::domain::manifest::render::{ChartRendering, RenderOptions, Scopes, render_within};
use crate::domain::manifest::substitute::Redaction;
use crate::domain::object::Object;
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::apply_mode;
use crate::domain::plan::changeset::check_annotation;
use crate::domain::plan::steps::refused;
use crate::domain::release::Release;
use crate::observe::labels::Phase;
use crate::reconcile::error::{ReconcileError, aggregate, failure};
use crate::reconcile::scope::Scope;
use crate::reconcile::trust::admission::Admitted;

impl Scopes for ApiDiscovery {
    fn namespaced(&self, kind: &GroupKind) -> Option<bool> {
        ApiDiscovery::namespaced(self, kind)
    }
}

/// The objects of a revision.
pub struct Rendered {
    /// The API discovery, up to date for the kinds of the objects.
    pub discovery: Arc<ApiDiscovery>,
    /// The rendered objects.
    pub objects: Vec<Object>,
}

/// Renders the files; `key` identifies the revision. Repeats the API discovery if the objects have a kind that `discovery` does
/// not have.
///
/// # Errors
/// When the files are not manifests, or exceed the memory limit.
pub async fn render(
    scope: &Scope<'_>,
    session: &Session,
    discovery: Arc<ApiDiscovery>,
    content: &Admitted,
    key: &str,
) -> Result<Rendered, ReconcileError> {
    let started = Instant::now();
    let rendered = with_kinds(scope.release, session, discovery, (content, key)).await;
    scope.timer.add(Phase::Render, started.elapsed());
    rendered
}

async fn with_kinds(
    release: &Release,
    session: &Session,
    discovery: Arc<ApiDiscovery>,
    content: (&Admitted, &str),
) -> Result<Rendered, ReconcileError> {
    let objects = rendered(release, &discovery, content).await?;
    let versions = objects.iter().map(|o| (o.group_kind(), o.version().to_owned()));
    let newer = session.known_in(versions).await?;
    if Arc::ptr_eq(&discovery, &newer) {
        return Ok(Rendered { discovery, objects });
    }
    // Frees the first result before the second.
    drop(objects);
    let objects = rendered(release, &newer, content).await?;
    Ok(Rendered { discovery: newer, objects })
}

/// What is done with the output of a chart.
fn chart_rendering(release: &Release, key: &str) -> ChartRendering {
    let chart = release.chart.as_deref();
    ChartRendering {
        skips_hooks: chart.is_some_and(|chart| chart.skips_hooks),
        run: key.to_owned(),
        secrets: Redaction::default()
            .and(chart.into_iter().flat_map(|chart| secret_texts(chart, &release.inputs))),
    }
}

/// Renders on a blocking thread: large artifacts and many patches take seconds, and the async
/// workers have to renew leases meanwhile.
async fn rendered(
    release: &Release,
    discovery: &Arc<ApiDiscovery>,
    (content, key): (&Admitted, &str),
) -> Result<Vec<Object>, ReconcileError> {
    let options = RenderOptions {
        default_namespace: release.default_namespace.clone(),
        patches: release.patches.clone(),
        images: release.images.clone(),
        substitution: release.substitution.clone(),
        inputs: Arc::clone(&release.inputs),
        chart: content.is_chart().then(|| chart_rendering(release, key)),
        target_namespace: release.target_namespace.clone(),
        labels: release.labels.clone(),
        annotations: release.annotations.clone(),
    };
    let (discovery, files) = (Arc::clone(discovery), content.files().to_vec());
    let held: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut budget = Budget::after_files(content.room().most, held as u64);
    let rendering = tokio::task::spawn_blocking(move || {
        let rendered = render_within(&files, &options, &*discovery, &mut budget);
        rendered.map(|objects| (objects, budget.spent()))
    });
    let objects = match rendering.await {
        Ok(rendered) => {
            let (objects, spent) = rendered.map_err(|e| failure(e.reason(), e.to_string()))?;
            content.room().settle(spent);
            objects
        }
        // The runtime shuts down.
        Err(error) if error.is_cancelled() => return Err(ReconcileError::SUPERSEDED),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let refused = refused(&objects);
    if !refused.is_empty() {
        let failures = refused.into_iter().map(|(id, message)| ObjectFailure {
            id,
            reason: Reason::ManifestInvalid,
            message,
        });
        return Err(aggregate(Reason::ManifestInvalid, "nothing applied, invalid", failures.collect()));
    }
    for object in &objects {
        if let Err(mode) = apply_mode(object) {
            let message = format!(
                "{}: invalid annotation {}: {mode:?}; use Override, Merge, IfNotPresent or Ignore",
                object.id(),
                crate::api::keys::APPLY
            );
            return Err(failure(Reason::ManifestInvalid, message).into());
        }
        let sensitive = check_annotation(object);
        if let Err(why) =
            sensitive.and_then(|()| FailureHandling::read(|key| object.annotation(key)).map(drop))
        {
            return Err(failure(Reason::ManifestInvalid, format!("{}: {why}", object.id())).into());
        }
    }
    Ok(objects)
}
