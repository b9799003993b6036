//! The container images of a revision: verified before it is planned, and bound
//! in its objects to the digests that were verified. A revision keeps its
//! digests: that a tag of an image moved changes nothing until the artifact
//! does.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::acquire::{self, Failure, chain, failure};
use super::images::{Images, Ways, verify_images};
use super::patience::Waited;
use super::run::{Ended, Revision, Run};
use super::work;
use crate::api::reason::Reason;
use crate::api::status::VerifiedImage;
use crate::api::verify::ImageMode;
use crate::cluster::session::Session;
use crate::domain::images::{distinct_images, pin};
use crate::domain::object::Object;
use crate::domain::outcome::Outcome;
use crate::domain::verify::images::ImagePolicies;
use crate::oci::{Access, Keyring, Repository};

/// How many images a message names.
const NAMED: usize = 3;
/// The key of a Secret for pulls.
const DOCKER_CONFIG: &str = ".dockerconfigjson";

/// Which images have to be signed.
#[derive(Clone, Debug)]
pub struct ImageDemand {
    /// What one without a signature leads to.
    pub mode: ImageMode,
    /// By whom.
    pub policies: ImagePolicies,
}

/// The images of a revision, as they were verified.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// Digest and options of the revision.
    key: String,
    /// Whether the last verification of the artifact has been followed by theirs.
    pub(super) fresh: bool,
    shown: Vec<VerifiedImage>,
    /// Those that should be signed and are not, where that is only told.
    warning: Option<String>,
}

impl Pinned {
    fn pins(&self) -> BTreeMap<String, String> {
        pins(&self.shown)
    }

    /// Puts it into the outcome.
    pub(super) fn tell(&self, outcome: &mut Outcome) {
        outcome.images = Some(self.shown.clone());
        if let (Some(warning), Some(verified)) = (&self.warning, &mut outcome.verified) {
            verified.message.push_str(&format!("; {warning}"));
        }
    }

    /// Whether it is about that revision, and up to date.
    pub(super) fn is_of(&self, revision: &Revision) -> bool {
        self.key == revision.key && self.fresh
    }
}

fn pins(shown: &[VerifiedImage]) -> BTreeMap<String, String> {
    shown.iter().map(|image| (image.name.clone(), image.pinned.clone())).collect()
}

impl Run<'_> {
    /// Verifies the images of the objects and writes their digests into them.
    ///
    /// # Errors
    /// When one is not signed as it has to be.
    pub(super) async fn pin(
        &mut self,
        session: &Session,
        revision: &Revision,
        demand: Option<&ImageDemand>,
        objects: &mut [Object],
    ) -> Result<(), Ended> {
        let Some(demand) = demand else {
            self.memory.pinned = None;
            return Ok(());
        };
        let known = self.memory.pinned.as_ref().filter(|p| p.key == revision.key).cloned();
        let before = match &known {
            Some(pinned) => pinned.pins(),
            // What another process has found, for this very artifact.
            None => {
                let artifact = self.status.artifact.as_ref();
                artifact
                    .filter(|a| a.digest == revision.digest.as_str())
                    .map(|a| pins(&a.images))
                    .unwrap_or_default()
            }
        };
        if let Some(pinned) = known.as_ref().filter(|p| p.fresh) {
            write(objects, &pinned.pins());
            return Ok(());
        }
        // Digests that are known already are what is verified.
        let written: BTreeMap<String, String> = distinct_images(objects)
            .into_iter()
            .map(|image| (before.get(&image).cloned().unwrap_or_else(|| image.clone()), image))
            .collect();
        write(objects, &before);
        let images = self.look_at_images(session, demand, objects).await?;
        let unknown = images.failures.iter().all(|f| !f.reason.is_distrust());
        if let Some(pinned) = known.filter(|_| !images.failures.is_empty() && unknown) {
            // Verified before, and nothing says otherwise now.
            self.memory.pinned = Some(Pinned { fresh: true, ..pinned });
            return Ok(());
        }
        let warning = refused(demand.mode, &images)?;
        write(objects, &images.pins());
        let mut shown = images.status();
        for image in &mut shown {
            if let Some(name) = written.get(&image.name) {
                image.name.clone_from(name);
            }
        }
        if let Some(warning) = &warning {
            self.note_once(Reason::ImageNotVerified, warning.clone(), false);
        }
        self.memory.pinned = Some(Pinned { key: revision.key.clone(), fresh: true, shown, warning });
        Ok(())
    }

    async fn look_at_images(
        &mut self,
        session: &Session,
        demand: &ImageDemand,
        objects: &[Object],
    ) -> Result<Images, Ended> {
        let access = acquire::access(self.context, session, self.release, self.memory).await?;
        let home = acquire::repository(self.release)?;
        let ways = Own { session, access, home };
        let registry = self.context.registry.clone();
        // A registry that takes its time takes no worker's.
        self.turn.give_back();
        let looked = self.wait_for(verify_images(&registry, objects, &demand.policies, &ways), false).await;
        self.turn.take().await;
        match looked {
            Waited::Done(images) => Ok(images?),
            Waited::Urgent => Err(work::superseded()),
            Waited::Late => {
                let seconds = self.release.timeout.as_secs();
                let message =
                    format!("the container images could not be verified within spec.timeout ({seconds}s)");
                Err(failure(Reason::RegistryUnavailable, message).into())
            }
        }
    }
}

