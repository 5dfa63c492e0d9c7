//! The dialect of Kendo's remote transport, byte for byte: settings per operation, jQuery's form encoding, parameter
//! maps, JSONP, submit, and Kendo's own spelling of OData.
//!
//! Owns everything that Kendo's `transport` option says. For services that were written against Kendo; new ones are
//! better served by [`rest`](super::rest).
//!
//! ```
//! use landfall_transport::dialect::kendo::{Kendo, ParameterMap, Settings};
//!
//! let dialect = Kendo::new()
//!     .read(Settings::url("/core/products").json())
//!     .create(Settings::url("/core/products/create").method("POST").content_type("application/json").json())
//!     .update(Settings::url("/core/products/update").method("POST").content_type("application/json").json())
//!     .destroy(Settings::template("/core/products/{ProductID}").method("DELETE"))
//!     .parameter_map(ParameterMap::models_array_body());
//! ```

mod aspnet;
mod map;
mod options;
mod settings;
mod spell;
mod submit;

pub use map::{Mapped, ParameterMap};
pub use options::{DataHook, Functions, NoFunctions, SendHook};
pub use settings::{Address, CallbackParameter, ContentType, Settings};
pub use submit::Submit;

use super::Dialect;
use crate::{
    DataType, Dates, Error, ErrorKind, Operation, Reply, Request, Result, Surroundings, Utc, WireReply, WireRequest,
    Zone, answer,
};
use std::sync::Arc;

/// Kendo's remote transport as a [`Dialect`]. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Kendo {
    read: Option<Settings>,
    create: Option<Settings>,
    update: Option<Settings>,
    destroy: Option<Settings>,
    submit: Option<Submit>,
    map: ParameterMap,
    dates: Dates,
    json_writes_only: bool,
    cached: bool,
}

impl Kendo {
    /// A dialect without operations yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Kendo's `type: "odata"` (R8.27): the settings given here later keep what they leave open from OData v2's defaults.
    /// `read` must already say its data type, because it decides the query.
    pub fn odata_v2(read: Settings, create: Settings, update: Settings, destroy: Settings) -> Self {
        Self::odata_v2_in(read, create, update, destroy, Arc::new(Utc))
    }

    /// As [`odata_v2`](Self::odata_v2), with the zone in which dates of filters are written (R8.31).
    pub fn odata_v2_in(
        read: Settings,
        create: Settings,
        update: Settings,
        destroy: Settings,
        zone: Arc<dyn Zone>,
    ) -> Self {
        let mut read = read.defaults(None, None);
        if read.data_type == DataType::Any {
            read.data_type = DataType::Jsonp;
        }
        if read.callback_parameter.is_none() {
            read.callback_parameter = Some(CallbackParameter::Named("$callback".to_owned()));
        }
        let json = Some("application/json");
        let format_json = read.data_type != DataType::Json;
        Self {
            read: Some(read),
            create: Some(create.defaults(Some("POST"), json).json_unless_set()),
            update: Some(update.defaults(Some("PUT"), json).json_unless_set()),
            destroy: Some(destroy.defaults(Some("DELETE"), None).json_unless_set()),
            map: ParameterMap::odata_v2(format_json, zone),
            json_writes_only: true,
            ..Self::default()
        }
    }

    /// Kendo's `type: "odata-v4"` (R8.35). With `batch`, the URL of the service's `$batch`, changes are submitted together
    /// (R8.36).
    pub fn odata_v4(
        read: Settings,
        create: Settings,
        update: Settings,
        destroy: Settings,
        batch: Option<Address>,
    ) -> Self {
        let json = Some("application/json;IEEE754Compatible=true");
        Self {
            read: Some(read.defaults(None, None).json_unless_set()),
            create: Some(create.defaults(Some("POST"), json).json_unless_set()),
            update: Some(update.defaults(Some("PUT"), json).json_unless_set()),
            destroy: Some(destroy.defaults(Some("DELETE"), None).json_unless_set()),
            submit: batch.map(Submit::ODataBatch),
            map: ParameterMap::odata_v4(),
            ..Self::default()
        }
    }

    /// How records are read.
    #[must_use]
    pub fn read(mut self, settings: Settings) -> Self {
        self.read = Some(settings);
        self
    }

    /// How records are created.
    #[must_use]
    pub fn create(mut self, settings: Settings) -> Self {
        self.create = Some(settings);
        self
    }

    /// How records are updated.
    #[must_use]
    pub fn update(mut self, settings: Settings) -> Self {
        self.update = Some(settings);
        self
    }

