//! The storage: hands every call to the thread that owns the directory.

use crate::{FileConfig, RealVfs, Vfs, error, registry, registry::Shared, store::Store};
use async_trait::async_trait;
use landfall_storage::{
    Capability, Delta, Error, ErrorKind, Result, Revision, Storage, StoredState, check_key, worker::Worker,
};
use std::{
    fmt,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

/// A directory with one file per key. Clones, and other handles of this process on the same directory, share it.
pub struct FileStorage {
    /// Taken when the handle is dropped.
    shared: Option<Arc<Shared>>,
}

impl FileStorage {
    /// Opens a directory with the default options; creates it, and missing parents, if there is none.
    ///
    /// # Errors
    /// `Locked` when another process uses it; `ReadOnly`, `QuotaExceeded`, `Storage`; `Config` for an empty path.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(dir, FileConfig::new())
    }

    /// Opens a directory with options of yours. If this process has it open already, that handle's options stay.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(dir: impl AsRef<Path>, config: FileConfig) -> Result<Self> {
        let dir = dir.as_ref();
        let context = |error: Error| error.during("open").with("path", dir.display().to_string());
        if dir.as_os_str().is_empty() {
            return Err(context(Error::new(ErrorKind::Config, "a directory is needed")));
        }
        let vfs = RealVfs;
        vfs.create_dir(dir).map_err(|source| context(error::io(source, "the directory cannot be created")))?;
        let real =
            dir.canonicalize().map_err(|source| context(error::reading(source, "the directory cannot be found")))?;
        let mut open = registry::lock();
        let shared = if let Some(shared) = registry::find(&open, &real) {
            shared
        } else {
            let shared = Arc::new(start(Arc::new(vfs), &real, config).map_err(context)?);
            open.insert(real, Arc::downgrade(&shared));
            shared
        };
        drop(open);
        Ok(Self { shared: Some(shared) })
    }

    /// Opens a directory on another file system than the real one; for tests. Handles share the directory with their
    /// clones only.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(vfs: Arc<dyn Vfs>, dir: impl AsRef<Path>, config: FileConfig) -> Result<Self> {
        let shared = start(vfs, dir.as_ref(), config).map_err(|error| error.during("open"))?;
        Ok(Self { shared: Some(Arc::new(shared)) })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.shared.as_ref().map_or(Path::new(""), |shared| &shared.dir)
    }

    fn shared(&self) -> Result<&Arc<Shared>> {
        self.shared.as_ref().ok_or_else(error::closed)
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: Option<&str>,
        work: impl FnOnce(&mut Store, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let context = |error: Error| match key {
            Some(key) if error.context().all(|(name, _)| name != "key") => error.during(operation).with("key", key),
            _ => error.during(operation),
        };
        if let Some(key) = key {
            check_key(key).map_err(|error| error.during(operation))?;
        }
        let text = key.unwrap_or_default().to_owned();
        self.shared()?.worker.run(move |store| work(store, &text)).await.map_err(context)
    }
}

fn start(vfs: Arc<dyn Vfs>, dir: &Path, config: FileConfig) -> Result<Shared> {
    let closed = Arc::new(AtomicBool::new(false));
    let store = Store::open(vfs, dir, config, Arc::clone(&closed))?;
    Ok(Shared { worker: Worker::start("landfall-file", store)?, dir: dir.to_owned(), closed })
}

impl Clone for FileStorage {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl Drop for FileStorage {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            registry::give_back(shared);
        }
    }
}

#[async_trait]
impl Storage for FileStorage {
    async fn load(&self, key: &str) -> Result<StoredState> {
        self.run("load", Some(key), Store::load).await
    }

    async fn commit(&self, key: &str, expected: Revision, delta: Delta) -> Result<Revision> {
        let (revision, overgrown) = self
            .run("commit", Some(key), move |store, key| {
                let revision = store.commit(key, expected, &delta)?;
                Ok((revision, store.is_overgrown(key)))
            })
            .await?;
        if overgrown {
            // After the answer: no commit waits for it but the next.
            let key = key.to_owned();
            self.shared()?.worker.run_later(move |store| store.tidy(&key));
        }
        Ok(revision)
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.run("remove", Some(key), Store::remove).await
    }

    async fn keys(&self) -> Result<Vec<String>> {
        self.run("keys", None, |store, _| store.keys()).await
    }

    async fn usage(&self, key: Option<&str>) -> Result<u64> {
        let all = key.is_none();
        self.run("usage", key, move |store, key| store.usage(if all { None } else { Some(key) })).await
    }

    /// Durable and atomic. Shared in the sense that a second process is refused.
    fn capability(&self) -> Capability {
        Capability::none().durable(true).atomic(true).shared(true)
    }
}

impl fmt::Debug for FileStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStorage").field("path", &self.path()).finish_non_exhaustive()
    }
}
