//! Which directories this process has open, so that several handles on one directory share one state and one lock.

use crate::store::Store;
use landfall_storage::worker::Worker;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

/// What all handles on one directory share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) worker: Worker<Store>,
    pub(crate) dir: PathBuf,
    /// A failure closed it; opening makes a new one.
    pub(crate) closed: Arc<AtomicBool>,
}

type Open = HashMap<PathBuf, Weak<Shared>>;

static OPEN: LazyLock<Mutex<Open>> = LazyLock::new(Mutex::default);

/// The open directories. While the guard lives, none is opened and no last handle is dropped, so that a directory is
/// never locked by a state on its way out.
pub(crate) fn lock() -> MutexGuard<'static, Open> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The usable state of a directory, if it is open.
pub(crate) fn find(open: &Open, dir: &Path) -> Option<Arc<Shared>> {
    open.get(dir).and_then(Weak::upgrade).filter(|shared| !shared.closed.load(Ordering::Acquire))
}

/// Gives back a handle's share; the last one closes the directory, after the jobs that were handed in.
pub(crate) fn give_back(shared: Arc<Shared>) {
    let mut open = lock();
    let dir = shared.dir.clone();
    drop(shared);
    if open.get(&dir).is_some_and(|known| known.strong_count() == 0) {
        open.remove(&dir);
    }
}
