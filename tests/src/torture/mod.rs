//! The program `torture`: parse a command, call the library, print the answer. Repairs, retries and caches nothing that the
//! library does not.

mod arguments;
mod commands;
mod dialect;
mod online;
mod open;
mod output;
mod script;

pub use arguments::{Arguments, Mode, Place};
pub use dialect::Service;

use std::{ffi::OsString, process::ExitCode};

/// How a program of this kind ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All went well.
    Well,
    /// The server or the network prevented something, and that was reported.
    Prevented,
    /// The stored state is damaged.
    Corrupt,
    /// Another process has the storage.
    Locked,
    /// The storage cannot be used for another reason.
    Failed,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        Self::from(match end {
            End::Well => 0,
            End::Corrupt => 3,
            End::Prevented => 4,
            End::Locked => 5,
            End::Failed => 6,
        })
    }
}

/// Runs the program with these arguments.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::parse(arguments) {
        Ok(arguments) => arguments,
        Err(problem) => {
            output::note(&format!("torture: {problem}"));
            return ExitCode::from(2);
        }
    };
    // Timers are looked at also while a server keeps the connection busy without an end.
    let runtime = match tokio::runtime::Builder::new_current_thread().event_interval(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::note(&format!("torture: no runtime: {error}"));
            return ExitCode::from(6);
        }
    };
    let end = runtime.block_on(async {
        match arguments.mode {
            Mode::Run => commands::run(&arguments).await,
            Mode::Verify => commands::verify(&arguments).await,
            Mode::Read => online::read(&arguments).await,
            Mode::Sync => online::sync(&arguments).await,
        }
    });
    // A name look-up that hangs must not keep the program.
    runtime.shutdown_background();
    end.into()
}
