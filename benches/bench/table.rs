//! The rows: what was measured, in what units.

use std::fmt::Write;
use std::time::Duration;

/// One row. What does not apply, or was not measured, is empty.
#[derive(Debug, Default, Clone)]
pub struct Row {
    /// What was done.
    pub work: String,
    /// How long it took, from the first request for it.
    pub wall: Option<Duration>,
    /// User and system time of the operator meanwhile.
    pub cpu: Option<Duration>,
    /// Requests of the operator in the audit log, without lease and watches.
    pub requests: Option<usize>,
    /// Those of them that wrote.
    pub writes: Option<usize>,
    /// Requests in the registry's log.
    pub registry: Option<usize>,
    /// The most the operator had resident meanwhile, in KiB.
    pub peak: Option<u64>,
    /// Anything else.
    pub note: String,
}

/// The most that the operator may have resident with 10,000 releases, in KiB.
const MOST_RESIDENT: u64 = 200 * 1024;

impl Row {
    /// With a word in the note if the operator had more resident than it may.
    pub fn within_limit(mut self) -> Row {
        if self.peak.is_some_and(|peak| peak > MOST_RESIDENT) {
            let between = if self.note.is_empty() { "" } else { "; " };
            self.note += &format!("{between}BEYOND THE LIMIT of {} MiB", MOST_RESIDENT / 1024);
        }
        self
    }
}

/// All rows.
#[derive(Debug, Default)]
pub struct Table(Vec<Row>);

impl Table {
    /// Adds a row, and shows it.
    pub fn add(&mut self, row: Row) {
        eprintln!("{}", line(&row));
        self.0.push(row);
    }

    /// The last row.
    pub fn last(&self) -> Row {
        self.0.last().cloned().unwrap_or_default()
    }

    /// The whole table.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| work | time | CPU | API requests (writes) | registry requests | peak RSS | |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for row in &self.0 {
            // Writing into a String does not fail.
            let _ = writeln!(text, "{}", line(row));
        }
        text
    }
}

fn line(row: &Row) -> String {
    let requests = match (row.requests, row.writes) {
        (Some(all), Some(writes)) => format!("{all} ({writes})"),
        (Some(all), None) => all.to_string(),
        _ => String::new(),
    };
    format!(
        "| {} | {} | {} | {requests} | {} | {} | {} |",
        row.work,
        row.wall.map(seconds).unwrap_or_default(),
        row.cpu.map(|cpu| format!("{:.2} s", cpu.as_secs_f64())).unwrap_or_default(),
        row.registry.map(|n| n.to_string()).unwrap_or_default(),
        row.peak.map(|kib| format!("{} MiB", kib.div_ceil(1024))).unwrap_or_default(),
        row.note,
    )
}

/// Milliseconds where it is short.
pub fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        s if s < 10.0 => format!("{s:.2} s"),
        s => format!("{s:.1} s"),
    }
}

/// The shortest and the longest of several times.
pub fn spread(times: &[Duration]) -> String {
    let millis = |time: Option<&Duration>| time.map_or(0, Duration::as_millis);
    format!("{} to {} ms", millis(times.iter().min()), millis(times.iter().max()))
}

/// The middle of several times.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
