//! Every limit on a build.

use std::time::Duration;

/// Processor time of one build.
pub const MAX_CPU: Duration = Duration::from_secs(30);
/// Time of one build.
pub const MAX_TIME: Duration = Duration::from_secs(90);
/// What a build says on stderr that is kept, in bytes.
pub const MAX_MESSAGES: u64 = 16 << 10;
/// The largest output of a build at the command line, in bytes.
pub const MAX_OUTPUT: u64 = 64 << 20;
/// Files that a build has open at once.
pub const MAX_OPEN_FILES: u64 = 64;
/// What a Go program reserves for its own tables, in bytes.
pub const PROGRAM_BYTES: u64 = 64 << 20;
/// The least memory of a build that is useful, in bytes.
pub const LEAST_MEMORY: u64 = 64 << 20;
/// The most memory of a build by default, in bytes.
pub const MOST_MEMORY: u64 = 1 << 30;
/// Threads that run at once in a build.
pub const THREADS: u32 = 2;
/// Files and directories of one build.
pub const MAX_FILES: usize = 20_000;
/// How many kinds and versions of an API server a chart may ask about.
pub const MAX_CAPABILITIES: usize = 20_000;
/// How often a chart that draws something is rendered in addition to the usual two times.
pub const MORE_DRAWS: usize = 4;
/// The longest argument of a program, in bytes: the kernel allows twice as many.
pub const ARGUMENT_BYTES: usize = 64 << 10;
/// How often the processor time of a build is read.
pub const WATCH_INTERVAL: Duration = Duration::from_millis(100);