fn write(objects: &mut [Object], pins: &BTreeMap<String, String>) {
    for object in objects {
        pin(object, pins);
    }
}

/// What is wrong with the images: an end, or a warning.
fn refused(mode: ImageMode, images: &Images) -> Result<Option<String>, Failure> {
    let [first, rest @ ..] = images.failures.as_slice() else { return Ok(None) };
    let mut message = match rest.len() {
        0 => "a container image is not signed as spec.verify.images wants it: ".to_owned(),
        more => format!("{} container images are not signed as spec.verify.images wants them: ", more + 1),
    };
    let lines = std::iter::once(first).chain(rest).take(NAMED).map(|f| f.line());
    message.push_str(&lines.collect::<Vec<_>>().join("; "));
    if images.failures.len() > NAMED {
        message.push_str(&format!("; and {} more", images.failures.len() - NAMED));
    }
    match mode {
        ImageMode::Warn => Ok(Some(message)),
        ImageMode::Enforce => {
            // A registry that is away is told as such, and tried again like one.
            let away = images.failures.iter().all(|f| !f.reason.is_distrust());
            Err(failure(if away { first.reason } else { Reason::ImageNotVerified }, message))
        }
    }
}

/// As the release's identity.
struct Own<'a> {
    session: &'a Session,
    access: Arc<Access>,
    home: Repository,
}

impl Ways for Own<'_> {
    fn pull_secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, Failure>> {
        async move {
            match self.session.secret(namespace, name).await {
                Ok(secret) => Ok(secret.and_then(|s| s.0.get(DOCKER_CONFIG).cloned())),
                Err(error) => {
                    let hint = match error.is_forbidden() {
                        true => format!("; allow {} to get it", self.session.identity()),
                        false => String::new(),
                    };
                    let message = format!(
                        "Secret/{namespace}/{name}, in imagePullSecrets, cannot be read: {}{hint}",
                        chain(&error)
                    );
                    Err(failure(error.reason(), message))
                }
            }
        }
        .boxed()
    }

    fn access<'a>(
        &'a self,
        repository: &'a Repository,
        of_pods: Option<Keyring>,
    ) -> BoxFuture<'a, Result<Access, Failure>> {
        let at_home = repository.registry() == self.home.registry();
        async move { Ok(self.access.towards(of_pods, at_home)) }.boxed()
    }
}
