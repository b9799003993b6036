//! Releases whose new revisions have to pass gates: what may be written, and what has to come of it.
//! All objects of a revision have its number as their variant. So every write tells its revision, and
//! what was written and said in turn shows whether a gate was open.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use supercargo_testbed::story::condition;

use super::{Id, World};
use crate::action::{Gates, Number, Piece, Rollback, Spec};
use crate::kinds::VARIANT;
use crate::snapshot::Snapshot;

/// What is written: the number of a revision, and the value that a patch of the spec gives it.
pub type Content = (u8, Option<u8>);

/// What was judged of gates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GateTally {
    /// Ways back that have ended.
    pub back: usize,
    /// Releases that write nothing any more.
    pub frozen: usize,
    /// Plans that wait.
    pub plans: usize,
    /// Revisions that wait for a window.
    pub windows: usize,
    /// Removals that wait.
    pub removals: usize,
    /// Quarantined revisions that were tried once more.
    pub retries: usize,
    /// Plans and removals that were approved and carried out.
    pub approved: usize,
}

impl std::ops::AddAssign for GateTally {
    fn add_assign(&mut self, other: GateTally) {
        self.back += other.back;
        self.frozen += other.frozen;
        self.plans += other.plans;
        self.windows += other.windows;
        self.removals += other.removals;
        self.retries += other.retries;
        self.approved += other.approved;
    }
}

/// A quarantined revision, as a status has named it.
#[derive(Debug, Clone)]
struct Entry {
    content: Content,
    digest: String,
    since: String,
    back_to: Option<u8>,
    is_frozen: bool,
    /// How often the release has gone back from it.
    ways_back: usize,
}

/// One release from its creation to its deletion.
#[derive(Debug, Clone, Default)]
struct Life {
    /// The specs that a run may be for, and the generations that they have, once these are known.
    specs: Vec<(Option<i64>, Spec)>,
    /// Whether it is being deleted.
    goes: bool,
    /// The last content that was written of each revision.
    written: BTreeMap<u8, Content>,
    /// What has passed the gates since another revision was Ready.
    passed: BTreeSet<Content>,
    /// What is Ready.
    ready: Option<Content>,
    /// What the plans of that hash may bring.
    plans: BTreeMap<String, BTreeSet<Content>>,
    /// What approves the removals that have waited.
    removals: BTreeSet<String>,
    /// All that was approved.
    approved: BTreeSet<String>,
    /// What was asked to be tried once more.
    retries: Vec<String>,
    /// The last of them that was carried out.
    handled: Option<String>,
    quarantine: BTreeMap<String, Entry>,
    /// The revision at the top of the history.
    top: String,
    /// Nothing was to be written any more at the last judgement, and nobody has done anything since.
    is_frozen: bool,
}

impl Life {
    fn gates(&self) -> impl Iterator<Item = Gates> + '_ {
        self.specs.iter().filter_map(|(_, spec)| spec.gates)
    }

    fn may_be_off(&self) -> bool {
        self.gates().any(|gates| gates.rollback == Rollback::Off)
    }

    // Whether a person has asked for a digest, and that was not carried out yet.
    fn is_retried(&self, digest: &str) -> bool {
        let asks = |value: &&String| value.split('@').next() == Some(digest);
        self.retries.last().filter(asks).is_some_and(|value| self.handled.as_ref() != Some(value))
    }

    fn is_approved(&self, content: Content) -> bool {
        let brings = |(hash, all): (&String, &BTreeSet<Content>)| {
            self.approved.contains(hash) && all.contains(&content)
        };
        self.plans.iter().any(brings)
    }

    // What a revision of a status is.
    fn contents(&self, revision: u8) -> BTreeSet<Content> {
        self.specs.iter().map(|(_, spec)| (revision, spec.patched)).collect()
    }
}

/// What was written and said, release by release.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    lives: BTreeMap<Number, Life>,
    /// The numbers of revisions, by their digests.
    digests: BTreeMap<String, u8>,
    /// The revisions that may be judged to be bad.
    bad: BTreeSet<u8>,
    wrong: Vec<String>,
    pub tally: GateTally,
}

