//! What the worker thread does: which file holds which key, commits, snapshots, recovery. Owns the files of the
//! directory; all its input and output goes through the [`Vfs`].
//!
//! What a failure leaves:
//! - a failed write of a commit: the file is cut back to the last good commit and the handle goes on; if it cannot be cut
//!   back, the handle is closed.
//! - a failed flush of a commit, or of the directory after a rename or removal: nobody knows what is on the disk, so the
//!   handle is closed. Whoever opens the directory next writes the last commit's line once more before the next one, so
//!   that a line which is only in the system's memory is flushed with it.
//! - a failed write or flush of a snapshot: it is removed, the file in use is untouched, the handle goes on.

use crate::{FileConfig, Vfs, VfsFile, error, line, name, sizes::Sizes};
use landfall_storage::{Delta, Error, ErrorKind, Result, Revision, StoredState, stale};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Debug,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The lock of the directory.
const LOCK: &str = "landfall.lock";
/// The end of the names of files that are being written.
const TEMPORARY: &str = ".tmp";
/// The end of the names of torn lines that were moved aside.
const TORN: &str = ".torn";
/// How much of a file is read to find out its key, at first.
const PEEK: u64 = 4096;
/// Delta lines from this length on may be worth a snapshot instead.
const LONG: u64 = 64 * 1024;
/// The room that a commit makes for those after it, when its line does not fit into what there is: as long as it lasts, a
/// commit changes bytes of the file and not its length, so that a flush has nothing else to write.
const ROOM: (u64, u64) = (8 * 1024, 256 * 1024);
/// How many files stay open between commits.
const OPEN_FILES: usize = 8;

/// The directory, until a failure closes it.
#[derive(Debug)]
pub(crate) struct Store {
    open: Option<Directory>,
    /// Tells the handles and the registry.
    closed: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Directory {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    config: FileConfig,
    /// The files whose first line tells their key.
    files: BTreeMap<String, String>,
    /// Names of ours whose first line tells nothing, or of another key.
    illegible: HashSet<String>,
    /// What is known of the files that were used.
    entries: HashMap<String, Entry>,
    /// Whether the names in the directory are known to be on the disk.
    names_durable: bool,
    _lock: Option<Box<dyn Debug + Send>>,
}

#[derive(Debug)]
struct Entry {
    revision: Revision,
    sizes: Sizes,
    /// The length of the file up to the last good commit.
    length: u64,
    /// The length of the file with the room behind it.
    reserved: u64,
    /// The file when it was first used after opening: what may have to be repaired before the next commit.
    found: Option<Found>,
    /// What the snapshot takes beyond the estimate for its rows.
    surplus: u64,
    /// After a failed attempt at a new snapshot: not again before the file has this length.
    patience: u64,
    file: Option<Box<dyn VfsFile>>,
}

#[derive(Debug)]
struct Found {
    /// The bytes of the last commit; they may be in the system's memory only.
    last: Vec<u8>,
    /// What is behind it, unless that is room.
    torn: Vec<u8>,
    /// Whether there is anything else than room.
    untidy: bool,
}

/// A failure, and whether anything can be trusted after it.
struct Failure {
    error: Error,
    closes: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, closes: false }
    }
}

fn closing(error: Error) -> Failure {
    Failure { error, closes: true }
}

impl Entry {
    fn new(image: &line::Image, bytes: &[u8]) -> Self {
        let sizes = Sizes::of(&image.state);
        let length = usize::try_from(image.length).unwrap_or(bytes.len());
        let last = image.last.and_then(|last| usize::try_from(last).ok()).unwrap_or(length);
        let behind = bytes.get(length..).unwrap_or_default();
        let found = Found {
            last: bytes.get(last..length).unwrap_or_default().to_vec(),
            torn: if line::without_room(behind).is_empty() { Vec::new() } else { behind.to_vec() },
            untidy: !line::is_room(behind),
        };
        let mut entry = Self {
            revision: image.state.revision,
            sizes,
            length: image.length,
            reserved: bytes.len() as u64,
            found: Some(found),
            surplus: 0,
            patience: 0,
            file: None,
        };
        entry.surplus = image.snapshot.saturating_sub(entry.estimate());
        entry
    }

    /// About how long a snapshot without surplus would be.
    fn estimate(&self) -> u64 {
        self.sizes.bytes() + self.sizes.count() * 80 + 256
    }

    fn is_overgrown(&self, slack: u64) -> bool {
        let needed = self.estimate() + self.surplus;
        self.length > (2 * needed).saturating_add(slack).max(self.patience)
    }
}

