//! Histories at work: some at a time, those that have failed before first.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use supercargo_testbed::times::Clock;

use crate::action::Action;
use crate::drive::Tally;
use crate::history::{Failure, History};
use crate::model::gates::GateTally;
use crate::shrink::shrink;

/// How many run at a time: they wait more than they work.
const AT_ONCE: usize = 4;
/// How often a history is judged.
const JUDGEMENTS: usize = 5;
/// How long a failing history is made shorter.
const SHRINKING: Duration = Duration::from_secs(240);
/// How many fresh seeds are begun in this time beside the fixed ones.
const FRESH: Duration = Duration::from_secs(20);
/// Seeds that run with three replicas, too: half of all.
const SHARED: [u64; 3] = [2, 4, 6];
/// The same of those that are about gates.
const SHARED_GATES: [u64; 3] = [5005, 5011, 5026];
/// Seeds that always run: together they do everything that there is to do.
const FIXED: std::ops::Range<u64> = 1..7;
/// The same of those that are about gates: in them, each gate holds a revision and lets one pass.
const GATES: [u64; 5] = [5005, 5007, 5011, 5024, 5026];

fn carry_out(history: &History) -> Result<Tally, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let run = AssertUnwindSafe(|| runtime.block_on(history.run()));
    std::panic::catch_unwind(run).unwrap_or_else(|panic| {
        let why = panic.downcast_ref::<String>().cloned();
        let why = why.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let wrong = vec![format!("the history itself has failed: {}", why.unwrap_or_default())];
        Err(Failure { wrong, done: 0, details: String::new() })
    })
}

