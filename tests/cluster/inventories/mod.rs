//! The verbs on inventories: the real binary, as a person calls it, on the real cluster.

mod applying;
mod building;
mod crashing;
mod deleting;
mod differing;
mod failing;
mod hand;
mod interrupting;
mod namespaces;
mod reading;
mod recreating;
mod releases;
mod waiting;
