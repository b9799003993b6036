//! The container images of objects: their digests, and the signers of these. Nothing is written
//! here; the caller writes the pins into the objects.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::iter;
use serde_json::Value;

use super::evidence::{VerifyTarget, verify};
use crate::api::reason::Reason;
use crate::api::status::VerifiedImage;
use crate::api::verify::ImageMode;
use crate::domain::identity::ObjectId;
use crate::domain::images::{doubtful_places, image_places};
use crate::domain::message::List;
use crate::domain::object::Object;
use crate::domain::verify::images::{ImageName, ImageNeed, ImagePolicies};
use crate::domain::verify::policy::Policy;
use crate::domain::verify::proof::Proof;
use crate::oci::{Access, Digest, Keyring, Registry, Repository, Tag, Wanted};
use crate::reconcile::error::{RunFailure, chain, failure};

/// The maximum number of different images of one artifact.
pub const MAX_IMAGES: usize = 256;
/// How many images a message names.
const NAMED: usize = 3;
/// How many of them are verified at once.
const AT_ONCE: usize = 8;
/// The key of a Secret for pulls.
const DOCKER_CONFIG: &str = ".dockerconfigjson";

/// Why a possible image is refused.
const DOUBTFUL: &str = "found in an image field of a kind that is not built in, it may run: add it to \
                        verify.images.exempt if it needs no signature";

/// Access to the registries of images.
pub trait ImageAccess: Send + Sync {
    /// The value of `.dockerconfigjson` of a Secret that a pod pulls with; `None` when there is no
    /// such Secret, which a kubelet ignores too.
    fn pull_secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, Box<RunFailure>>>;

    /// Access to a repository with the credentials of its pods or, without those, with the other
    /// credentials. A certificate or plain HTTP that was set for another registry is not used.
    fn access<'a>(
        &'a self,
        repository: &'a Repository,
        of_pods: Option<Keyring>,
    ) -> BoxFuture<'a, Result<Access, Box<RunFailure>>>;
}

/// The results for the images of some objects.
#[derive(Clone, Debug, Default)]
pub struct Images {
    /// Images with the required signatures.
    pub verified: Vec<SignedImage>,
    /// Images that need no signature, by a pattern.
    pub exempt: Vec<String>,
    /// All images without the required signatures, or whose signatures cannot be read.
    pub failures: Vec<ImageFailure>,
}

/// An image with the required signatures.
#[derive(Clone, Debug)]
pub struct SignedImage {
    /// Its name in the objects.
    pub written: String,
    /// Its name with the verified digest.
    pub pinned: String,
    /// Its signers, for each policy.
    pub proofs: Vec<Proof>,
}

/// An image without the required signatures, or whose signatures cannot be read.
#[derive(Clone, Debug)]
pub struct ImageFailure {
    /// Its name in the objects, with its digest if that was known before.
    pub image: String,
    /// The objects that run it.
    pub objects: Vec<ObjectId>,
    /// Why.
    pub reason: Reason,
    /// What was found.
    pub message: String,
}

impl Images {
    /// The replacement for each image name ([`crate::domain::images::pin`]).
    pub fn pins(&self) -> BTreeMap<String, String> {
        self.verified.iter().map(|i| (i.written.clone(), i.pinned.clone())).collect()
    }

    /// The problem with the images, in Warn mode.
    ///
    /// # Errors
    /// The problem with them, in Enforce mode.
    pub fn refusal(&self, mode: ImageMode) -> Result<Option<String>, Box<RunFailure>> {
        let [first, rest @ ..] = self.failures.as_slice() else { return Ok(None) };
        let mut message = match rest.len() {
            0 => "1 container image is not signed as spec.verify.images requires: ".to_owned(),
            more => {
                format!("{} container images are not signed as spec.verify.images requires: ", more + 1)
            }
        };
        message.push_str(&List::Clauses.few_as(&self.failures, NAMED, ImageFailure::line));
        match mode {
            ImageMode::Warn => Ok(Some(message)),
            ImageMode::Enforce => {
                // An unavailable registry has its own reason, and is tried again.
                let away = self.failures.iter().all(|f| !f.reason.is_distrust());
                Err(failure(if away { first.reason } else { Reason::ImageNotVerified }, message))
            }
        }
    }

    /// The verified ones, as the status lists them.
    pub fn status(&self) -> Vec<VerifiedImage> {
        self.verified.iter().map(SignedImage::shown).collect()
    }
}

