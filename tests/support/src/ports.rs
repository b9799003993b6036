//! Free loopback ports for servers that must be told theirs before they start.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

// Below the range from which the kernel takes ports for outgoing connections
// (32768 and up on Linux, 49152 and up elsewhere): a port that was free when
// asked for stays free until the server binds it, and again while it restarts.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;
// Test processes that run at the same time start far from each other.
const STRIDE: u32 = 211;

/// A port on 127.0.0.1 that nothing listens on and that this process has not
/// handed out before.
pub fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id().wrapping_mul(STRIDE) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(offset) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port on 127.0.0.1 from {FIRST} to {}", FIRST + COUNT);
}
