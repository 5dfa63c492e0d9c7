//! The same data source for programs without an async runtime.
//!
//! Each data source brings a runtime of its own, on one thread; calls that wait, wait. Everything else is the async
//! [`DataSource`](crate::DataSource)'s, reached through `Deref`.
//!
//! ```
//! use landfall::{Model, Record, blocking::DataSource, storage::MemoryStorage, transport::MockServer};
//!
//! # fn main() -> landfall::Result<()> {
//! let server = MockServer::builder().row(Record::from_json(r#"{"id":1,"name":"Chai"}"#)?).build();
//! let products = DataSource::build(
//!     landfall::DataSource::builder()
//!         .transport(server)
//!         .model(Model::new().id("id"))
//!         .storage(MemoryStorage::new(), "products"),
//! )?;
//! products.fetch()?;
//! let first = products.at(0).unwrap();
//! products.set(&first, "name", "Chang")?;
//! assert!(products.sync()?.is_success());
//! # Ok(()) }
//! ```

use crate::{Builder, Outcome, Row, driver::guarded, operation};
use landfall_core::{
    Aggregate, Error, ErrorKind, Filter, Group, Preview, QueryOptions, Record, Result, Sort, SyncReport, Uid, Value,
};
use std::{fmt, ops::Deref, sync::mpsc, thread::JoinHandle};
use tokio::{
    runtime::{Builder as Runtime, Handle},
    sync::oneshot,
};

/// A data source whose calls wait.
///
/// Where a call must not wait it fails, while what it started goes on: with `Callback` in a handler of its own events and in
/// a function that it runs, with `Unsupported` on a thread of an async runtime. The async calls, which the handle inside
/// has ([`Deref`]), start the same work without waiting.
pub struct DataSource<T = Record> {
    // Dropped first, so that the driver ends before its runtime does.
    inner: Option<crate::DataSource<T>>,
    runtime: Option<OwnRuntime>,
}

struct OwnRuntime {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    handle: Handle,
}

impl OwnRuntime {
    fn start() -> Result<Self> {
        let failed = |source: std::io::Error| {
            Error::new(ErrorKind::Unexpected, "the runtime of the data source could not be started")
                .during("build")
                .caused_by(source)
        };
        let (report, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("landfall".to_owned())
            .spawn(move || match Runtime::new_current_thread().enable_all().build() {
                Ok(runtime) => {
                    drop(report.send(Ok(runtime.handle().clone())));
                    // Ends when told to, or when the data source is gone.
                    runtime.block_on(async { drop(stopped.await) });
                    // Commits that are queued get the time to finish.
                    runtime.block_on(async {
                        for _ in 0..64 {
                            tokio::task::yield_now().await;
                        }
                    });
                }
                Err(error) => drop(report.send(Err(error))),
            })
            .map_err(failed)?;
        let handle = started
            .recv()
            .map_err(|source| {
                Error::new(ErrorKind::Unexpected, "the thread of the data source ended").caused_by(source)
            })?
            .map_err(failed)?;
        Ok(Self { stop: Some(stop), thread: Some(thread), handle })
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A handler of the data source may drop it on this very thread; that one must not wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                drop(thread.join());
            }
        }
    }
}

impl<T: Row> DataSource<T> {
    /// Makes the data source on a thread of its own.
    ///
    /// # Errors
    /// As [`Builder::build`], and `Unexpected` when the thread cannot be started.
    pub fn build(builder: Builder<T>) -> Result<Self> {
        let runtime = OwnRuntime::start()?;
        let inner = builder.build_on(&runtime.handle)?;
        Ok(Self { inner: Some(inner), runtime: Some(runtime) })
    }
}

impl<T> DataSource<T> {
    fn runtime(&self) -> Result<&Handle> {
        let closed = || Error::new(ErrorKind::Closed, "the data source was closed");
        self.runtime.as_ref().map(|thread| &thread.handle).ok_or_else(closed)
    }

    /// See [`read`](crate::DataSource::read).
    ///
    /// # Errors
    /// As there.
    pub fn read(&self) -> Result<Outcome> {
        crate::DataSource::read(self).wait()
    }

    /// See [`read_with`](crate::DataSource::read_with).
    ///
    /// # Errors
    /// As there.
    pub fn read_with(&self, params: Record) -> Result<Outcome> {
        crate::DataSource::read_with(self, params).wait()
    }

    /// See [`fetch`](crate::DataSource::fetch).
    ///
    /// # Errors
    /// As there.
    pub fn fetch(&self) -> Result<Outcome> {
        crate::DataSource::fetch(self).wait()
    }

    /// See [`restore`](crate::DataSource::restore).
    ///
    /// # Errors
    /// As there.
    pub fn restore(&self) -> Result<()> {
        crate::DataSource::restore(self).wait()
    }

