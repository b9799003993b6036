//! `make bench`: the table of docs/benchmarks.md, measured on a real control
//! plane and a real registry. No row fails because it is slow.
//!
//! `cargo bench --bench bench -- idle many-100` measures only those groups.
//! `BENCH_STEADY_SECONDS` sets how long the steady state is watched (180), and
//! `BENCH_BINARY` names another build of the operator, to compare it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    reason = "it speaks to a person, and has to end when anything is wrong"
)]

mod artifact;
mod build;
mod by_hand;
mod delivery;
mod depends;
mod floor;
mod identities;
mod idle;
mod many;
mod one;
mod page;
mod pods;
mod publish;
mod reaction;
mod releases;
mod remote;
mod scale;
mod simulate;
mod site;
mod table;
mod verdict;
mod waiting;

use std::time::Duration;

use table::Table;

/// A group of rows that share a cluster.
type Group = (&'static str, fn(&mut Table));

const GROUPS: &[Group] = &[
    ("idle", |table| on(idle::measure(table))),
    ("reaction", |table| on(reaction::measure(table))),
    ("push", |table| on(reaction::push(table))),
    ("verdict", |table| on(verdict::measure(table))),
    ("rollback", |table| on(delivery::rollback(table))),
    ("approval-1000", |table| on(delivery::wait_for_approval(table))),
    ("window-1000", |table| on(delivery::wait_for_window(table))),
    ("waiting-1000", |table| on(waiting::measure(table))),
    ("plan-1000", |table| on(delivery::plan(table))),
    ("depends", |table| on(depends::measure(table))),
    ("many-100", |table| on(many::hundred(table, steady()))),
    ("many-500", |table| on(many::five_hundred(table))),
    ("many-1000", |table| on(many::thousand(table))),
    ("rest-1000", |table| on(many::resting(table))),
    ("floor-100", |table| on(floor::few(table))),
    ("scale", |table| scale::measure(table)),
    ("page", |table| on(page::measure(table))),
    ("one-1000", |table| on(one::measure(table))),
    ("identities", |table| on(identities::measure(table))),
    ("clusters", |table| on(remote::measure(table))),
    ("by-hand", |table| on(by_hand::measure(table))),
    ("publish", publish::measure),
    ("build", |table| on(build::measure(table))),
];

fn main() {
    // cargo passes `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    for name in &wanted {
        if !GROUPS.iter().any(|(group, _)| group == name) {
            let names: Vec<&str> = GROUPS.iter().map(|(group, _)| *group).collect();
            eprintln!("{name} is not a group of rows: {}", names.join(", "));
            std::process::exit(2);
        }
    }
    let mut table = Table::default();
    for (name, measure) in GROUPS {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            eprintln!("## {name}");
            measure(&mut table);
        }
    }
    println!("{}", table.markdown());
    supercargo_testbed::processes::end_all();
}

fn on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(work);
}

fn steady() -> Duration {
    let seconds = std::env::var("BENCH_STEADY_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|s| s.parse().ok()).unwrap_or(180))
}
