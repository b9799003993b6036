//! Possible signatures of a digest in a registry. Bytes within limits; whether they are
//! trusted is not decided here.
//!
//! Three places are read, always all of them and at once, so that one of them cannot hide
//! what is in another: cosign's tag `sha256-….sig`, the referrers API, and the tag
//! `sha256-…` that replaces it. Nothing is filtered by the artifact type that a registry
//! reports: some report one that differs from the manifest. Then each referrer costs a
//! request for its manifest, and each payload or bundle one for its bytes, unless they
//! are cached. For one signature these are four requests in the older form and five as a
//! bundle; later searches need only the first three. The results are kept for the time
//! when the registry is unavailable.

mod gather;
mod listing;
mod lookup;
mod memory;
mod referrers;
mod search;
mod simple_signing;
mod steps;