/// Runs all that `next` gives until so many have failed, and returns how many that were
/// and the first that failed.
fn run_all(
    most: usize,
    next: impl FnMut() -> Option<History> + Send,
) -> (usize, GateTally, Option<(History, Failure)>) {
    let next = Mutex::new(next);
    let failed: Mutex<Vec<(History, Failure)>> = Mutex::default();
    let count = Mutex::new(0);
    let total = Mutex::new(GateTally::default());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    if failed.lock().expect("lock").len() >= most {
                        return;
                    }
                    let Some(history) = (next.lock().expect("lock"))() else { return };
                    let start = Instant::now();
                    let result = carry_out(&history);
                    let (seed, took) = (history.name(), start.elapsed().as_secs_f64());
                    let all = history.actions.len();
                    *count.lock().expect("lock") += 1;
                    match result {
                        Ok(tally) => {
                            eprintln!("seed {seed}: {all} actions in {took:.1} s, judged {tally}");
                            *total.lock().expect("lock") += tally.gates;
                        }
                        Err(failure) => {
                            eprintln!("seed {seed} has failed after {took:.1} s: {:#?}", failure.wrong);
                            keep(&history, &failure);
                            failed.lock().expect("lock").push((history, failure));
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("lock").into_iter().next();
    (count.into_inner().expect("lock"), total.into_inner().expect("lock"), failed)
}

/// Writes down what happened and what was seen; returns where.
fn keep(history: &History, failure: &Failure) -> (PathBuf, PathBuf) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("histories");
    let whole = directory.join(format!("{}.json", history.name()));
    history.write(&whole);
    let details = directory.join(format!("{}.txt", history.name()));
    std::fs::write(&details, &failure.details).expect("write a file");
    (whole, details)
}

/// Runs all until so many have failed, and panics with the shortest history that fails as
/// the first of them did.
fn all_hold(most: usize, next: impl FnMut() -> Option<History> + Send) -> (usize, GateTally) {
    let (count, gates, failed) = run_all(most, next);
    let Some((history, failure)) = failed else { return (count, gates) };
    let (whole, details) = keep(&history, &failure);
    let mut kept = History { why: failure.wrong.clone(), ..history.clone() };
    kept.actions.truncate(failure.done.max(1));
    let told = format!(
        "seed {}: {:#?}\nthe whole history is {}, and what was seen {}",
        history.name(),
        failure.wrong,
        whole.display(),
        details.display()
    );
    eprintln!("{told}");
    let again = |actions: &[Action]| carry_out(&History { actions: actions.to_vec(), ..kept.clone() }).err();
    if again(&kept.actions).is_none() {
        panic!("{told}\nit does not fail again; it depends on the moment");
    }
    let mut last = failure;
    let shortest = shrink(kept.actions.clone(), SHRINKING, |actions| match again(actions) {
        Some(failure) => {
            last = failure;
            true
        }
        None => false,
    });
    std::fs::write(&details, &last.details).expect("write a file");
    (kept.actions, kept.why) = (shortest, last.wrong);
    let path = History::kept().join(format!("seed-{}.json", kept.name()));
    kept.write(&path);
    panic!("{told}\nthe shortest that fails is {}: {:#?}", path.display(), kept.why);
}

fn regressions() -> Vec<History> {
    // Without any there is no directory.
    let Ok(directory) = std::fs::read_dir(History::kept()) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = directory
        .map(|entry| entry.expect("read a directory").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    paths.iter().map(|path| History::read(path)).collect()
}

// In turn, one about everything and one about gates.
fn of_either(turn: u64, seed: u64, judgements: usize) -> History {
    let history = if turn.is_multiple_of(2) {
        History::of_gates(seed, judgements)
    } else {
        History::of_seed(seed, judgements)
    };
    // Of each kind, every other one has several replicas.
    if (turn / 2).is_multiple_of(2) { history.shared() } else { history }
}

fn fresh_seed() -> u64 {
    fastrand::u64(1000..1_000_000_000)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number and not {text:?}")))
}

#[test]
fn histories_that_have_failed_once_and_of_fixed_and_fresh_seeds_hold() {
    let _clock = Clock::start(env!("CARGO_TARGET_TMPDIR"), concat!(module_path!(), "::histories"));
    let begin = Instant::now();
    let fixed = FIXED.map(|seed| History::of_seed(seed, JUDGEMENTS));
    let gates = GATES.map(|seed| History::of_gates(seed, JUDGEMENTS));
    let shared = SHARED.map(|seed| History::of_seed(seed, JUDGEMENTS).shared());
    let shared_gates = SHARED_GATES.map(|seed| History::of_gates(seed, JUDGEMENTS).shared());
    let shared = shared.into_iter().chain(shared_gates);
    let mut known = regressions().into_iter().chain(gates).chain(fixed).chain(shared);
    let mut fresh = 0;
    let (count, gates) = all_hold(1, move || {
        let mut next = || {
            fresh += 1;
            (fresh <= 2 || begin.elapsed() < FRESH).then(|| of_either(fresh, fresh_seed(), JUDGEMENTS))
        };
        known.next().or_else(&mut next)
    });
    assert!(count > FIXED.count() + GATES.len());
    let GateTally { back, frozen, plans, windows, removals, retries, approved } = gates;
    for (what, number) in [
        ("way back", back),
        ("frozen release", frozen),
        ("plan", plans),
        ("closed window", windows),
        ("removal", removals),
        ("retry", retries),
        ("approval", approved),
    ] {
        assert!(number > 0, "there was no {what}: {gates:?}");
    }
}

/// `make soak MINUTES=n SEED=s FAILURES=f`: fresh seeds for so long, or one seed and those
/// after it, until so many have failed.
#[test]
#[ignore = "it takes as long as it is told: make soak"]
fn soak() {
    let minutes = number("MINUTES").unwrap_or(10);
    let mut seed = number("SEED").unwrap_or_else(fresh_seed);
    let length = number("JUDGEMENTS").and_then(|n| usize::try_from(n).ok()).unwrap_or(JUDGEMENTS);
    let failures = number("FAILURES").and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
    eprintln!("the first seed is {seed}");
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let mut kept = regressions().into_iter();
    let mut turn = 0;
    // `GATES=1`: only those that are about gates.
    let only = number("GATES").is_some();
    let (count, _) = all_hold(failures, move || {
        if let Some(history) = kept.next() {
            return Some(history);
        }
        turn += 1;
        let history = if only { History::of_gates(seed, length) } else { of_either(turn, seed, length) };
        seed += u64::from(only || turn.is_multiple_of(2));
        (turn == 1 || Instant::now() < end).then_some(history)
    });
    eprintln!("{count} histories hold");
}

/// `HISTORY=FILE`: one history from a file.
#[test]
#[ignore = "it needs a history: HISTORY=FILE"]
fn replay() {
    let path = std::env::var("HISTORY").expect("HISTORY names a file");
    let history = History::read(Path::new(&path));
    if let Err(failure) = carry_out(&history) {
        panic!("{}\n{:#?}", failure.details, failure.wrong);
    }
}
