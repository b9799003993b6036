//! A history about the gates of new revisions: bad ones come, people approve and ask for more tries,
//! windows close and open, and meanwhile everything fails.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::action::{
    Action, Approval, Change, Edit, End, Gates, How, Number, Piece, Place, Reference, Revision, Rollback,
    Spec, Step,
};
use crate::kinds::{Kind, Names};
use crate::model::World;

const TAGS: [&str; 2] = ["1.0.0", "2.0.0"];
/// How many releases there are at most.
const RELEASES: Number = 2;
/// An object that is put back more often within a minute is contested and waits.
const EDITS: u32 = 2;

/// The history of a seed, with so many judgements.
pub fn history(seed: u64, judgements: usize) -> Vec<Action> {
    let names = Names { home: "home".to_owned(), away: "away".to_owned() };
    let mut maker = Maker {
        rng: Rng::with_seed(seed),
        world: World::new(names),
        actions: Vec::new(),
        known: BTreeMap::new(),
        edits: BTreeMap::new(),
        number: 0,
    };
    for release in 0..maker.rng.u8(1..=RELEASES) {
        maker.begin(release);
    }
    maker.add(Action::Settle);
    for _ in 1..judgements {
        for _ in 0..maker.rng.usize(1..=3) {
            maker.scene();
        }
        maker.add(Action::Settle);
    }
    maker.actions
}

struct Maker {
    rng: Rng,
    world: World,
    actions: Vec<Action>,
    /// The revisions that a release has had.
    known: BTreeMap<Number, Vec<Revision>>,
    edits: BTreeMap<Number, u32>,
    /// The last number of a revision.
    number: u8,
}

impl Maker {
    fn add(&mut self, action: Action) {
        self.world.act(&action);
        self.actions.push(action);
    }

