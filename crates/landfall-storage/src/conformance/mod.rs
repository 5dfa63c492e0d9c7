//! The conformance kit: what every storage must do, as tests that a storage joins by one line.
//!
//! For authors of storages, ours and yours. Put this into `tests/conformance.rs` of your crate:
//!
//! ```no_run
//! # use std::{convert::Infallible, sync::{Arc, Mutex}};
//! # fn my_storage() -> landfall_storage::ItemAdapter<impl landfall_storage::ItemStorage> {
//! #     let item: Arc<Mutex<Option<String>>> = Arc::default();
//! #     let set = Arc::clone(&item);
//! #     landfall_storage::item_storage(
//! #         move || Ok::<_, Infallible>(item.lock().unwrap().clone()),
//! #         move |text| { *set.lock().unwrap() = Some(text.to_owned()); Ok::<_, Infallible>(()) },
//! #     )
//! # }
//! # #[allow(unused_imports)]
//! use landfall_storage::{conformance::Place, storage_conformance};
//!
//! storage_conformance!(|| Place::of_clones(my_storage()));
//! # fn main() {}
//! ```
//!
//! and, in `Cargo.toml`, under `[dev-dependencies]`, `landfall-storage` with the feature `conformance`. Each case becomes
//! a `#[test]` of its own with a fresh [`Place`]; a case that asks for more than the storage's
//! [`capability`](crate::Storage::capability) promises, or than the place can do, says so and passes. Cases that later
//! versions of the kit add reach your crate without a change of it.
//!
//! A place that can be opened again and again (a directory, a database) is made with [`Place::opened_by`]: then the
//! cases also open it several times at once, and close and reopen it. The kit needs no async runtime; a storage that
//! needs one brings it along with [`Place::inside`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    reason = "a test kit reports by panicking and printing"
)]

mod cases;
mod keys;
mod model;
mod overlap;
mod rig;
mod wait;

use crate::{Result, Storage};
use std::{any::Any, fmt, sync::Arc};

pub use wait::{block_on, poll_once};

type Open = Box<dyn Fn() -> Result<Arc<dyn Storage>> + Send + Sync>;
type Inside = Box<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// A fresh, empty place where a storage keeps things, for one case.
pub struct Place {
    open: Open,
    reopens: bool,
    inside: Option<Inside>,
    // Dropped last.
    keep: Vec<Box<dyn Any + Send>>,
}

impl Place {
    /// A place that exists only inside its handles (process memory): a further handle is a clone, and nothing can be
    /// opened again.
    pub fn of_clones<S: Storage + Clone>(storage: S) -> Self {
        Self { open: Box::new(move || Ok(Arc::new(storage.clone()))), reopens: false, inside: None, keep: Vec::new() }
    }

    /// A place that outlives its handles. `open` is called for each further handle, also while others are open, and
    /// again after all of them were dropped.
    pub fn opened_by<S: Storage>(open: impl Fn() -> Result<S> + Send + Sync + 'static) -> Self {
        Self { open: Box::new(move || Ok(Arc::new(open()?))), reopens: true, inside: None, keep: Vec::new() }
    }

    /// Keeps something alive as long as the place, such as a temporary directory.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send) -> Self {
        self.keep.push(Box::new(guard));
        self
    }

    /// Runs every case inside something, such as the context of an async runtime: `enter` must call what it gets.
    #[must_use]
    pub fn inside(mut self, enter: impl Fn(&mut dyn FnMut()) + Send + Sync + 'static) -> Self {
        self.inside = Some(Box::new(enter));
        self
    }

    /// Opens a handle.
    fn handle(&self) -> rig::Handle {
        rig::Handle((self.open)().expect("the place can be opened"))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("reopens", &self.reopens).finish_non_exhaustive()
    }
}

/// Runs one case by its name; called by [`storage_conformance!`](crate::storage_conformance).
#[doc(hidden)]
pub fn run(name: &str, place: &Place) {
    let (_, case) = CASES.iter().find(|(known, _)| *known == name).expect("the case exists");
    match &place.inside {
        Some(inside) => {
            let mut ran = false;
            inside(&mut || {
                case(place);
                ran = true;
            });
            assert!(ran, "what the place runs cases inside of did not call the case");
        }
        None => case(place),
    }
}

/// The one list of cases: a macro that hands it to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __storage_cases {
    ($with:path, $($arguments:tt)*) => {
        $with! { [$($arguments)*]
            cases: absent_key_loads_empty;
            cases: load_creates_nothing;
            cases: commit_and_load_round_trip;
            cases: texts_survive_unchanged;
            cases: extreme_numbers_survive;
            cases: rows_come_in_order;
            cases: every_kind_of_delta_follows_the_model;
            cases: deleted_and_put_again_in_one_commit;
            cases: meta_is_kept_until_replaced;
            cases: an_empty_delta_makes_a_revision;
            cases: stale_commit_names_the_current_revision;
            cases: stale_commit_changes_nothing;
            cases: removed_key_starts_again;
            cases: removing_an_absent_key_is_no_error;
            cases: usage_follows_what_is_kept;
            cases: handles_see_each_other;
            cases: reopening_keeps_everything;
            cases: large_put_is_quick;
            cases: small_commits_on_a_large_state_are_quick;
            keys: empty_key_is_refused;
            keys: nasty_keys_never_collide;
            keys: nasty_keys_survive_reopening;
            keys: keys_are_sorted;
            keys: keys_do_not_touch_each_other;
            keys: a_second_key_is_refused_where_there_is_one;
            overlap: dropped_futures_leave_old_or_new;
            overlap: dropped_loads_and_removals_harm_nothing;
            overlap: one_winner_per_revision;
            overlap: handles_and_threads_lose_nothing;
            overlap: keys_commit_side_by_side;
            model: random_deltas_equal_the_model;
            model: random_deltas_with_reopening_equal_the_model;
        }
    };
}

macro_rules! table {
    ([] $($module:ident: $case:ident;)*) => {
        /// The same list as a table, so that no case can be written and forgotten.
        const CASES: &[(&str, fn(&Place))] = &[$((stringify!($case), $module::$case)),*];
    };
}
crate::__storage_cases!(table,);

/// Makes one `#[test]` of every case of the [conformance kit](mod@crate::conformance), for the places that the given
/// function or closure makes. A module path in front, as in `storage_conformance!(quota: || ..)`, puts them into a
/// module of that name.
#[macro_export]
macro_rules! storage_conformance {
    ($name:ident: $place:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the expression may use what is around")]
            use super::*;
            $crate::storage_conformance!($place);
        }
    };
    ($place:expr) => {
        $crate::__storage_cases!($crate::__storage_tests, $place);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __storage_tests {
    ([$place:expr] $($module:ident: $case:ident;)*) => {$(
        #[test]
        fn $case() {
            let place: $crate::conformance::Place = ($place)();
            $crate::conformance::run(stringify!($case), &place);
        }
    )*};
}
