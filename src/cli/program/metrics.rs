//! The tables of docs/metrics.md: every metric of the catalog.

use crate::cli::{CliError, Printer};
use crate::observe::metrics::catalog::{CATALOG, MetricEntry, MetricKind, Values};

/// Prints the tables.
///
/// # Errors
/// When they cannot be written to stdout.
pub(in crate::cli) fn print(printer: &mut Printer<'_>) -> Result<(), CliError> {
    let mut page = String::new();
    for group in CATALOG {
        page.push_str(&format!("\n### {}\n\n", group.title));
        page.push_str("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n");
        for entry in group.entries {
            page.push_str(&row(entry));
        }
    }
    page.push('\n');
    printer.data(page.as_bytes())
}

fn row(entry: &MetricEntry) -> String {
    let labels: Vec<String> =
        entry.labels.iter().map(|(name, values)| format!("`{name}`: {}", described(*values))).collect();
    let mut meaning = entry.help.to_owned();
    if let MetricKind::Histogram(bounds) = entry.kind {
        let bounds: Vec<String> = bounds.iter().map(|bound| bound.seconds().to_string()).collect();
        meaning.push_str(&format!(" Buckets: {} s.", bounds.join(", ")));
    }
    format!("| `{}` | {} | {} | {meaning} |\n", entry.name, entry.kind.as_str(), labels.join("; "))
}

fn described(values: Values) -> String {
    match values {
        Values::Closed(words) => words().iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "),
        Values::Reason => "one of the [reasons](releases.md#reasons)".to_owned(),
        Values::Bounded(what) => what.to_owned(),
    }
}
