//! How long tests take. `make test` gives its run a number; the tests of that run
//! record their times in one file, and a program at its end prints the slowest.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Profile;

/// The number of the run. Without it nothing is recorded.
const RUN: &str = "SUPERCARGO_TEST_RUN";
/// How many of the slowest are told.
const SLOWEST: usize = 10;

/// Records the time of a test when it is dropped, however the test ends.
pub struct Clock {
    file: Option<PathBuf>,
    test: &'static str,
    start: Instant,
}

impl Clock {
    /// `directory` is that of this target's files (`CARGO_TARGET_TMPDIR`), `test` the path
    /// of the test, which begins with its program.
    pub fn start(directory: &str, test: &'static str) -> Clock {
        Clock { file: file(directory), test, start: Instant::now() }
    }
}

impl Drop for Clock {
    // A time that cannot be written fails no test.
    fn drop(&mut self) {
        let Some(file) = &self.file else { return };
        let time =
            Time { test: self.test.to_owned(), profile: Profile::of_run(), took: self.start.elapsed() };
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        drop(fs::create_dir_all(file.parent().unwrap_or(file)));
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(file) {
            // At once: tests of other threads and processes write there, too.
            drop(file.write_all(time.line(end).as_bytes()));
        }
    }
}

/// What a test took.
#[derive(Debug, PartialEq)]
struct Time {
    test: String,
    profile: Profile,
    took: Duration,
}

impl Time {
    fn line(&self, end: Duration) -> String {
        let cluster_admin = u8::from(self.profile == Profile::ClusterAdmin);
        format!("{} {cluster_admin} {} {}\n", self.test, self.took.as_millis(), end.as_millis())
    }

    /// The time and its end.
    fn of(line: &str) -> Option<(Time, Duration)> {
        let mut words = line.split(' ');
        let test = words.next()?.to_owned();
        let profile = if words.next()? == "1" { Profile::ClusterAdmin } else { Profile::Least };
        let mut milliseconds = || Some(Duration::from_millis(words.next()?.parse().ok()?));
        let (took, end) = (milliseconds()?, milliseconds()?);
        Some((Time { test, profile, took }, end))
    }

    /// The program and the profile.
    fn program(&self) -> String {
        let program = self.test.split("::").next().unwrap_or_default();
        match self.profile {
            Profile::Least => program.to_owned(),
            Profile::ClusterAdmin => format!("{program} as cluster-admin"),
        }
    }
}

/// The slowest tests of the run, and what its programs took together. Files of earlier
/// runs are removed.
pub fn report(directory: &str) -> String {
    let Some(file) = file(directory) else {
        return format!("{RUN} is not set: `make test` sets it, and tells its slowest tests\n");
    };
    for other in fs::read_dir(file.parent().unwrap_or(&file)).into_iter().flatten().flatten() {
        if other.path() != file {
            drop(fs::remove_file(other.path()));
        }
    }
    told(&fs::read_to_string(&file).unwrap_or_default())
}

fn told(lines: &str) -> String {
    let mut times: Vec<(Time, Duration)> = lines.lines().filter_map(Time::of).collect();
    times.sort_by_key(|(time, _)| std::cmp::Reverse(time.took));
    let mut told = format!("\nThe slowest of {} tests whose time is recorded:\n", times.len());
    for (time, _) in times.iter().take(SLOWEST) {
        let (_, name) = time.test.split_once("::").unwrap_or_default();
        let _ = writeln!(told, "{:8.1} s  {}: {name}", time.took.as_secs_f64(), time.program());
    }
    // From the first beginning to the last end, because tests run beside each other.
    let mut programs: BTreeMap<String, (Duration, Duration)> = BTreeMap::new();
    for (time, end) in &times {
        let begin = end.saturating_sub(time.took);
        let whole = programs.entry(time.program()).or_insert((begin, *end));
        *whole = (whole.0.min(begin), whole.1.max(*end));
    }
    for (program, (begin, end)) in programs {
        let _ = writeln!(told, "{:8.1} s  {program}, all", (end - begin).as_secs_f64());
    }
    told
}

fn file(directory: &str) -> Option<PathBuf> {
    let run = std::env::var(RUN).ok()?;
    // A name and no path.
    let name = Path::new(&run).file_name()?;
    Some(Path::new(directory).join("times").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_come_first_and_programs_have_their_whole_time() {
        let line = |test: &str, profile: Profile, took: u64, end: u64| {
            let time = Time { test: test.to_owned(), profile, took: Duration::from_millis(took) };
            let line = time.line(Duration::from_millis(end));
            assert_eq!(Time::of(line.trim_end()), Some((time, Duration::from_millis(end))));
            line
        };
        let lines = line("cluster::a::quick", Profile::Least, 500, 1_000)
            + &line("cluster::b::slow", Profile::Least, 4_000, 5_000)
            + "what was not written to its end"
            + "\n"
            + &line("cluster::a::quick", Profile::ClusterAdmin, 2_000, 9_000);
        let expected = "
The slowest of 3 tests whose time is recorded:
     4.0 s  cluster: b::slow
     2.0 s  cluster as cluster-admin: a::quick
     0.5 s  cluster: a::quick
     4.5 s  cluster, all
     2.0 s  cluster as cluster-admin, all
";
        assert_eq!(told(&lines), expected);
        assert_eq!(told(""), "\nThe slowest of 0 tests whose time is recorded:\n");
    }
}
