//! cargo-fuzz: see bodies.rs.

#![no_main]

#[path = "../bodies.rs"]
#[expect(dead_code, reason = "each target runs one of the bodies")]
mod bodies;

// A panic that the product catches is no finding; one that leaves the body still is.
libfuzzer_sys::fuzz_target!(init: drop(std::panic::take_hook()), |data: &[u8]| bodies::payload(data));
