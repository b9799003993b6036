//! Sends notifications: a queue for each receiver, gathered, paced and retried. No run waits for it. What
//! is news, and in which words, is decided by `domain::notify`; the release records what was accepted.

mod alerts;
mod attempts;
mod board;
mod client;
mod due;
mod frame;
mod line;
mod mailbox;
mod notifier;
mod own;
mod own_line;
mod places;
mod queue;
mod taken;
mod view;

pub use mailbox::Mailbox;
pub use notifier::Notifier;
pub use own::OwnLines;
pub use view::{OwnReceivers, ReleaseView, SecretReader};
