//! A history of a seed: the same seed makes the same history.

pub mod gates;

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::action::{
    Account, Action, Change, Drift, Edit, End, How, InventoryEdit, Number, Path, Piece, Place, Policy,
    Reference, Revision, Spec, Step,
};
use crate::kinds::{Kind, MAX_VARIANT, Names};
use crate::model::World;

const TAGS: [&str; 4] = ["1.0.0", "1.1.0", "1.2.0", "2.0.0"];
/// How many releases there are at most.
const RELEASES: Number = 3;
/// The name that several releases use.
const SHARED: u8 = 9;
/// An object that is put back more often within a minute is contested and waits.
const EDITS: u32 = 2;
/// How many objects a revision has at most.
const PIECES: usize = 7;

/// The history of a seed, with so many judgements.
pub fn history(seed: u64, judgements: usize) -> Vec<Action> {
    let names = Names { home: "home".to_owned(), away: "away".to_owned() };
    let mut maker = Maker {
        rng: Rng::with_seed(seed),
        world: World::new(names),
        actions: Vec::new(),
        edits: BTreeMap::new(),
    };
    maker.begin();
    for _ in 1..judgements {
        for _ in 0..maker.rng.usize(2..=7) {
            maker.next();
        }
        maker.add(Action::Settle);
    }
    maker.actions
}

struct Maker {
    rng: Rng,
    world: World,
    actions: Vec<Action>,
    edits: BTreeMap<(Kind, u8, bool), u32>,
}

impl Maker {
    fn add(&mut self, action: Action) {
        self.world.act(&action);
        self.actions.push(action);
    }

    fn begin(&mut self) {
        let revision = self.evolve(0, &Revision::default());
        self.add(Action::Push { release: 0, tag: TAGS[0].to_owned(), revision });
        self.add(Action::Create { release: 0, spec: Spec::default() });
        self.add(Action::Settle);
    }

    fn next(&mut self) {
        let release = self.rng.u8(0..RELEASES);
        let exists = self.world.releases.contains_key(&release);
        match self.rng.u8(0..100) {
            0..16 => self.push(release),
            16..24 if exists => self.roll_out(release),
            16..24 => self.push(release),
            24..44 if exists => self.specify(release),
            24..44 => self.create(release),
            44..60 => self.hand(),
            60..64 if exists => self.delete(release),
            60..68 if !exists => self.create(release),
            64..69 if exists => {
                let all =
                    [InventoryEdit::Add, InventoryEdit::Empty, InventoryEdit::Delete, InventoryEdit::Lose];
                let edit = self.one(&all);
                self.add(Action::Inventory { release, edit });
            }
            69..73 => {
                let granted = self.rng.bool();
                self.add(Action::Rights { granted });
            }
            73..77 => {
                let there = self.rng.u8(0..3) == 0;
                self.add(Action::Registry { there });
            }
            77..81 => {
                let there = self.rng.u8(0..3) == 0;
                self.add(Action::ApiServer { there });
            }
            81..83 => self.add(Action::Kill),
            83..86 => self.add(Action::Restart),
            86..88 => self.add(Action::Freeze),
            88..92 => {
                let (nth, landed) = (self.rng.u64(1..12), self.rng.bool());
                self.add(Action::Crash { nth, landed });
            }
            92 => self.add(Action::Replica),
            93..95 if exists => self.add(Action::Ask { release }),
            95..97 => self.add(Action::Look),
            97 if exists => {
                let verifies = self.world.releases[&release].spec.verify;
                if !verifies && self.rng.bool() {
                    self.add(Action::Specify { release, change: Change::Verify(true) });
                }
                let tag = self.one(&TAGS).to_owned();
                self.add(Action::Sign { release, tag });
            }
            99 if self.rng.u8(0..4) == 0 => self.add(Action::RestartApiServer),
            98 if exists => self.add(Action::Unask { release }),
            _ => {
                let milliseconds = self.rng.u64(50..900);
                self.add(Action::Pass { milliseconds });
            }
        }
    }

