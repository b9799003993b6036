//! Authentication against a registry: its challenge, the source of the credentials, and
//! which of its hosts may receive them. Successful sessions are remembered.

mod challenge;
mod context;
mod provider;
mod session;
mod token;
mod token_hosts;

pub(super) use context::{RequestContext, TokenScope};
pub use provider::{Assertion, Variables, WorkloadPool};
pub(super) use provider::{cluster_token, own_pool};
pub(super) use session::Sessions;
pub use token_hosts::TokenHost;
