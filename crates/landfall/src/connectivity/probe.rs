//! What a polling asks: the question as a trait, and its answer.

use async_trait::async_trait;
use landfall_core::Text;
use std::fmt::Debug;

/// A question whose answer is up or down.
///
/// The polling limits its time and takes a panic for down, so an implementation only asks. One question is under way at
/// a time; its future is dropped when the time is up.
#[async_trait]
pub trait Probe: Debug + Send + Sync + 'static {
    /// Asks once.
    async fn probe(&self) -> Evidence;
}

/// What a probe found, with the reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    up: bool,
    reason: Text,
}

impl Evidence {
    /// The service answered as it should. Keep the reason free of figures that differ each time: another reason is a
    /// change that watchers hear of.
    pub fn up(reason: impl Into<Text>) -> Self {
        Self { up: true, reason: reason.into() }
    }

    /// It did not.
    pub fn down(reason: impl Into<Text>) -> Self {
        Self { up: false, reason: reason.into() }
    }

    /// Up or down.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Why.
    pub fn reason(&self) -> &Text {
        &self.reason
    }
}