impl Store {
    /// Takes the directory into use: locks it, removes what dead processes left half written, reads the keys.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, dir: &Path, config: FileConfig, closed: Arc<AtomicBool>) -> Result<Self> {
        vfs.create_dir(dir).map_err(|source| error::io(source, "the directory cannot be created"))?;
        let lock = match vfs.lock(&dir.join(LOCK)) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return Err(Error::new(ErrorKind::Locked, "another process uses the directory")),
            // Where nothing can be written, nothing needs a lock; reading works, and every change will tell.
            Err(source) if is_read_only(&source) => None,
            Err(source) => return Err(error::io(source, "the directory cannot be locked")),
        };
        let mut directory = Directory {
            vfs,
            dir: dir.to_owned(),
            config,
            files: BTreeMap::new(),
            illegible: HashSet::new(),
            entries: HashMap::new(),
            names_durable: false,
            _lock: lock,
        };
        directory.survey()?;
        Ok(Self { open: Some(directory), closed })
    }

    fn with<T>(&mut self, work: impl FnOnce(&mut Directory) -> Result<T, Failure>) -> Result<T> {
        let Some(directory) = &mut self.open else { return Err(error::closed()) };
        work(directory).map_err(|failure| {
            if failure.closes {
                // Gives up the lock as well, so that the directory can be opened again.
                self.open = None;
                self.closed.store(true, Ordering::Release);
            }
            failure.error
        })
    }

    pub(crate) fn load(&mut self, key: &str) -> Result<StoredState> {
        self.with(|directory| Ok(directory.load(key)?))
    }

    pub(crate) fn commit(&mut self, key: &str, expected: Revision, delta: &Delta) -> Result<Revision> {
        self.with(|directory| {
            directory.commit(key, expected, delta).map_err(|failure| {
                let used = directory.usage_known();
                Failure { error: error::with_sizes(failure.error, used, delta.size()), ..failure }
            })
        })
    }

    /// Writes a key's file anew if it has outgrown its state. Worth nothing but space: a failure that leaves things as
    /// they were is kept quiet.
    pub(crate) fn tidy(&mut self, key: &str) {
        drop(self.with(|directory| directory.tidy(key)));
    }

    pub(crate) fn remove(&mut self, key: &str) -> Result<()> {
        self.with(|directory| directory.remove(key))
    }

    pub(crate) fn keys(&mut self) -> Result<Vec<String>> {
        self.with(|directory| Ok(directory.files.keys().cloned().collect()))
    }

    pub(crate) fn usage(&mut self, key: Option<&str>) -> Result<u64> {
        self.with(|directory| {
            if let Some(key) = key {
                return Ok(directory.entry(key)?.map_or(0, |entry| entry.sizes.bytes()));
            }
            let keys: Vec<String> = directory.files.keys().cloned().collect();
            let mut sum = 0;
            for key in keys {
                sum += match directory.entry(&key) {
                    Ok(entry) => entry.map_or(0, |entry| entry.sizes.bytes()),
                    // It takes its room, whatever is in it.
                    Err(Failure { closes: false, .. }) => directory.file_length(&key)?,
                    Err(failure) => return Err(failure),
                };
            }
            Ok(sum)
        })
    }

    /// Whether the file of a key should be written anew when there is time.
    pub(crate) fn is_overgrown(&self, key: &str) -> bool {
        self.open.as_ref().is_some_and(|directory| {
            directory.entries.get(key).is_some_and(|entry| entry.is_overgrown(directory.config.slack))
        })
    }
}

impl Directory {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn survey(&mut self) -> Result<()> {
        let reading = |source| error::reading(source, "the directory cannot be read");
        for name in self.vfs.list(&self.dir).map_err(reading)? {
            let path = self.path(&name);
            if name.ends_with(TEMPORARY) && name.trim_end_matches(TEMPORARY).ends_with(name::EXTENSION) {
                // Nobody else writes here: we have the lock. Where it cannot be removed it does no harm.
                drop(self.vfs.remove(&path));
                continue;
            }
            if !name.ends_with(name::EXTENSION) {
                continue;
            }
            let peek = self.vfs.read(&path, PEEK).map_err(reading)?;
            let mut key = line::key(&peek);
            if key.is_none() {
                key = line::key(&self.vfs.read(&path, u64::MAX).map_err(reading)?);
            }
            match key {
                Some(Ok(key)) if (0..8).any(|attempt| name::of(&key, attempt) == name) => {
                    self.files.insert(key, name);
                }
                // Also a copy of another key's file: under this name it is nobody's, and nothing may take its place.
                Some(Ok(_) | Err(_)) | None => {
                    self.illegible.insert(name);
                }
            }
        }
        Ok(())
    }

    /// The name of the file that a key has or would have.
    fn name_of(&self, key: &str) -> Result<(String, bool)> {
        if let Some(name) = self.files.get(key) {
            return Ok((name.clone(), true));
        }
        for attempt in 0.. {
            let name = name::of(key, attempt);
            if self.illegible.contains(&name) {
                return Err(error::damaged("the key's file is damaged, or about another key").with("file", name));
            }
            if !name::is_hashed(&name) || !self.files.values().any(|taken| *taken == name) {
                return Ok((name, false));
            }
        }
        Err(Error::new(ErrorKind::Unexpected, "no file name is left"))
    }