    fn one<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.rng.usize(0..all.len())].clone()
    }

    fn begin(&mut self, release: Number) {
        let tag = self.one(&TAGS).to_owned();
        let how = self.one(&[How::Plain, How::Plain, How::Plain, How::Plain, How::Sick]);
        self.push(release, &tag, how, None);
        let rollback =
            self.one(&[Rollback::OnFailure, Rollback::OnFailure, Rollback::OnFailure, Rollback::Freeze]);
        let gates = Gates {
            rollback,
            manual: self.rng.u8(0..4) == 0,
            closed: self.rng.u8(0..16) == 0,
            guarded: self.rng.u8(0..4) == 0,
        };
        let spec = Spec { reference: Reference::Tag(tag), wait: true, gates: Some(gates), ..Spec::default() };
        self.add(Action::Create { release, spec });
        if gates.manual && self.rng.u8(0..4) > 0 {
            self.add(Action::Approve { release, which: Approval::Right });
        }
    }

    // One thing that happens to a release, with what fails in the middle of it, and what a person does
    // about it.
    fn scene(&mut self) {
        let release = self.rng.u8(0..RELEASES);
        let Some(spec) = self.world.releases.get(&release).map(|known| known.spec.clone()) else {
            return self.begin(release);
        };
        self.fault_before();
        match self.rng.u8(0..100) {
            0..50 => self.follow(release, &spec),
            50..70 => self.gates(release, spec.gates.unwrap_or_default()),
            70..76 => {
                let change = Change::Patched(self.one(&[None, Some(1), Some(2)]));
                self.add(Action::Specify { release, change });
            }
            76..81 => self.add(Action::Specify { release, change: Change::Suspend(!spec.suspend) }),
            81..84 => {
                self.add(Action::Delete { release });
                self.edits.remove(&release);
            }
            84..92 => self.hand(release),
            _ => {
                let right = self.rng.u8(0..5) > 0;
                self.add(Action::Retry { release, right });
            }
        }
        self.fault_after();
        let waits = self.world.releases.get(&release).and_then(|known| known.spec.gates);
        if waits.is_some_and(|gates| gates.manual || gates.guarded) && self.rng.u8(0..5) < 3 {
            let which = self.one(&[
                Approval::Right,
                Approval::Right,
                Approval::Right,
                Approval::Stale,
                Approval::Wrong,
            ]);
            self.add(Action::Approve { release, which });
        }
        if self.rng.u8(0..5) == 0 {
            let right = self.rng.u8(0..5) > 0;
            self.add(Action::Retry { release, right });
        }
        if self.rng.u8(0..4) == 0 {
            self.fault_after();
        }
    }

    // What the release follows becomes another revision: a new one, or one that it has had.
    fn follow(&mut self, release: Number, spec: &Spec) {
        let tag = match &spec.reference {
            Reference::Tag(tag) if self.rng.u8(0..5) > 0 => tag.clone(),
            _ => self.one(&TAGS).to_owned(),
        };
        let known = self.known.get(&release).cloned().unwrap_or_default();
        match self.rng.u8(0..10) {
            // The tag moves back.
            0..2 if !known.is_empty() => {
                let revision = self.one(&known);
                self.add(Action::Push { release, tag: tag.clone(), revision });
            }
            2 if self.world.has_tag(release, &tag) => {}
            3..7 => {
                let how = self.one(&[How::Sick, How::Sick, How::Sick, How::Slow, How::Failing, How::Refused]);
                self.push(release, &tag, how, None);
            }
            7 => self.push(release, &tag, How::Plain, Some(End::Fails)),
            _ => {
                let end = self.one(&[None, None, None, Some(End::Stays), Some(End::Cleaned)]);
                self.push(release, &tag, How::Plain, end);
            }
        }
        let reference = match self.rng.u8(0..6) {
            0 => Reference::Digest(tag),
            _ => Reference::Tag(tag),
        };
        if reference != spec.reference {
            self.add(Action::Specify { release, change: Change::Reference(reference) });
        }
        self.add(Action::Ask { release });
        let milliseconds = self.rng.u64(50..1200);
        self.add(Action::Pass { milliseconds });
    }

    fn gates(&mut self, release: Number, mut gates: Gates) {
        match self.rng.u8(0..8) {
            // What is closed does not stay so for long.
            _ if gates.closed && self.rng.u8(0..3) > 0 => gates.closed = false,
            0 => gates.rollback = self.one(&[Rollback::Off, Rollback::OnFailure, Rollback::Freeze]),
            1 => gates.rollback = Rollback::OnFailure,
            2 | 3 => gates.manual = !gates.manual,
            4 | 5 => gates.closed = !gates.closed,
            _ => gates.guarded = !gates.guarded,
        }
        self.add(Action::Specify { release, change: Change::Gates(gates) });
    }

    fn hand(&mut self, release: Number) {
        let edits = self.edits.entry(release).or_default();
        if *edits >= EDITS {
            return;
        }
        *edits += 1;
        let edit = self.one(&[Edit::Change, Edit::Delete]);
        self.add(Action::Hand { kind: Kind::ConfigMap, name: release * 3, away: false, edit });
    }

    fn fault_before(&mut self) {
        match self.rng.u8(0..20) {
            0..5 => {
                let (nth, landed) = (self.rng.u64(1..14), self.rng.bool());
                self.add(Action::Crash { nth, landed });
            }
            5 => self.add(Action::Registry { there: false }),
            _ => {}
        }
    }

    fn fault_after(&mut self) {
        match self.rng.u8(0..24) {
            0..4 => self.add(Action::Restart),
            4 => self.add(Action::Kill),
            5 => self.add(Action::Freeze),
            6 => self.add(Action::ApiServer { there: false }),
            7 => self.add(Action::Replica),
            8 => self.add(Action::Registry { there: false }),
            9 => self.add(Action::Registry { there: true }),
            10..13 => self.add(Action::Look),
            _ => {}
        }
    }

    // A new revision, all of whose objects have its number, with a step that ends so.
    fn push(&mut self, release: Number, tag: &str, how: How, end: Option<End>) {
        self.number += 1;
        let place = Place::default();
        let piece = |kind: Kind, name: u8, how: How| Piece {
            kind,
            name,
            variant: self.number,
            how,
            step: None,
            place,
        };
        let first = release * 3;
        let mut a = vec![piece(Kind::ConfigMap, first, How::Plain)];
        let mut b = vec![];
        match how {
            How::Failing => b.push(piece(Kind::Deployment, first, how)),
            How::Refused => b.push(piece(Kind::ConfigMap, 100 + release, how)),
            How::Plain => {}
            _ => b.push(piece(Kind::ConfigMap, first + 1, how)),
        }
        if how == How::Plain && self.rng.bool() {
            b.push(piece(Kind::ConfigMap, first + 1, How::Plain));
        }
        if self.rng.bool() {
            a.push(Piece { name: first + 2, ..a[0] });
        }
        if let Some(end) = end {
            let step = Step { after: self.rng.bool(), wave: 0, end };
            b.push(Piece { kind: Kind::Job, step: Some(step), ..a[0] });
        }
        if b.is_empty() {
            b.push(a.remove(0));
            if a.is_empty() {
                a.append(&mut b);
            }
        }
        let broken = how == How::Plain && end.is_none() && self.number > 4 && self.rng.u8(0..10) == 0;
        let revision = Revision { a, b, broken };
        self.known.entry(release).or_default().push(revision.clone());
        self.add(Action::Push { release, tag: tag.to_owned(), revision });
    }
}

#[test]
fn everything_about_gates_is_generated() {
    let mut all = std::collections::BTreeSet::new();
    for seed in 0..100 {
        for action in history(seed, 5) {
            let text = serde_json::to_string(&action).expect("an action is JSON");
            assert_eq!(serde_json::from_str::<Action>(&text).expect("it is read"), action);
            all.insert(text);
        }
    }
    let words = [
        "\"do\":\"approve\"",
        "right",
        "stale",
        "wrong",
        "\"do\":\"retry\"",
        "OnFailure",
        "Freeze",
        "Off",
        "sick",
        "slow",
        "refused",
        "failing",
        "fails",
        "cleaned",
        "\"manual\":true",
        "\"closed\":true",
        "\"guarded\":true",
        "\"suspend\":true",
        "crash",
        "digest",
    ];
    for word in words {
        assert!(all.iter().any(|text| text.contains(word)), "{word} is never generated");
    }
}
