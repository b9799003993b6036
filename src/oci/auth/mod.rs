//! Authentication against a registry: what it asks for, where that is had, and which
//! of the hosts that it names may see credentials. What worked is remembered.

mod challenge;
mod context;
mod provider;
mod session;
mod token;
mod token_hosts;

pub(super) use context::{RequestContext, TokenScope};
pub use provider::Variables;
pub(super) use session::Sessions;
pub use token_hosts::TokenHost;
