//! What a cluster has to be like, from what has happened. Pure: no cluster, no clock.

pub mod dependencies;
pub mod gates;
pub mod steps;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use supercargo_testbed::story::condition;

use self::dependencies::Dependencies;
use self::steps::{Rollout, Run, Steps};
use crate::action::{
    Account, Action, Change, Drift, Edit, End, How, InventoryEdit, Number, Path, Piece, Policy, Reference,
    Revision, Spec,
};
use crate::kinds::{Kind, Names, VARIANT};
use crate::snapshot::Snapshot;

/// Why a release is held that is suspended.
const SUSPENDED: &str = "is suspended";
/// Why a release is not Ready whose step fails.
const STEP_FAILS: &str = "a step of it fails";
/// Why a release is not Ready whose dependency is not.
const WAITS: &str = "its dependency is not ready";
/// Why a release need not be Ready that has gates.
const GATED: &str = "a gate may hold it";
/// Why a release is held that is part of a cycle.
const CIRCLES: &str = "depends on itself";

/// An object as inventories write it: `namespace_name_group_kind`.
pub type Id = String;

/// All that has happened, as far as it matters.
#[derive(Debug, Clone)]
pub struct World {
    pub names: Names,
    revisions: Vec<Revision>,
    tags: BTreeMap<(Number, String), usize>,
    pub releases: BTreeMap<Number, Known>,
    /// Releases that were deleted and may not be able to go.
    going: BTreeMap<Number, Known>,
    rights: bool,
    /// What a release may have had at any time.
    had: BTreeMap<Number, BTreeSet<Id>>,
    /// What may be labelled as a release's and be in no inventory: it was left on
    /// purpose, or its inventory was lost.
    forgiven: BTreeMap<Number, BTreeSet<Id>>,
    /// Releases of whose name one was deleted before.
    reborn: BTreeSet<Number>,
    /// What hands have relabelled.
    strayed: BTreeSet<Id>,
    /// What hands have touched, and which revision each release wanted then.
    touched: BTreeMap<Id, Option<usize>>,
    /// Releases of which nothing may be written since the last judgement, and why.
    held: BTreeMap<Number, &'static str>,
    /// What is signed.
    signed: Vec<(Number, Revision)>,
    /// Which release has wanted which object without a break since the last judgement.
    standing: BTreeSet<(Number, Id)>,
    /// The uids of objects at the last judgement, and whose they were.
    uids: BTreeMap<Id, String>,
    owners: BTreeMap<Id, Number>,
    /// The replicas of Deployments at the last judgement, and whether an autoscaler had them.
    replicas: BTreeMap<Id, (Value, bool)>,
    /// What was applied at the last judgement.
    results: BTreeMap<Number, Applied>,
    /// Releases that nobody tells that there is something new.
    pub untold: BTreeSet<Number>,
    /// Whether something was away since the last judgement, so that a release may
    /// have to be asked before it looks again.
    pub excused: bool,
    /// Every object that was ever in a revision of the history.
    pub ever: BTreeMap<Id, (Kind, u8, bool)>,
    /// What has become of steps.
    pub steps: Steps,
    /// Who has waited for others.
    dependencies: Dependencies,
}

/// A release that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub spec: Spec,
    /// The revision of a digest, fixed when it was named.
    pinned: Option<usize>,
}

/// What a release was the whole result of.
#[derive(Debug, Clone)]
struct Applied {
    spec: Spec,
    /// The revision and options, as the inventory has them.
    key: String,
    objects: BTreeMap<Id, Value>,
    revision: usize,
}

impl Applied {
    // One that is applied anew for another account is not known to be applied yet.
    fn renders_as(&self, known: &Known) -> bool {
        let rendering =
            |spec: &Spec| (spec.path, spec.away, spec.label, spec.patched, spec.mirror_url, spec.account);
        rendering(&self.spec) == rendering(&known.spec)
    }
}

/// What is there once it is quiet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The number of the revision.
    pub revision: usize,
    /// Whether it cannot be read, or has an order that cannot be.
    pub broken: bool,
    /// The objects.
    pub objects: BTreeMap<Id, Piece>,
}

impl Wanted {
    /// Whether a step of a phase fails.
    pub fn fails(&self, after: bool) -> bool {
        self.objects.values().any(|piece| piece.fails(after))
    }

    /// Whether a step runs after the rest.
    fn tests(&self) -> bool {
        self.objects.values().any(|piece| piece.step.is_some_and(|step| step.after))
    }

    /// Whether some objects wait until others are healthy.
    fn orders(&self) -> bool {
        self.objects.values().any(|piece| !piece.place.is_none())
    }

    /// Where an object comes in a rollout: steps before all others and after them, and the others
    /// by their waves.
    fn rank(&self, piece: &Piece) -> (i8, i8) {
        if let Some(step) = piece.step {
            return (if step.after { 1 } else { -1 }, step.wave);
        }
        let waves = self.objects.values().map(|piece| piece.place.wave);
        let first = waves.min().unwrap_or_default().min(0);
        (0, if piece.kind.is_base() && piece.place.is_none() { first } else { piece.place.wave })
    }
}

impl World {
    /// In the beginning there is nothing, and everybody has all rights.
    pub fn new(names: Names) -> World {
        World {
            names,
            revisions: Vec::new(),
            tags: BTreeMap::new(),
            releases: BTreeMap::new(),
            going: BTreeMap::new(),
            rights: true,
            had: BTreeMap::new(),
            forgiven: BTreeMap::new(),
            reborn: BTreeSet::new(),
            strayed: BTreeSet::new(),
            touched: BTreeMap::new(),
            held: BTreeMap::new(),
            signed: Vec::new(),
            standing: BTreeSet::new(),
            uids: BTreeMap::new(),
            owners: BTreeMap::new(),
            replicas: BTreeMap::new(),
            results: BTreeMap::new(),
            untold: BTreeSet::new(),
            excused: false,
            ever: BTreeMap::new(),
            steps: Steps::default(),
            dependencies: Dependencies::default(),
        }
    }

