//! The files of an artifact to objects, within what it may come to in memory.

use std::sync::Arc;

use crate::api::reason::Reason;
use crate::cluster::discovery::Known;
use crate::cluster::session::Session;
use crate::domain::identity::GroupKind;
use crate::domain::manifest::budget::Budget;
use crate::domain::manifest::render::{RenderOptions, Scopes, render_within};
use crate::domain::object::Object;
use crate::domain::plan::apply_mode;
use crate::reconcile::driver::{Ended, Run};
use crate::reconcile::phase::admit::evidence::Admitted;
use crate::reconcile::phase::work::superseded;
use crate::reconcile::source::access::failure;

impl Scopes for Known {
    fn namespaced(&self, kind: &GroupKind) -> Option<bool> {
        Known::namespaced(self, kind)
    }
}

/// The objects of the files, as the spec wants them, and a look at the
/// cluster's kinds that is no older than the kinds of the objects.
pub async fn objects(
    run: &Run<'_>,
    session: &Session,
    known: Arc<Known>,
    content: &Admitted,
) -> Result<(Arc<Known>, Vec<Object>), Ended> {
    let objects = rendered(run, &known, content).await?;
    let versions = objects.iter().map(|o| (o.group_kind(), o.version().to_owned()));
    let newer = session.known_in(versions).await?;
    if Arc::ptr_eq(&known, &newer) {
        return Ok((known, objects));
    }
    // Not both at a time.
    drop(objects);
    let objects = rendered(run, &newer, content).await?;
    Ok((newer, objects))
}

/// Renders on a thread that may be busy: large artifacts and many patches take
/// seconds, and the workers have leases to renew meanwhile.
async fn rendered(run: &Run<'_>, known: &Arc<Known>, content: &Admitted) -> Result<Vec<Object>, Ended> {
    let release = run.release;
    let options = RenderOptions {
        default_namespace: release.default_namespace.clone(),
        patches: release.patches.clone(),
        images: release.images.clone(),
        target_namespace: release.target_namespace.clone(),
        labels: release.labels.clone(),
        annotations: release.annotations.clone(),
    };
    let (known, files) = (Arc::clone(known), content.files().to_vec());
    let held: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut budget = Budget::beside(content.room().most, held as u64);
    let rendering = tokio::task::spawn_blocking(move || {
        let rendered = render_within(&files, &options, &*known, &mut budget);
        rendered.map(|objects| (objects, budget.spent()))
    });
    let objects = match rendering.await {
        Ok(rendered) => {
            let (objects, spent) = rendered.map_err(|e| failure(e.reason(), e.to_string()))?;
            content.room().settle(spent);
            objects
        }
        // The runtime shuts down.
        Err(error) if error.is_cancelled() => return Err(superseded()),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    for object in &objects {
        if let Err(mode) = apply_mode(object) {
            let message = format!(
                "{}: the annotation {} is {mode:?}; it can be Override, Merge, IfNotPresent or Ignore",
                object.id(),
                crate::api::keys::APPLY
            );
            return Err(failure(Reason::ManifestInvalid, message).into());
        }
    }
    Ok(objects)
}
