//! What the help of each command says besides its flags.

mod inventory;
mod page;
mod release;

pub(in crate::cli) use page::written;
