//! The stored state: shown again after a start, taken out, put in, measured.
//!
//! Owns the calls; what is stored, and what it means, is the engine's.

use crate::{
    data_source::DataSource,
    operation::{self, Operation},
    shared::{FirstLook, Work},
};
use landfall_core::{Engine, Error, ErrorKind, Preview, Result, Step, Steps, Value};
use tokio::sync::oneshot;

/// # The stored state
impl<T> DataSource<T> {
    /// Shows what is stored, without a request. Needs an offline storage.
    pub fn restore(&self) -> Operation<()> {
        self.start("restore", operation::nothing, Engine::restore)
    }

    /// As [`restore`](Self::restore); tells of the first page and of what is pending before the other rows are read, which
    /// takes most of the time of a large state. `first` runs on the driver's task, once; not when there is nothing to wait for
    /// (the state is known already, or cannot be read), nor when another call of this kind takes its place.
    ///
    /// ```
    /// # use landfall::{DataSource, Model, Record, storage::{MemoryStorage, Storage}, transport::MockServer};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> landfall::Result<()> {
    /// # let storage = std::sync::Arc::new(MemoryStorage::new());
    /// # let server = MockServer::builder().row(Record::from_json(r#"{"id":1,"name":"Chai"}"#)?).build();
    /// # let source = || DataSource::builder().transport(server.clone()).model(Model::new().id("id")).page_size(20)
    /// #     .storage(storage.clone(), "products").build();
    /// # let before: DataSource = source()?;
    /// # before.fetch().await?;
    /// # drop(before);
    /// # let products: DataSource = source()?;
    /// let (show, mut shown) = tokio::sync::mpsc::unbounded_channel();
    /// let all = products.restore_with(move |first| drop(show.send(first)));
    /// if let Some(first) = shown.recv().await {
    ///     println!("{} of {} rows, {} changes wait", first.rows.len(), first.total, first.pending.len());
    /// }
    /// all.await?; // from here on everything is known
    /// # assert_eq!(products.total(), 1);
    /// # Ok(()) }
    /// ```
    pub fn restore_with(&self, first: impl FnOnce(Preview) + Send + 'static) -> Operation<()> {
        let known = self.shared().enter("restore").map(|engine| engine.is_restored());
        match known {
            Err(error) => return Operation::failed(error, operation::nothing),
            Ok(false) if self.shared().storage.is_some() => {
                // One that is replaced is dropped when nothing is locked: what it holds may call the data source.
                let before = self.shared().first_look().replace(FirstLook(Box::new(first)));
                drop(before);
            }
            Ok(_) => {}
        }
        self.restore()
    }

    /// The stored state in Kendo's form: the rows, changed ones with `__state__`, then the removed ones.
    ///
    /// # Errors
    /// `Config` without an offline storage; the storage's errors.
    #[doc(alias = "offlineData")]
    pub async fn offline_data(&self) -> Result<Value> {
        let exported = self.export()?.await;
        exported.unwrap_or_else(|_| Err(operation::gone().during("offline_data")))
    }

    /// Asks for the stored state.
    pub(crate) fn export(&self) -> Result<oneshot::Receiver<Result<Value>>> {
        let (sender, receiver) = oneshot::channel();
        let asked = self.shared().inside().check_call().and_then(|()| match self.shared().storage {
            None => Err(Error::new(ErrorKind::Config, "there is no offline storage")),
            Some(_) if self.hand_over(Work::Export(sender)) => Ok(receiver),
            Some(_) => Err(operation::gone()),
        });
        asked.map_err(|error| error.during("offline_data"))
    }

    /// Replaces the stored state by one in Kendo's form. Nothing of it is shown until the next read. Refuses while a
    /// change is in doubt.
    pub fn set_offline_data(&self, state: &Value) -> Operation<()> {
        self.replace_stored(state, false)
    }

    /// As [`set_offline_data`](Self::set_offline_data), even while a change is in doubt.
    pub fn replace_offline_data(&self, state: &Value) -> Operation<()> {
        self.replace_stored(state, true)
    }

    fn replace_stored(&self, state: &Value, all: bool) -> Operation<()> {
        self.start("set_offline_data", operation::nothing, |engine, ticket| {
            let failed = |error| Steps::from([Step::Settle(ticket, Err(error))]);
            engine.set_offline_data(ticket, state, all).unwrap_or_else(failed)
        })
    }

    /// Bytes that this data source takes in its storage.
    ///
    /// # Errors
    /// `Config` without an offline storage; the storage's errors.
    pub async fn storage_usage(&self) -> Result<u64> {
        match &self.shared().storage {
            Some((storage, key)) => storage.usage(Some(key)).await,
            None => Err(Error::new(ErrorKind::Config, "there is no offline storage").during("storage_usage")),
        }
    }
}
