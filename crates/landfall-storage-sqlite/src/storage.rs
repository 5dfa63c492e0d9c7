//! The storage: hands every call to the thread that owns the connection.

use crate::{SqliteConfig, database::Database, error, open};
use async_trait::async_trait;
use landfall_storage::{
    Capability, Delta, Error, ErrorKind, Result, Revision, Storage, StoredState, check_key, worker::Worker,
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// One SQLite file. Clones share the connection and its thread; further handles on the same file, in this process or
/// another, have their own and see each other's commits.
#[derive(Clone)]
pub struct SqliteStorage {
    worker: Arc<Worker<Database>>,
    file: Option<Arc<File>>,
}

/// What was opened, and how.
struct File {
    path: PathBuf,
    config: SqliteConfig,
}

impl SqliteStorage {
    /// Opens a file with the default options; creates it, and missing directories, if there is none.
    ///
    /// # Errors
    /// `Corrupt` (damaged, empty, or not landfall's; kept), `NewerFormat`, `ReadOnly`, `Locked`, `QuotaExceeded`,
    /// `Storage`, `Config` (an empty path, or a directory).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &SqliteConfig::new())
    }

    /// Opens a file with options of yours.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, config: &SqliteConfig) -> Result<Self> {
        let path = path.as_ref();
        let context = |error: Error| {
            error::explained(error, path, config).during("open").with("path", path.display().to_string())
        };
        let (connection, registered) = open::file(path, config).map_err(context)?;
        let mut database = Database::new(connection, Some(registered));
        database.check().map_err(context)?;
        let worker = Worker::start("landfall-sqlite", database).map_err(context)?;
        let file = File { path: path.to_owned(), config: config.clone() };
        Ok(Self { worker: Arc::new(worker), file: Some(Arc::new(file)) })
    }

    /// A database in memory: the same code without a file, gone with the last clone.
    ///
    /// # Errors
    /// `Storage` when SQLite cannot.
    pub fn open_in_memory() -> Result<Self> {
        let database = Database::new(open::memory().map_err(|error| error.during("open"))?, None);
        let worker = Worker::start("landfall-sqlite", database).map_err(|error| error.during("open"))?;
        Ok(Self { worker: Arc::new(worker), file: None })
    }

    /// Opens the application's file in the platform's data directory: `landfall.sqlite` in a directory of the
    /// application's name (see [`default_path`](Self::default_path)).
    ///
    /// # Errors
    /// `Config` when the name is no file name or the platform names no such directory; else as [`open`](Self::open).
    #[cfg(feature = "default-path")]
    #[cfg_attr(docsrs, doc(cfg(feature = "default-path")))]
    pub fn open_default(app_name: &str) -> Result<Self> {
        Self::open(Self::default_path(app_name)?)
    }

    /// Where [`open_default`](Self::open_default) keeps an application's file: under `$XDG_DATA_HOME` or
    /// `~/.local/share` on Linux, `~/Library/Application Support` on macOS, `%APPDATA%` on Windows.
    ///
    /// # Errors
    /// `Config` when the name is no file name or the platform names no such directory.
    #[cfg(feature = "default-path")]
    #[cfg_attr(docsrs, doc(cfg(feature = "default-path")))]
    pub fn default_path(app_name: &str) -> Result<PathBuf> {
        use etcetera::BaseStrategy;
        let wrong = |message| Error::new(ErrorKind::Config, message).during("open").with("application", app_name);
        if app_name.contains(['/', '\\', ':', '\0']) || matches!(app_name, "" | "." | "..") {
            return Err(wrong("the application's name must be usable as the name of a directory"));
        }
        let strategy = etcetera::base_strategy::choose_native_strategy()
            .map_err(|source| wrong("this platform names no data directory; open a path instead").caused_by(source))?;
        Ok(strategy.data_dir().join(app_name).join("landfall.sqlite"))
    }

    /// The path that was opened; none for a database in memory.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: Option<&str>,
        work: impl FnOnce(&mut Database, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let context = |error: Error| match key {
            Some(key) if error.context().all(|(name, _)| name != "key") => error.during(operation).with("key", key),
            _ => error.during(operation),
        };
        if let Some(key) = key {
            check_key(key).map_err(|error| error.during(operation))?;
        }
        let text = key.unwrap_or_default().to_owned();
        let file = self.file.clone();
        let explained = move |error| match &file {
            Some(file) => error::explained(error, &file.path, &file.config),
            None => error,
        };
        self.worker.run(move |database| work(database, &text).map_err(explained)).await.map_err(context)
    }
}

