//! What is known when a replay begins.

use std::{collections::HashMap, path::Path};

use crate::{
    baseline::{import::Document, learner::Baseline, saved::Saved, subject::Subject},
    cli::{answer::warn, exit::Failure, profile},
    store::profiles::read_all,
};

/// Profiles, from wherever they were read.
#[derive(Debug, Default)]
pub(super) struct Known {
    saved: Vec<Saved>,
    documents: Vec<Document>,
}

/// Reads the profiles of a data directory, or a file that was exported.
///
/// # Errors
/// When neither can be read there.
pub(super) fn read(path: &Path) -> Result<Known, Failure> {
    if !path.is_dir() {
        let (_, documents) = profile::import::read(path)?;
        return Ok(Known { documents, ..Known::default() });
    }
    let (saved, damaged) = read_all(path).map_err(Failure::environment)?;
    for it in damaged {
        warn(&format!("{} is damaged and left out: {:#}", it.path.display(), it.why));
    }
    if saved.is_empty() {
        warn(&format!("there are no profiles in {}", path.display()));
    }
    Ok(Known { saved, ..Known::default() })
}

impl Known {
    /// What containers of an image are started as, by its digest, where there is one such use: for
    /// containers of which that is not recorded.
    pub(super) fn entrypoints(&self) -> HashMap<String, String> {
        let saved = self.saved.iter().map(|it| &it.subject);
        let mut uses: HashMap<&str, Option<&str>> = HashMap::new();
        for subject in saved.chain(self.documents.iter().map(|it| &it.subject)) {
            let Subject::Image { digest, variant } = subject else { continue };
            let is_only = |known: &mut Option<&str>| *known = None;
            uses.entry(digest).and_modify(is_only).or_insert(Some(variant));
        }
        let only = uses.into_iter().filter_map(|(digest, of)| Some((digest, of?)));
        only.map(|(digest, of)| (digest.to_owned(), of.to_owned())).collect()
    }

    /// Has a baseline know them; those of a document from this moment on, since the Unix epoch.
    pub(super) fn restore(self, baseline: &mut Baseline, now_ns: u64) {
        for saved in self.saved {
            baseline.restore(saved.into_profile());
        }
        for document in &self.documents {
            if let Some(profile) = baseline.profile_mut(&document.subject) {
                profile.import(document, true, now_ns / 1_000_000_000);
            }
        }
    }
}
