//! What the help of each command says besides its flags.

mod inventory;
mod page;

pub(in crate::cli) use page::written;
