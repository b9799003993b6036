//! Other clusters: how a release says which one it means, and whether two are the same.

pub mod cloud;
pub mod kubeconfig;
pub mod place;
pub mod provider;
pub mod source;
