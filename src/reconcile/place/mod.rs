//! Where the objects of a release are: from its spec to a cluster that answers.

mod locate;
mod source;
mod token;

pub use locate::locate;
