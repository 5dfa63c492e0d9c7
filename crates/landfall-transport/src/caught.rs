//! Panics of user code become errors.
//!
//! Owns nothing else: whether something was sent by then is known to whoever runs the code.

use crate::{Error, ErrorKind, Result};
use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

/// Runs a function of the program's; a panic is [`ErrorKind::Callback`]. For channels and transports that ask the program
/// for something before they send, such as headers: the error says that nothing was sent ([`Applied::No`](crate::Applied)).
///
/// # Errors
/// `Callback` with the panic's message; `what` says what was being done.
pub fn caught<T>(what: &'static str, run: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| error(what, panic.as_ref()))
}

/// As [`caught`], for a future that runs code of the program's: a panic while it is polled ends it.
///
/// # Errors
/// As there.
pub async fn caught_in<T>(what: &'static str, future: impl Future<Output = T> + Send) -> Result<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match caught(what, || future.as_mut().poll(cx)) {
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(error) => Poll::Ready(Err(error)),
    })
    .await
}

fn error(what: &'static str, panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Error::new(ErrorKind::Callback, text).with("while", what)
}
