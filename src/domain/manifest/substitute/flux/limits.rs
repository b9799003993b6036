//! What one text may cost.

/// The deepest nesting of variables in defaults and arguments.
pub(super) const MAX_NESTING: usize = 64;
/// Steps of all patterns of a text: some nanoseconds each.
const MAX_STEPS: u64 = 64 << 20;

/// What is left of memory and work.
#[derive(Clone, Debug)]
pub struct FluxLimits {
    /// Bytes that may still be written.
    pub bytes: u64,
    /// Steps that patterns may still take.
    pub steps: u64,
}

impl FluxLimits {
    /// With so many bytes.
    pub fn new(bytes: u64) -> Self {
        Self { bytes, steps: MAX_STEPS }
    }

    /// Takes bytes; whether there were enough.
    pub(super) fn write(&mut self, bytes: usize) -> bool {
        take(&mut self.bytes, bytes)
    }

    /// Takes steps; whether there were enough.
    pub(super) fn step(&mut self, steps: usize) -> bool {
        take(&mut self.steps, steps)
    }
}

fn take(left: &mut u64, count: usize) -> bool {
    let rest = left.checked_sub(u64::try_from(count).unwrap_or(u64::MAX));
    *left = rest.unwrap_or_default();
    rest.is_some()
}