    /// Reads the file of a key.
    fn image(&self, key: &str) -> Result<Option<(String, line::Image, Vec<u8>)>> {
        let (name, exists) = self.name_of(key)?;
        if !exists {
            return Ok(None);
        }
        let read = self.vfs.read(&self.path(&name), u64::MAX);
        let bytes = read.map_err(|source| error::reading(source, "the file cannot be read").with("file", &*name))?;
        let image = line::read(key, &bytes).map_err(|error| error.with("file", &*name))?;
        Ok(Some((name, image, bytes)))
    }

    fn load(&mut self, key: &str) -> Result<StoredState> {
        let Some((_, image, bytes)) = self.image(key)? else { return Ok(StoredState::default()) };
        if !self.entries.contains_key(key) {
            // The first commit need not read it once more.
            self.entries.insert(key.to_owned(), Entry::new(&image, &bytes));
        }
        Ok(image.state)
    }

    /// What is known of a key; reads its file the first time.
    fn entry(&mut self, key: &str) -> Result<Option<&mut Entry>, Failure> {
        if !self.entries.contains_key(key) {
            let Some((_, image, bytes)) = self.image(key)? else { return Ok(None) };
            self.entries.insert(key.to_owned(), Entry::new(&image, &bytes));
        }
        Ok(self.entries.get_mut(key))
    }

    fn commit(&mut self, key: &str, expected: Revision, delta: &Delta) -> Result<Revision, Failure> {
        let current = self.entry(key)?.map_or(0, |entry| entry.revision);
        if current != expected {
            return Err(stale(key, expected, current).into());
        }
        let revision = current.saturating_add(1);
        // The entry is put back when it is right again: if anything below fails or panics in between, the file is read.
        let Some(mut entry) = self.entries.remove(key) else {
            self.rewrite(key, &line::applied(StoredState::default(), delta, revision))?;
            return Ok(revision);
        };
        let line = line::commit(revision, delta);
        let length = line.len() as u64;
        if length > LONG && length * 2 > entry.length {
            // As long as the state itself: then the state is written, and nothing is left to tidy up.
            let state = match self.image(key)? {
                Some((_, image, _)) => image.state,
                None => return Err(error::damaged("the file is gone").into()),
            };
            self.rewrite(key, &line::applied(state, delta, revision))?;
            return Ok(revision);
        }
        let outcome = self.append(key, &mut entry, &line);
        if outcome.is_ok() {
            entry.sizes.apply(delta);
            entry.revision = revision;
        }
        if !matches!(outcome, Err(Failure { closes: true, .. })) {
            self.entries.insert(key.to_owned(), entry);
            self.close_some_files(key);
        }
        outcome.map(|()| revision)
    }

    /// Appends a line and flushes it.
    fn append(&mut self, key: &str, entry: &mut Entry, line: &[u8]) -> Result<(), Failure> {
        let (name, _) = self.name_of(key)?;
        if entry.file.is_none() {
            let file = self.vfs.open(&self.path(&name));
            entry.file = Some(file.map_err(|source| error::io(source, "the file cannot be opened for writing"))?);
        }
        if !self.names_durable {
            // An earlier process may have failed to flush them.
            self.sync_names()?;
        }
        if let Some(found) = &entry.found
            && !found.torn.is_empty()
        {
            self.set_aside(&name, &found.torn)?;
        }
        let Some(file) = &mut entry.file else { return Err(Error::from(ErrorKind::Unexpected).into()) };
        let mut offset = entry.length;
        let mut again = Vec::new();
        if let Some(found) = &entry.found {
            if found.untidy {
                file.truncate(entry.length).map_err(|source| error::io(source, "the torn end cannot be cut off"))?;
                entry.reserved = entry.length;
            }
            offset -= found.last.len() as u64;
            again = [&found.last, line].concat();
        }
        let bytes = if again.is_empty() { line } else { &again };
        let end = entry.length + line.len() as u64;
        let mut written = None;
        if end > entry.reserved {
            let (least, most) = ROOM;
            // Whole blocks.
            let reserved = (end + (end / 4).clamp(least, most)).next_multiple_of(4096);
            match file.write_at(offset, &line::with_room(bytes, reserved - end)) {
                Ok(()) => {
                    entry.reserved = reserved;
                    written = Some(Ok(()));
                }
                // Perhaps the line alone fits.
                Err(source) => match file.truncate(entry.length) {
                    Ok(()) => entry.reserved = end,
                    Err(_) => return Err(closing(error::io(source, "the commit cannot be written"))),
                },
            }
        }
        if let Err(source) = written.unwrap_or_else(|| file.write_at(offset, bytes)) {
            let error = error::io(source, "the commit cannot be written");
            return Err(match file.truncate(entry.length) {
                Ok(()) => {
                    entry.reserved = entry.length;
                    // The bytes that were written a second time are as they were.
                    entry.found = entry.found.take().map(|found| Found { torn: Vec::new(), untidy: false, ..found });
                    error.into()
                }
                Err(_) => closing(error),
            });
        }
        if let Err(source) = file.sync() {
            // Best effort: what nobody knows to be on the disk should not be found.
            drop(file.truncate(entry.length));
            return Err(closing(error::io(source, "the commit cannot be flushed")));
        }
        entry.found = None;
        entry.length += line.len() as u64;
        Ok(())
    }

