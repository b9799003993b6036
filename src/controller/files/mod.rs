//! The configuration files of the administrator.

mod file;
mod notify_file;
mod trust_policy;

pub use file::{File, FileKind, NamedFiles};
pub use notify_file::NotifyFile;
pub use trust_policy::{TrustPolicyFile, default_root};
