//! The last words of `make test`: which tests were the slowest.

#![expect(clippy::print_stdout, reason = "it prints and does no more")]

fn main() {
    print!("{}", supercargo_testbed::times::report(env!("CARGO_TARGET_TMPDIR")));
}
