//! Which steps may have run, and how often, from what has happened.

use std::collections::{BTreeMap, BTreeSet};

use super::{Id, Wanted};
use crate::action::{Account, Number, Path, Revision, Spec};

/// What a step runs once for: a revision, and what the spec makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    revision: Revision,
    path: Path,
    away: bool,
    label: Option<u8>,
    patched: Option<u8>,
    account: Account,
    /// Whether a step fails before anything else is written.
    fails: bool,
}

impl Rollout {
    /// That of a release which wants a revision.
    pub fn of(spec: &Spec, revision: &Revision, wanted: &Wanted) -> Rollout {
        Rollout {
            revision: revision.clone(),
            path: spec.path,
            away: spec.away,
            label: spec.label,
            patched: spec.patched,
            account: spec.account,
            fails: wanted.fails(false),
        }
    }
}

/// A run of a step: its Job was created.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// Whose it is.
    pub release: Number,
    /// The Job.
    pub id: Id,
    /// What it runs for.
    pub key: String,
    /// The number of the run.
    pub attempt: usize,
}

/// All that is known of steps.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    /// How often a release of that name was created.
    lives: BTreeMap<Number, usize>,
    /// How often it was asked to run since.
    asks: BTreeMap<Number, usize>,
    /// What it has wanted since the last judgement, one after the other, and in which life.
    wanted: BTreeMap<Number, Vec<(usize, Rollout)>>,
    /// Which key is of which rollout.
    keys: BTreeMap<(Number, String), Rollout>,
    /// What was rolled out at the last judgement, and whether that was Ready.
    bases: BTreeMap<Number, (String, bool)>,
    /// Releases whose inventory was lost since.
    lost: BTreeSet<Number>,
    /// Jobs that hands have deleted or taken away: what has become of them, nobody knows.
    meddled: BTreeSet<Id>,
    /// The runs before the last judgement.
    earlier: BTreeSet<Run>,
    /// The runs since.
    runs: Vec<Run>,
}

impl Steps {
    /// A release is created.
    pub fn born(&mut self, release: Number) {
        *self.lives.entry(release).or_default() += 1;
        self.asks.remove(&release);
    }

    /// Somebody asks a release to run.
    pub fn asked(&mut self, release: Number) {
        *self.asks.entry(release).or_default() += 1;
    }

    /// The inventory of a release is lost.
    pub fn lost(&mut self, release: Number) {
        self.lost.insert(release);
    }

    /// A hand deletes a Job or takes it away.
    pub fn meddled(&mut self, id: &Id) {
        self.meddled.insert(id.clone());
    }

    /// Whether a hand has done that.
    pub fn is_meddled(&self, id: &Id) -> bool {
        self.meddled.contains(id)
    }

    /// A release wants that, from now on.
    pub fn wants(&mut self, release: Number, rollout: Rollout) {
        let entry = (self.lives.get(&release).copied().unwrap_or_default(), rollout);
        let all = self.wanted.entry(release).or_default();
        if all.last() != Some(&entry) {
            all.push(entry);
        }
    }

    /// Jobs of steps were created.
    pub fn ran(&mut self, runs: Vec<Run>) {
        self.runs.extend(runs);
    }

    /// Whether a release went from what was rolled out at the last judgement to what fails before
    /// anything is written, and maybe to and fro: the former is applied all the time.
    pub fn stays_applied(&self, release: Number) -> bool {
        let all = self.wanted.get(&release).map(Vec::as_slice).unwrap_or_default();
        !all.is_empty() && self.applied_while(release) == all.len()
    }

    /// Whether a release has wanted one thing since the last judgement.
    pub fn wants_one(&self, release: Number) -> bool {
        self.wanted.get(&release).is_some_and(|all| all.len() == 1)
    }