    /// Whether a tag was pushed.
    pub fn has_tag(&self, release: Number, tag: &str) -> bool {
        self.tags.contains_key(&(release, tag.to_owned()))
    }

    /// The last revision of a tag.
    pub fn revision(&self, release: Number, tag: &str) -> Option<&Revision> {
        self.revisions.get(*self.tags.get(&(release, tag.to_owned()))?)
    }

    /// Something happens.
    pub fn act(&mut self, action: &Action) {
        self.dependencies.act(action);
        match action {
            Action::Push { release, tag, revision } => self.push(*release, tag, revision),
            Action::Sign { release, tag } => {
                if let Some(revision) = self.revision(*release, tag).cloned() {
                    self.signed.push((*release, revision));
                    self.untold.insert(*release);
                    self.doubt(*release);
                }
            }
            Action::Create { release, spec } => {
                let pinned = self.pin(*release, &spec.reference);
                self.going.remove(release);
                self.steps.born(*release);
                self.held.remove(release);
                self.releases.insert(*release, Known { spec: spec.clone(), pinned });
            }
            Action::Specify { release, change } => self.specify(*release, change),
            Action::Delete { release } => self.delete(*release),
            Action::Ask { release } | Action::Unask { release } => {
                if matches!(action, Action::Ask { .. }) {
                    if self.held.get(release) != Some(&CIRCLES) {
                        self.held.remove(release);
                    }
                    self.untold.remove(release);
                }
            }
            Action::Hand { kind, name, away, edit } => self.hand(*kind, *name, *away, *edit),
            Action::Inventory { release, edit } => {
                if *edit != InventoryEdit::Delete {
                    self.steps.lost(*release);
                    let had = self.had.get(release).cloned().unwrap_or_default();
                    self.forgiven.entry(*release).or_default().extend(had);
                    self.untold.insert(*release);
                }
            }
            Action::Rights { granted } => {
                self.rights = *granted;
                self.excused = true;
            }
            Action::Registry { .. }
            | Action::ApiServer { .. }
            | Action::RestartApiServer
            | Action::Kill
            | Action::Restart
            | Action::Freeze
            | Action::Crash { .. }
            | Action::Replica => self.excused = true,
            Action::Approve { .. }
            | Action::Retry { .. }
            | Action::Pass { .. }
            | Action::Look
            | Action::Settle => {}
        }
        self.remember();
    }

    /// The releases of which nothing may be written since the last judgement. A process that has just
    /// started may correct drift before it knows of a cycle.
    pub fn held_all_the_time(&self) -> impl Iterator<Item = (&Number, &&'static str)> {
        self.held.iter().filter(|(_, why)| !self.excused || **why != CIRCLES)
    }

    // It need not be held any more, unless it is suspended or in a cycle.
    fn doubt(&mut self, release: Number) {
        if self.held.get(&release).is_some_and(|why| ![SUSPENDED, CIRCLES].contains(why)) {
            self.held.remove(&release);
        }
    }

    fn trusts(&self, release: Number) -> bool {
        let verifies = self.releases.get(&release).is_some_and(|known| known.spec.verify);
        self.wanted(release).map_or(!verifies, |wanted| self.is_signed(release, wanted.revision))
    }

    // The same of a revision that is applied.
    fn is_signed(&self, release: Number, revision: usize) -> bool {
        let verifies = self.releases.get(&release).is_some_and(|known| known.spec.verify);
        let revision = self.revisions.get(revision);
        !verifies || revision.is_some_and(|of| self.signed.iter().any(|(r, w)| *r == release && w == of))
    }

    fn push(&mut self, release: Number, tag: &str, revision: &Revision) {
        self.revisions.push(revision.clone());
        let before = self.wanted(release).map(|wanted| wanted.revision);
        self.tags.insert((release, tag.to_owned()), self.revisions.len() - 1);
        if self.wanted(release).map(|wanted| wanted.revision) != before {
            self.untold.insert(release);
            self.doubt(release);
        }
        for piece in revision.a.iter().chain(&revision.b) {
            for away in [false, true] {
                let id = self.names.id(piece.kind, piece.name, away);
                self.ever.insert(id, (piece.kind, piece.name, away));
            }
        }
    }

    fn specify(&mut self, release: Number, change: &Change) {
        let pinned = match change {
            Change::Reference(reference) => Some(self.pin(release, reference)),
            _ => None,
        };
        let Some(known) = self.releases.get_mut(&release) else { return };
        if let Some(pinned) = pinned {
            known.pinned = pinned;
        }
        let spec = &mut known.spec;
        match change.clone() {
            Change::Reference(reference) => spec.reference = reference,
            Change::Path(path) => spec.path = path,
            Change::Away(away) => spec.away = away,
            Change::Prune(prune) => spec.prune = prune,
            Change::Wait(wait) => spec.wait = wait,
            Change::Force(force) => spec.force = force,
            Change::Suspend(suspend) => {
                spec.suspend = suspend;
                self.held.remove(&release);
            }
            Change::Account(account) => spec.account = account,
            Change::Drift(drift) => spec.drift = drift,
            Change::Policy(policy) => spec.policy = policy,
            Change::Label(label) => spec.label = label,
            Change::Patched(patched) => spec.patched = patched,
            Change::MirrorUrl(mirror) => spec.mirror_url = mirror,
            Change::Verify(verify) => spec.verify = verify,
            Change::DependsOn(other) => spec.depends_on = other,
            Change::Gates(gates) => spec.gates = Some(gates),
        }
        self.doubt(release);
    }

