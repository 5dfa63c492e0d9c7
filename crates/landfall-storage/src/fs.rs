//! Files and directories that only their owner can read. Shared by the storages that write files; decides no names.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    path::Path,
};

/// Creates a directory and its missing parents, readable by their owner only (0700), each durable before the next. One
/// that exists is left as it is.
///
/// # Errors
/// Those of the operating system.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().unwrap_or(Path::new(""));
    create_private_dir(parent)?;
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(dir) {
        Ok(()) => {
            set_mode(|mode| std::fs::set_permissions(dir, mode), 0o700)?;
            sync_dir(parent)
        }
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates a file that does not exist yet, readable and writable by its owner only (0600). Follows no link.
///
/// # Errors
/// Those of the operating system; `AlreadyExists` if there is anything of that name.
pub fn create_private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    set_mode(|mode| file.set_permissions(mode), 0o600)?;
    Ok(file)
}

/// Gives what was just made its mode also where the process masks more than others' rights.
fn set_mode(set: impl FnOnce(std::fs::Permissions) -> io::Result<()>, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        set(std::os::unix::fs::PermissionsExt::from_mode(mode))
    }
    #[cfg(not(unix))]
    {
        let _unused = (set, mode);
        Ok(())
    }
}

/// Makes the names in a directory durable. Does nothing where directories cannot be flushed (Windows).
///
/// # Errors
/// Those of the operating system.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()
    }
    #[cfg(not(unix))]
    {
        let _: &Path = dir;
        Ok(())
    }
}