impl Trail {
    /// A revision is pushed.
    pub fn pushed(&mut self, digest: &str, number: u8, is_bad: bool) {
        self.digests.insert(digest.to_owned(), number);
        if is_bad {
            self.bad.insert(number);
        }
        // What is frozen may follow it.
        self.lives.values_mut().for_each(|life| life.is_frozen = false);
    }

    /// A release is created.
    pub fn born(&mut self, release: Number, spec: &Spec) {
        if spec.gates.is_some() {
            let life = Life { specs: vec![(None, spec.clone())], ..Life::default() };
            self.lives.insert(release, life);
        } else {
            self.lives.remove(&release);
        }
    }

    /// A release is deleted.
    pub fn died(&mut self, release: Number) {
        if let Some(life) = self.lives.get_mut(&release) {
            (life.goes, life.is_frozen) = (true, false);
        }
    }

    /// A spec is about to change.
    pub fn specifies(&mut self, release: Number, spec: &Spec) {
        if let Some(life) = self.lives.get_mut(&release) {
            life.is_frozen = false;
            life.specs.push((None, spec.clone()));
        }
    }

    /// It has changed.
    pub fn specified(&mut self, release: Number, answer: &Value) {
        let generation = answer["metadata"]["generation"].as_i64();
        if let Some((known, _)) = self.lives.get_mut(&release).and_then(|life| life.specs.last_mut()) {
            *known = generation;
        }
    }

    /// A hash is about to be approved.
    pub fn approves(&mut self, release: Number, hash: &str) {
        if let Some(life) = self.lives.get_mut(&release) {
            life.is_frozen = false;
            life.approved.insert(hash.to_owned());
        }
    }

    /// A person is about to ask for one more try.
    pub fn retries(&mut self, release: Number, value: &str) {
        if let Some(life) = self.lives.get_mut(&release) {
            life.is_frozen = false;
            life.retries.push(value.to_owned());
        }
    }

    /// An object of a release was written, or the Job of a step begun.
    pub fn applied(&mut self, release: Number, object: &Value) {
        let Some(life) = self.lives.get_mut(&release).filter(|life| !life.goes) else { return };
        let Some(number) = number_of(object) else { return };
        let contents = match (content_of(object), object["kind"] == "Job") {
            (Some(content), _) => BTreeSet::from([content]),
            (None, true) => life.contents(number),
            (None, false) => return,
        };
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let kind = object["kind"].as_str().unwrap_or_default();
        let what = format!("r{release}: {kind} {name} of {contents:?} was written");
        if life.is_frozen {
            self.wrong.push(format!("{what}, and the release is frozen"));
        }
        let is_held = |content: &Content| {
            let mut entries = life.quarantine.values().filter(|entry| entry.content == *content);
            entries.any(|entry| !life.may_be_off() && !life.is_retried(&entry.digest))
        };
        if contents.iter().all(is_held) {
            self.wrong.push(format!("{what}, and is quarantined: {:?}", life.quarantine));
        }
        let is_back = life.quarantine.values().any(|entry| entry.back_to == Some(number));
        if contents.iter().all(|content| !life.passed.contains(content)) && !is_back {
            let is_approved = contents.iter().any(|content| life.is_approved(*content));
            if life.gates().all(|gates| gates.closed) {
                self.wrong.push(format!("{what} for the first time, and no window is open"));
            }
            if life.gates().all(|gates| gates.manual) && !is_approved {
                self.wrong.push(format!("{what}, and nobody has approved it: {:?}", life.plans));
            }
            self.tally.approved += usize::from(is_approved);
        }
        if contents.len() == 1 {
            life.written.extend(contents.iter().map(|content| (number, *content)));
            life.passed.extend(contents);
        }
    }

    /// An object that may be a release's was deleted.
    pub fn removed(&mut self, release: Number, name: &str) {
        let Some(life) = self.lives.get_mut(&release).filter(|life| !life.goes) else { return };
        if life.is_frozen {
            self.wrong.push(format!("r{release}: {name} was deleted, and the release is frozen"));
        }
        let is_back = life.quarantine.values().any(|entry| entry.back_to.is_some() && !entry.is_frozen);
        let is_approved = life.removals.iter().chain(life.plans.keys()).any(|h| life.approved.contains(h));
        if life.gates().all(|gates| gates.guarded) && !is_back && !is_approved {
            self.wrong.push(format!("r{release}: {name} was deleted, and nobody has approved that"));
        }
    }