    fn delete(&mut self, release: Number) {
        let Some(known) = self.releases.remove(&release) else { return };
        self.held.remove(&release);
        self.untold.remove(&release);
        self.reborn.insert(release);
        if keeps(&known.spec) {
            let had = self.had.get(&release).cloned().unwrap_or_default();
            self.forgiven.entry(release).or_default().extend(had);
        }
        self.going.insert(release, known);
    }

    fn hand(&mut self, kind: Kind, name: u8, away: bool, edit: Edit) {
        let id = self.names.id(kind, name, away);
        match edit {
            Edit::Note => return,
            Edit::Unlabel | Edit::Relabel(_) => {
                self.strayed.insert(id.clone());
                self.steps.meddled(&id);
            }
            Edit::Delete => self.steps.meddled(&id),
            Edit::Change | Edit::Remove => {}
        }
        if edit == Edit::Delete && kind == Kind::CustomResourceDefinition {
            for away in [false, true] {
                self.touched.insert(self.names.id(Kind::Thing, name, away), None);
            }
        }
        self.touched.insert(id, None);
    }

    // A digest is what the tag has at that moment.
    fn pin(&self, release: Number, reference: &Reference) -> Option<usize> {
        match reference {
            Reference::Digest(tag) => self.tags.get(&(release, tag.clone())).copied(),
            Reference::Tag(_) | Reference::Range(_) => None,
        }
    }

    fn remember(&mut self) {
        let releases: Vec<Number> = self.releases.keys().copied().collect();
        let free: Vec<Number> = releases.iter().copied().filter(|release| !self.circles(*release)).collect();
        self.held.retain(|release, why| *why != CIRCLES || !free.contains(release));
        for release in releases {
            if self.releases[&release].spec.depends_on.is_some() {
                self.dependencies.depended(release);
            }
            let Some(wanted) = self.wanted(release) else { continue };
            // What cannot be read runs nothing.
            if !wanted.broken {
                let spec = &self.releases[&release].spec;
                let rollout = Rollout::of(spec, &self.revisions[wanted.revision], &wanted);
                self.steps.wants(release, rollout);
            }
            self.had.entry(release).or_default().extend(wanted.objects.into_keys());
        }
        let wanted: BTreeSet<(Number, Id)> = self.all_wanted();
        self.standing.retain(|standing| wanted.contains(standing));
    }

    fn all_wanted(&self) -> BTreeSet<(Number, Id)> {
        let of = |release: &Number| {
            let objects = self.wanted(*release).map(|wanted| wanted.objects).unwrap_or_default();
            objects.into_keys().map(|id| (*release, id)).collect::<Vec<_>>()
        };
        self.releases.keys().flat_map(of).collect()
    }

    /// What a release wants; none when its reference names nothing.
    pub fn wanted(&self, release: Number) -> Option<Wanted> {
        let known = self.releases.get(&release)?;
        let number = match &known.spec.reference {
            Reference::Tag(tag) => *self.tags.get(&(release, tag.clone()))?,
            Reference::Range(range) => *self.tags.get(&(release, self.newest(release, range)?))?,
            Reference::Digest(_) => known.pinned?,
        };
        let revision = self.revisions.get(number)?;
        let pieces: Vec<&Piece> = match known.spec.path {
            Path::Whole => revision.a.iter().chain(&revision.b).collect(),
            Path::A => revision.a.iter().collect(),
            Path::B => revision.b.iter().collect(),
        };
        let id = |piece: &Piece| self.names.id(piece.kind, piece.name, known.spec.away);
        let objects: BTreeMap<Id, Piece> = pieces.into_iter().map(|piece| (id(piece), *piece)).collect();
        // What an object depends on is not there, or not where it is looked for.
        let lacks = |piece: &Piece| {
            let target = piece.place.after.map(|(kind, name)| self.names.id(kind, name, false));
            target.is_some_and(|id| !objects.contains_key(&id))
        };
        let broken = revision.broken && known.spec.path != Path::A || objects.values().any(lacks);
        Some(Wanted { revision: number, broken, objects })
    }

    fn newest(&self, release: Number, range: &str) -> Option<String> {
        let version = |tag: &str| {
            let mut numbers = tag.split('.').map(str::parse::<u32>);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
        };
        let tags = self.tags.keys().filter(|(of, _)| *of == release).map(|(_, tag)| tag);
        let inside = tags.filter(|tag| range != "1.x" || tag.starts_with("1."));
        inside.max_by_key(|tag| version(tag)).cloned()
    }