    // For how many of what was wanted in turn it is applied.
    fn applied_while(&self, release: Number) -> usize {
        let Some((key, true)) = self.bases.get(&release) else { return 0 };
        let (Some(base), false) = (self.keys.get(&(release, key.clone())), self.lost.contains(&release))
        else {
            return 0;
        };
        let all = self.wanted.get(&release).map(Vec::as_slice).unwrap_or_default();
        let Some(first) = all.first().filter(|(_, rollout)| rollout == base) else { return 0 };
        let same =
            |(life, rollout): &&(usize, Rollout)| *life == first.0 && (rollout == base || rollout.fails);
        all.iter().take_while(same).count()
    }

    // How often steps of a key may have begun since the last judgement.
    fn most(&self, release: Number, key: &str) -> usize {
        let all = self.wanted.get(&release).map(Vec::as_slice).unwrap_or_default();
        let times = |rollout: &Rollout| all.iter().filter(|(_, other)| other == rollout).count();
        let Some(known) = self.keys.get(&(release, key.to_owned())) else {
            let is_other =
                |rollout: &Rollout| self.keys.iter().any(|((r, _), k)| *r == release && k == rollout);
            let new = all.iter().map(|(_, rollout)| rollout).filter(|rollout| !is_other(rollout));
            return new.map(times).max().unwrap_or_default();
        };
        let applied = self.applied_while(release);
        if self.bases.get(&release).is_some_and(|(base, _)| base == key) && applied > 0 {
            return 1 + all[applied..].iter().filter(|(_, other)| other == known).count();
        }
        times(known)
    }

    /// What has run and may not have, and what of a release that is Ready has not run. `fails` says
    /// of a Job whether it ever was a step that fails.
    pub fn judge(
        &self,
        ready: &BTreeMap<Number, (String, Vec<Id>)>,
        fails: impl Fn(&Id) -> bool,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut counts: BTreeMap<&Run, usize> = BTreeMap::new();
        for run in &self.runs {
            *counts.entry(run).or_default() += 1;
        }
        for (run, count) in counts {
            let Run { release, id, key, attempt } = run;
            if self.meddled.contains(id) {
                continue;
            }
            let is_base = self.bases.get(release).is_some_and(|(base, _)| base == key);
            let before = usize::from(is_base && self.earlier.contains(run));
            let most = self.most(*release, key);
            if count + before > most {
                wrong.push(format!(
                    "run {attempt} of {id} for r{release} ({key}) was begun {count} times since the last judgement, \
                     {before} times before, and may have been {most} times"
                ));
            }
            let asks = self.asks.get(release).copied().unwrap_or_default();
            if *attempt > 1 && (!fails(id) || *attempt > 1 + asks) {
                wrong.push(format!(
                    "{id} was run for r{release} for the {attempt}th time, which was asked {asks} times"
                ));
            }
        }
        for (release, (key, ids)) in ready {
            let ran = |id: &Id| {
                let is_it = |run: &Run| (run.release, &run.id, &run.key) == (*release, id, key);
                self.runs.iter().any(is_it) || self.earlier.iter().any(is_it)
            };
            for id in ids.iter().filter(|id| !self.meddled.contains(*id) && !ran(id)) {
                wrong.push(format!("r{release} is Ready, and its step {id} has not run"));
            }
        }
        wrong
    }

    /// The cluster was judged. `key` is what is being rolled out, and whether it is Ready; `certain`
    /// says whether it is what the release wants.
    pub fn settled(&mut self, release: Number, key: Option<(String, bool)>, certain: bool) {
        let all = self.wanted.entry(release).or_default();
        all.drain(..all.len().saturating_sub(1));
        self.lost.remove(&release);
        let (of, rest) = std::mem::take(&mut self.runs).into_iter().partition(|run| run.release == release);
        self.runs = rest;
        self.earlier.extend::<Vec<Run>>(of);
        self.bases.remove(&release);
        let Some((key, ready)) = key else { return };
        let last = self.wanted[&release].last().map(|(_, rollout)| rollout.clone());
        let known = self.keys.get(&(release, key.clone()));
        if certain && let Some(last) = last {
            self.keys.insert((release, key.clone()), last);
        } else if known.is_none() || known != last.as_ref() {
            return;
        }
        self.bases.insert(release, (key, ready));
    }
}
