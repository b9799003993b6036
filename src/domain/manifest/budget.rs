//! How much memory the documents of one artifact may use. The bytes of the files are
//! limited where they are unpacked; this limits what they expand to.

/// How much memory all decoded documents of an artifact may use: an estimate, in
/// bytes. Thousands of ordinary objects need far less; a megabyte of `{a: },`
/// would need two hundred.
pub const MAX_DECODED_BYTES: u64 = 768 << 20;

/// The deepest nesting of mappings and sequences. Deep enough for the schemas
/// of CRDs; `serde_json` gives up at 128, also when it reads the same object
/// back from the API server.
pub const MAX_DEPTH: usize = 120;

/// Mappings and sequences allocate more than they contain.
pub(super) const MAPPING_BYTES: u64 = 600;
pub(super) const SEQUENCE_BYTES: u64 = 160;
pub(super) const SCALAR_BYTES: u64 = 32;

/// An element of a sequence, which allocates up to twice as many and is moved when it
/// grows.
pub(super) const ELEMENT_BYTES: u64 = 64;

/// What is left of a limit.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: u64,
    left: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(MAX_DECODED_BYTES)
    }
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: u64) -> Self {
        Self { limit: bytes, left: bytes }
    }

    /// What is left of `bytes` for the documents, when the files themselves take `files` bytes.
    pub fn after_files(bytes: u64, files: u64) -> Self {
        Self { limit: bytes, left: bytes.saturating_sub(files) }
    }

    /// What was spent, including what the files take.
    pub fn spent(&self) -> u64 {
        self.limit - self.left
    }

    /// The message about documents that do not fit.
    pub(super) fn exceeded(&self) -> String {
        let limit = self.limit >> 20;
        format!(
            "the decoded documents of the artifact, including what the spec adds to them, are larger than \
             {limit} MiB"
        )
    }

    /// Takes from the budget. `false` when it is used up, and from then on.
    #[must_use]
    pub fn spend(&mut self, bytes: u64) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) if left > 0 => {
                self.left = left;
                true
            }
            _ => {
                self.left = 0;
                false
            }
        }
    }

    /// How much is left.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Whether nothing is left.
    pub fn exhausted(&self) -> bool {
        self.left == 0
    }
}
