//! The conformance kit on one session among others.

use landfall_storage::{conformance::Place, storage_conformance};
use landfall_storage_session::{SessionConfig, SessionStore};

storage_conformance!(|| {
    let store = SessionStore::new(SessionConfig::new());
    Place::opened_by(move || {
        // A neighbour that must never be seen.
        store.session("neighbour")?;
        store.session("visitor")
    })
});
