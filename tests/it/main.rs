//! Hermetic tests: no cluster, no real registry, loopback only.

mod liar;
mod oci_cache;
mod oci_hostile;
mod oci_transport;
