//! Templates of paths, mined from paths that were seen.

pub mod breadth;
pub mod pattern;
pub mod tokens;
pub mod trie;

mod mining;
mod node;

/// Longest name of a file in bytes (`NAME_MAX`).
pub const MOST_NAME: usize = 255;
/// Components of a path that are looked at; a path of more is no template's.
pub const MOST_DEPTH: usize = 32;
