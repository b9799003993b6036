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

    /// The same release with the inputs of its rendering.
    #[must_use]
    pub fn with_inputs(&self, inputs: Arc<RenderInputs>) -> Self {
        let redaction = Redaction::of(&inputs).into();
        Self { inputs, redaction, ..self.clone() }
    }
}
