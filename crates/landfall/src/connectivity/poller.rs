//! The task of a polling: ask, count, tell, wait. Decides by its tally and its schedule only.

use super::{
    Evidence, Probe,
    handle::ProbeRequest,
    schedule::{Schedule, random},
    state::Cell,
    tally::Tally,
};
use futures_core::Stream;
use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

pub(super) type Hints = Pin<Box<dyn Stream<Item = bool> + Send>>;

/// Everything the task owns.
pub(super) struct Poller {
    pub(super) probe: Box<dyn Probe>,
    pub(super) schedule: Schedule,
    pub(super) tally: Tally,
    pub(super) cell: watch::Sender<Cell>,
    pub(super) requests: mpsc::Receiver<ProbeRequest>,
    pub(super) hints: Option<Hints>,
}

impl Poller {
    /// Runs until it is aborted, which the last handle does.
    pub(super) async fn run(mut self) {
        let mut failures = 0_u32;
        let mut asked: Vec<ProbeRequest> = Vec::new();
        loop {
            let evidence = self.ask().await;
            let online = self.tell(&evidence);
            for answer in asked.drain(..) {
                // Nobody may be waiting any more.
                answer.send(()).ok();
            }
            failures = if online || evidence.is_up() { 0 } else { failures.saturating_add(1) };
            let pause = self.schedule.pause(online, evidence.is_up(), failures, random());
            asked.extend(self.wait(pause).await);
            // One probe answers everybody who asked by now.
            asked.extend(std::iter::from_fn(|| self.requests.try_recv().ok()));
        }
    }

    async fn ask(&mut self) -> Evidence {
        let limit = self.schedule.timeout;
        let mut probing = self.probe.probe();
        let guarded = poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| probing.as_mut().poll(context)));
            polled.unwrap_or_else(|_panic| Poll::Ready(Evidence::down("the probe panicked")))
        });
        match timeout(limit, guarded).await {
            Ok(evidence) => evidence,
            Err(_elapsed) => Evidence::down(format!("no answer within {}", words(limit))),
        }
    }

    /// Puts the evidence into the state; the state that follows.
    fn tell(&mut self, evidence: &Evidence) -> bool {
        let (before, settled) = {
            let cell = self.cell.borrow();
            (cell.state.online, cell.settled)
        };
        let online = if settled { self.tally.count(before, evidence.is_up()) } else { evidence.is_up() };
        // A probe that contradicts a state without flipping it yet is no reason of that state.
        if online == evidence.is_up() {
            self.cell.send_if_modified(|cell| cell.learn(online, evidence.reason().clone()));
        }
        online
    }

    /// Waits for the pause to end, for a request or for a hint, whichever is first.
    async fn wait(&mut self, pause: Duration) -> Option<ProbeRequest> {
        let Self { requests, hints, .. } = self;
        let mut sleeping = pin!(sleep(pause));
        poll_fn(|context| {
            // The sender lives as long as a handle does, so "closed" comes only with the abort of this task.
            if let Poll::Ready(request) = requests.poll_recv(context) {
                return Poll::Ready(request);
            }
            match hints.as_mut().map(|hints| hints.as_mut().poll_next(context)) {
                Some(Poll::Ready(Some(_hint))) => return Poll::Ready(None),
                Some(Poll::Ready(None)) => *hints = None,
                Some(Poll::Pending) | None => {}
            }
            sleeping.as_mut().poll(context).map(|()| None)
        })
        .await
    }
}

fn words(limit: Duration) -> String {
    if limit.subsec_millis() == 0 { format!("{} s", limit.as_secs()) } else { format!("{} ms", limit.as_millis()) }
}