/// Fills in the sizes that SQLite does not tell when the medium is full.
fn with_sizes(error: Error, database: &mut Database, size: u64) -> Error {
    if !matches!(error.kind(), ErrorKind::QuotaExceeded { limit: 0, .. }) {
        return error;
    }
    let used = database.usage(None).unwrap_or(0);
    Error::new(
        ErrorKind::QuotaExceeded { used, limit: 0, needed: used + size },
        "the medium is full; make room and try again",
    )
    .caused_by(error)
}

#[async_trait]
impl Storage for SqliteStorage {
    async fn load(&self, key: &str) -> Result<StoredState> {
        self.run("load", Some(key), Database::load).await
    }

    async fn commit(&self, key: &str, expected: Revision, delta: Delta) -> Result<Revision> {
        let shrinks = delta.clear || !delta.delete.is_empty();
        let (revision, scattered) = self
            .run("commit", Some(key), move |database, key| {
                let size = delta.size();
                let revision =
                    database.commit(key, expected, &delta).map_err(|error| with_sizes(error, database, size))?;
                Ok((revision, database.is_scattered()))
            })
            .await?;
        if scattered {
            // After the answer: no commit waits for it but the next.
            self.worker.run_later(Database::gather);
        }
        if shrinks {
            self.worker.run_later(Database::give_back);
        }
        Ok(revision)
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.run("remove", Some(key), Database::remove).await?;
        self.worker.run_later(Database::give_back);
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<String>> {
        self.run("keys", None, |database, _| database.keys()).await
    }

    async fn usage(&self, key: Option<&str>) -> Result<u64> {
        let all = key.is_none();
        self.run("usage", key, move |database, key| database.usage(if all { None } else { Some(key) })).await
    }

    /// Durable, atomic and shared for a file; only atomic in memory.
    fn capability(&self) -> Capability {
        let file = self.file.is_some();
        Capability::none().durable(file).atomic(true).shared(file)
    }
}

impl fmt::Debug for SqliteStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStorage").field("path", &self.path()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database;
    use landfall_storage::{StoredRow, conformance::block_on};

    fn put(id: u64, length: usize) -> Delta {
        let row = StoredRow { id, order: id, state: None, record: "x".repeat(length).into(), change: None };
        Delta { put: vec![row], ..Delta::default() }
    }

    fn limit_pages(storage: &SqliteStorage, pages: i64) {
        block_on(storage.worker.run(move |database| {
            let Database::Open(database::Open { connection, .. }) = database else { panic!("open") };
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
            Ok(())
        }))
        .unwrap();
    }

    #[test]
    fn a_full_medium_changes_nothing_and_the_handle_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let storage = SqliteStorage::open(dir.path().join("offline.sqlite")).unwrap();
        block_on(storage.commit("k", 0, put(1, 1_000))).unwrap();
        let before = block_on(storage.load("k")).unwrap();
        limit_pages(&storage, 12);
        let error = block_on(storage.commit("k", 1, put(2, 100_000))).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::QuotaExceeded { used: 1_000, limit: 0, needed: 101_000 });
        assert_eq!(block_on(storage.load("k")).unwrap(), before);
        assert_eq!(block_on(storage.commit("k", 1, put(2, 10))).unwrap(), 2, "what fits is taken");
        limit_pages(&storage, 1_000_000);
        assert_eq!(block_on(storage.commit("k", 2, put(2, 100_000))).unwrap(), 3);
    }

    #[test]
    fn a_panic_in_a_transaction_leaves_the_old_state() {
        let storage = SqliteStorage::open_in_memory().unwrap();
        block_on(storage.commit("k", 0, put(1, 10))).unwrap();
        let error = block_on(storage.worker.run(|database| -> Result<()> {
            let Database::Open(database::Open { connection, .. }) = database else { panic!("open") };
            let transaction = connection.transaction().unwrap();
            transaction.execute("DELETE FROM rows", []).unwrap();
            panic!("half way");
        }))
        .unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Unexpected);
        assert_eq!(block_on(storage.load("k")).unwrap().rows.len(), 1);
    }

    #[test]
    fn a_closed_database_says_so() {
        let storage = SqliteStorage::open_in_memory().unwrap();
        block_on(storage.worker.run(|database| {
            *database = Database::Closed;
            Ok(())
        }))
        .unwrap();
        for kind in [
            block_on(storage.load("k")).unwrap_err().kind(),
            block_on(storage.commit("k", 0, put(1, 1))).unwrap_err().kind(),
            block_on(storage.remove("k")).unwrap_err().kind(),
            block_on(storage.keys()).unwrap_err().kind(),
            block_on(storage.usage(None)).unwrap_err().kind(),
        ] {
            assert_eq!(kind, &ErrorKind::Closed);
        }
    }
}
