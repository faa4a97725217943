//! The containers that run, for whoever asks beside the pipeline.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::container::Container;

/// The containers that ran when it was shown last. Clones show the same.
#[derive(Clone, Default)]
pub struct Roster(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    containers: Vec<Arc<Container>>,
    acts: HashMap<String, Acts>,
}

/// How often a container has done something since it was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acts {
    /// Programs that began.
    pub exec: u64,
    /// Files that were opened for writing, or changed by name.
    pub write: u64,
    /// Peers that were addressed.
    pub connect: u64,
}

impl Roster {
    /// Shows these, and what each has done by its id.
    pub fn show<'c>(
        &self,
        containers: impl Iterator<Item = &'c Arc<Container>>,
        acts: HashMap<String, Acts>,
    ) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.containers.clear();
        shown.containers.extend(containers.map(Arc::clone));
        shown.acts = acts;
    }

    /// Those that are shown.
    pub fn containers(&self) -> Vec<Arc<Container>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).containers.clone()
    }

    /// The same, with what each has done.
    pub fn at_work(&self) -> Vec<(Arc<Container>, Acts)> {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let acts = |it: &Arc<Container>| shown.acts.get(&it.id).copied().unwrap_or_default();
        shown.containers.iter().map(|it| (it.clone(), acts(it))).collect()
    }
}
