//! `read` and `sync`: against the service.

use super::{Arguments, End, open, output};
use landfall::{Error, EventKind, Value};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

fn end_of(error: &Error) -> End {
    output::storage_end(error).unwrap_or(End::Prevented)
}

pub(crate) async fn read(arguments: &Arguments) -> End {
    let source = match open::open(arguments).await {
        Ok(source) => source,
        Err(end) => return end,
    };
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    source.on(EventKind::RequestEnd, move |event| {
        if let Some(rows) = event.response.as_ref().and_then(Value::as_array) {
            counted.store(rows.len(), Ordering::Relaxed);
        }
    });
    let end = match source.read().await {
        Ok(_) => {
            output::line(&format!("ok read {}", count.load(Ordering::Relaxed)));
            End::Well
        }
        Err(error) => {
            output::line(&format!("err read {}", output::failure(&error)));
            end_of(&error)
        }
    };
    output::dump(&source);
    open::close(source).await;
    end
}

pub(crate) async fn sync(arguments: &Arguments) -> End {
    let source = match open::open(arguments).await {
        Ok(source) => source,
        Err(end) => return end,
    };
    let broken = Arc::new(AtomicBool::new(false));
    let storage_failed = Arc::clone(&broken);
    source.on(EventKind::Outcome, move |event| {
        let Some(outcome) = &event.outcome else { return };
        let (kind, key) = (outcome.kind.as_str(), output::key_of(&outcome.record));
        match &outcome.result {
            Ok(()) => output::line(&format!("done {kind} {key}")),
            Err(error) => {
                if output::storage_end(error).is_some() {
                    storage_failed.store(true, Ordering::Relaxed);
                }
                output::line(&format!("fail {kind} {key} {}", output::failure(error)));
            }
        }
    });
    let end = match source.online(true).await {
        Ok(report) if report.is_success() => End::Well,
        Ok(_) if broken.load(Ordering::Relaxed) => End::Failed,
        Ok(_) => End::Prevented,
        Err(error) => {
            // Nothing could be accepted, so nothing was sent.
            output::note(&output::failure(&error));
            end_of(&error)
        }
    };
    let pending = output::rows(&source).iter().filter(|(state, _)| *state != "clean").count();
    output::line(&format!("pending {pending}"));
    output::dump(&source);
    open::close(source).await;
    end
}
