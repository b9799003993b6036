//! A history as it is kept in a file, and what came of it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::drive::{Drive, Tally};
use crate::generate;

/// What happened, and why it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Of which seed it is.
    pub seed: u64,
    /// Whether it is about the gates of new revisions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gates: bool,
    /// How many replicas share the releases beside the one that things happen to.
    #[serde(default, skip_serializing_if = "is_none")]
    pub others: usize,
    /// What it has shown once.
    pub why: Vec<String>,
    /// What happens.
    pub actions: Vec<Action>,
}

/// What came of a history that the model does not allow.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What is not as it has to be.
    pub wrong: Vec<String>,
    /// How many actions had been done.
    pub done: usize,
    /// For who looks for the cause.
    pub details: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_none(others: &usize) -> bool {
    *others == 0
}

impl History {
    /// The history of a seed.
    pub fn of_seed(seed: u64, judgements: usize) -> History {
        let actions = generate::history(seed, judgements);
        History { seed, gates: false, others: 0, why: Vec::new(), actions }
    }

    /// The history of a seed that is about gates.
    pub fn of_gates(seed: u64, judgements: usize) -> History {
        let actions = generate::gates::history(seed, judgements);
        History { seed, gates: true, others: 0, why: Vec::new(), actions }
    }

    /// The same with three replicas.
    #[must_use]
    pub fn shared(self) -> History {
        History { others: 2, ..self }
    }

    /// What it is called.
    pub fn name(&self) -> String {
        let gates = if self.gates { "gates-" } else { "" };
        format!("{gates}{}{}", if self.others > 0 { "shared-" } else { "" }, self.seed)
    }

    /// One that is kept.
    pub fn read(path: &Path) -> History {
        let text = std::fs::read_to_string(path).expect("read a history");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Keeps it, an action a line.
    pub fn write(&self, path: &Path) {
        let line =
            |action: &Action| format!("  {}", serde_json::to_string(action).expect("an action is JSON"));
        let actions: Vec<String> = self.actions.iter().map(line).collect();
        let why = serde_json::to_string(&self.why).expect("text is JSON");
        let mut more = String::from(if self.gates { "\"gates\": true, " } else { "" });
        if self.others > 0 {
            more += &format!("\"others\": {}, ", self.others);
        }
        let text = format!(
            "{{\"seed\": {}, {more}\"why\": {why}, \"actions\": [\n{}\n]}}\n",
            self.seed,
            actions.join(",\n")
        );
        std::fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("make a directory");
        std::fs::write(path, text).expect("write a history");
    }

    /// Where those are that have failed once.
    pub fn kept() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/regressions")
    }

    /// Carries it out, from nothing to a last judgement.
    pub async fn run(&self) -> Result<Tally, Failure> {
        let mut drive = Drive::begin(self.others).await;
        let mut timeline = String::new();
        let start = Instant::now();
        let mut result = Ok(());
        let mut done = 0;
        let mut actions = self.actions.clone();
        if actions.last() != Some(&Action::Settle) {
            actions.push(Action::Settle);
        }
        for action in &actions {
            done += 1;
            timeline += &format!("{:>7.2} {}\n", start.elapsed().as_secs_f64(), shown(action));
            drive.act(action).await;
            result = match action {
                Action::Settle => drive.settle().await,
                Action::Look => drive.peek().await,
                _ => Ok(()),
            };
            if result.is_err() {
                break;
            }
        }
        let result = match result {
            Ok(()) => Ok(drive.tally),
            Err(wrong) => {
                let details = details(&drive, &timeline).await;
                Err(Failure { wrong, done, details })
            }
        };
        drive.end().await;
        result
    }
}

fn shown(action: &Action) -> String {
    serde_json::to_string(action).expect("an action is JSON")
}

async fn details(drive: &Drive, timeline: &str) -> String {
    let seen = drive.look().await;
    let mut text = format!("--- what happened, in seconds\n{timeline}");
    for (release, status) in &seen.releases {
        text += &format!("--- r{release}\n{:#}\n", status);
    }
    for (release, ids) in &seen.inventories {
        text += &format!("--- inventory of r{release}\n{ids:#?}\n");
    }
    for (id, object) in &seen.objects {
        text += &format!("--- {id}\n{object:#}\n");
    }
    let requests = drive.story.bed().audit().since(drive.last, &drive.user());
    let requests = requests.iter().filter(|r| r.resource != "leases").map(|r| r.summary());
    text += &format!("--- requests since the last judgement\n{}\n", requests.collect::<Vec<_>>().join("\n"));
    text + &format!("--- the operator\n{}\n", drive.log())
}
