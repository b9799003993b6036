//! Hermetic tests: no cluster, no registry, loopback at most.