    /// Why a release need not be Ready.
    fn blocked(&self, release: Number, seen: &Snapshot) -> Vec<String> {
        let Some(known) = self.releases.get(&release) else { return Vec::new() };
        let Some(wanted) = self.wanted(release) else { return vec!["there is no such tag".to_owned()] };
        // A step that comes after the rest needs it healthy; one that fails before it is the end.
        let waits = (known.spec.wait || wanted.tests() || wanted.orders()) && !wanted.fails(false);
        let mut why = Vec::new();
        if known.spec.gates.is_some() {
            why.push(GATED.to_owned());
        }
        if self.may_wait(release, seen) {
            why.push(WAITS.to_owned());
        }
        if wanted.broken {
            why.push("its artifact cannot be read".to_owned());
        }
        if wanted.objects.is_empty() {
            why.push("its artifact is empty".to_owned());
        }
        if !self.trusts(release) {
            why.push("its artifact is not signed".to_owned());
        }
        if !self.may(&known.spec) {
            why.push("its account may do nothing".to_owned());
        }
        for (id, piece) in &wanted.objects {
            let live = seen.objects.get(id);
            if let Some(owner) = live.and_then(|object| self.owner(object)).filter(|owner| *owner != release)
                && seen.inventories.get(&owner).is_some_and(|ids| ids.contains(id))
            {
                why.push(format!("r{owner} has {id}"));
            }
            // A hand has changed its labels, and who has it does not change them back. Or it has
            // gone by itself, and is in two inventories.
            let has = |(owner, ids): &(&Number, &BTreeSet<Id>)| **owner != release && ids.contains(id);
            let owner = seen.inventories.iter().find(has).map(|(owner, _)| *owner);
            let goes = piece.how == How::Brief || piece.step.is_some();
            if let Some(owner) = owner.filter(|_| live.is_none() && goes) {
                why.push(format!("r{owner} has {id} too"));
            }
            if piece.step.is_some() && self.steps.is_meddled(id) {
                why.push(format!("a hand was at {id}, and nobody knows whether it has run"));
            }
            if let Some(owner) =
                owner.filter(|owner| self.strayed.contains(id) && self.leaves_labels(*owner, id, seen))
            {
                why.push(format!("r{owner} still has {id}"));
            }
            if piece.kind == Kind::Thing && !self.is_defined(piece, &wanted, seen) {
                why.push(format!("nothing defines {id}"));
            }
            let target = self.names.id(Kind::Deployment, piece.name, known.spec.away);
            let scales_nothing =
                piece.kind == Kind::HorizontalPodAutoscaler && !seen.objects.contains_key(&target);
            if waits && scales_nothing {
                why.push(format!("{id} has nothing to scale"));
            }
            // What must not be deleted is not recreated either, unless somebody asks for it.
            let field = match (piece.kind, piece.how) {
                (Kind::RoleBinding, _) => Some("/roleRef"),
                (Kind::Job, How::Kept) if piece.step.is_none() => {
                    Some("/spec/template/spec/containers/0/image")
                }
                _ => None,
            };
            if let Some(field) = field.filter(|_| !known.spec.force) {
                let reference = seen.references.get(&(release, id.clone()));
                if live.zip(reference).is_some_and(|(l, r)| l.pointer(field) != r.pointer(field)) {
                    why.push(format!("{id} cannot be changed"));
                }
            }
        }
        if waits && wanted.objects.values().any(|piece| piece.how == How::Failing) {
            why.push("a Deployment fails".to_owned());
        }
        if wanted.fails(false) || wanted.fails(true) {
            why.push(STEP_FAILS.to_owned());
        }
        why
    }

    /// Whether a release does not put the labels of an object back.
    fn leaves_labels(&self, release: Number, id: &Id, seen: &Snapshot) -> bool {
        let Some(known) = self.releases.get(&release) else { return false };
        let is_once = |wanted: Wanted| wanted.objects.get(id).is_some_and(|piece| piece.how == How::Once);
        known.spec.suspend
            || known.spec.drift != Drift::Correct
            || self.may_wait(release, seen)
            || !self.may(&known.spec)
            || !self.trusts(release)
            || self.wanted(release).is_none_or(is_once)
    }

    fn is_defined(&self, thing: &Piece, wanted: &Wanted, seen: &Snapshot) -> bool {
        let definition = self.names.id(Kind::CustomResourceDefinition, thing.name, false);
        if wanted.objects.contains_key(&definition) {
            return true;
        }
        let Some(live) = seen.objects.get(&definition) else { return false };
        let fields = live.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties");
        fields.is_some_and(|fields| !fields[format!("f{}", thing.variant)].is_null())
    }

    /// Whether the account of a spec may do what it wants.
    fn may(&self, spec: &Spec) -> bool {
        match spec.account {
            Account::Default | Account::Strong => true,
            Account::Weak => self.rights,
            Account::Missing => false,
        }
    }

    /// Whose an object is by its labels.
    fn owner(&self, object: &Value) -> Option<Number> {
        let labels = &object["metadata"]["labels"];
        if labels["supercargo.dev/namespace"] != self.names.home.as_str() {
            return None;
        }
        labels["supercargo.dev/name"].as_str()?.strip_prefix('r')?.parse().ok()
    }

    /// What is not as it has to be, once it is quiet.
    pub fn judge(&self, seen: &Snapshot) -> Vec<String> {
        let mut wrong = Vec::new();
        for release in self.releases.keys() {
            self.judge_release(*release, seen, &mut wrong);
        }
        self.judge_waiting(seen, &mut wrong);
        for (release, known) in &self.going {
            let stuck = self.is_stuck(*release, known, seen);
            if seen.releases.contains_key(release) && !stuck {
                wrong.push(format!("r{release} was deleted and is still there"));
            }
            if seen.inventories.contains_key(release) && !seen.releases.contains_key(release) {
                wrong.push(format!("r{release} has gone and its inventory has not"));
            }
        }
        wrong.extend(self.unlisted(seen).into_values());
        wrong
    }

    /// Objects that are labelled as a release's and in no inventory of it, by their uids.
    /// That may not be at any time: names are written down before objects are made, and
    /// taken out after they are gone.
    pub fn unlisted(&self, seen: &Snapshot) -> BTreeMap<String, String> {
        let mut wrong = BTreeMap::new();
        for (id, object) in &seen.objects {
            let Some(owner) = self.owner(object) else { continue };
            let listed = seen.inventories.get(&owner).is_some_and(|ids| ids.contains(id));
            if !listed && !self.is_forgiven(owner, id, seen) {
                let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
                wrong.insert(uid, format!("{id} is labelled as r{owner}'s and in no inventory of it"));
            }
        }
        wrong
    }

