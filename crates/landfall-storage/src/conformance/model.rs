//! Random sequences of deltas, compared with [`StoredState::apply`] after every step.

use super::{
    Place,
    rig::{Handle, KEY, assert_kind, skip},
};
use crate::{ChangeKind, Delta, ErrorKind, StoredRow, StoredState};

/// A small generator (a multiply-and-shift mix): the same seed, the same sequence, on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn text(&mut self) -> String {
        let length = if self.one_in(10) { 2_000 } else { 30 };
        let filler: String = (0..self.below(length)).map(|n| if n % 7 == 0 { 'ö' } else { 'o' }).collect();
        format!(r#"{{"n":{},"t":"{filler}"}}"#, self.below(1_000))
    }
    fn row(&mut self) -> StoredRow {
        let state = match self.below(6) {
            0 => Some(ChangeKind::Create),
            1 => Some(ChangeKind::Update),
            2 => Some(ChangeKind::Destroy),
            _ => None,
        };
        let change = state.map(|_| self.text().into());
        StoredRow { id: self.below(40), order: self.below(1_000), state, record: self.text().into(), change }
    }
    fn delta(&mut self) -> Delta {
        let count = self.below(6);
        // One row of an id at most: what several would mean is not defined.
        let mut put: Vec<StoredRow> = (0..count).map(|_| self.row()).collect();
        put.sort_by_key(|row| row.id);
        put.dedup_by_key(|row| row.id);
        if self.one_in(2) {
            put.reverse();
        }
        Delta {
            clear: self.one_in(15),
            delete: (0..self.below(4)).map(|_| self.below(45)).collect(),
            put,
            meta: self.one_in(4).then(|| self.text().into()),
        }
    }
}

fn follow(seed: u64, steps: u64, mut storage: Handle, mut reopen: impl FnMut(Handle) -> Handle) {
    let mut random = Random(seed);
    let mut model = StoredState::default();
    for step in 0..steps {
        let delta = random.delta();
        if random.one_in(6) {
            let wrong = model.revision + 1 + random.below(3);
            assert_kind(storage.try_commit(KEY, wrong, &delta), &ErrorKind::Stale { current: model.revision });
        } else {
            let revision = storage.commit(KEY, model.revision, &delta);
            model.apply(&delta, model.revision + 1);
            assert_eq!(revision, model.revision);
        }
        if random.one_in(40) {
            storage.remove(KEY);
            model = StoredState::default();
        }
        if random.one_in(8) {
            storage = reopen(storage);
        }
        if random.one_in(3) || step + 1 == steps {
            assert_eq!(storage.load(KEY), model, "seed {seed}, step {step}");
        }
    }
}

pub(super) fn random_deltas_equal_the_model(place: &Place) {
    let storage = place.handle();
    for seed in 1..=4 {
        follow(seed, 120, storage.clone(), |same| same);
        storage.remove(KEY);
    }
}

pub(super) fn random_deltas_with_reopening_equal_the_model(place: &Place) {
    if !place.reopens {
        return skip("the place cannot be opened again");
    }
    for seed in 11..=13 {
        follow(seed, 120, place.handle(), |old| {
            drop(old);
            place.handle()
        });
        place.handle().remove(KEY);
    }
}