    /// See [`restore_with`](crate::DataSource::restore_with): `first` runs on another thread, while this one waits.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn restore_with(&self, first: impl FnOnce(Preview) + Send + 'static) -> Result<()> {
        crate::DataSource::restore_with(self, first).wait()
    }

    /// See [`query`](crate::DataSource::query).
    ///
    /// # Errors
    /// As there.
    pub fn query(&self, options: QueryOptions) -> Result<Outcome> {
        crate::DataSource::query(self, options).wait()
    }

    /// See [`filter`](crate::DataSource::filter).
    ///
    /// # Errors
    /// As there.
    pub fn filter(&self, filter: impl Into<Option<Filter>>) -> Result<Outcome> {
        crate::DataSource::filter(self, filter).wait()
    }

    /// See [`sort`](crate::DataSource::sort).
    ///
    /// # Errors
    /// As there.
    pub fn sort(&self, sort: impl IntoIterator<Item = Sort>) -> Result<Outcome> {
        crate::DataSource::sort(self, sort).wait()
    }

    /// See [`group`](crate::DataSource::group).
    ///
    /// # Errors
    /// As there.
    pub fn group(&self, group: impl IntoIterator<Item = Group>) -> Result<Outcome> {
        crate::DataSource::group(self, group).wait()
    }

    /// See [`aggregate`](crate::DataSource::aggregate).
    ///
    /// # Errors
    /// As there.
    pub fn aggregate(&self, aggregate: impl IntoIterator<Item = Aggregate>) -> Result<Outcome> {
        crate::DataSource::aggregate(self, aggregate).wait()
    }

    /// See [`page`](crate::DataSource::page).
    ///
    /// # Errors
    /// As there.
    pub fn page(&self, page: usize) -> Result<Outcome> {
        crate::DataSource::page(self, page).wait()
    }

    /// See [`page_size`](crate::DataSource::page_size).
    ///
    /// # Errors
    /// As there.
    pub fn page_size(&self, rows: usize) -> Result<Outcome> {
        crate::DataSource::page_size(self, rows).wait()
    }

    /// See [`sync`](crate::DataSource::sync).
    ///
    /// # Errors
    /// As there.
    pub fn sync(&self) -> Result<SyncReport> {
        crate::DataSource::sync(self).wait()
    }

    /// See [`online`](crate::DataSource::online).
    ///
    /// # Errors
    /// As there.
    pub fn online(&self, online: bool) -> Result<SyncReport> {
        crate::DataSource::online(self, online).wait()
    }

    /// See [`resume`](crate::DataSource::resume).
    ///
    /// # Errors
    /// As there.
    pub fn resume(&self) -> Result<SyncReport> {
        crate::DataSource::resume(self).wait()
    }

    /// See [`retry`](crate::DataSource::retry).
    ///
    /// # Errors
    /// As there.
    pub fn retry(&self, uid: impl Into<Uid>) -> Result<SyncReport> {
        crate::DataSource::retry(self, uid).wait()
    }

    /// See [`edit_and_retry`](crate::DataSource::edit_and_retry).
    ///
    /// # Errors
    /// As there.
    pub fn edit_and_retry(&self, uid: impl Into<Uid>, edit: impl FnOnce(&mut Record)) -> Result<SyncReport> {
        crate::DataSource::edit_and_retry(self, uid, edit).wait()
    }

    /// See [`discard`](crate::DataSource::discard).
    ///
    /// # Errors
    /// As there.
    pub fn discard(&self, uid: impl Into<Uid>) -> Result<()> {
        crate::DataSource::discard(self, uid).wait()
    }

    /// See [`keep_mine`](crate::DataSource::keep_mine).
    ///
    /// # Errors
    /// As there.
    pub fn keep_mine(&self, uid: impl Into<Uid>) -> Result<SyncReport> {
        crate::DataSource::keep_mine(self, uid).wait()
    }

    /// See [`take_theirs`](crate::DataSource::take_theirs).
    ///
    /// # Errors
    /// As there.
    pub fn take_theirs(&self, uid: impl Into<Uid>) -> Result<()> {
        crate::DataSource::take_theirs(self, uid).wait()
    }

    /// See [`confirm`](crate::DataSource::confirm).
    ///
    /// # Errors
    /// As there.
    pub fn confirm(&self, uid: impl Into<Uid>, record: Option<Record>) -> Result<()> {
        crate::DataSource::confirm(self, uid, record).wait()
    }

    /// See [`idle`](crate::DataSource::idle).
    ///
    /// # Errors
    /// As there.
    pub fn idle(&self) -> Result<()> {
        crate::DataSource::idle(self).wait()
    }

    /// See [`offline_data`](crate::DataSource::offline_data).
    ///
    /// # Errors
    /// As there.
    pub fn offline_data(&self) -> Result<Value> {
        operation::wait(self.export()?, self.shared().inside()).map_err(|error| error.during("offline_data"))
    }

    /// See [`set_offline_data`](crate::DataSource::set_offline_data).
    ///
    /// # Errors
    /// As there.
    pub fn set_offline_data(&self, state: &Value) -> Result<()> {
        crate::DataSource::set_offline_data(self, state).wait()
    }

    /// See [`storage_usage`](crate::DataSource::storage_usage).
    ///
    /// # Errors
    /// As there.
    pub fn storage_usage(&self) -> Result<u64> {
        let Some((storage, key)) = self.shared().storage.clone() else {
            return Err(Error::new(ErrorKind::Config, "there is no offline storage").during("storage_usage"));
        };
        let (sender, receiver) = oneshot::channel();
        drop(self.runtime()?.spawn(async move { drop(sender.send(guarded(storage.usage(Some(&key))).await)) }));
        operation::wait(receiver, self.shared().inside()).map_err(|error| error.during("storage_usage"))
    }
}

impl<T> Deref for DataSource<T> {
    type Target = crate::DataSource<T>;
    #[expect(clippy::expect_used, reason = "only drop() takes it out")]
    fn deref(&self) -> &Self::Target {
        self.inner.as_ref().expect("present until dropped")
    }
}

impl<T> Drop for DataSource<T> {
    fn drop(&mut self) {
        if self.shared().inside().holds()
            && let Some(runtime) = &mut self.runtime
        {
            // Its thread may wait for what this one has locked: it ends by itself.
            drop(runtime.thread.take());
        }
        drop(self.inner.take());
        drop(self.runtime.take());
    }
}

impl<T> fmt::Debug for DataSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
