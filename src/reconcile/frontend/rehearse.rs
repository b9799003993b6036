//! What the operator would do with a release that does not exist yet: everything
//! up to the first write, with the rights that the release would have.

use crate::domain::release::{Origin, Release};
use crate::oci::Size;
use crate::reconcile::env::worker::Turn;
use crate::reconcile::frontend::command_line::{Local, foreseen};
use crate::reconcile::phase::work;
use crate::reconcile::preview::{Preview, preview};
use crate::reconcile::scope::progress::Silence;
use crate::reconcile::source::access::{self, Failure};

impl Local {
    /// Resolves, verifies, fetches, renders and plans a release, and asks the API
    /// server for a dry run of all of it. Writes nothing.
    ///
    /// # Errors
    /// What would keep the release from being applied.
    pub async fn rehearse(&mut self, release: &Release) -> Result<Preview, Failure> {
        // There is no resource whose status could be written.
        let mut release = release.clone();
        (release.origin, release.suspend) = (Origin::CommandLine, false);
        let release = &release;
        let mut turn = Turn::new(&self.places);
        let mut run = self.run(release, &mut turn, &Silence);
        let looked = async {
            access::check_registry(&run.context.allowed, release)?;
            let session = run.session()?;
            access::check_account(run.context, &session, release).await?;
            run.load_inventory().await?;
            let revision = run.resolve(&session).await?;
            let admission = run.admission(&session, &revision).await?;
            let artifact = work::fetch(&mut run, &session, &revision, Size::Large).await?;
            let content = admission.admit(artifact)?;
            preview(&mut run, &session, &content, &revision).await
        };
        foreseen(Box::pin(looked).await, &release.id)
    }
}
