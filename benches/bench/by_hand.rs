//! The command line: its start, and 1,000 ConfigMaps of 1 KB applied by hand.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use supercargo_testbed::operator::Usage;
use supercargo_testbed::processes;

use super::artifact::config_map;
use super::site::{APPS, BINARY, Site};
use super::table::{Row, Table, median};

const OBJECTS: usize = 1000;
const STARTS: usize = 20;
/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// The rows.
pub async fn measure(table: &mut Table) {
    let site = Site::start().await;
    start(table);
    thousand(&site, table);
}

fn start(table: &mut Table) {
    let times: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let start = Instant::now();
            let status = Command::new(BINARY).arg("version").stdout(Stdio::null()).status();
            assert!(status.expect("start the command line").success());
            start.elapsed()
        })
        .collect();
    table.add(Row {
        work: format!("`supercargo version`, start to end (median of {STARTS})"),
        wall: Some(median(times)),
        ..Row::default()
    });
}

fn thousand(site: &Site, table: &mut Table) {
    let directory = processes::directory("by-hand");
    let file = directory.join("big.yaml");
    let write = |first: char| {
        let text = |fill: char| fill.to_string().repeat(1024);
        let map = |n: usize| config_map(&format!("big-{n}"), &text(if n == 0 { first } else { 'a' }));
        std::fs::write(&file, (0..OBJECTS).map(map).collect::<String>()).expect("write the manifests");
    };
    let path = file.display().to_string();
    let apply = ["apply", "-i", "big", "--prune", "-f", &path];
    write('a');
    row(site, table, "by hand, 1,000 ConfigMaps of 1 KB: first `apply`", &apply, 0);
    row(site, table, "… `apply`, nothing changed", &apply, 0);
    row(site, table, "… `diff`, nothing differs", &["diff", "-i", "big", "--prune", "-f", &path], 0);
    write('b');
    row(site, table, "… `diff`, 1 of 1,000 differs", &["diff", "-i", "big", "--prune", "-f", &path], 1);
    row(site, table, "… `apply`, 1 of 1,000 changed", &apply, 0);
    row(site, table, "… `delete`", &["delete", "-i", "big"], 0);
}

/// One command against the cluster.
fn row(site: &Site, table: &mut Table, work: &str, arguments: &[&str], code: i32) {
    let kubeconfig = processes::directory("person").join("kubeconfig");
    std::fs::write(&kubeconfig, site.account.kubeconfig()).expect("write a kubeconfig");
    let mark = site.bed.audit().mark();
    let mut command = Command::new(BINARY);
    command.args(["-n", APPS]).args(arguments).env("KUBECONFIG", &kubeconfig);
    let (wall, usage) = run(&mut command, code);
    let requests = site.bed.audit().since(mark, &site.account.user());
    let requests: Vec<_> = requests.into_iter().filter(|r| r.verb != "watch").collect();
    table.add(Row {
        work: work.to_owned(),
        wall: Some(wall),
        cpu: Some(usage.cpu),
        requests: Some(requests.len()),
        writes: Some(requests.iter().filter(|r| r.writes()).count()),
        peak: Some(usage.peak),
        ..Row::default()
    });
}

/// Runs a command to its end: how long it took, and what the last look at it
/// showed.
fn run(command: &mut Command, code: i32) -> (Duration, Usage) {
    let begin = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("start a command");
    let mut usage = Usage { resident: 0, peak: 0, cpu: Duration::ZERO };
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait for a command") {
            break status;
        }
        // Of one that has just ended there is nothing to see any more.
        usage = Usage::try_of(child.id()).unwrap_or(usage);
        std::thread::sleep(LOOK);
    };
    let wall = begin.elapsed();
    assert_eq!(status.code(), Some(code), "{command:?}");
    (wall, usage)
}
