//! Webhooks: who pushed something asks the releases that follow it to run now.
//! Nothing that a webhook says is believed: a run resolves and verifies as any
//! other does. Every replica takes them; the leader sees the annotation.

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
