//! Packs a folder of `<area>/<name>.json` documents into one small file, or unpacks it again.
//!
//! ```text
//! cargo run -q -p landfall-tests --bin pack -- FOLDER FILE.jsonl.gz
//! cargo run -q -p landfall-tests --bin pack -- --unpack FILE.jsonl.gz FOLDER
//! ```
#![forbid(unsafe_code)]

use landfall_core::{Error, ErrorKind, Result};
use landfall_tests::conformance::pack;
use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["--unpack", file, folder] => unpack(Path::new(file), Path::new(folder)),
        [folder, file] => fold(Path::new(folder), Path::new(file)),
        _ => {
            Err(Error::new(ErrorKind::Config, "usage: pack FOLDER FILE.jsonl.gz | pack --unpack FILE.jsonl.gz FOLDER"))
        }
    };
    landfall_tests::finish(done)
}

fn fold(folder: &Path, file: &Path) -> Result<()> {
    let packed = pack::write_pack(&pack::read_folder(folder)?)?;
    std::fs::write(file, packed).map_err(|error| Error::new(ErrorKind::NotFound, "cannot be written").caused_by(error))
}

fn unpack(file: &Path, folder: &Path) -> Result<()> {
    let packed =
        std::fs::read(file).map_err(|error| Error::new(ErrorKind::NotFound, "cannot be read").caused_by(error))?;
    for document in pack::read_pack(&packed)? {
        pack::write_document(folder, &document.path, &document.text)?;
    }
    Ok(())
}
