//! The conformance kit: what every transport must do, as tests that a transport joins by one line.
//!
//! For authors of transports, ours and yours. A [`Stage`] is a fresh service with a transport that talks to it; put this
//! into `tests/conformance.rs` of your crate:
//!
//! ```text
//! use landfall_transport::transport_conformance;
//!
//! transport_conformance!(|| MyStage::start());
//! ```
//!
//! and, in `Cargo.toml`, under `[dev-dependencies]`, `landfall-transport` with the feature `conformance`. Each case
//! becomes a `#[test]` of its own; a case that needs a [`Behaviour`] which the stage cannot play says so and passes.
//! Cases that later versions of the kit add reach your crate without a change of it.
//!
//! Transports over HTTP get their stage ready-made: [`LoopbackStage`], over a scripted server on loopback
//! ([`Loopback`], std only). The kit needs no async runtime; a transport that needs one brings it along with
//! [`LoopbackStage::inside`].
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
mod loopback;
mod stage;

pub use loopback::{Loopback, Received, response};
pub use stage::{Behaviour, LoopbackStage, Stage, block_on, both, poll_once};

/// A case of the kit.
type Case = fn(&dyn Stage);

/// Runs one case by its name; called by [`transport_conformance!`](crate::transport_conformance).
#[doc(hidden)]
pub fn run(name: &str, stage: &dyn Stage) {
    let (_, case) = cases::CASES.iter().find(|(known, _)| *known == name).expect("the case exists");
    case(stage);
}

/// Expands to one `#[test]` per case of the kit. The argument is a closure that makes a fresh [`Stage`].
#[macro_export]
macro_rules! transport_conformance {
    ($stage:expr) => {
        $crate::transport_conformance!(@each $stage;
            a_read_gives_the_rows
            a_write_gives_its_answer
            a_success_without_a_body_is_empty
            a_refusing_status_was_not_applied
            a_gateway_status_leaves_a_doubt
            what_the_server_said_is_kept
            a_requested_pause_is_kept
            a_cut_connection_leaves_a_doubt
            a_cut_body_leaves_a_doubt
            a_refused_connection_was_not_applied
            silence_times_out_and_leaves_a_doubt
            a_web_page_is_no_answer
            broken_json_leaves_a_write_in_doubt
            a_failed_read_leaves_no_doubt
            nothing_is_sent_twice
            calls_overlap
            a_dropped_call_harms_no_other
            what_is_not_offered_is_not_sent
            an_error_names_its_operation
        );
    };
    (@each $stage:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                let make = $stage;
                $crate::conformance::run(stringify!($case), &make());
            }
        )*

        #[test]
        fn every_case_of_the_kit_is_run() {
            $crate::conformance::complete(&[$(stringify!($case)),*]);
        }
    };
}

/// Checks that the macro's list and the kit's agree.
#[doc(hidden)]
pub fn complete(names: &[&str]) {
    let known: Vec<&str> = cases::CASES.iter().map(|(name, _)| *name).collect();
    assert_eq!(known, names);
}
