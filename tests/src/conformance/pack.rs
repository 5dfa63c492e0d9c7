//! Packs of JSON files: one file holds a whole folder, small enough for a repository.
//!
//! A pack is gzip over JSON lines: one line for each `<area>/<name>.json`, in the order of their paths. Each document
//! names its own `area` and `name`, so nothing else is kept. Look inside with `gunzip -c FILE | jq`.

use landfall_core::{Error, ErrorKind, Result, Value};
use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// A document of a pack or folder.
#[derive(Clone, Debug)]
pub struct Document {
    /// `<area>/<name>`.
    pub path: String,
    /// The JSON text.
    pub text: String,
}

impl Document {
    /// The decoded text.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when the text is not JSON.
    pub fn value(&self) -> Result<Value> {
        Value::from_json(&self.text).map_err(|error| error.with("document", self.path.clone()))
    }
}

/// All documents `<area>/<name>.json` below a folder, sorted.
///
/// # Errors
/// [`ErrorKind::NotFound`] when the folder or a file cannot be read.
pub fn read_folder(folder: &Path) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for area in entries(folder)? {
        if !area.is_dir() {
            continue;
        }
        for file in entries(&area)? {
            if file.extension().is_some_and(|extension| extension == "json") {
                let text = fs::read_to_string(&file).map_err(|error| failed(&file, error))?;
                documents.push(Document { path: format!("{}/{}", stem(&area), stem(&file)), text });
            }
        }
    }
    documents.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(documents)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = fs::read_dir(folder).map_err(|error| failed(folder, error))?;
    let mut paths = Vec::new();
    for entry in list {
        paths.push(entry.map_err(|error| failed(folder, error))?.path());
    }
    paths.sort();
    Ok(paths)
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::NotFound, "cannot be read or written")
        .with("path", path.display().to_string())
        .caused_by(error)
}

/// All documents of a pack, in its order.
///
/// # Errors
/// [`ErrorKind::Undecodable`] when it is no pack.
pub fn read_pack(packed: &[u8]) -> Result<Vec<Document>> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed)
        .read_to_string(&mut text)
        .map_err(|error| Error::new(ErrorKind::Undecodable, "not a pack").caused_by(error))?;
    text.lines().map(document).collect()
}

fn document(line: &str) -> Result<Document> {
    let value = Value::from_json(line)?;
    let member = |name| value.as_object().and_then(|one| one.get(name)).and_then(Value::as_str).map(str::to_owned);
    let (Some(area), Some(name)) = (member("area"), member("name")) else {
        return Err(Error::new(ErrorKind::Undecodable, "a document of a pack lacks its area or name"));
    };
    Ok(Document { path: format!("{area}/{name}"), text: line.to_owned() })
}

/// The bytes of a pack of these documents; the same documents always give the same bytes.
///
/// # Errors
/// [`ErrorKind::Undecodable`] when one is not JSON or does not name its area and name.
pub fn write_pack(documents: &[Document]) -> Result<Vec<u8>> {
    let mut encoder = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::best());
    for one in documents {
        let line = one.value()?.to_json();
        if document(&line)?.path != one.path {
            return Err(Error::new(ErrorKind::Undecodable, "a document lies at a path that is not its own")
                .with("path", one.path.clone()));
        }
        encoder.write_all(line.as_bytes()).and_then(|()| encoder.write_all(b"\n")).map_err(unexpected)?;
    }
    encoder.finish().map_err(unexpected)
}

fn unexpected(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unexpected, "packing failed").caused_by(error)
}

/// Writes a text to `<folder>/<area>/<name>.json`, making folders as needed.
///
/// # Errors
/// [`ErrorKind::NotFound`] when that is not possible.
pub fn write_document(folder: &Path, path: &str, text: &str) -> Result<()> {
    let mut file = folder.to_path_buf();
    file.extend(path.split('/'));
    file.as_mut_os_string().push(".json");
    let parent = file.parent().unwrap_or(folder);
    fs::create_dir_all(parent).and_then(|()| fs::write(&file, text)).map_err(|error| failed(&file, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let document = |path: &str, text: &str| Document { path: path.to_owned(), text: text.to_owned() };
        let documents = [
            document("a/x", "{ \"area\": \"a\",\n \"name\": \"x\", \"n\": [1.5, \"ü\"] }"),
            document("a/y", r#"{"area":"a","name":"y"}"#),
        ];
        let packed = write_pack(&documents).unwrap();
        assert_eq!(packed, write_pack(&documents).unwrap());
        let read = read_pack(&packed).unwrap();
        assert_eq!(read.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["a/x", "a/y"]);
        assert_eq!(read[0].text, r#"{"area":"a","name":"x","n":[1.5,"ü"]}"#);
        assert!(write_pack(&[document("b/x", &read[0].text)]).is_err());
        assert!(read_pack(b"no pack").is_err());

        let folder = tempfile::tempdir().unwrap();
        write_document(folder.path(), "a/x.1", &read[0].text).unwrap();
        assert_eq!(read_folder(folder.path()).unwrap()[0].path, "a/x.1");
    }
}