    /// The status of a release was written.
    pub fn said(&mut self, release: Number, object: &Value) {
        let Some(life) = self.lives.get_mut(&release).filter(|life| !life.goes) else { return };
        let status = &object["status"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let number = |revision: &str| self.digests.get(revision.rsplit('@').next()?).copied();
        if let Some(observed) = status["observedGeneration"].as_i64() {
            let is_over = |(generation, _): &(Option<i64>, Spec)| generation.is_some_and(|g| g <= observed);
            let first = life.specs.iter().rposition(is_over).unwrap_or_default();
            life.specs.drain(..first);
        }
        let ready = condition(object, "Ready");
        let is_ready = ready.as_ref().is_some_and(|c| c.status == "True");
        let handled = status["lastHandledRetry"].as_str().map(str::to_owned);
        if handled != life.handled && handled.is_some() {
            self.tally.retries += 1;
        }
        let history = &status["history"];
        let (top, outcome) = (text(&history[0]["digest"]), text(&history[0]["outcome"]));
        let mut now = BTreeMap::new();
        for (nth, entry) in status["quarantine"].as_array().into_iter().flatten().enumerate() {
            let (key, digest, since) = (text(&entry["key"]), text(&entry["digest"]), text(&entry["since"]));
            let Some(revision) = number(&digest) else { continue };
            let is_frozen = !entry["frozen"].is_null();
            let back_to = number(&text(&entry["backTo"]));
            let before = life.quarantine.get(&key).filter(|before| before.since == since);
            let mut entry = match before {
                Some(before) => Entry { is_frozen, back_to, ..before.clone() },
                None => {
                    if !self.bad.contains(&revision) {
                        let why = &entry["message"];
                        self.wrong.push(format!("r{release}: revision {revision} is not bad: {why}"));
                    }
                    let unknown = (revision, life.specs.last().and_then(|(_, spec)| spec.patched));
                    let known = life.quarantine.get(&key).map(|before| before.content);
                    let written = life.written.get(&revision).copied();
                    let content = known.or(written).unwrap_or(unknown);
                    Entry { content, digest, since, back_to, is_frozen, ways_back: 0 }
                }
            };
            if handled != life.handled {
                entry.ways_back = 0;
            }
            // The last one that has failed is the first.
            let back =
                back_to.filter(|_| nth == 0).and_then(|back| self.digests.iter().find(|(_, n)| **n == back));
            if outcome == "Healthy" && top != life.top && back.is_some_and(|(digest, _)| *digest == top) {
                entry.ways_back += 1;
                self.tally.back += 1;
            }
            if entry.ways_back > 1 {
                self.wrong.push(format!("r{release} has gone back from revision {revision} twice"));
            }
            if back_to.is_some() && is_frozen {
                let why = &status["conditions"];
                self.wrong.push(format!("r{release}: going back from revision {revision} has failed: {why}"));
            }
            now.insert(key, entry);
        }
        for (key, entry) in &life.quarantine {
            let may = is_ready || life.may_be_off() || now.len() >= 10;
            if !now.contains_key(key) && !may {
                let revision = entry.content.0;
                self.wrong.push(format!("r{release} has forgotten that revision {revision} has failed"));
            }
        }
        (life.quarantine, life.handled, life.top) = (now, handled, top);
        let plan = &status["plan"];
        if let (Some(hash), Some(revision)) = (plan["hash"].as_str(), number(&text(&plan["revision"]))) {
            let contents = life.contents(revision);
            life.plans.entry(hash.to_owned()).or_default().extend(contents);
        }
        if let Some(token) = ready.as_ref().and_then(|ready| removal_token(&ready.reason, &ready.message)) {
            life.removals.insert(token);
        }
        if is_ready
            && let Some(content) = number(&text(&status["lastAppliedRevision"]))
                .and_then(|revision| life.written.get(&revision).copied())
            && life.ready != Some(content)
        {
            life.ready = Some(content);
            life.passed = BTreeSet::from([content]);
            life.plans.clear();
            life.removals.clear();
        }
    }

    /// What was wrong since the last call.
    pub fn take_wrong(&mut self) -> Vec<String> {
        std::mem::take(&mut self.wrong)
    }

    /// What is not as it has to be, once it is quiet.
    pub fn judge(&self, world: &World, seen: &Snapshot) -> Vec<String> {
        let mut wrong = Vec::new();
        for (release, known) in &world.releases {
            let (Some(gates), Some(life)) = (known.spec.gates, self.lives.get(release)) else { continue };
            let (Some(object), false) = (seen.releases.get(release), known.spec.suspend) else { continue };
            let Some(ready) = condition(object, "Ready") else { continue };
            let says = format!("{}/{}: {}", ready.status, ready.reason, ready.message);
            let Some(wanted) = world.wanted(*release) else { continue };
            let Some(number) = wanted.objects.values().next().map(|piece| piece.variant) else { continue };
            let case = Case {
                content: (number, known.spec.patched),
                is_broken: wanted.broken,
                is_bad: wanted.objects.values().any(Piece::is_bad),
                leaves: leaves(world, *release, seen, |id| wanted.objects.contains_key(id)),
            };
            let may = self.reasons(life, gates, &case, object);
            if !may.contains(&ready.reason.as_str()) {
                wrong.push(format!("r{release} with {gates:?} wants {case:?} and may be {may:?}: {says}"));
                continue;
            }
            self.judge_objects(*release, life, &case, &ready.reason, (world, seen), &mut wrong);
        }
        wrong
    }

    // The reasons that Ready may have.
    fn reasons(&self, life: &Life, gates: Gates, case: &Case, object: &Value) -> Vec<&'static str> {
        let entry = life.quarantine.values().find(|entry| entry.content == case.content);
        let entry = entry.filter(|entry| gates.rollback != Rollback::Off && !life.is_retried(&entry.digest));
        if let Some(entry) = entry {
            let is_back = entry.back_to.is_some() && !entry.is_frozen;
            return vec![if is_back { "RolledBack" } else { "Frozen" }];
        }
        let given = object["metadata"]["annotations"]["supercargo.dev/approve"].as_str();
        let message = condition(object, "Ready").map(|c| c.message).unwrap_or_default();
        let is_approved = |token: Option<&str>| given.is_some() && given == token;
        let token = removal_token("PruneNotApproved", &message);
        let mut may = Vec::new();
        let is_ready = life.ready == Some(case.content);
        if gates.closed && !is_ready {
            may.push("OutsideWindow");
        }
        let is_open = !gates.closed || life.passed.contains(&case.content);
        if case.is_broken && is_open {
            may.push("ManifestInvalid");
        }
        if gates.manual && is_open && !is_approved(object["status"]["plan"]["hash"].as_str()) {
            may.push("ApprovalRequired");
        }
        let is_guarded = gates.guarded && !gates.manual && case.leaves;
        if is_guarded && is_open && !is_approved(token.as_deref()) {
            may.push("PruneNotApproved");
        }
        let is_free = is_open && (!gates.manual || life.passed.contains(&case.content));
        let outcomes = object["status"]["history"].as_array().map(Vec::as_slice).unwrap_or_default();
        let has_healthy = outcomes.iter().any(|entry| entry["outcome"] == "Healthy");
        let is_retried = match gates.rollback {
            Rollback::Off => true,
            Rollback::OnFailure => !has_healthy,
            Rollback::Freeze => false,
        };
        if is_free && !case.is_broken && !case.is_bad {
            may.push("ReconciliationSucceeded");
        }
        if is_free && case.is_bad && is_retried {
            may.extend(["HealthCheckFailed", "HealthTimeout", "ApplyFailed", "StepFailed", "Progressing"]);
        }
        may
    }

