//! Which files this process has open. Closing any file handle of a database ends all locks that the process has on it
//! (POSIX), also those of SQLite's connections; so nothing of ours opens a file that a connection here has open.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

/// How many connections there are to each file.
type Open = HashMap<PathBuf, usize>;

static OPEN: LazyLock<Mutex<Open>> = LazyLock::new(Mutex::default);

/// The open files. While the guard lives none is opened or given back.
pub(crate) fn lock() -> MutexGuard<'static, Open> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a file really is; as it was given while there is none.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

pub(crate) fn is_open(open: &Open, path: &Path) -> bool {
    open.contains_key(&real(path))
}

/// Notes a connection to the file.
pub(crate) fn enter(open: &mut Open, path: &Path) -> Registered {
    let path = real(path);
    *open.entry(path.clone()).or_default() += 1;
    Registered(path)
}

/// A connection's entry. Dropped after the connection was closed.
#[derive(Debug)]
pub(crate) struct Registered(PathBuf);

impl Drop for Registered {
    fn drop(&mut self) {
        let mut open = lock();
        if let Some(count) = open.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.0);
            }
        }
    }
}
