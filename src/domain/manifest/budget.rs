//! What the documents of one artifact may come to in memory. The bytes of the
//! files are bounded where they are unpacked; this bounds what they expand to.

/// How much all documents of an artifact may hold once decoded: an estimate, in
/// bytes. Thousands of ordinary objects stay far below; a megabyte of `{a: },`
/// would be two hundred.
pub const MAX_DECODED_BYTES: u64 = 768 << 20;

/// The deepest nesting of mappings and sequences. Deep enough for the schemas
/// of CRDs; `serde_json` gives up at 128, also when it reads the same object
/// back from the API server.
pub const MAX_DEPTH: usize = 120;

/// Mappings and sequences keep room for more than they hold.
pub(super) const MAPPING_BYTES: u64 = 600;
pub(super) const SEQUENCE_BYTES: u64 = 160;
pub(super) const SCALAR_BYTES: u64 = 32;

/// A place in a sequence, which has room for up to twice as many and is moved as it
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

    /// What is left of so many bytes for the documents of files of so many.
    pub fn beside(bytes: u64, files: u64) -> Self {
        Self { limit: bytes, left: bytes.saturating_sub(files) }
    }

    /// What was spent, with what was left aside.
    pub fn spent(&self) -> u64 {
        self.limit - self.left
    }

    /// What is wrong with documents that do not fit.
    pub(super) fn exceeded(&self) -> String {
        let limit = self.limit >> 20;
        format!(
            "the documents of the artifact are too large once decoded, with all that the spec adds to them (over \
             {limit} MiB)"
        )
    }

    /// Takes from the budget. `false` when it is used up; it stays so.
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
