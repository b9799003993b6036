//! The exit codes, which scripts may rely on.

/// Everything asked for was done.
pub const SUCCESS: u8 = 0;
/// It was not; stderr says why.
pub const FAILURE: u8 = 1;
/// The arguments make no sense.
pub const USAGE: u8 = 2;
/// A person ended it with Ctrl-C; stderr says what was done until then.
pub const INTERRUPTED: u8 = 130;
/// What was compared differs.
pub const DIFFERS: u8 = 1;
/// It could not be compared.
pub const NOT_COMPARED: u8 = 2;
