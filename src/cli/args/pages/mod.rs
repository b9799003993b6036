//! What the help of each command says besides its flags.

mod artifact;
mod inventory;
mod page;
mod program;
mod release;

pub(super) use page::written;
