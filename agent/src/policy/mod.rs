//! What the operator decided: how each class is treated in which containers, and which narrow
//! exceptions hold.
//!
//! Pure but for one file: [`keeper`] keeps what the command line decided across restarts. Whoever
//! judges reads a [`book::Book`], which never changes; a change makes a new one.

pub mod book;
pub mod configured;
pub mod exception;
pub mod keeper;
pub mod modes;
pub mod names;
pub mod pattern;
pub mod peers;
pub mod place;
pub mod selector;
pub mod template;

mod file;

#[cfg(test)]
mod tests;