    fn judge_objects(
        &self,
        release: Number,
        life: &Life,
        case: &Case,
        reason: &str,
        (world, seen): (&World, &Snapshot),
        wrong: &mut Vec<String>,
    ) {
        let mine = seen.objects.iter().filter(|(_, object)| world.owner(object) == Some(release));
        let of = number_of;
        let waits = ["ApprovalRequired", "OutsideWindow", "PruneNotApproved"].contains(&reason);
        if waits && !life.passed.contains(&case.content) {
            for (id, _) in mine.clone().filter(|(_, object)| content_of(object) == Some(case.content)) {
                wrong.push(format!("r{release} waits with {reason}, and {id} is of that revision"));
            }
        }
        if reason != "RolledBack" {
            return;
        }
        let entry = life.quarantine.values().find(|entry| entry.content == case.content);
        let Some(back_to) = entry.and_then(|entry| entry.back_to) else { return };
        let pieces = world.revisions.iter().flat_map(|revision| revision.a.iter().chain(&revision.b));
        let pieces: BTreeMap<Id, &Piece> = pieces
            .filter(|piece| piece.variant == back_to)
            .map(|piece| (world.names.id(piece.kind, piece.name, false), piece))
            .collect();
        // A step of the earlier revision does not run again: its Job may be of the one that has failed.
        let is_step = |id: &Id| pieces.get(id).is_some_and(|piece| piece.step.is_some());
        for (id, object) in mine.filter(|(id, _)| !is_step(id)) {
            if of(object) != Some(back_to) {
                wrong.push(format!("r{release} has gone back to revision {back_to}, and {id} is of another"));
            }
        }
        for id in pieces.keys().filter(|id| !is_step(id)) {
            if seen.objects.get(id).is_none_or(|object| of(object) != Some(back_to)) {
                wrong.push(format!("r{release} has gone back to revision {back_to}, and {id} is not of it"));
            }
        }
        let status = &seen.releases[&release]["status"];
        if status["failures"].as_array().is_none_or(Vec::is_empty) {
            wrong.push(format!("r{release} has gone back and does not say which objects have failed"));
        }
    }

