//! What a registry keeps for a digest that may say who has signed it. Bytes
//! within limits; whether they are believed is not decided here.
//!
//! Three places are asked, always all of them and at once, so that what one of
//! them holds cannot hide what another does: cosign's tag `sha256-….sig`, the
//! referrers API, and the tag `sha256-…` that stands in for it. Nothing is
//! filtered by the artifact type that a registry reports: some report another
//! than the manifest has. Then each referrer costs a request for its manifest,
//! and each payload or bundle one for its bytes, unless they are cached. For one
//! signature that makes four requests in the older form and five as a bundle, of
//! which the second time the first three are left. What was found is kept for the
//! time when the registry is away.

mod gather;
mod listing;
mod lookup;
mod memory;
mod referrers;
mod search;
mod simple_signing;
mod steps;