    /// What was made anew since the last judgement without need, and which replicas have
    /// jumped.
    pub fn against_before(&self, seen: &Snapshot) -> Vec<String> {
        let mut wrong = Vec::new();
        for (id, object) in &seen.objects {
            let (Some(owner), Some((kind, name, _))) = (self.owner(object), self.ever.get(id)) else {
                continue;
            };
            if !self.standing.contains(&(owner, id.clone())) || self.touched.contains_key(id) {
                continue;
            }
            let anew = self.uids.get(id).is_some_and(|uid| object["metadata"]["uid"] != uid.as_str());
            let before = self.owners.get(id).copied();
            // Whoever could not have it in time gets it anew.
            let in_time = !self.excused && !self.dependencies.has_depended(owner);
            let may = before == Some(owner) || (before.is_some() && in_time);
            let recreated = match kind {
                Kind::Job | Kind::RoleBinding => true,
                Kind::Thing => {
                    let definition = self.names.id(Kind::CustomResourceDefinition, *name, false);
                    let now = seen.objects.get(&definition).map(|d| d["metadata"]["uid"].clone());
                    now != self.uids.get(&definition).map(|uid| Value::from(uid.as_str()))
                        || self.touched.contains_key(&definition)
                }
                _ => false,
            };
            if anew && may && !recreated {
                wrong.push(format!(
                    "{id} was r{before:?}'s and is r{owner}'s, was wanted all the time and was made anew"
                ));
            }
            if !anew
                && let Some((replicas, false)) = self.replicas.get(id)
                && self.is_scaled(owner, id)
                && object["spec"]["replicas"] != *replicas
                && before == Some(owner)
            {
                let now = &object["spec"]["replicas"];
                wrong.push(format!(
                    "an autoscaler came to {id}, and its replicas went from {replicas} to {now}"
                ));
            }
        }
        wrong
    }

    // Whether a release has an autoscaler for its Deployment.
    fn is_scaled(&self, release: Number, id: &Id) -> bool {
        let Some((Kind::Deployment, name, away)) = self.ever.get(id) else { return false };
        let scaler = self.names.id(Kind::HorizontalPodAutoscaler, *name, *away);
        self.wanted(release).is_some_and(|wanted| wanted.objects.contains_key(&scaler))
    }

    fn is_forgiven(&self, owner: Number, id: &Id, seen: &Snapshot) -> bool {
        self.strayed.contains(id)
            || self.forgiven.get(&owner).is_some_and(|ids| ids.contains(id))
            // It outlives its release, as it asks for.
            || (self.reborn.contains(&owner) && self.is_kept(id, seen))
    }

    /// Whether an object asks to be kept, or one does that depends on it.
    fn is_kept(&self, id: &Id, seen: &Snapshot) -> bool {
        let (mut all, mut left) = (BTreeSet::new(), vec![id]);
        while let Some(id) = left.pop() {
            let (Some(object), Some((kind, name, _))) = (seen.objects.get(id), self.ever.get(id)) else {
                continue;
            };
            if opted_out(object) {
                return true;
            }
            // They depend on what is in the namespace of the releases.
            if !all.insert(id) || *id != self.names.id(*kind, *name, false) {
                continue;
            }
            let reference = self.names.reference(*kind, *name);
            let depends = |object: &Value| {
                object["metadata"]["annotations"]["config.kubernetes.io/depends-on"] == reference.as_str()
                    && self.owner(object).is_some()
            };
            left.extend(seen.objects.iter().filter(|(_, object)| depends(object)).map(|(id, _)| id));
        }
        false
    }

    fn judge_release(&self, release: Number, seen: &Snapshot, wrong: &mut Vec<String>) {
        let known = &self.releases[&release];
        let Some(status) = seen.releases.get(&release) else {
            wrong.push(format!("r{release} is not there"));
            return;
        };
        if status["status"]["observedGeneration"] != status["metadata"]["generation"] {
            wrong.push(format!("r{release} has not looked at its spec"));
            return;
        }
        if known.spec.suspend {
            return;
        }
        if self.circles(release) {
            self.judge_circle(release, seen, wrong);
            return;
        }
        let ready = condition(status, "Ready");
        let (ready, says) = ready.map_or(("", "nothing".to_owned()), |c| {
            let ready = if c.status == "True" { "True" } else { "" };
            (ready, format!("{}/{}: {}", c.status, c.reason, c.message))
        });
        let blocked = self.blocked(release, seen);
        if blocked == [WAITS] && ready != "True" && !says.starts_with("False/DependencyNotReady") {
            wrong.push(format!("r{release} waits for its dependency and does not say so: {says}"));
        }
        if ready != "True" {
            if blocked.is_empty() {
                wrong.push(format!("r{release} is not Ready and should be: {says}"));
            }
            if blocked == [STEP_FAILS] {
                self.judge_stopped(release, known, seen, wrong);
            }
            self.judge_applied(release, known, &blocked, seen, wrong);
            return;
        }
        let Some(wanted) = self.wanted(release).filter(|wanted| !wanted.broken) else {
            wrong.push(format!("r{release} is Ready and cannot be: {}: {says}", blocked.join(", ")));
            return;
        };
        if wanted.fails(false) || wanted.fails(true) {
            wrong.push(format!("r{release} is Ready, and a step of it fails: {says}"));
        }
        if !self.trusts(release) {
            wrong.push(format!("r{release} is Ready, and nobody has signed its artifact: {says}"));
        }
        if known.spec.wait {
            let healthy = condition(status, "Healthy").map(|c| c.status).unwrap_or_default();
            if healthy != "True" {
                wrong.push(format!("r{release} is Ready and waits for health, and Healthy is {healthy:?}"));
            }
            if wanted.objects.values().any(|piece| piece.how == How::Failing) {
                wrong.push(format!("r{release} is Ready, and a Deployment of it fails"));
            }
        }
        if known.spec.drift == Drift::Correct {
            let drifted = condition(status, "Drifted").filter(|c| c.status == "True");
            if let Some(drifted) = drifted {
                wrong.push(format!("r{release} corrects drift and is Drifted: {}", drifted.message));
            }
        }
        for (id, piece) in &wanted.objects {
            self.judge_object(release, known, id, *piece, &wanted, seen, wrong);
        }
        self.judge_rest(release, known, &wanted, seen, wrong);
    }

