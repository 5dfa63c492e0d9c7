//! One thread that does the blocking work of one storage, job after job.
//!
//! Owns the thread and the state that the jobs work on. Knows no runtime, and never decides what a job does.

use crate::{Error, ErrorKind, Result};
use futures_channel::oneshot;
use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A thread of its own for one storage: jobs run one after another in the order they were handed in, and whoever
/// hands one in gets a future.
///
/// - Works under any async runtime, and under none.
/// - A job that was handed in runs, even if nobody waits for its answer any more.
/// - A panic of a job is an error of kind [`Unexpected`](ErrorKind::Unexpected) for its caller; the thread goes on.
/// - Dropping the worker waits for the jobs that were handed in, then drops the state.
///
/// ```
/// use landfall_storage::worker::Worker;
/// # use landfall_storage::conformance::block_on;
/// let worker = Worker::start("counter", 41)?;
/// let answer = worker.run(|count| { *count += 1; Ok(*count) });
/// # let answer = block_on(answer);
/// # /*
/// let answer = answer.await;
/// # */
/// assert_eq!(answer?, 42);
/// # Ok::<(), landfall_storage::Error>(())
/// ```
pub struct Worker<S> {
    jobs: Option<mpsc::Sender<Job<S>>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// How long to look for the next job before the thread is put to sleep, while jobs come one right behind another: waking
/// up takes about as long, and a commit waits for it.
const BRISK: Duration = Duration::from_micros(50);

/// Jobs in their order.
struct Queue<S> {
    jobs: mpsc::Receiver<Job<S>>,
    /// The last job came shortly after the one before.
    brisk: bool,
    /// Another processor may hand the next job in meanwhile.
    several: bool,
}

impl<S> Queue<S> {
    fn new(jobs: mpsc::Receiver<Job<S>>) -> Self {
        let several = thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
        Self { jobs, brisk: false, several }
    }

    /// Waits for the next job; `None` when there will be none.
    fn next(&mut self) -> Option<Job<S>> {
        let since = Instant::now();
        while self.brisk && self.several && since.elapsed() < BRISK {
            match self.jobs.try_recv() {
                Ok(job) => return Some(job),
                Err(mpsc::TryRecvError::Disconnected) => return None,
                Err(mpsc::TryRecvError::Empty) => std::hint::spin_loop(),
            }
        }
        let job = self.jobs.recv().ok()?;
        self.brisk = since.elapsed() < 4 * BRISK;
        Some(job)
    }
}

impl<S: Send + 'static> Worker<S> {
    /// Starts the thread; its name is `name` as far as the operating system keeps it.
    ///
    /// # Errors
    /// [`Storage`](ErrorKind::Storage) when the operating system gives no thread.
    pub fn start(name: impl Into<String>, mut state: S) -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job<S>>();
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                let mut queue = Queue::new(queue);
                while let Some(job) = queue.next() {
                    job(&mut state);
                }
            })
            .map_err(|source| Error::new(ErrorKind::Storage, "no thread for the storage").caused_by(source))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a job in, at once; the future gives its answer. Dropping the future does not take the job back.
    ///
    /// # Errors
    /// Those of the job; [`Unexpected`](ErrorKind::Unexpected) when it panics; [`Closed`](ErrorKind::Closed) when the
    /// thread has ended.
    pub fn run<T, J>(&self, job: J) -> impl Future<Output = Result<T>> + Send + use<T, J, S>
    where
        T: Send + 'static,
        J: FnOnce(&mut S) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let sent = self.send(move |state| {
            // A job that panics is the caller's error and nobody else's: what it may leave half done in the state is
            // for the state to survive, which the storages do by changing it last.
            let done = catch_unwind(AssertUnwindSafe(|| job(state))).unwrap_or_else(|panic| Err(panicked(&*panic)));
            // Nobody may be waiting any more.
            drop(reply.send(done));
        });
        async move {
            sent?;
            answer.await.unwrap_or_else(|_| Err(ended()))
        }
    }

    /// Hands a job in that nobody waits for, to run after those before it. Its outcome is its own affair.
    pub fn run_later(&self, job: impl FnOnce(&mut S) + Send + 'static) {
        // The thread ends only with the worker, so this cannot fail; and a job for later may be left out.
        let _sent: Result<()> = self.send(move |state| drop(catch_unwind(AssertUnwindSafe(|| job(state)))));
    }

    fn send(&self, job: impl FnOnce(&mut S) + Send + 'static) -> Result<()> {
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        jobs.send(Box::new(job)).map_err(|mpsc::SendError(_job)| ended())
    }
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // Jobs catch their panics, and a state that panics while it is dropped is gone all the same.
            drop(thread.join());
        }
    }
}

impl<S> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.thread.as_ref().and_then(|thread| thread.thread().name());
        f.debug_struct("Worker").field("thread", &name).finish_non_exhaustive()
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Closed, "the storage's thread has ended")
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let error = Error::new(ErrorKind::Unexpected, "a job of the storage panicked");
    match panic_text(panic) {
        Some(text) => error.with("panic", text),
        None => error,
    }
}

/// What a panic said, if it said something.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> Option<String> {
    panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{block_on, poll_once};
    use std::sync::{Arc, Mutex};

    #[test]
    fn jobs_run_in_order_and_answer() {
        let worker = Worker::start("test", Vec::new()).unwrap();
        let answers: Vec<_> = (0..100)
            .map(|n| {
                worker.run(move |list| {
                    list.push(n);
                    Ok(list.len())
                })
            })
            .collect();
        for (n, answer) in answers.into_iter().enumerate() {
            assert_eq!(block_on(answer).unwrap(), n + 1);
        }
        assert_eq!(block_on(worker.run(|list| Ok(list.clone()))).unwrap(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_dropped_future_does_not_take_the_job_back() {
        let worker = Worker::start("test", 0).unwrap();
        drop(worker.run(|count| {
            *count += 1;
            Ok(())
        }));
        let mut polled = Box::pin(worker.run(|count| {
            *count += 1;
            Ok(())
        }));
        let _either: Option<Result<()>> = poll_once(polled.as_mut());
        drop(polled);
        worker.run_later(|count| *count += 1);
        assert_eq!(block_on(worker.run(|count| Ok(*count))).unwrap(), 3);
    }

    #[test]
    fn a_panic_is_an_error_and_the_thread_goes_on() {
        let worker = Worker::start("test", 7).unwrap();
        let error = block_on(worker.run::<(), _>(|_| panic!("ouch {}", 1))).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Unexpected);
        assert_eq!(error.context().collect::<Vec<_>>(), [("panic", "ouch 1")]);
        worker.run_later(|_| panic!("again"));
        assert_eq!(block_on(worker.run(|n| Ok(*n))).unwrap(), 7);
    }

    #[test]
    fn dropping_the_worker_waits_for_its_jobs_and_drops_the_state() {
        struct State(Arc<Mutex<Vec<&'static str>>>);
        impl Drop for State {
            fn drop(&mut self) {
                self.0.lock().unwrap().push("dropped");
            }
        }
        let log = Arc::new(Mutex::new(Vec::new()));
        let worker = Worker::start("test", State(Arc::clone(&log))).unwrap();
        let late = worker.run(|state| {
            thread::sleep(Duration::from_millis(20));
            state.0.lock().unwrap().push("job");
            Ok(5)
        });
        drop(worker);
        assert_eq!(*log.lock().unwrap(), ["job", "dropped"]);
        assert_eq!(block_on(late).unwrap(), 5);
    }
}