impl SignedImage {
    fn shown(&self) -> VerifiedImage {
        let signers = self.proofs.iter().flat_map(Proof::signatures).map(|s| s.signer.to_string());
        VerifiedImage {
            name: self.written.clone(),
            pinned: self.pinned.clone(),
            signer: signers.collect::<Vec<_>>().join(", "),
        }
    }
}

impl ImageFailure {
    /// One line: the image, the problem, and the objects.
    pub fn line(&self) -> String {
        let objects: Vec<String> = self.objects.iter().map(ObjectId::to_string).collect();
        format!("{}: {} (in {})", self.image, self.message, objects.join(", "))
    }
}

/// The uses of an image.
#[derive(Default)]
struct Use<'a> {
    objects: Vec<&'a Object>,
    /// Namespaces and names.
    secrets: Vec<(&'a str, String)>,
}

/// Verifies the images of objects, each once: resolves its tag to a digest and
/// judges what is signed at that digest. An object has the namespace that it
/// will be applied to; its Secrets for pulls are looked for among the objects
/// first, because they may come with them. Of an image whose digest is `known`,
/// by its name in the objects, that digest is verified, whatever its tag is now.
///
/// # Errors
/// When there are more images than [`MAX_IMAGES`].
pub async fn verify_images(
    registry: &Registry,
    objects: &[Object],
    policies: &ImagePolicies,
    ways: &dyn ImageAccess,
    known: &BTreeMap<String, String>,
) -> Result<Images, Box<RunFailure>> {
    let uses = uses(objects);
    if uses.len() > MAX_IMAGES {
        let message = format!(
            "the manifests use {} different container images, at most {MAX_IMAGES} can be verified",
            uses.len()
        );
        return Err(failure(Reason::ImageNotVerified, message));
    }
    let mut images = Images::default();
    let mut asked: Vec<BoxFuture<'_, Result<SignedImage, ImageFailure>>> = Vec::new();
    for (image, place) in &uses {
        match policies.demand(image) {
            ImageNeed::Exempt => images.exempt.push(image.clone()),
            ImageNeed::Unmatched => {
                let why = "no policy of verify.images matches it: add a policy, or exempt the image";
                images.failures.push(place.failed(image, failure(Reason::ImageNotVerified, why)));
            }
            ImageNeed::Unknown(why) => {
                let why = format!("{why}, so its signature cannot be checked");
                images.failures.push(place.failed(image, failure(Reason::ImageNotVerified, why)));
            }
            ImageNeed::Signed(name, policies) => {
                let looked = Look { registry, objects, policies, ways, place };
                let digest = known.get(image).map(String::as_str);
                asked.push(Box::pin(async move {
                    let shown = digest.map_or_else(|| image.clone(), |digest| name.pinned(digest));
                    let signed = looked.at(image, &name, digest).await;
                    signed.map_err(|failed| place.failed(&shown, failed))
                }));
            }
        }
    }
    for (image, place) in doubtful(objects, policies) {
        images.failures.push(place.failed(&image, failure(Reason::ImageNotVerified, DOUBTFUL)));
    }
    let answers: Vec<_> = iter(asked).buffered(AT_ONCE).collect().await;
    for answer in answers {
        match answer {
            Ok(signed) => images.verified.push(signed),
            Err(failed) => images.failures.push(failed),
        }
    }
    Ok(images)
}

/// Possible images in unknown kinds that are not exempt.
fn doubtful<'a>(objects: &'a [Object], policies: &ImagePolicies) -> BTreeMap<String, Use<'a>> {
    let mut found: BTreeMap<String, Use<'a>> = BTreeMap::new();
    for object in objects {
        for place in doubtful_places(object) {
            if !policies.exempts(&place.image) {
                found.entry(place.image).or_default().is_in(object);
            }
        }
    }
    found
}

fn uses(objects: &[Object]) -> BTreeMap<String, Use<'_>> {
    let mut uses: BTreeMap<String, Use<'_>> = BTreeMap::new();
    for object in objects {
        for place in image_places(object) {
            let found = uses.entry(place.image).or_default();
            found.is_in(object);
            for secret in place.pull_secrets {
                let secret = (object.namespace(), secret);
                if !found.secrets.contains(&secret) {
                    found.secrets.push(secret);
                }
            }
        }
    }
    uses
}

impl<'a> Use<'a> {
    fn is_in(&mut self, object: &'a Object) {
        if self.objects.last().is_none_or(|last| !std::ptr::eq(*last, object)) {
            self.objects.push(object);
        }
    }

