//! The steps of a search: the lists of the three places, the manifests in them, their bytes.

use std::collections::HashSet;

use futures::{StreamExt as _, stream};
use tokio::sync::SemaphorePermit;

use super::gather::{Form, Gathered, Lead, Notes, worse};
use super::listing::{Referrer, is_bundle};
use super::search::Search;
use super::simple_signing;
use crate::domain::verify::evidence::{Evidence, Found};
use crate::oci::artifact::layout::Document;
use crate::oci::error::OciError;
use crate::oci::limits::{EVIDENCE_REQUESTS, MAX_BUNDLE_BYTES, SMALL_EVIDENCE_BYTES};
use crate::oci::reference::Digest;

impl<'a> Search<'a> {
    /// The results, and a slot to hold while they are processed.
    ///
    /// # Errors
    /// When the registry does not answer. A refusal is reported before an outage, and
    /// else the first place before the others, so that the same outage gives the same
    /// message.
    pub async fn run(self) -> Result<(Evidence, Option<SemaphorePermit<'a>>), OciError> {
        let (tagged, listed, kept) =
            futures::join!(self.signature_tag(), self.referrers(), self.referrers_tag());
        let error = |answer: Option<&OciError>| answer.cloned();
        let first = worse(error(tagged.as_ref().err()), error(listed.as_ref().err()));
        if let Some(error) = worse(first, error(kept.as_ref().err())) {
            return Err(error);
        }
        let (tagged, listed, kept) = (tagged?, listed?, kept?);
        let described = self.describe(listed.and(kept)).await;
        let leads = tagged.and(described).affordable();
        let place = self.place(leads.weight()).await;
        Ok((self.read(leads).await.evidence()?, place))
    }

    /// The layers of cosign's tag.
    ///
    /// # Errors
    /// When the registry does not answer whether the tag exists.
    pub async fn signature_tag(self) -> Result<Gathered<Lead>, OciError> {
        let tag = format!("{}.sig", self.digest.as_str().replacen(':', "-", 1));
        let mut notes = Notes::default();
        let manifest = self.tagged(&tag, &mut notes).await?;
        let leads = manifest.map(|bytes| simple_signing::leads(&tag, &bytes)).unwrap_or_default();
        Ok(Gathered { things: Vec::new(), notes }.and(leads))
    }

    /// Reads the manifests of referrers: which of them contain a bundle for the digest,
    /// and where.
    pub async fn describe(self, referrers: Gathered<Referrer>) -> Gathered<Lead> {
        let Gathered { mut things, notes } = referrers;
        let mut gathered = Gathered { things: Vec::new(), notes };
        // Both lists may contain it.
        let mut seen = HashSet::new();
        things.retain(|referrer| seen.insert(referrer.digest.clone()));
        let answers = stream::iter(things.into_iter().map(|referrer| async move {
            let manifest = self.manifest(&referrer.digest).await;
            (referrer, manifest)
        }));
        let mut answers = answers.buffered(EVIDENCE_REQUESTS);
        while let Some((referrer, manifest)) = answers.next().await {
            let place = format!("referrer {}", referrer.digest);
            match manifest.map(|bytes| self.lead(&referrer, &place, &bytes)) {
                Ok(Ok(lead)) => gathered.things.extend(lead),
                Ok(Err(why)) => gathered.notes.note(format!("{place}: {why}")),
                Err(error) => gathered.notes.missed(&place, error),
            }
        }
        gathered
    }

    /// The place of the bundle in a referrer's manifest; nothing if it is something else
    /// and was not marked as a bundle.
    fn lead(self, referrer: &Referrer, place: &str, manifest: &[u8]) -> Result<Option<Lead>, String> {
        let manifest = match Document::parse(manifest) {
            Ok(Document::Manifest(manifest)) => manifest,
            _ if !referrer.is_marked() => return Ok(None),
            Ok(Document::Index(_)) => return Err("it is an index, not a signature".into()),
            Err(error) => return Err(error.about("its content").to_string()),
        };
        let mut bundles = manifest.layers.iter().filter(|layer| is_bundle(&layer.media_type));
        let (first, others) = (bundles.next(), bundles.count());
        let Some(layer) = first else {
            return if referrer.is_marked() { Err("it contains no bundle".into()) } else { Ok(None) };
        };
        // GitLab resolves the tag to the digest itself; others may list anything.
        match manifest.subject.as_deref() {
            Some(subject) if subject == self.digest.as_str() => {}
            Some(subject) => {
                let shown: String = subject.chars().take(80).collect();
                return Err(format!("it refers to {shown:?}, not to this digest"));
            }
            None => return Err("it does not say which digest it refers to".into()),
        }
        if others > 0 {
            return Err(format!("it contains {} bundles instead of one", others + 1));
        }
        let digest = Digest::parse(&layer.digest).map_err(|_| "its bundle has a malformed digest")?;
        if layer.size > MAX_BUNDLE_BYTES {
            return Err(format!("its bundle has {} bytes, more than {MAX_BUNDLE_BYTES}", layer.size));
        }
        Ok(Some(Lead { place: place.to_owned(), digest, size: layer.size, form: Form::Bundle }))
    }

    /// Reads the payloads and bundles, each once.
    pub async fn read(self, leads: Gathered<Lead>) -> Gathered<Found> {
        let Gathered { things, notes } = leads;
        let mut gathered = Gathered { things: Vec::new(), notes };
        let mut blobs: Vec<(Digest, u64)> = Vec::new();
        for lead in &things {
            // An entry with a wrong size of the same bytes must not affect those with the
            // right one.
            let blob = (lead.digest.clone(), lead.size);
            if !blobs.contains(&blob) {
                blobs.push(blob);
            }
        }
        let answers = stream::iter(blobs.into_iter().map(|(digest, size)| async move {
            let bytes = self.blob(&digest, size).await;
            (digest, size, bytes)
        }));
        let answers: Vec<_> = answers.buffered(EVIDENCE_REQUESTS).collect().await;
        for Lead { place, digest, size, form } in things {
            match answers.iter().find(|(read, stated, _)| *read == digest && *stated == size) {
                Some((.., Ok(bytes))) => gathered.things.push(Found { place, content: form.with(bytes) }),
                Some((.., Err(error))) => gathered.notes.missed(&place, error.clone()),
                None => {}
            }
        }
        gathered
    }

    /// A slot for large reads; reads of the usual size need none, so that a slow registry
    /// does not delay other releases.
    async fn place(self, weight: u64) -> Option<SemaphorePermit<'a>> {
        if weight <= SMALL_EVIDENCE_BYTES {
            return None;
        }
        self.registry.0.large_evidence.acquire().await.ok()
    }
}
