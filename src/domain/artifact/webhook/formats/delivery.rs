//! Parses a delivery in the format of its sender.

use super::reading::{Delivery, Malformed, Reading};
use super::{acr, distribution, docker_hub, generic, github, harbor, quay};
use crate::domain::artifact::webhook::push::Host;
use crate::domain::artifact::webhook::sender::Sender;

/// Reads a body. `registry` overrides the host that the sender names.
///
/// # Errors
/// When it does not have the sender's format.
pub fn read(sender: Sender, registry: Option<&Host>, body: &[u8]) -> Result<Delivery, Malformed> {
    let mut reading = Reading::new(sender, registry, body);
    match sender {
        Sender::Distribution => distribution::read(&mut reading),
        Sender::DockerHub => docker_hub::read(&mut reading),
        Sender::GitHub => github::read(&mut reading),
        Sender::Harbor => harbor::read(&mut reading),
        Sender::Quay => quay::read(&mut reading),
        Sender::Acr => acr::read(&mut reading),
        Sender::Generic => generic::read(&mut reading),
    }?;
    Ok(reading.done())
}

#[cfg(test)]
mod tests;
