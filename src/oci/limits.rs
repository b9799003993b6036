//! Every limit on what a registry can make this process read or wait for.

use std::time::Duration;

/// Largest manifest or index, in bytes. The distribution specification asks
/// registries to accept 4 MiB and no more.
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;
/// Most layers or manifests that the manifest of an artifact lists.
pub const MAX_DESCRIPTORS: usize = 4096;
/// Most annotations of such a manifest and all that it lists together.
pub const MAX_MANIFEST_ANNOTATIONS: usize = 16_384;
/// Most annotations of an artifact that are shown.
pub const MAX_SHOWN_ANNOTATIONS: usize = 256;
/// Largest answer of a token service, in bytes.
pub const MAX_TOKEN_BYTES: u64 = 256 << 10;
/// How much of an error body is read for its message, in bytes.
pub const MAX_ERROR_BYTES: u64 = 16 << 10;
/// Largest page of a tag list, in bytes.
pub const MAX_TAG_PAGE_BYTES: u64 = 4 << 20;
/// Most pages of a tag list. Quay gives 100 tags a page, whatever is asked for.
pub const MAX_TAG_PAGES: usize = 1000;
/// Most pages of a tag list without a tag that is new.
pub const MAX_STALE_TAG_PAGES: usize = 10;
/// All pages of a tag list together, in bytes.
pub const MAX_TAG_BYTES: usize = 16 << 20;
/// Most tags that are read.
pub const MAX_TAGS: usize = 50_000;
/// Tags requested in one page.
pub const TAG_PAGE_SIZE: usize = 1000;
/// Most pages of a list of referrers.
pub const MAX_REFERRER_PAGES: usize = 20;
/// Most referrers of one list that are read; those marked as signatures come first.
pub const MAX_REFERRERS: usize = 64;
/// Most layers of one `.sig` tag that are read: the first.
pub const MAX_SIGNATURE_LAYERS: usize = 64;
/// Largest signed payload of cosign's older form, in bytes; a usual one has 250.
pub const MAX_PAYLOAD_BYTES: u64 = 64 << 10;
/// Largest Sigstore bundle, in bytes; a usual one has 10 KiB.
pub const MAX_BUNDLE_BYTES: u64 = 1 << 20;
/// Limit of all signatures of one digest together, in bytes: payloads, their annotations,
/// and bundles. Small ones come first.
pub const MAX_EVIDENCE_BYTES: u64 = 8 << 20;
/// Signatures of one digest that are read without waiting for a slot, in bytes; a usual
/// one has 10 KiB.
pub const SMALL_EVIDENCE_BYTES: u64 = 256 << 10;
/// Most digests at a time with more than that.
pub const MAX_LARGE_EVIDENCE: usize = 2;
/// Limit of the remembered answers about one digest, in bytes: payloads and bundles in
/// base64, and the annotations of a manifest.
pub const MAX_ANSWER_BYTES: u64 = 24 << 20;
/// Most concurrent requests while signatures of one digest are read.
pub const EVIDENCE_REQUESTS: usize = 8;
/// Most redirects that one request follows.
pub const MAX_REDIRECTS: usize = 5;
/// How often an idempotent request is sent again after a failure.
pub const MAX_RETRIES: u32 = 2;
/// Pause before the first retry; it doubles.
pub const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Longest `Retry-After` that a request waits for; a longer one is an error, so that the
/// caller's schedule decides.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3);
/// Longest time that a host is paused on its request, whatever its `Retry-After`.
pub const MAX_PACE: Duration = Duration::from_secs(60);
/// Smallest blob whose broken transfer is resumed, in bytes; a smaller one is requested
/// as a whole again.
pub const MIN_RESUMED_BYTES: u64 = 1 << 20;
/// How often the broken transfer of one blob is resumed.
pub const MAX_RESUMES: u32 = 5;
/// How long a connection may take to open.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may go without progress.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Most concurrent requests to one host with one access; all accesses together have twice
/// as many.
pub const REQUESTS_PER_HOST: u64 = 16;
/// Longest wait for one of these slots.
pub const MAX_PLACE_WAIT: Duration = Duration::from_secs(30);
/// How long a token is used when its service gives no lifetime; the token specification's
/// default.
pub const DEFAULT_TOKEN_LIFE: Duration = Duration::from_secs(60);
/// Largest file with the pod's identity, in bytes.
pub const MAX_IDENTITY_FILE_BYTES: u64 = 64 << 10;
/// Longest use of one credential of a cloud, whatever its lifetime.
pub const MAX_CLOUD_TOKEN_LIFE: Duration = Duration::from_secs(12 * 3600);
/// Most registries of clouds whose credentials are kept.
pub const MAX_CLOUD_REGISTRIES: usize = 256;
/// Largest file of age keys, in bytes.
pub const MAX_KEY_FILE_BYTES: usize = 1 << 20;
/// Longest header of an age file, in bytes: a few thousand recipients.
pub const MAX_AGE_HEADER_BYTES: usize = 512 << 10;
/// How often an upload is retried after a temporary failure.
pub const MAX_PUSH_RETRIES: u32 = 3;
/// Pause before an upload is retried; it doubles.
pub const PUSH_PAUSE: Duration = Duration::from_millis(500);
/// Longest `Retry-After` that an upload waits for.
pub const MAX_PUSH_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Bytes of an upload that are passed on at a time while its progress is shown.
pub const UPLOAD_CHUNK: usize = 64 << 10;
/// What the kernel may still have to send of an upload in its buffer, in bytes: Linux's
/// default for the largest send buffer.
pub const UPLOAD_BUFFER: u64 = 4 << 20;
/// The least bytes per second that it is expected to send.
pub const UPLOAD_RATE: u64 = 64 << 10;
/// Longest annotation value that is returned, in bytes.
pub const MAX_ANNOTATION_BYTES: usize = 1024;
/// Most HTTP clients that are kept.
pub const MAX_CLIENTS: usize = 256;
/// Most remembered tokens, hosts and proofs, each.
pub const MAX_REMEMBERED: usize = 4096;

/// The least memory that is reserved for an artifact, in bytes, however small it is.
pub const LEAST_ROOM: u64 = 16 << 10;
/// Most layers that are unpacked at a time; each is in memory.
pub const MAX_UNPACKING: usize = 2;
/// Default size of the cache, in bytes.
pub const DEFAULT_CACHE_BYTES: u64 = 512 << 20;

/// Most layers that are merged, and most that are listed; image engines allow 127.
pub const MAX_LAYERS: usize = 128;

/// Longest title of a layer that is kept, in bytes. The name in it has the limit of [`ContentLimits`].
pub const MAX_TITLE_BYTES: usize = 4096;

/// Bounds on the content of one artifact.
#[derive(Clone, Copy, Debug)]
pub struct ContentLimits {
    /// The layers as they are stored, in bytes.
    pub layer: u64,
    /// Everything in the layers after decompression, in bytes.
    pub unpacked: u64,
    /// One file that is kept, in bytes.
    pub file: u64,
    /// Entries in the archives, directories included.
    pub entries: usize,
    /// Bytes in an entry's name.
    pub name: usize,
    /// Path segments in an entry's name.
    pub depth: usize,
}

impl Default for ContentLimits {
    fn default() -> Self {
        Self { layer: 32 << 20, unpacked: 96 << 20, file: 32 << 20, entries: 20_000, name: 1024, depth: 32 }
    }
}

/// Largest back-reference window of a zstd frame, as a power of two: 8 MiB,
/// what RFC 8878 recommends that decoders support.
pub const ZSTD_WINDOW_LOG: u32 = 23;
