//! Webhooks: a push triggers the releases that follow it. The content of a webhook is not trusted:
//! a run resolves and verifies as usual. Every replica receives them; the leader sees the
//! annotation.

mod answer;
mod asking;
mod config;
mod hooks;
mod listing;
mod refusals;
mod server;

pub use config::WebhookFile;
pub use hooks::Hooks;
pub use listing::ListedReleases;
pub use server::HookListener;
