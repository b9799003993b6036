//! What one evaluation may cost. An expression is written by a tenant and judged for
//! everybody's objects, so neither its author nor the object may decide how long it takes.

use super::error::EvaluationError;

/// The most steps. A step is a node of the syntax tree, or the work for a few dozen bytes.
/// A condition on a list of 20 takes some 500; 200,000 take about 10 ms.
const STEPS: u64 = 200_000;
/// The most bytes of texts and lists that an evaluation makes. What it reads of the object
/// is not copied.
const BYTES: usize = 1 << 20;
/// How many bytes are compared, searched or copied in a step.
const BYTES_A_STEP: u64 = 32;

/// What is left of it.
pub(super) struct Budget {
    steps: u64,
    bytes: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { steps: STEPS, bytes: BYTES }
    }

    /// Takes steps.
    pub(super) fn spend(&mut self, steps: u64) -> Result<(), EvaluationError> {
        self.steps = self.steps.checked_sub(steps).ok_or(EvaluationError::TooExpensive)?;
        Ok(())
    }

    /// Takes the steps to read so many bytes.
    pub(super) fn read(&mut self, bytes: usize) -> Result<(), EvaluationError> {
        self.spend(u64::try_from(bytes).unwrap_or(u64::MAX) / BYTES_A_STEP)
    }

    /// Takes so many bytes of memory, before they are used.
    pub(super) fn make(&mut self, bytes: usize) -> Result<(), EvaluationError> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(EvaluationError::TooExpensive)?;
        self.read(bytes)
    }
}
