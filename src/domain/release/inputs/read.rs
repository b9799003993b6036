//! A release and the inputs of its rendering.

use std::sync::Arc;

use super::data::{InputReference, RenderInputs};
use crate::domain::manifest::chart::secret_texts;
use crate::domain::manifest::substitute::Redaction;
use crate::domain::release::spec::Release;

impl Release {
    /// What has to be read before anything is rendered.
    pub fn input_references(&self) -> Vec<&InputReference> {
        let chart = self.chart.iter().flat_map(|chart| &chart.from);
        chart.chain(self.substitution.iter().flat_map(|substitution| &substitution.from)).collect()
    }

    /// What is never shown of these inputs.
    pub fn redaction_of(&self, inputs: &RenderInputs) -> Redaction {
        // Of a file of values, each value is one.
        let texts = self.chart.iter().flat_map(|chart| secret_texts(chart, inputs));
        Redaction::of(inputs).and(texts)
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