    /// One judgement more.
    pub fn count(&mut self, world: &World, seen: &Snapshot) {
        for (release, life) in &mut self.lives {
            if world.releases.get(release).is_none_or(|known| known.spec.suspend) {
                continue;
            }
            let ready = seen.releases.get(release).and_then(|object| condition(object, "Ready"));
            let reason = ready.map(|ready| ready.reason);
            life.is_frozen = reason.as_deref() == Some("Frozen");
            match reason.as_deref() {
                Some("Frozen") => self.tally.frozen += 1,
                Some("ApprovalRequired") => self.tally.plans += 1,
                Some("OutsideWindow") => self.tally.windows += 1,
                Some("PruneNotApproved") => self.tally.removals += 1,
                _ => {}
            }
        }
    }
}

/// What a release wants, as far as gates matter.
#[derive(Debug)]
struct Case {
    content: Content,
    is_broken: bool,
    is_bad: bool,
    /// Whether an object of the release is not wanted any more.
    leaves: bool,
}

fn leaves(world: &World, release: Number, seen: &Snapshot, wanted: impl Fn(&Id) -> bool) -> bool {
    let mut mine = seen.objects.iter().filter(|(_, object)| world.owner(object) == Some(release));
    mine.any(|(id, _)| !wanted(id))
}

fn number_of(object: &Value) -> Option<u8> {
    object["metadata"]["annotations"][VARIANT].as_str()?.parse().ok()
}

/// What an object has; only ConfigMaps are patched.
fn content_of(object: &Value) -> Option<Content> {
    let number = number_of(object)?;
    let patched = object["data"]["patched"].as_str().and_then(|n| n.parse().ok());
    (object["kind"] == "ConfigMap").then_some((number, patched))
}

/// What approves the removal that a release waits with.
pub fn removal_token(reason: &str, message: &str) -> Option<String> {
    let (_, rest) = message.split_once("supercargo.dev/approve=").filter(|_| reason == "PruneNotApproved")?;
    Some(rest.split('`').next()?.to_owned())
}

/// The number of a revision whose objects all have it, and whether it is bad.
pub fn numbered(revision: &crate::action::Revision) -> Option<(u8, bool)> {
    let pieces: Vec<_> = revision.a.iter().chain(&revision.b).collect();
    let number = pieces.first()?.variant;
    Some((number, pieces.into_iter().any(Piece::is_bad)))
}

#[cfg(test)]
mod tests;
