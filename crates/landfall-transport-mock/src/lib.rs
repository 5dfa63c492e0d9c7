//! A scripted server in memory: a transport for tests, examples and documentation of
//! [landfall](https://docs.rs/landfall).
//!
//! [`MockServer`] keeps rows, answers reads and writes like a small real service, and misbehaves exactly when told:
//! failures, lost replies, refused connections, unreadable answers, latency, replies that wait until the test lets
//! them go. Every clone is a handle on the same server, so a test hands one to the data source and keeps another.
//!
//! ```
//! use landfall_core::{ChangeKind, Operation, OutgoingRow, Record, Request};
//! use landfall_transport::Transport;
//! use landfall_transport_mock::{Fault, MockServer};
//!
//! # fn main() -> landfall_core::Result<()> {
//! # futures_executor::block_on(async {
//! let server = MockServer::builder()
//!     .rows([Record::from_json(r#"{"id":1,"name":"Chai"}"#)?])
//!     .fault(Fault::on(Operation::Create).fail(500))
//!     .build();
//!
//! let reply = server.send(Request::read(Record::new())).await?;
//! assert_eq!(reply.body.decode()?.unwrap_or_default().to_json(), r#"[{"id":1,"name":"Chai"}]"#);
//!
//! let record = Record::from([("name", "Chang")]);
//! let row = OutgoingRow { kind: ChangeKind::Create, record, id: None, changed: Vec::new(), base: None };
//! let create = Request { operation: Operation::Create, rows: vec![row], ..Request::read(Record::new()) };
//! let refused = server.send(create.clone()).await;
//! assert_eq!(refused.err().and_then(|error| error.status()), Some(500));
//! server.send(create).await?;
//! assert_eq!(server.rows().len(), 2);
//! assert_eq!(server.requests().len(), 3);
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Without faults, delays or held replies
//!
//! the future that [`send`](landfall_transport::Transport::send) gives is ready at its first poll, and the request
//! reaches the server in that poll.
//!
//! # What it is not
//!
//! It opens no socket and knows no URL, verb or encoding: these belong to real transports. It is no database: looking
//! up a row by id goes through all rows, except within large batches.
#![forbid(unsafe_code)]

mod builder;
mod fault;
mod held;
mod json;
mod model;
mod options;
mod server;

pub use builder::MockServerBuilder;
pub use fault::Fault;
pub use options::{ReplyStyle, Wrap};
pub use server::{MockServer, Received};
