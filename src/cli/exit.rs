//! The exit codes, which scripts may rely on.

/// Success.
pub const SUCCESS: u8 = 0;
/// Failure; stderr says why.
pub const FAILURE: u8 = 1;
/// Invalid usage.
pub const USAGE: u8 = 2;
/// Interrupted by Ctrl-C; stderr says what was done until then.
pub const INTERRUPTED: u8 = 130;
/// The comparison found differences.
pub const DIFFERS: u8 = 1;
/// The plan has changes.
pub const PLANNED: u8 = 2;
/// Some objects are not healthy.
pub const UNHEALTHY: u8 = 1;
/// The comparison failed, or the input of a judgement cannot be read.
pub const NOT_COMPARED: u8 = 2;