    /// Keeps the torn end of a file, which may be more than a change that was under way.
    fn set_aside(&self, name: &str, torn: &[u8]) -> Result<()> {
        let path = self.path(&format!("{name}{TORN}"));
        let failed = |source| error::io(source, "the torn end of the file cannot be set aside");
        self.remove_if_there(&path).map_err(failed)?;
        let mut file = self.vfs.create(&path).map_err(failed)?;
        file.write_at(0, torn).and_then(|()| file.sync()).map_err(failed)
    }

    fn remove_if_there(&self, path: &Path) -> io::Result<()> {
        match self.vfs.remove(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Writes a whole file beside the old one, and puts it in its place when it is on the disk.
    fn rewrite(&mut self, key: &str, state: &StoredState) -> Result<(), Failure> {
        let (name, exists) = self.name_of(key)?;
        let (path, temporary) = (self.path(&name), self.path(&format!("{name}{TEMPORARY}")));
        let bytes = line::snapshot(key, state);
        let written = (|| {
            self.remove_if_there(&temporary)?;
            let mut file = self.vfs.create(&temporary)?;
            file.write_at(0, &bytes)?;
            file.sync()?;
            drop(file);
            self.vfs.rename(&temporary, &path)
        })();
        if let Err(source) = written {
            drop(self.vfs.remove(&temporary));
            return Err(error::io(source, "the file cannot be written").into());
        }
        self.sync_names()?;
        if !exists {
            self.files.insert(key.to_owned(), name);
        }
        let length = bytes.len() as u64;
        let mut entry = Entry {
            revision: state.revision,
            sizes: Sizes::of(state),
            length,
            reserved: length,
            found: None,
            surplus: 0,
            patience: 0,
            file: None,
        };
        entry.surplus = length.saturating_sub(entry.estimate());
        self.entries.insert(key.to_owned(), entry);
        Ok(())
    }

    fn tidy(&mut self, key: &str) -> Result<(), Failure> {
        let slack = self.config.slack;
        let Some(entry) = self.entries.get_mut(key) else { return Ok(()) };
        if !entry.is_overgrown(slack) {
            return Ok(());
        }
        entry.patience = entry.length + entry.length / 4;
        match self.image(key)? {
            Some((_, image, _)) => self.rewrite(key, &image.state),
            None => Ok(()),
        }
    }

    fn remove(&mut self, key: &str) -> Result<(), Failure> {
        // What is damaged can be removed as well; the first name is the one that such a file has.
        let name = self.files.get(key).cloned().unwrap_or_else(|| name::of(key, 0));
        if !self.files.contains_key(key) && !self.illegible.contains(&name) {
            return Ok(());
        }
        self.entries.remove(key);
        let failed = |source| error::io(source, "the file cannot be removed");
        self.remove_if_there(&self.path(&name)).map_err(failed)?;
        self.files.remove(key);
        self.illegible.remove(&name);
        // Only a left-over; the next one replaces it.
        drop(self.vfs.remove(&self.path(&format!("{name}{TORN}"))));
        self.sync_names()
    }

    fn sync_names(&mut self) -> Result<(), Failure> {
        let synced = self.vfs.sync_dir(&self.dir);
        synced.map_err(|source| closing(error::io(source, "the directory cannot be flushed")))?;
        self.names_durable = true;
        Ok(())
    }

    fn close_some_files(&mut self, but: &str) {
        let open = self.entries.values().filter(|entry| entry.file.is_some()).count();
        if open > OPEN_FILES {
            for (key, entry) in &mut self.entries {
                if key != but {
                    entry.file = None;
                }
            }
        }
    }

    fn file_length(&self, key: &str) -> Result<u64> {
        let (name, _) = self.name_of(key)?;
        let read = self.vfs.read(&self.path(&name), u64::MAX);
        Ok(read.map_err(|source| error::reading(source, "the file cannot be read"))?.len() as u64)
    }

    /// Bytes in use by the keys that were used since opening; for messages.
    fn usage_known(&self) -> u64 {
        self.entries.values().map(|entry| entry.sizes.bytes()).sum()
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}
