//! A directory in memory.

use landfall_storage_file::{Vfs, VfsFile};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Files = BTreeMap<String, Vec<u8>>;

/// Files by name; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<Files>>);

fn name(path: &Path) -> String {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned()
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Disk {
    pub(super) fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vfs for Disk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
    fn list(&self, _dir: &Path) -> io::Result<Vec<String>> {
        Ok(self.files().keys().cloned().collect())
    }
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let files = self.files();
        let bytes = files.get(&name(path)).ok_or_else(missing)?;
        let length = usize::try_from(limit).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes[..length].to_vec())
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        if !self.files().contains_key(&name(path)) {
            return Err(missing());
        }
        Ok(Box::new(Open(self.clone(), name(path))))
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        if self.files().insert(name(path), Vec::new()).is_some() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        Ok(Box::new(Open(self.clone(), name(path))))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let bytes = self.files().remove(&name(from)).ok_or_else(missing)?;
        self.files().insert(name(to), bytes);
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files().remove(&name(path)).map(drop).ok_or_else(missing)
    }
    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Debug + Send>>> {
        Ok(Some(Box::new(())))
    }
}

#[derive(Debug)]
struct Open(Disk, String);

impl VfsFile for Open {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.files();
        let file = files.get_mut(&self.1).ok_or_else(missing)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        if file.len() < start + bytes.len() {
            file.resize(start + bytes.len(), 0);
        }
        file[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if let Some(file) = self.0.files().get_mut(&self.1) {
            file.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        }
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
