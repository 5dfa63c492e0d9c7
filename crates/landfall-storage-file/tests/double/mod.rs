//! A file system in memory that knows what was written and what was flushed, can fail any call, and can show what a power
//! cut would leave.

use landfall_storage_file::{Vfs, VfsFile};
use std::{
    collections::BTreeMap,
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// What was written since the last flush.
    dirty: Vec<(usize, usize)>,
}

impl Inode {
    fn sync(&mut self) {
        self.durable.resize(self.live.len(), 0);
        for (from, to) in self.dirty.drain(..) {
            let to = to.min(self.live.len());
            if from < to {
                self.durable[from..to].copy_from_slice(&self.live[from..to]);
            }
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[offset..end].copy_from_slice(bytes);
        self.dirty.push((offset, end));
    }
}

/// Both worlds of a disk: what programs see, and what a power cut leaves for sure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    inodes: Vec<Inode>,
    live: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
}

/// What a power cut leaves of a disk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// Only what was flushed.
    Flushed,
    /// Everything.
    All,
    /// All names, and of the contents only what was flushed.
    Names,
    /// All contents, and of the names only what was flushed.
    Contents,
    /// All names, and of the unflushed contents some blocks of 16 bytes, by this seed.
    Blocks(u64),
}

impl Disk {
    /// The disk after a power cut.
    pub(crate) fn cut(&self, cut: Cut) -> Self {
        let names = match cut {
            Cut::Flushed | Cut::Contents => &self.durable,
            _ => &self.live,
        };
        let mut disk = Self::default();
        for (name, inode) in names {
            let inode = &self.inodes[*inode];
            let bytes = match cut {
                Cut::Flushed | Cut::Names => inode.durable.clone(),
                Cut::All | Cut::Contents => inode.live.clone(),
                Cut::Blocks(seed) => blocks(inode, seed),
            };
            disk.live.insert(name.clone(), disk.inodes.len());
            disk.inodes.push(Inode { live: bytes.clone(), durable: bytes, dirty: Vec::new() });
        }
        disk.durable = disk.live.clone();
        disk
    }

    /// The disk with the first bytes of a write on it, everything else as programs see it.
    pub(crate) fn torn(&self, (inode, offset, bytes): &Write, length: usize) -> Self {
        let mut disk = self.clone();
        disk.inodes[*inode].write(*offset, &bytes[..length]);
        disk.cut(Cut::All)
    }

    pub(crate) fn file(&self, name: &str) -> Option<&[u8]> {
        self.live.get(name).map(|inode| &*self.inodes[*inode].live)
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.live.keys().map(String::as_str).collect()
    }

    fn size(&self) -> usize {
        self.live.values().map(|inode| self.inodes[*inode].live.len()).sum()
    }
}

fn blocks(inode: &Inode, mut seed: u64) -> Vec<u8> {
    let mut bytes = inode.durable.clone();
    for (from, to) in &inode.dirty {
        for start in (*from / 16 * 16..*to).step_by(16) {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (start, end) = (start.max(*from), (start + 16).min(*to).min(inode.live.len()));
            if seed >> 63 == 0 && start < end {
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[start..end].copy_from_slice(&inode.live[start..end]);
            }
        }
    }
    bytes
}

/// A write: which inode, where, what.
pub(crate) type Write = (usize, usize, Vec<u8>);

/// The disk right before a call.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub(crate) disk: Disk,
    /// The call, if it writes.
    pub(crate) write: Option<Write>,
    /// How many operations were acknowledged by then.
    pub(crate) acknowledged: usize,
}

/// A call that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Counted from 1.
    pub(crate) call: usize,
    pub(crate) kind: io::ErrorKind,
    /// All later calls fail as well.
    pub(crate) lasting: bool,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) disk: Disk,
    pub(crate) acknowledged: usize,
    /// Whether to remember every moment.
    pub(crate) recording: bool,
    pub(crate) moments: Vec<Moment>,
    pub(crate) calls: usize,
    pub(crate) fault: Option<Fault>,
    /// How many bytes fit.
    pub(crate) budget: Option<usize>,
    locked: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Double(Arc<Mutex<World>>);

impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Double")
    }
}

impl Double {
    pub(crate) fn on(disk: Disk) -> Self {
        Self(Arc::new(Mutex::new(World { disk, ..World::default() })))
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// Counts a call, remembers the moment, and fails if it is its turn.
    fn call(&self, write: Option<&Write>) -> io::Result<MutexGuard<'_, World>> {
        let mut world = self.world();
        world.calls += 1;
        if world.recording {
            let moment = Moment { disk: world.disk.clone(), write: write.cloned(), acknowledged: world.acknowledged };
            world.moments.push(moment);
        }
        if let Some(fault) = world.fault
            && (world.calls == fault.call || world.calls > fault.call && fault.lasting)
        {
            // A failed write may have got half way.
            if let Some((inode, offset, bytes)) = write {
                world.disk.inodes[*inode].write(*offset, &bytes[..bytes.len() / 2]);
            }
            return Err(fault.kind.into());
        }
        Ok(world)
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn inode(world: &World, path: &Path) -> io::Result<usize> {
    world.disk.live.get(&name(path)).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[derive(Debug)]
struct Lock(Double);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.world().locked = false;
    }
}

#[derive(Debug)]
struct File(Double, usize);

impl Vfs for Double {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.call(None).map(drop)
    }
    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(self.call(None)?.disk.live.keys().cloned().collect())
    }
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let world = self.call(None)?;
        let bytes = &world.disk.inodes[inode(&world, path)?].live;
        let length = bytes.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(bytes[..length].to_vec())
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let world = self.call(None)?;
        Ok(Box::new(File(self.clone(), inode(&world, path)?)))
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let mut world = self.call(None)?;
        if world.disk.live.contains_key(&name(path)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = world.disk.inodes.len();
        world.disk.inodes.push(Inode::default());
        world.disk.live.insert(name(path), inode);
        Ok(Box::new(File(self.clone(), inode)))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.call(None)?;
        let inode = inode(&world, from)?;
        world.disk.live.remove(&name(from));
        world.disk.live.insert(name(to), inode);
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.call(None)?;
        inode(&world, path)?;
        world.disk.live.remove(&name(path));
        Ok(())
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut world = self.call(None)?;
        world.disk.durable = world.disk.live.clone();
        Ok(())
    }
    fn lock(&self, _: &Path) -> io::Result<Option<Box<dyn fmt::Debug + Send>>> {
        let mut world = self.call(None)?;
        if std::mem::replace(&mut world.locked, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(Lock(self.clone()))))
    }
}

impl VfsFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let mut world = self.0.call(Some(&(self.1, offset, bytes.to_vec())))?;
        let mut fits = bytes.len();
        if let Some(budget) = world.budget {
            let growth = (offset + bytes.len()).saturating_sub(world.disk.inodes[self.1].live.len());
            let room = budget.saturating_sub(world.disk.size());
            fits -= growth.saturating_sub(room);
        }
        world.disk.inodes[self.1].write(offset, &bytes[..fits]);
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut world = self.0.call(None)?;
        world.disk.inodes[self.1].live.truncate(usize::try_from(length).unwrap());
        Ok(())
    }
    /// A flush that fails forgets: what was to be flushed counts as flushed from then on, and is not on the disk.
    fn sync(&mut self) -> io::Result<()> {
        match self.0.call(None) {
            Ok(mut world) => {
                world.disk.inodes[self.1].sync();
                Ok(())
            }
            Err(error) => {
                self.0.world().disk.inodes[self.1].dirty.clear();
                Err(error)
            }
        }
    }
}
