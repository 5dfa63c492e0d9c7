//! The command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Edit offline.
    Run,
    /// Print what is stored.
    Verify,
    /// Read from the service.
    Read,
    /// Send what is pending.
    Sync,
}

/// Which storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file storage.
    File,
    /// The SQLite storage.
    Sqlite,
}

/// The arguments, with their defaults.
#[derive(Clone)]
pub struct Arguments {
    /// What to do.
    pub mode: Mode,
    /// Which storage.
    pub place: Place,
    /// The directory that holds everything.
    pub dir: PathBuf,
    /// The storage key.
    pub key: String,
    /// Edits of its own: seed and count.
    pub own: Option<(u64, u64)>,
    /// Where the service is.
    pub url: String,
    /// Extra headers.
    pub headers: Vec<(String, String)>,
    /// The longest time one request may take.
    pub timeout: Duration,
    /// The largest body.
    pub max_body: u64,
    /// Further tries.
    pub retries: u32,
    /// First pause.
    pub backoff: Duration,
    /// The longest `Retry-After`.
    pub max_retry_after: Duration,
    /// All changes of a kind in one request.
    pub batch: bool,
    /// Say much.
    pub verbose: bool,
}

impl Arguments {
    /// Reads the command line, without the program's name.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut words = Vec::new();
        for word in arguments {
            words.push(word.into_string().map_err(|_word| "an argument is not UTF-8".to_owned())?);
        }
        let mut words = words.into_iter();
        let mode = match words.next().as_deref() {
            Some("run") => Mode::Run,
            Some("verify") => Mode::Verify,
            Some("read") => Mode::Read,
            Some("sync") => Mode::Sync,
            other => return Err(format!("run, verify, read or sync, not {other:?}")),
        };
        let mut out = Self {
            mode,
            place: Place::File,
            dir: PathBuf::new(),
            key: "torture".to_owned(),
            own: None,
            url: String::new(),
            headers: Vec::new(),
            timeout: Duration::from_secs(3),
            max_body: 8_388_608,
            retries: 2,
            backoff: Duration::from_millis(50),
            max_retry_after: Duration::from_secs(2),
            batch: false,
            verbose: false,
        };
        let (mut storage, mut seed, mut ops) = (false, None, None);
        while let Some(word) = words.next() {
            let (name, glued) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
                _ => (word, None),
            };
            if matches!(name.as_str(), "--batch" | "-v") && glued.is_none() {
                out.batch |= name == "--batch";
                out.verbose |= name == "-v";
                continue;
            }
            let value = glued.or_else(|| words.next()).ok_or_else(|| format!("{name} needs a value"))?;
            let number = || value.parse::<u64>().map_err(|_value| format!("{name} needs a number"));
            let millis = || number().map(Duration::from_millis);
            match name.as_str() {
                "--storage" => {
                    storage = true;
                    out.place = match value.as_str() {
                        "file" => Place::File,
                        "sqlite" => Place::Sqlite,
                        _ => return Err("--storage is file or sqlite".to_owned()),
                    };
                }
                "--dir" => out.dir = PathBuf::from(value),
                "--key" => out.key = value,
                "--seed" => seed = Some(number()?),
                "--ops" => ops = Some(number()?),
                "--url" => out.url = value,
                "--header" => {
                    // Its value may be a secret: it is not repeated.
                    let (name, value) = value.split_once(':').ok_or("--header is 'Name: value'")?;
                    out.headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                "--timeout-ms" => out.timeout = millis()?,
                "--max-body-bytes" => out.max_body = number()?,
                "--retries" => out.retries = u32::try_from(number()?).unwrap_or(u32::MAX),
                "--backoff-ms" => out.backoff = millis()?,
                "--max-retry-after-ms" => out.max_retry_after = millis()?,
                _ => return Err(format!("unknown option {name}")),
            }
        }
        if !storage {
            return Err("--storage is needed".to_owned());
        }
        if out.dir.as_os_str().is_empty() {
            return Err("--dir is needed".to_owned());
        }
        if out.key.is_empty() {
            return Err("--key must not be empty".to_owned());
        }
        out.own = match (seed, ops) {
            (Some(seed), Some(ops)) if mode == Mode::Run => Some((seed, ops)),
            (None, None) => None,
            _ => return Err("--seed and --ops belong together, and to run".to_owned()),
        };
        if matches!(mode, Mode::Read | Mode::Sync) && out.url.is_empty() {
            return Err("--url is needed".to_owned());
        }
        Ok(out)
    }
}

/// Headers may hold secrets.
impl std::fmt::Debug for Arguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arguments").field("mode", &self.mode).field("dir", &self.dir).finish_non_exhaustive()
    }
}
