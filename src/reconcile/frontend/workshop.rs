//! What the page of the operator renders with: for persons, with the limits and the rules of the operator.

use std::sync::Arc;

use crate::builder::Builder;
use crate::cluster::session::bounds::AnswerBounds;
use crate::domain::allowed::Allowed;
use crate::domain::capacity::Capacity;
use crate::oci::{Mirror, Registry, RegistryOptions, TokenHost};
use crate::reconcile::env::TrustSettings;
use crate::reconcile::env::input_room::InputRoom;

/// The part of the memory of builds, which have half of the process, that comparisons count with: artifacts are no
/// larger than such a process would take.
const PART: u64 = 4;

/// The rules of the operator, and memory of its own: what persons look at takes nothing from the runs.
#[derive(Clone)]
pub struct Workshop {
    /// The registries, without the cloud identity and the cache of the operator: only credentials that the person may
    /// read pull anything.
    pub registry: Registry,
    /// The builds, which share the turns of those of runs.
    pub builder: Builder,
    /// The administrator's requirements for artifacts.
    pub trust: TrustSettings,
    /// The registries that releases may use.
    pub allowed: Allowed,
    /// The memory of what decides what is rendered.
    pub inputs: Arc<InputRoom>,
    /// The memory of what the API server answers about objects.
    pub answers: Arc<AnswerBounds>,
}

impl Workshop {
    /// With a part of the memory of a process.
    pub fn new(
        capacity: &Capacity,
        (mirrors, token_hosts): (Vec<Mirror>, Vec<TokenHost>),
        builder: Builder,
        trust: TrustSettings,
        allowed: Allowed,
    ) -> Self {
        let answers = Arc::new(AnswerBounds::new(capacity.look_shares()));
        let capacity = Capacity::of(capacity.builds / PART);
        let registry = Registry::new(RegistryOptions {
            capacity,
            mirrors,
            token_hosts,
            variables: Arc::new(|_| None),
            ..RegistryOptions::default()
        });
        let inputs = Arc::new(InputRoom::new(capacity.inputs));
        Self { registry, builder, trust, allowed, inputs, answers }
    }
}
