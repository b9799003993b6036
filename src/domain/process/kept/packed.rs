//! Texts of releases as they are kept in memory: thousands of them, each read again once in minutes. They are alike, so
//! a dictionary of what they have in common makes them five times smaller.

use std::sync::{LazyLock, Mutex, PoisonError};

use zstd::bulk::{Compressor, Decompressor};

/// Packs in some microseconds; higher levels take longer and save little.
const LEVEL: i32 = 1;

/// What the texts have in common. The most frequent parts are at the end, as the format advises (RFC 8878, section 5).
const DICTIONARY: &str = concat!(
    r#"{"type":"FetchFailed","reason":"ArtifactNotFound","message":"","status":"True","#,
    r#""notified":[{"receiver":"","id":"","at":"2026-01-01T00:00:00Z"}],"#,
    r#""verifiedBy":[{"authority":"","issuer":"https://","subject":"","format":"","signedAt":"2026-"}],"#,
    r#""dependencies":[],"plan":{"pending":{"heldRevision":"","owner":{"holder":"supercargo-","term":1},"#,
    r#""lastHandledReconcileAt":"2026-","source":"https://github.com/","sourceRevision":"main@sha1:","#,
    r#""annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"supercargo.dev/"#,
    r#"v1alpha1\",\"kind\":\"OCIArtifactRelease\",\"metadata\":{\"annotations\":{},\"name\":\"\",\"namespace\":\"\"},"#,
    r#"\"spec\":{\"interval\":\"5m\",\"prune\":true,\"ref\":{\"tag\":\"1.0.0\"},\"url\":\"oci://"}"},"#,
    r#"{"metadata":{"annotations":{"supercargo.dev/reconcileAt":""},"labels":{"app.kubernetes.io/name":""},"#,
    r#""creationTimestamp":"2026-01-01T00:00:00Z","finalizers":["supercargo.dev/finalizer"],"generation":1,"#,
    r#""name":"","namespace":"","resourceVersion":"1","uid":""},"#,
    r#""spec":{"deletionPolicy":"Delete","drift":{"mode":"Correct"},"health":{"timeout":"5m"},"interval":"10m","#,
    r#""prune":true,"ref":{"tag":"1.0.0"},"serviceAccountName":"","suspend":false,"timeout":"5m","url":"oci://"},"#,
    r#""status":{"artifact":{"createdAt":"2026-01-01T00:00:00Z","digest":"sha256:","revision":"1.0.0@sha256:"},"#,
    r#""changes":{"configured":0,"created":0,"failed":0,"pruned":0,"unchanged":0},"#,
    r#""conditions":[{"lastTransitionTime":"2026-01-01T00:00:00Z","message":"Applied revision 1.0.0@sha256:","#,
    r#""observedGeneration":1,"reason":"ReconciliationSucceeded","status":"True","type":"Ready"},"#,
    r#"{"lastTransitionTime":"2026-01-01T00:00:00Z","message":"All  objects are healthy","observedGeneration":1,"#,
    r#""reason":"Healthy","status":"True","type":"Healthy"},{"lastTransitionTime":"2026-01-01T00:00:00Z","#,
    r#""message":"No verification is required","observedGeneration":1,"reason":"NotRequired","status":"False","#,
    r#""type":"Verified"}],"history":[{"appliedAt":"2026-01-01T00:00:00Z","changes":{"configured":0,"created":0,"#,
    r#""failed":0,"pruned":0,"unchanged":0},"digest":"sha256:","endedAt":"2026-","key":"","outcome":"Applied","#,
    r#""revision":"1.0.0@sha256:","source":"","startedAt":"2026-01-01T00:00:00Z"}],"inventory":{"entries":3,"#,
    r#""name":"inventory-"},"lastAppliedRevision":"1.0.0@sha256:","lastAttemptedRevision":"1.0.0@sha256:","#,
    r#""lastHealthyRevision":"1.0.0@sha256:","observedGeneration":1,"shortRevision":"1.0.0@"}}"#,
);

/// What packs. All texts take turns: it has some hundred KiB of its own.
static PACKER: LazyLock<Mutex<Option<Compressor<'static>>>> =
    LazyLock::new(|| Mutex::new(Compressor::with_dictionary(LEVEL, DICTIONARY.as_bytes()).ok()));

/// What unpacks.
static UNPACKER: LazyLock<Mutex<Option<Decompressor<'static>>>> =
    LazyLock::new(|| Mutex::new(Decompressor::with_dictionary(DICTIONARY.as_bytes()).ok()));

/// A packed text.
#[derive(Clone, Debug)]
pub struct Packed {
    bytes: Box<[u8]>,
    /// How long the text is, in bytes; absent: it is not packed.
    length: Option<u32>,
}

impl Packed {
    /// Packs a text. One that cannot be packed is kept as it is.
    pub fn of(text: &str) -> Self {
        let packed = PACKER.lock().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(|packer| {
            let length = u32::try_from(text.len()).ok()?;
            let bytes = packer.compress(text.as_bytes()).ok().filter(|bytes| bytes.len() < text.len())?;
            Some(Self { bytes: bytes.into_boxed_slice(), length: Some(length) })
        });
        packed.unwrap_or_else(|| Self { bytes: text.as_bytes().into(), length: None })
    }

    /// The text; empty if it cannot be unpacked, which is not expected.
    pub fn text(&self) -> String {
        let bytes = match self.length {
            None => Some(self.bytes.to_vec()),
            Some(length) => UNPACKER
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_mut()
                .and_then(|unpacker| unpacker.decompress(&self.bytes, length as usize).ok()),
        };
        bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// The memory that it takes, in bytes.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_reads_as_before() {
        let random: String = (0..4000).map(|_| fastrand::char(..)).collect();
        for text in ["", "a", &"long ".repeat(1 << 20), &random, DICTIONARY, "\u{0}\u{ffff}ü"] {
            assert!(Packed::of(text).text() == text, "{} bytes", text.len());
        }
        assert!(Packed::of(&"long ".repeat(1000)).bytes() < 100);
        assert_eq!(Packed::of("ü").bytes(), "ü".len());
    }
}