    fn one<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.rng.usize(0..all.len())].clone()
    }

    fn push(&mut self, release: Number) {
        let tag = self.one(&TAGS);
        let verifies = self.world.releases.get(&release).is_some_and(|known| known.spec.verify);
        let followed = TAGS.iter().rev().find_map(|tag| self.world.revision(release, tag)).cloned();
        let before = self.world.revision(release, tag).cloned().or(followed).unwrap_or_default();
        let mut revision = self.evolve(release, &before);
        revision.broken = self.rng.u8(0..12) == 0;
        self.add(Action::Push { release, tag: tag.to_owned(), revision });
        if verifies && self.rng.u8(0..3) > 0 {
            self.add(Action::Sign { release, tag: tag.to_owned() });
        }
    }

    // What a release follows becomes another revision, which it is told, and something happens in
    // the middle of the rollout.
    fn roll_out(&mut self, release: Number) {
        if self.rng.u8(0..3) == 0 {
            let (nth, landed) = (self.rng.u64(1..25), self.rng.bool());
            self.add(Action::Crash { nth, landed });
        }
        for _ in 0..self.rng.u8(1..=2) {
            let spec = self.world.releases[&release].spec.clone();
            let tag = match &spec.reference {
                Reference::Tag(tag) => tag.clone(),
                Reference::Range(_) | Reference::Digest(_) => self.one(&TAGS).to_owned(),
            };
            let before = self.world.revision(release, &tag).cloned().unwrap_or_default();
            let mut revision = self.evolve(release, &before);
            self.bring_step(release, &mut revision);
            self.align(&mut revision);
            self.add(Action::Push { release, tag: tag.clone(), revision });
            if spec.verify && self.rng.u8(0..3) > 0 {
                self.add(Action::Sign { release, tag });
            }
            self.add(Action::Ask { release });
            let milliseconds = self.rng.u64(20..1600);
            self.add(Action::Pass { milliseconds });
        }
        match self.rng.u8(0..12) {
            0..2 => self.add(Action::Kill),
            2..6 => self.add(Action::Restart),
            6 => self.add(Action::Freeze),
            7 => self.add(Action::ApiServer { there: false }),
            8 => self.hand(),
            9 => self.specify(release),
            10 => self.add(Action::Replica),
            _ => self.add(Action::Look),
        }
    }

    fn create(&mut self, release: Number) {
        let tag = self.one(&TAGS);
        if !self.world.has_tag(release, tag) {
            let revision = self.evolve(release, &Revision::default());
            self.add(Action::Push { release, tag: tag.to_owned(), revision });
        }
        let mut spec = Spec { reference: Reference::Tag(tag.to_owned()), ..Spec::default() };
        spec.wait = self.rng.u8(0..4) == 0;
        spec.prune = self.rng.u8(0..6) > 0;
        spec.away = self.rng.u8(0..5) == 0;
        if self.rng.u8(0..5) < 2 {
            spec.depends_on = self.dependency(release);
        }
        self.add(Action::Create { release, spec });
    }

    // One that a release depends on from now on, seldom so that it is a cycle.
    fn dependency(&mut self, release: Number) -> Option<Number> {
        let others: Vec<Number> = (0..RELEASES).filter(|other| *other != release).collect();
        let closing = others.iter().copied().find(|other| self.world.leads_to(*other, release));
        if self.rng.u8(0..3) > 0 && closing.is_some() {
            return closing;
        }
        let other = self.one(&others);
        (!self.world.leads_to(other, release)).then_some(other)
    }

    // With it go some of those that depend on it, or that it depends on, in any order.
    fn delete(&mut self, release: Number) {
        let depends = |of: Number, on: Number| {
            self.world.releases.get(&of).is_some_and(|known| known.spec.depends_on == Some(on))
        };
        let is_near = |other: &Number| depends(*other, release) || depends(release, *other);
        let near: Vec<Number> = (0..RELEASES).filter(is_near).collect();
        self.add(Action::Delete { release });
        for other in near {
            if self.world.releases.contains_key(&other) && self.rng.bool() {
                let milliseconds = self.rng.u64(0..1500);
                self.add(Action::Pass { milliseconds });
                self.add(Action::Delete { release: other });
            }
        }
    }

    fn specify(&mut self, release: Number) {
        let spec = self.world.releases[&release].spec.clone();
        let change = match self.rng.u8(0..32) {
            0..7 => {
                let tag = self.one(&TAGS).to_owned();
                let known = self.world.has_tag(release, &tag);
                Change::Reference(match self.rng.u8(0..4) {
                    0 => Reference::Range(self.one(&["1.x", ">=1.0.0"]).to_owned()),
                    1 if known => Reference::Digest(tag),
                    _ => Reference::Tag(tag),
                })
            }
            7..10 => Change::Path(self.one(&[Path::Whole, Path::A, Path::B])),
            10..12 => Change::Away(!spec.away),
            12..14 => Change::Prune(!spec.prune),
            14 | 15 => Change::Wait(!spec.wait),
            16 => Change::Force(!spec.force),
            17 | 18 => Change::Suspend(!spec.suspend),
            19 | 20 => Change::Account(self.one(&[
                Account::Default,
                Account::Strong,
                Account::Weak,
                Account::Weak,
                Account::Missing,
            ])),
            21 => Change::Drift(self.one(&[Drift::Correct, Drift::Correct, Drift::Report, Drift::Off])),
            22 => Change::Policy(self.one(&[
                Policy::MirrorPrune,
                Policy::Delete,
                Policy::WaitForTermination,
                Policy::Orphan,
            ])),
            23 => Change::Label(self.one(&[None, Some(1), Some(2)])),
            25 => Change::Verify(!spec.verify),
            24 => Change::Patched(self.one(&[None, Some(1), Some(2)])),
            26 => Change::MirrorUrl(!spec.mirror_url),
            _ => match spec.depends_on {
                Some(other) if self.world.releases.contains_key(&other) && self.rng.u8(0..2) == 0 => {
                    let change = Change::DependsOn(Some(release));
                    return self.add(Action::Specify { release: other, change });
                }
                Some(_) if self.rng.u8(0..3) > 0 => Change::DependsOn(None),
                _ => Change::DependsOn(self.dependency(release)),
            },
        };
        self.add(Action::Specify { release, change });
    }

    fn hand(&mut self) {
        let wanted = self.world.releases.keys().filter_map(|release| {
            let away = self.world.releases[release].spec.away;
            let objects = self.world.wanted(*release)?.objects;
            Some(objects.into_values().map(move |piece| (piece, away)).collect::<Vec<_>>())
        });
        let wanted =
            wanted.flatten().map(|(piece, away)| (piece.kind, piece.name, away && piece.kind.namespaced()));
        let mut all: Vec<(Kind, u8, bool)> = wanted.collect();
        // What is applied may not be what is wanted.
        if all.is_empty() || self.rng.u8(0..4) == 0 {
            all = self.world.ever.values().copied().collect();
        }
        if all.is_empty() {
            return;
        }
        let (kind, name, away) = self.one(&all);
        let edits = self.edits.entry((kind, name, away)).or_default();
        if *edits >= EDITS {
            return;
        }
        *edits += 1;
        let other = self.rng.u8(0..RELEASES);
        let edit = self.one(&[
            Edit::Change,
            Edit::Change,
            Edit::Change,
            Edit::Remove,
            Edit::Note,
            Edit::Delete,
            Edit::Delete,
            Edit::Unlabel,
            Edit::Relabel(other),
        ]);
        self.add(Action::Hand { kind, name, away, edit });
    }

    // The revision after another one.
    fn evolve(&mut self, release: Number, before: &Revision) -> Revision {
        let mut after = Revision::default();
        for (pieces, into) in [(&before.a, true), (&before.b, false)] {
            for piece in pieces {
                let mut piece = *piece;
                match self.rng.u8(0..20) {
                    0..3 => continue,
                    3..7 => piece.variant = self.rng.u8(0..=MAX_VARIANT),
                    7 => (piece.how, piece.step) = self.special(piece.kind),
                    _ => {}
                }
                // What fails is mended sooner or later.
                if let Some(step) = piece.step.as_mut().filter(|step| step.end == End::Fails)
                    && self.rng.u8(0..3) > 0
                {
                    step.end = End::Stays;
                }
                if into { after.a.push(piece) } else { after.b.push(piece) }
            }
        }
        for _ in 0..self.rng.u8(0..=3) {
            self.bring(release, &mut after);
        }
        while after.a.is_empty() || after.b.is_empty() {
            self.bring(release, &mut after);
        }
        if self.rng.u8(0..4) == 0 {
            self.order(&mut after);
        }
        self.align(&mut after);
        after
    }

    fn how(&mut self, kind: Kind) -> How {
        match (self.rng.u8(0..12), kind) {
            (0, _) => How::Kept,
            (1, _) => How::Once,
            (2, Kind::Deployment) => How::Failing,
            (2..5, Kind::Job) => How::Brief,
            _ => How::Plain,
        }
    }

    fn special(&mut self, kind: Kind) -> (How, Option<Step>) {
        if kind != Kind::Job || self.rng.u8(0..3) == 0 {
            return (self.how(kind), None);
        }
        (How::Plain, Some(self.step()))
    }

    fn step(&mut self) -> Step {
        let end = self.one(&[End::Stays, End::Stays, End::Expires, End::Cleaned, End::Fails]);
        Step { after: self.rng.bool(), wave: self.one(&[-1, 0, 0, 0, 1]), end }
    }

    // A revision has a step.
    fn bring_step(&mut self, release: Number, revision: &mut Revision) {
        let step = Some(self.step());
        let mut jobs = revision.a.iter_mut().chain(&mut revision.b).filter(|piece| piece.kind == Kind::Job);
        match jobs.next() {
            Some(job) if job.step.is_none() => (job.how, job.step) = (How::Plain, step),
            Some(_) => {}
            None => {
                let (name, variant) = (release * 3 + self.rng.u8(0..3), self.rng.u8(0..=MAX_VARIANT));
                let (kind, how, place) = (Kind::Job, How::Plain, Place::default());
                revision.a.push(Piece { kind, name, variant, how, step, place });
            }
        }
    }

    // Adds an object, and those that belong to it.
    fn bring(&mut self, release: Number, into: &mut Revision) {
        if into.a.len() + into.b.len() >= PIECES {
            return;
        }
        let kind = match self.rng.u8(0..12) {
            0..3 => Kind::ConfigMap,
            3..5 => Kind::Job,
            _ => self.one(&Kind::FREE),
        };
        let name = match self.rng.u8(0..6) {
            0 => SHARED,
            n if kind == Kind::CustomResourceDefinition => release * 3 + n % 2,
            n => release * 3 + n % 3,
        };
        let (variant, (how, step)) = (self.rng.u8(0..=MAX_VARIANT), self.special(kind));
        let mut new = vec![Piece { kind, name, variant, how, step, place: Place::default() }];
        match kind {
            Kind::Deployment if self.rng.bool() => {
                let kind = Kind::HorizontalPodAutoscaler;
                new.push(Piece {
                    kind,
                    name,
                    variant: self.rng.u8(0..=MAX_VARIANT),
                    how: How::Plain,
                    step: None,
                    place: Place::default(),
                });
            }
            Kind::CustomResourceDefinition => {
                let variant = self.rng.u8(0..=variant);
                new.push(Piece {
                    kind: Kind::Thing,
                    name,
                    variant,
                    how: How::Plain,
                    step: None,
                    place: Place::default(),
                });
            }
            _ => {}
        }
        let same = |piece: &Piece, other: &Piece| (piece.kind, piece.name) == (other.kind, other.name);
        new.retain(|piece| !into.a.iter().chain(&into.b).any(|other| same(piece, other)));
        let first = into.a.is_empty() || (!into.b.is_empty() && self.rng.bool());
        if first { into.a.extend(new) } else { into.b.extend(new) }
    }

    // Gives some objects a place, or takes it.
    fn order(&mut self, revision: &mut Revision) {
        let all: Vec<(Kind, u8)> =
            revision.a.iter().chain(&revision.b).map(|piece| (piece.kind, piece.name)).collect();
        for piece in revision.a.iter_mut().chain(&mut revision.b) {
            if piece.kind.is_base() || piece.step.is_some() {
                continue;
            }
            let wave = self.one(&[-1, 0, 0, 1]);
            let after = (self.rng.u8(0..3) == 0).then(|| self.one(&all));
            piece.place = Place { wave, after };
        }
    }

    // Things do not use fields that their definition does not have, unless it is
    // another release's.
    fn align(&mut self, revision: &mut Revision) {
        let all: Vec<Piece> = revision.a.iter().chain(&revision.b).copied().collect();
        for piece in revision.a.iter_mut().chain(&mut revision.b) {
            let of =
                |other: &&Piece| other.kind == Kind::CustomResourceDefinition && other.name == piece.name;
            if piece.kind == Kind::Thing
                && let Some(definition) = all.iter().find(of)
            {
                piece.variant = piece.variant.min(definition.variant);
            }
        }
        possible(revision);
    }
}