    #[expect(clippy::too_many_arguments, reason = "one object of a release, and all that is known of both")]
    fn judge_object(
        &self,
        release: Number,
        known: &Known,
        id: &Id,
        piece: Piece,
        wanted: &Wanted,
        seen: &Snapshot,
        wrong: &mut Vec<String>,
    ) {
        let left_alone = known.spec.drift != Drift::Correct && self.touched.contains_key(id);
        let Some(object) = seen.objects.get(id) else {
            // A Job that was done and is gone is not run again.
            let goes = piece.how == How::Brief || piece.step.is_some_and(|step| step.end != End::Stays);
            let done = piece.kind == Kind::Job && (goes || self.touched.contains_key(id));
            if !left_alone && !done {
                wrong.push(format!("r{release} is Ready and {id} is not there"));
            }
            return;
        };
        if left_alone || self.is_given_away(id, piece) {
            return;
        }
        // Nobody corrects a step. One that was done and is gone may be another's by now.
        let goes = piece.step.is_some_and(|step| matches!(step.end, End::Expires | End::Cleaned));
        if piece.step.is_some()
            && (self.touched.contains_key(id) || goes && self.owner(object) != Some(release))
        {
            return;
        }
        if self.owner(object) != Some(release) {
            wrong.push(format!("r{release} is Ready and {id} is not labelled as its own"));
        }
        if piece.how == How::Once {
            return;
        }
        let scaled = |kind| self.names.id(kind, piece.name, known.spec.away);
        let scaled = piece.kind == Kind::Deployment
            && wanted.objects.contains_key(&scaled(Kind::HorizontalPodAutoscaler));
        let Some(reference) = seen.references.get(&(release, id.clone())) else { return };
        let [mut live, mut reference] = [normal(object), normal(reference)];
        if scaled {
            live["spec"]["replicas"] = Value::Null;
            reference["spec"]["replicas"] = Value::Null;
        }
        let mut paths = Vec::new();
        compare(&live, &reference, "", &mut paths);
        if !paths.is_empty() {
            let variant = &object["metadata"]["annotations"][VARIANT];
            wrong.push(format!(
                "r{release} is Ready and {id} (variant {variant}, wanted {}) is not as kubectl would make it: {}",
                piece.variant,
                paths.join("; ")
            ));
        }
    }

    // What is applied is as it was applied, while a newer revision cannot be had or is
    // refused.
    fn judge_applied(
        &self,
        release: Number,
        known: &Known,
        blocked: &[String],
        seen: &Snapshot,
        wrong: &mut Vec<String>,
    ) {
        let Some(applied) = self.results.get(&release) else { return };
        let same = seen.results.get(&release) == Some(&applied.key) && applied.renders_as(known);
        let lost = self.forgiven.get(&release).is_some_and(|ids| !ids.is_empty());
        let trusted = self.trusts(release) && self.is_signed(release, applied.revision);
        let acts = known.spec.drift == Drift::Correct && self.may(&known.spec) && trusted;
        let stopped = |wanted: Wanted| {
            wanted.broken || blocked == [WAITS] || blocked == [STEP_FAILS] && wanted.fails(false)
        };
        if !same || lost || !acts || !self.wanted(release).is_none_or(stopped) {
            return;
        }
        // What another release has by now keeps all of it from being written.
        let taken = |id: &Id| seen.objects.get(id).and_then(|o| self.owner(o)).is_some_and(|o| o != release);
        if applied.objects.keys().any(taken) {
            return;
        }
        for (id, before) in &applied.objects {
            let Some(object) = seen.objects.get(id) else {
                wrong.push(format!("r{release} has applied {id}, and it is not there"));
                continue;
            };
            let mut paths = Vec::new();
            compare(&normal(object), before, "", &mut paths);
            if !paths.is_empty() {
                wrong.push(format!("r{release} has applied {id}, and it is not so: {}", paths.join("; ")));
            }
        }
    }

    // A step fails. Before the rest, nothing else of the revision is there; after it, all is.
    fn judge_stopped(&self, release: Number, known: &Known, seen: &Snapshot, wrong: &mut Vec<String>) {
        let (Some(wanted), Some(status)) = (self.wanted(release), seen.releases.get(&release)) else {
            return;
        };
        for kind in ["Ready", "Stalled"] {
            let reason = condition(status, kind).map(|c| c.reason).unwrap_or_default();
            if reason != "StepFailed" {
                wrong.push(format!("a step of r{release} fails, and {kind} has the reason {reason:?}"));
            }
        }
        if !wanted.fails(false) {
            // Steps of a later wave have not begun.
            for (id, piece) in wanted.objects.iter().filter(|(_, piece)| piece.step.is_none()) {
                self.judge_object(release, known, id, *piece, &wanted, seen, wrong);
            }
            return;
        }
        if !self.steps.stays_applied(release) {
            return;
        }
        if let Some(applied) = self.results.get(&release)
            && seen.results.get(&release) != Some(&applied.key)
        {
            wrong.push(format!(
                "a step of r{release} fails before the rest, and {} is not applied",
                applied.key
            ));
        }
        for (id, piece) in &wanted.objects {
            let is_new = seen.objects.get(id).is_some_and(|object| self.owner(object) == Some(release))
                && !self.uids.contains_key(id);
            if is_new && piece.step.is_none() {
                wrong.push(format!("a step of r{release} fails before the rest, and {id} was written"));
            }
        }
    }

