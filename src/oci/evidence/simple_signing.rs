//! Cosign's older form: an image under the tag `sha256-….sig`, each layer of which is a
//! signed payload with its signature in annotations (cosign's `SIGNATURE_SPEC.md`). Pure:
//! bytes in, places out.

use super::gather::{Form, Gathered, Lead};
use crate::domain::verify::evidence::SimpleSigning;
use crate::oci::artifact::layout::{Document, RawDescriptor};
use crate::oci::limits::{MAX_PAYLOAD_BYTES, MAX_SIGNATURE_LAYERS};
use crate::oci::reference::Digest;

const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The layers of the manifest under the tag that may be signatures.
pub(super) fn leads(tag: &str, manifest: &[u8]) -> Gathered<Lead> {
    let mut gathered = Gathered::default();
    let layers = match Document::parse(manifest) {
        Ok(Document::Manifest(manifest)) => manifest.layers,
        Ok(Document::Index(_)) => {
            gathered.notes.note(format!("tag {tag}: it is an index, not a manifest of signatures"));
            return gathered;
        }
        Err(error) => {
            gathered.notes.missed(&format!("tag {tag}"), error.about("its content"));
            return gathered;
        }
    };
    let beyond = layers.len().saturating_sub(MAX_SIGNATURE_LAYERS);
    for (layer, n) in layers.into_iter().zip(1..=MAX_SIGNATURE_LAYERS) {
        let place = format!("tag {tag}, layer {n}");
        match lead(&place, layer) {
            Ok(lead) => gathered.things.push(lead),
            Err(why) => gathered.notes.note(format!("{place}: {why}")),
        }
    }
    if beyond > 0 {
        gathered.notes.note(format!(
            "tag {tag}: only its first {MAX_SIGNATURE_LAYERS} layers are read, {beyond} more are skipped"
        ));
    }
    gathered
}

fn lead(place: &str, layer: RawDescriptor) -> Result<Lead, String> {
    let kind = layer.media_type.split(';').next().unwrap_or_default().trim();
    if kind != PAYLOAD_TYPE {
        let shown: String = kind.chars().take(100).collect();
        return Err(format!("it is of type {shown:?}, not a signature"));
    }
    let digest = Digest::parse(&layer.digest).map_err(|_| "its digest is malformed".to_owned())?;
    if layer.size > MAX_PAYLOAD_BYTES {
        return Err(format!("its payload has {} bytes, more than {MAX_PAYLOAD_BYTES}", layer.size));
    }
    let mut notes = layer.annotations.unwrap_or_default();
    let mut take = |key: &str| notes.remove(key).filter(|value| !value.is_empty());
    let signature = take("dev.cosignproject.cosign/signature").ok_or("it has a payload but no signature")?;
    let known = SimpleSigning {
        payload: Vec::new(),
        signature,
        certificate: take("dev.sigstore.cosign/certificate"),
        chain: take("dev.sigstore.cosign/chain"),
        bundle: take("dev.sigstore.cosign/bundle"),
        timestamp: take("dev.sigstore.cosign/rfc3161timestamp"),
    };
    let form = Form::SimpleSigning(Box::new(known));
    Ok(Lead { place: place.to_owned(), digest, size: layer.size, form })
}