    fn failed(&self, image: &str, failed: Box<RunFailure>) -> ImageFailure {
        let RunFailure { reason, message, .. } = *failed;
        let objects = self.objects.iter().map(|object| object.id()).collect();
        ImageFailure { image: image.to_owned(), objects, reason, message }
    }
}

/// The inputs to verify one image.
struct Look<'a> {
    registry: &'a Registry,
    objects: &'a [Object],
    policies: &'a [Policy],
    ways: &'a dyn ImageAccess,
    place: &'a Use<'a>,
}

impl Look<'_> {
    async fn at(
        &self,
        image: &str,
        name: &ImageName,
        known: Option<&str>,
    ) -> Result<SignedImage, Box<RunFailure>> {
        let bad = |e: crate::oci::OciError| failure(Reason::ImageNotVerified, e.to_string());
        let repository = Repository::parse(&format!("oci://{}", name.repository())).map_err(bad)?;
        let wanted = match name.digest().or(known) {
            Some(digest) => Wanted::Digest(Digest::parse(digest).map_err(bad)?),
            None => Wanted::Tag(Tag::parse(name.tag()).map_err(bad)?),
        };
        let (of_pods, mut refused) = self.keyring().await;
        let mut looked = None;
        if of_pods.covers(&repository) {
            match self.with(&repository, &wanted, Some(of_pods)).await {
                Err(failed) if is_denied(&failed) => refused = Some(failed),
                found => looked = Some(found),
            }
        }
        let (digest, proofs) = match looked {
            Some(found) => found?,
            None => self.with(&repository, &wanted, None).await.map_err(|failed| both(refused, failed))?,
        };
        Ok(SignedImage { written: image.to_owned(), pinned: name.pinned(digest.as_str()), proofs })
    }

    /// Its digest and the signers of that, read with these credentials.
    async fn with(
        &self,
        repository: &Repository,
        wanted: &Wanted,
        of_pods: Option<Keyring>,
    ) -> Result<(Digest, Vec<Proof>), Box<RunFailure>> {
        let access = self.ways.access(repository, of_pods).await?;
        let resolved = self.registry.resolve(repository, wanted, &access).await;
        let resolved = resolved.map_err(|e| failure(e.reason(), chain(&e)))?;
        let target = VerifyTarget { repository, digest: &resolved.digest, access: &access };
        let proofs = verify(self.registry, target, self.policies).await?;
        Ok((resolved.digest, proofs))
    }

    /// The credentials of the pods that run it, and why some cannot be read.
    async fn keyring(&self) -> (Keyring, Option<Box<RunFailure>>) {
        let (mut keyring, mut unread) = (Keyring::default(), None);
        for (namespace, name) in &self.place.secrets {
            let config = match among(self.objects, namespace, name) {
                Some(config) => Ok(Some(config)),
                None => self.ways.pull_secret(namespace, name).await,
            };
            let added = config.and_then(|config| {
                config.map_or(Ok(()), |config| keyring.add(&config)).map_err(|e| {
                    failure(Reason::SecretInvalid, format!("Secret {name}, in imagePullSecrets: {e}"))
                })
            });
            if let Err(failed) = added {
                unread.get_or_insert(failed);
            }
        }
        (keyring, unread)
    }
}

fn is_denied(failed: &RunFailure) -> bool {
    failed.reason == Reason::AuthenticationFailed
}

/// The error with the credentials of the pods, if the other credentials are refused too.
fn both(of_pods: Option<Box<RunFailure>>, failed: Box<RunFailure>) -> Box<RunFailure> {
    match of_pods {
        Some(first) if is_denied(&failed) && first.message != failed.message => {
            let message = format!("{}; without the imagePullSecrets: {}", first.message, failed.message);
            failure(first.reason, message)
        }
        _ => failed,
    }
}

/// A Secret that comes with the objects.
fn among(objects: &[Object], namespace: &str, name: &str) -> Option<Vec<u8>> {
    let is_it = |o: &&Object| o.is("", "Secret") && o.namespace() == namespace && o.name() == name;
    let secret = objects.iter().find(is_it)?;
    let text = |field: &str| secret.value().get(field)?.get(DOCKER_CONFIG).and_then(Value::as_str);
    match text("stringData") {
        Some(plain) => Some(plain.as_bytes().to_vec()),
        None => STANDARD.decode(text("data")?).ok(),
    }
}