/// Takes the places away with which a revision would be refused, or never be healthy.
fn possible(revision: &mut Revision) {
    let mut all: Vec<Piece> = revision.a.iter().chain(&revision.b).copied().collect();
    for n in 0..all.len() {
        let Piece { kind, name, step, place, .. } = all[n];
        let find =
            |kind: Kind, name: u8| all.iter().position(|other| (other.kind, other.name) == (kind, name));
        let target = |after: (Kind, u8)| {
            let m = find(after.0, after.1).filter(|m| *m < n)?;
            let other = &all[m];
            (other.step.is_none() && (other.kind.is_base() || other.place.wave <= place.wave))
                .then_some(after)
        };
        let mut place = Place { after: place.after.and_then(target), ..place };
        let scaled = find(Kind::Deployment, name).map(|m| all[m].place.wave);
        if kind == Kind::HorizontalPodAutoscaler {
            place = Place { wave: scaled.unwrap_or_default(), after: None };
        }
        all[n].place = if step.is_some() || kind.is_base() { Place::default() } else { place };
    }
    let b = all.split_off(revision.a.len());
    (revision.a, revision.b) = (all, b);
}

#[test]
fn a_seed_makes_one_history_and_another_seed_another() {
    assert_eq!(history(7, 3), history(7, 3));
    assert_ne!(history(7, 3), history(8, 3));
}