    /// Steps that have run and may not have, and those that have not. `runs` are the ones since the
    /// last judgement.
    pub fn against_runs(&mut self, runs: Vec<Run>, seen: &Snapshot) -> Vec<String> {
        self.steps.ran(runs);
        let is_ready = |release: &Number| self.is(*release, seen, "True", None);
        let ready = self.releases.keys().filter(|release| is_ready(release)).filter_map(|release| {
            let (key, wanted) = (seen.results.get(release)?.clone(), self.wanted(*release)?);
            let steps = wanted.objects.into_iter().filter(|(_, piece)| piece.step.is_some());
            Some((*release, (key, steps.map(|(id, _)| id).collect())))
        });
        let failing: BTreeSet<Id> = self
            .revisions
            .iter()
            .flat_map(|revision| revision.a.iter().chain(&revision.b))
            .filter(|piece| piece.fails(false) || piece.fails(true))
            .flat_map(|piece| [false, true].map(|away| self.names.id(piece.kind, piece.name, away)))
            .collect();
        self.steps.judge(&ready.collect(), |id| failing.contains(id))
    }

    /// Objects that were created before what comes before them. `created` are the ones since the
    /// last judgement, one after the other.
    pub fn against_order(&self, created: &[Id]) -> Vec<String> {
        let mut wrong = Vec::new();
        for release in self.releases.keys().filter(|release| self.steps.wants_one(**release)) {
            let Some(wanted) = self.wanted(*release).filter(|wanted| !wanted.broken) else { continue };
            // What others have wanted too may have been made by them, and drift is corrected at once.
            let others = |id: &Id| self.had.iter().any(|(other, ids)| other != release && ids.contains(id));
            let is_new = |id: &Id| {
                let (times, last) =
                    (created.iter().filter(|of| *of == id).count(), self.uids.contains_key(id));
                times == 1 && !last && !self.touched.contains_key(id) && !others(id)
            };
            let mut before: Option<(&Id, (i8, i8))> = None;
            let new: Vec<&Id> =
                created.iter().filter(|id| wanted.objects.contains_key(*id) && is_new(id)).collect();
            for (n, id) in new.iter().copied().enumerate() {
                let piece = &wanted.objects[id];
                let needs = piece.place.after.map(|(kind, name)| self.names.id(kind, name, false));
                if let Some(late) = needs.filter(|needs| new[n..].contains(&needs)) {
                    wrong.push(format!("r{release} has created {id} before {late}, on which it depends"));
                }
                let rank = wanted.rank(piece);
                if let Some((other, highest)) = before.filter(|(_, highest)| *highest > rank) {
                    wrong.push(format!(
                        "r{release} has created {other}, which has the place {highest:?}, before {id}, which has {rank:?}"
                    ));
                }
                before = before.filter(|(_, highest)| *highest >= rank).or(Some((id, rank)));
            }
        }
        wrong
    }

    // Whether Ready of a release that is not suspended has that status and reason.
    fn is(&self, release: Number, seen: &Snapshot, status: &str, reason: Option<&str>) -> bool {
        let suspended = self.releases.get(&release).is_none_or(|known| known.spec.suspend);
        let ready = seen.releases.get(&release).and_then(|of| condition(of, "Ready"));
        let is = ready.is_some_and(|c| c.status == status && reason.is_none_or(|reason| c.reason == reason));
        is && !suspended
    }

    // What it has applied, as far as nobody but its own hand changes it.
    fn applied(&self, release: Number, seen: &Snapshot) -> Option<Applied> {
        let (known, wanted) = (self.releases.get(&release)?, self.wanted(release)?);
        let key = seen.results.get(&release)?.clone();
        // With a kind that somebody else defines all of it may be refused.
        let defined = wanted.objects.values().any(|piece| piece.kind == Kind::Thing);
        if defined || known.spec.drift != Drift::Correct {
            return None;
        }
        let theirs = [Kind::Job, Kind::Thing, Kind::Deployment];
        let ours = wanted
            .objects
            .iter()
            .filter(|(_, piece)| piece.how != How::Once && !theirs.contains(&piece.kind));
        let objects = ours.filter_map(|(id, _)| Some((id.clone(), normal(seen.objects.get(id)?)))).collect();
        Some(Applied { spec: known.spec.clone(), key, objects, revision: wanted.revision })
    }

    // What is only made and then left alone belongs to whom a hand gives it to.
    fn is_given_away(&self, id: &Id, piece: Piece) -> bool {
        piece.how == How::Once && self.strayed.contains(id)
    }

    // What is not wanted and is there all the same, and what is in the inventory.
    fn judge_rest(
        &self,
        release: Number,
        known: &Known,
        wanted: &Wanted,
        seen: &Snapshot,
        wrong: &mut Vec<String>,
    ) {
        for (id, object) in &seen.objects {
            if self.owner(object) != Some(release) || wanted.objects.contains_key(id) {
                continue;
            }
            let kept = !known.spec.prune || self.is_kept(id, seen) || self.is_forgiven(release, id, seen);
            if !kept {
                wrong
                    .push(format!("r{release} is Ready and {id}, which it does not want any more, is there"));
            }
        }
        let Some(listed) = seen.inventories.get(&release) else {
            if self.forgiven.get(&release).is_none_or(BTreeSet::is_empty) {
                wrong.push(format!("r{release} is Ready and has no inventory"));
            }
            return;
        };
        let forgiven = self.forgiven.get(&release);
        // The entry of a step goes with its object.
        let gone = |id: &Id, piece: &Piece| piece.step.is_some() && !seen.objects.contains_key(id);
        let kept =
            wanted.objects.iter().filter(|(id, piece)| !self.is_given_away(id, **piece) && !gone(id, piece));
        for id in kept.map(|(id, _)| id).filter(|id| !listed.contains(*id)) {
            if forgiven.is_none_or(|ids| !ids.contains(id)) {
                wrong.push(format!("r{release} is Ready and {id} is not in its inventory"));
            }
        }
        for id in listed.iter().filter(|id| !wanted.objects.contains_key(*id)) {
            if !seen.objects.contains_key(id) && forgiven.is_none_or(BTreeSet::is_empty) {
                wrong.push(format!("r{release} is Ready and its inventory has {id}, which is gone"));
            }
        }
    }

