//! What the baseline makes of an act: known, or departing from what is.

use plimsoll_ebpf::rules::Rule;

use super::{
    dimension::{Context, Dimension},
    explain::DepartureKind,
};

/// What the baseline makes of an observation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// How it departs from what is known.
    pub departure: Option<Departure>,
    /// Whether all of it is known to be usual, where enough is known for that and after the start.
    pub is_known: bool,
}

/// What is found of one behaviour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It is known, where enough is known to tell what is not.
    Known,
    /// It is learned, or nothing is known of its kind.
    Open,
    /// It departs from what is known.
    Departs(Box<Departure>),
}

/// Something that an image or service was not seen to do, though enough of it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// What it is about.
    pub dimension: Dimension,
    /// In what context.
    pub context: Context,
    /// The rule that it breaks.
    pub rule: Rule,
    /// Whose profile it departs from.
    pub profile: usize,
    /// Why it is one.
    pub kind: DepartureKind,
    /// Of a path, who wrote it how and where; else empty.
    pub scope: String,
    /// The key, or the path.
    pub key: String,
    /// The program, file or privilege, as an exception names it; empty for peers and ports.
    pub object: String,
    /// Code of the layer of a file.
    pub layer: u8,
    /// The same for the same departure of whichever container of the image.
    pub fingerprint: u64,
    /// Its explanation; empty where the profile explains it.
    pub words: String,
}

impl Departure {
    /// The whole key.
    pub fn full_key(&self) -> String {
        if self.scope.is_empty() {
            self.key.clone()
        } else {
            format!("{} {}", self.scope, self.key)
        }
    }
}