#[test]
fn every_action_is_generated_and_read_as_it_was_written() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..200 {
        for action in history(seed, 5) {
            let text = serde_json::to_string(&action).expect("an action is JSON");
            assert_eq!(serde_json::from_str::<Action>(&text).expect("it is read"), action);
            kinds.insert(text.split('"').nth(3).unwrap_or_default().to_owned());
        }
    }
    let all = [
        "push",
        "create",
        "specify",
        "delete",
        "ask",
        "hand",
        "inventory",
        "rights",
        "registry",
        "apiServer",
        "kill",
        "restart",
        "freeze",
        "crash",
        "replica",
        "pass",
        "settle",
    ];
    for action in all {
        assert!(kinds.contains(action), "{action} is never generated: {kinds:?}");
    }
}

#[test]
fn releases_depend_on_each_other_and_now_and_then_in_a_cycle() {
    let (mut waits, mut circles, mut seeds) = (0, 0, 0);
    for seed in 0..200 {
        let mut world = World::new(Names { home: "home".to_owned(), away: "away".to_owned() });
        let mut any = false;
        for action in history(seed, 5) {
            world.act(&action);
            if action == Action::Settle {
                let depends = |release: &&Number| world.releases[*release].spec.depends_on.is_some();
                let all = world.releases.keys();
                waits += all.clone().filter(depends).count();
                circles += all.filter(|release| world.circles(**release)).count();
                any |= world.releases.values().any(|known| known.spec.depends_on.is_some());
            }
        }
        seeds += usize::from(any);
    }
    assert!(seeds > 100 && waits > 400 && (20..waits / 4).contains(&circles), "{seeds} {waits} {circles}");
}
