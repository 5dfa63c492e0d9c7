//! The joint between a connectivity and whoever acts on it. Owns nothing but the order of calls.

use super::{Connectivity, State};
use std::future::Future;

/// Calls `on_change` with the state once it is [settled](Connectivity::settled), then at every change between online and
/// offline, one call after the other. While a call runs, later changes wait and only the newest counts: a short flicker is
/// not replayed. Ends when nothing will change the state any more; holds the connectivity until then or until it is
/// dropped.
///
/// ```
/// # async fn example(connectivity: landfall::connectivity::Connectivity) {
/// use landfall::connectivity::follow;
/// follow(connectivity, |state| async move { println!("{state}") }).await;
/// # }
/// ```
pub async fn follow<F, Fut>(connectivity: Connectivity, mut on_change: F)
where
    F: FnMut(State) -> Fut + Send,
    Fut: Future<Output = ()> + Send,
{
    let mut last = connectivity.settled().await;
    let mut changes = connectivity.changes();
    drop(connectivity);
    on_change(last.clone()).await;
    while let Some(state) = changes.next().await {
        if state.online != last.online {
            last = state;
            on_change(last.clone()).await;
        }
    }
}
