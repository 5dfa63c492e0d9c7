//! The project's own copies of the visible scenarios and their expected traces.

use super::pack::{self, Document};
use landfall_core::{Error, ErrorKind, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The folder that holds the copies.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join("conformance")
}

/// What the recorded reference shows, what landfall shows instead, and which scenarios that concerns.
#[derive(Debug)]
pub struct Corpus {
    /// The scenarios by path; the project's own further ones last.
    pub scenarios: Vec<Document>,
    /// The traces of the reference by path, also those of the further scenarios.
    pub golden: BTreeMap<String, Document>,
    /// The traces that landfall gives where it differs on purpose, by path.
    pub own: BTreeMap<String, Document>,
    /// The scenarios of `quirks.txt`, in which landfall differs by decision.
    pub quirks: BTreeSet<String>,
}

impl Corpus {
    /// Reads everything.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when a file is missing, `Undecodable` when it is not what it should be.
    pub fn load() -> Result<Self> {
        let folder = folder();
        let packed = |name: &str| pack::read_pack(&read(&folder.join(name))?);
        let by_path = |list: Vec<Document>| list.into_iter().map(|one| (one.path.clone(), one)).collect();
        let both = |first: &str, second: &str| -> Result<Vec<Document>> {
            let mut list = packed(first)?;
            list.extend(packed(second)?);
            Ok(list)
        };
        Ok(Self {
            scenarios: both("scenarios.jsonl.gz", "further-scenarios.jsonl.gz")?,
            golden: by_path(both("golden.jsonl.gz", "further-golden.jsonl.gz")?),
            own: by_path(pack::read_folder(&folder.join("own"))?),
            quirks: String::from_utf8_lossy(&read(&folder.join("quirks.txt"))?)
                .lines()
                .map(|line| line.trim().to_owned())
                .filter(|line| !line.is_empty())
                .collect(),
        })
    }

    /// The trace that landfall must give: its own where there is one, else the reference's.
    pub fn expected(&self, path: &str) -> Option<&Document> {
        self.own.get(path).or_else(|| self.golden.get(path))
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|error| {
        Error::new(ErrorKind::NotFound, "cannot be read").with("path", file.display().to_string()).caused_by(error)
    })
}