    /// How records are removed.
    #[must_use]
    pub fn destroy(mut self, settings: Settings) -> Self {
        self.destroy = Some(settings);
        self
    }

    /// How all changes are sent in one request, when the data source batches. Default: not offered.
    #[must_use]
    pub fn submit(mut self, submit: Submit) -> Self {
        self.submit = Some(submit);
        self
    }

    /// What becomes of the parameters. Default: nothing (R8.9).
    #[must_use]
    #[doc(alias = "parameterMap")]
    pub fn parameter_map(mut self, map: ParameterMap) -> Self {
        self.map = map;
        self
    }

    /// How dates are written in form encoding. Default ISO 8601; Kendo writes `String(date)` (Q52).
    #[must_use]
    pub fn dates(mut self, dates: Dates) -> Self {
        self.dates = dates;
        self
    }

    /// Whether the options asked for a memory of reads (`cache: "inmemory"`); wrap the transport in
    /// [`Cached`](crate::Cached) then.
    pub const fn wants_read_cache(&self) -> bool {
        self.cached
    }

    /// The key of Kendo's read cache: JSON text of the mapped parameters; `None` when there are none (R8.24).
    pub fn read_key(&self, request: &Request) -> Option<String> {
        let settings = self.settings(Operation::Read)?;
        let params = settings.merged(request);
        match self.map.apply(params, Operation::Read).ok()? {
            Mapped::Params(record) => Some(record.to_json()),
            Mapped::Text(text) => Some(text),
            Mapped::Nothing => None,
        }
    }

    fn settings(&self, operation: Operation) -> Option<&Settings> {
        match operation {
            Operation::Read => self.read.as_ref(),
            Operation::Create => self.create.as_ref(),
            Operation::Update => self.update.as_ref(),
            Operation::Destroy => self.destroy.as_ref(),
            Operation::Submit => None,
        }
    }
}

impl Settings {
    fn defaults(mut self, method: Option<&str>, content_type: Option<&str>) -> Self {
        self.cache = self.cache.or(Some(true));
        self.method = self.method.or_else(|| method.map(str::to_owned));
        if let (ContentType::Form, Some(content_type)) = (&self.content_type, content_type) {
            self.content_type = ContentType::Named(content_type.to_owned());
        }
        self
    }

    fn json_unless_set(mut self) -> Self {
        if self.data_type == DataType::Any {
            self.data_type = DataType::Json;
        }
        self
    }
}

impl Dialect for Kendo {
    fn offers(&self, operation: Operation) -> bool {
        match operation {
            Operation::Submit => self.submit.is_some(),
            _ => self.settings(operation).is_some_and(|settings| settings.url.is_some()),
        }
    }

    fn request(&self, request: &Request, around: &Surroundings<'_>) -> Result<Option<WireRequest>> {
        let operation = request.operation;
        let unset = || Error::new(ErrorKind::Unsupported, "the transport has no URL for this operation");
        let mut sent = if operation == Operation::Submit {
            match self.submit.as_ref().ok_or_else(unset)?.request(self, request, around)? {
                Some(sent) => sent,
                None => return Ok(None),
            }
        } else {
            let settings = self.settings(operation).ok_or_else(unset)?;
            if self.json_writes_only && operation != Operation::Read && settings.data_type != DataType::Json {
                return Err(Error::new(ErrorKind::Config, "OData v2 can only write with the data type json"));
            }
            let params = settings.merged(request);
            let url = settings.url.as_ref().ok_or_else(unset)?.resolve(&params, &self.dates)?;
            let mapped = self.map.apply(params.clone(), operation)?;
            spell::spell(settings, operation, &url, &params, mapped, &self.dates, around)?
        };
        sent.key.clone_from(&request.key);
        Ok(Some(sent))
    }

    fn answer(&self, request: &Request, sent: &WireRequest, reply: WireReply) -> Result<Reply> {
        match &self.submit {
            Some(submit) if request.operation == Operation::Submit => submit.answer(request, sent, &reply),
            _ => answer::by_data_type(sent, &reply).map(Reply::with_body),
        }
    }

    fn check(&self) -> Result<()> {
        let all = [&self.read, &self.create, &self.update, &self.destroy];
        for settings in all.into_iter().flatten() {
            if settings.callback.as_deref().is_some_and(|name| !crate::jsonp::is_callback_name(name)) {
                return Err(Error::new(
                    ErrorKind::Config,
                    "a callback's name may hold letters, digits, _ and $, and dots between them",
                ));
            }
        }
        Ok(())
    }
}
