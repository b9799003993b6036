//! A release and the inputs of its rendering.

use std::sync::Arc;

use super::data::{InputReference, RenderInputs};
use crate::domain::manifest::substitute::Redaction;
use crate::domain::release::spec::Release;

impl Release {
    /// What has to be read before anything is rendered.
    pub fn input_references(&self) -> Vec<&InputReference> {
        self.substitution.iter().flat_map(|substitution| &substitution.from).collect()
    }

    /// What is never shown of these inputs.
    pub fn redaction_of(&self, inputs: &RenderInputs) -> Redaction {
        Redaction::of(inputs)
    }

    /// The same release with the inputs of its rendering.
    #[must_use]
    pub fn with_inputs(&self, inputs: Arc<RenderInputs>, redaction: Arc<Redaction>) -> Self {
        Self { inputs, redaction, ..self.clone() }
    }

    /// The same for the time between its runs, without what the inputs contain.
    #[must_use]
    pub fn without_inputs(&self, redaction: Arc<Redaction>) -> Self {
        Self { inputs: self.inputs.at_rest().into(), redaction, ..self.clone() }
    }
}
