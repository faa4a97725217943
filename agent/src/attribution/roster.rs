//! The containers that run, for whoever asks beside the pipeline.

use std::sync::{Arc, Mutex, PoisonError};

use super::container::Container;

/// The containers that ran when it was shown last. Clones show the same.
#[derive(Clone, Default)]
pub struct Roster(Arc<Mutex<Vec<Arc<Container>>>>);

impl Roster {
    /// Shows these.
    pub fn show<'c>(&self, containers: impl Iterator<Item = &'c Arc<Container>>) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.clear();
        shown.extend(containers.map(Arc::clone));
    }

    /// Those that are shown.
    pub fn containers(&self) -> Vec<Arc<Container>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
