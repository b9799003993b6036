//! What a person looks at of a release: with the person's own rights, also where its objects are in
//! another cluster.

use std::sync::Arc;

use super::{Local, failed_outcome};
use crate::cluster::session::Session;
use crate::domain::ledger::{Ledger, next};
use crate::domain::object::Object;
use crate::domain::outcome::Outcome;
use crate::domain::release::Release;
use crate::oci::Size;
use crate::reconcile::cache::Caches;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::phase::admit::admit;
use crate::reconcile::phase::begin::{facts_of, ledger_of};
use crate::reconcile::phase::inventory::{check_place, ensure_read};
use crate::reconcile::phase::obtain::{Obtained, obtain_within};
use crate::reconcile::phase::resolve::resolve;
use crate::reconcile::place::locate;
use crate::reconcile::preview::{Preview, preview};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::progress::NoProgress;
use crate::reconcile::scope::revision::{Revision, Update};
use crate::reconcile::source::access::check_account;
use crate::reconcile::source::allowed::check_registry;
use crate::reconcile::source::inputs::read_inputs;

impl Local {
    /// Resolves, verifies, fetches, renders and plans a release that may not exist yet, with the
    /// rights that it would have, and dry-runs all of it on the API server. Writes nothing.
    ///
    /// # Errors
    /// What would keep the release from being applied.
    pub async fn preview_release(&mut self, release: &Release) -> Result<Preview, Box<Outcome>> {
        // A suspended release is compared as well.
        let mut release = release.clone();
        release.suspend = false;
        let release = &release;
        self.env.target = locate(&self.env, release, &mut self.caches.place, false).await;
        let scope = &self.party.scope(&self.env, release, &NoProgress);
        let (caches, lines) = (&mut self.caches, self.lines);
        let looked = async {
            check_registry(&scope.env.allowed, release)?;
            let session = &caches.session(scope)?;
            check_account(scope, session).await?;
            let complete = complete(scope, caches).await?;
            let scope = &Scope { release: &complete, ..*scope };
            ensure_read(scope, &mut caches.cluster).await?;
            check_place(scope, &mut caches.cluster)?;
            let ledger = &ledger_of(scope, caches);
            let (revision, obtained) = obtain(scope, caches, session, ledger).await?;
            preview(scope, caches, &Update { session, ledger, revision: &revision }, obtained, lines).await
        };
        Box::pin(looked).await.map_err(|error| failed_outcome(error, &release.id))
    }

    /// The session in the cluster of a release's objects, which the spec names.
    ///
    /// # Errors
    /// Why it cannot be reached, or that it is not the cluster of the inventory.
    pub async fn session_there(&mut self, release: &Release) -> Result<Session, Box<Outcome>> {
        self.env.target = locate(&self.env, release, &mut self.caches.place, false).await;
        let scope = &self.party.scope(&self.env, release, &NoProgress);
        let caches = &mut self.caches;
        let found = async {
            ensure_read(scope, &mut caches.cluster).await?;
            caches.session(scope)
        };
        found.await.map_err(|error| failed_outcome(error, &release.id))
    }

    /// Resolves, verifies, fetches and renders a release.
    ///
    /// # Errors
    /// Why it cannot be rendered.
    pub async fn render_release(&mut self, release: &Release) -> Result<Vec<Object>, Box<Outcome>> {
        let scope = &self.party.scope(&self.env, release, &NoProgress);
        let caches = &mut self.caches;
        let looked = async {
            let session = &caches.session(scope)?;
            let complete = complete(scope, caches).await?;
            let scope = &Scope { release: &complete, ..*scope };
            let (_, obtained) = obtain(scope, caches, session, &Ledger::default()).await?;
            Ok(obtained.rendered.objects)
        };
        Box::pin(looked).await.map_err(|error| failed_outcome(error, &release.id))
    }
}

/// Resolves, verifies, fetches and renders it.
async fn obtain(
    scope: &Scope<'_>,
    caches: &mut Caches,
    session: &Session,
    ledger: &Ledger,
) -> Result<(Revision, Obtained), ReconcileError> {
    let command = next(ledger, scope.release, &facts_of(scope, caches));
    let revision = resolve(scope, session, caches.into(), ledger, command).await?;
    let admission = admit(scope, session, caches.into(), &revision).await?;
    let update = Update { session, ledger, revision: &revision };
    let discovery = session.discovery().await?;
    let obtained = obtain_within(scope, caches, &update, &admission, discovery, Size::Large).await?;
    Ok((revision, obtained))
}

/// The release with the inputs of its rendering.
async fn complete(scope: &Scope<'_>, caches: &mut Caches) -> Result<Release, ReconcileError> {
    let inputs = read_inputs(scope, caches).await?;
    let with = |inputs| scope.release.with_inputs(inputs, Arc::clone(caches.inputs.redaction()));
    Ok(inputs.map_or_else(|| scope.release.clone(), with))
}
