//! The real test bed: etcd, kube-apiserver, kube-controller-manager,
//! kube-scheduler, KWOK and CNCF distribution as processes on loopback, for the
//! cluster tests, the demo and the benchmarks.
//!
//! Nothing here is a fake of a server. Nothing here may outlive the process
//! that started it, whatever ends that process: see [`processes`].
//!
//! # Signatures
//!
//! - [`Registry::plain`] keeps what refers to an artifact under a tag (the referrers
//!   tag schema), [`Registry::with_referrers`] answers the referrers API: test both.
//! - [`Signer::new`] makes a key of any [`signer::Algorithm`]; [`Signer::sign`] signs
//!   `REPOSITORY@DIGEST` with real cosign in either [`signer::Format`];
//!   [`Signer::attest`] says something else about it; [`Signer::sign_bytes`] is for what cosign would not do.
//! - [`Sigstore::shared`] is a private Sigstore for signing without keys:
//!   [`Sigstore::sign`] with a [`sigstore::Signing`] (who, with a log entry or not),
//!   [`Sigstore::timestamp`] of any time, [`Sigstore::trusted_root`] and copies of it that
//!   lack a part or say something else; [`Sigstore::start`] is a second one that nobody trusts.
//! - [`rekor_v1`] makes the log entries of older signatures, and [`Sigstore::certificate`]
//!   gives a certificate for a [`Signer`]: with both, what cosign 2 wrote can be made by hand.
//! - [`evidence`] reads what lies beside an artifact and puts edited copies there.
//!
//! Failures panic with what a person has to do; this is test code and its
//! callers have nothing better to do with an error.

pub mod account;
mod admin;
pub mod alertmanager;
pub mod archive;
pub mod audit;
pub mod bed;
pub mod browser;
pub mod certificates;
pub mod collector;
pub mod evidence;
pub mod fetch;
pub mod image;
pub mod inbox;
pub mod issuer;
pub mod kits;
pub mod kubeconfig;
pub mod names;
pub mod network;
pub mod operator;
pub mod policies;
pub mod ports;
pub mod processes;
pub mod prometheus;
pub mod proxy;
pub mod registry;
pub mod rekor_v1;
pub mod replicas;
pub mod signer;
pub mod sigstore;
pub mod story;
pub mod times;
pub mod tools;
pub mod webhook;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use account::{Account, Profile, Profiles};
pub use bed::Bed;
pub use collector::Collector;
pub use image::Image;
pub use inbox::Inbox;
pub use names::Names;
pub use network::{Network, Reach};
pub use operator::Operator;
pub use prometheus::Prometheus;
pub use proxy::Proxy;
pub use registry::Registry;
pub use signer::Signer;
pub use sigstore::Sigstore;
pub use story::Story;
pub use supercargo_testbed_attribute::story;

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(PathBuf::from).expect("tests/support lies two levels below the root")
}

/// Polls `done` every 20 ms until it is true, and returns false when it was not
/// within `limit`.
pub fn within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// The same; panics with `what` and the last words of `explain` instead. For
/// servers that have no way to announce that they are ready.
pub fn poll_until(what: &str, limit: Duration, ready: impl FnMut() -> bool, explain: impl Fn() -> String) {
    assert!(within(limit, ready), "{what}: not within {limit:?}\n{}", explain());
}
