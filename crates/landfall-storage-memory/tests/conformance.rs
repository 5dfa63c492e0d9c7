//! The conformance kit on process memory.

use landfall_storage::{conformance::Place, storage_conformance};
use landfall_storage_memory::MemoryStorage;

storage_conformance!(|| Place::of_clones(MemoryStorage::new()));
