//! Installing servers by their registry's own client, once, below the target folder.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long an installation may take.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// An installed server.
pub(crate) struct Program {
    /// Where it is.
    pub(crate) folder: PathBuf,
}

/// Packages of npm, with their versions. `None`: the test is skipped.
pub(crate) fn npm(name: &str, pinned: &[&str]) -> Option<Program> {
    // Scripts of packages would build or fetch things from elsewhere; none of these servers needs one.
    let options =
        ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=60000"];
    once(&format!("{name} (npm)"), name, pinned, |folder| {
        run(Command::new("npm").args(options).arg("--prefix").arg(folder).args(pinned))
    })
}

/// Packages of `PyPI`, with their versions, in an environment of their own. `None`: the test is skipped.
pub(crate) fn pip(name: &str, pinned: &[&str]) -> Option<Program> {
    once(&format!("{name} (PyPI)"), name, pinned, |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let options = ["-m", "pip", "install", "-q", "--retries", "1", "--timeout", "60"];
        run(Command::new(folder.join("bin/python")).args(options).args(pinned))
    })
}

/// Installs unless these very versions are there, whole.
fn once(
    server: &str,
    name: &str,
    pinned: &[&str],
    install: impl FnOnce(&Path) -> Result<(), String>,
) -> Option<Program> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Several tests use one installation.
    let lock = std::fs::File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let mark = folder.join("installed");
    let versions = pinned.join(" ");
    if std::fs::read_to_string(&mark).is_ok_and(|known| known == versions) {
        return Some(Program { folder });
    }
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    match install(&folder) {
        Ok(()) => {
            std::fs::write(mark, versions).unwrap();
            Some(Program { folder })
        }
        Err(why) => {
            let required = std::env::var("LANDFALL_REAL_SERVERS").is_ok_and(|value| value == "required");
            assert!(!required, "{server} is required here and cannot be installed: {why}");
            eprintln!("SKIPPED: the round trip with {server}; it cannot be installed: {why}");
            None
        }
    }
}

/// Runs an installer to its end. What stands in the way, if anything.
fn run(command: &mut Command) -> Result<(), String> {
    let said = tempfile::NamedTempFile::new().unwrap();
    let stderr = said.reopen().unwrap();
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn();
    let mut child = started.map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > PATIENCE {
            drop(child.kill());
            drop(child.wait());
            return Err(format!("{} took too long", command.get_program().display()));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if status.success() {
        return Ok(());
    }
    let said = std::fs::read_to_string(said.path()).unwrap_or_default();
    let line = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{}: {status}: {line}", command.get_program().display()))
}