    /// The cluster was judged and is as it should be: what hands did is over.
    pub fn settled(&mut self, seen: &Snapshot) {
        let releases: Vec<Number> = self.releases.keys().copied().collect();
        for release in releases {
            let known = &self.releases[&release];
            if known.spec.suspend {
                self.held.insert(release, SUSPENDED);
                continue;
            }
            if self.circles(release) {
                self.held.insert(release, CIRCLES);
            }
            let (ready, failed) =
                (self.is(release, seen, "True", None), self.is(release, seen, "False", Some("StepFailed")));
            let key = if ready { seen.results.get(&release).cloned() } else { seen.step_key(release) };
            self.steps.settled(release, key.map(|key| (key, ready)), ready || failed);
            if !self.circles(release) && self.wanted(release).is_some() && !self.trusts(release) {
                self.held.insert(release, "is not trusted");
            }
            let ready = seen.releases.get(&release).and_then(|status| condition(status, "Ready"));
            let Some(wanted) = self.wanted(release) else { continue };
            if ready.is_none_or(|ready| ready.status != "True") {
                continue;
            }
            match self.applied(release, seen) {
                Some(applied) => drop(self.results.insert(release, applied)),
                None => drop(self.results.remove(&release)),
            }
            let known = &self.releases[&release];
            let correct = known.spec.drift == Drift::Correct;
            for (id, piece) in wanted.objects.iter().filter(|(id, _)| seen.objects.contains_key(*id)) {
                let listed = seen.inventories.get(&release).is_some_and(|ids| ids.contains(id));
                if correct && !self.is_given_away(id, *piece) && piece.step.is_none() {
                    self.touched.remove(id);
                    self.strayed.remove(id);
                }
                if let Some(forgiven) = self.forgiven.get_mut(&release).filter(|_| listed) {
                    forgiven.remove(id);
                }
            }
        }
        self.going.retain(|release, _| seen.releases.contains_key(release));
        self.remember_waiting(seen);
        self.standing = self.all_wanted();
        self.standing.retain(|(release, _)| !self.releases[release].spec.suspend);
        (self.uids, self.owners, self.replicas) = Default::default();
        for (id, object) in &seen.objects {
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
            self.uids.insert(id.clone(), uid.to_owned());
            if let Some(owner) = self.owner(object) {
                self.owners.insert(id.clone(), owner);
                let replicas = object["spec"]["replicas"].clone();
                self.replicas.insert(id.clone(), (replicas, self.is_scaled(owner, id)));
            }
        }
        self.untold.clear();
        self.excused = false;
    }

    /// Whether the operator has nothing to try again.
    pub fn calm(&self, seen: &Snapshot) -> bool {
        // Who waits for a dependency is told when to go on.
        let waits =
            |status: &Value| condition(status, "Ready").is_some_and(|c| c.reason == "DependencyNotReady");
        let retries = |status: &Value| {
            condition(status, "Reconciling").is_some_and(|c| c.status == "True") && !waits(status)
        };
        !seen.releases.values().any(retries)
    }
}

/// Whether the objects of a release stay when it goes.
fn keeps(spec: &Spec) -> bool {
    match spec.policy {
        Policy::Orphan => true,
        Policy::MirrorPrune => !spec.prune,
        Policy::Delete | Policy::WaitForTermination => false,
    }
}

fn opted_out(object: &Value) -> bool {
    object["metadata"]["annotations"]["supercargo.dev/prune"] == "disabled"
}

/// An object without what the API server, its controllers and hands add.
fn normal(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    let metadata = object["metadata"].take();
    let mut kept = serde_json::Map::new();
    for field in ["labels", "annotations"] {
        let mut all = metadata[field].as_object().cloned().unwrap_or_default();
        all.retain(|key, _| {
            !["example.com/note", "deployment.kubernetes.io/revision", "supercargo.dev/step-run"]
                .contains(&key.as_str())
                && !key.starts_with("supercargo.dev/name")
                && !key.starts_with("batch.kubernetes.io/")
                && !["controller-uid", "job-name"].contains(&key.as_str())
        });
        kept.insert(field.to_owned(), all.into());
    }
    object["metadata"] = kept.into();
    if object["kind"] == "Service"
        && let Some(spec) = object["spec"].as_object_mut()
    {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    if object["kind"] == "Job"
        && let Some(spec) = object["spec"].as_object_mut()
    {
        spec.remove("selector");
        if let Some(metadata) = spec.get_mut("template").and_then(|t| t["metadata"].as_object_mut()) {
            metadata.remove("labels");
        }
    }
    object
}

fn compare(live: &Value, wanted: &Value, path: &str, into: &mut Vec<String>) {
    match (live, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let value = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(&value(a), &value(b), &format!("{path}/{}", key.replace('/', "~1")), into);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                compare(a, b, &format!("{path}/{n}"), into);
            }
        }
        _ if live == wanted || is_nothing(live) && is_nothing(wanted) => {}
        _ => into.push(format!("{path} is {live} and not {wanted}")),
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}

#[cfg(test)]
mod tests;
