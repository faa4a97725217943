//! What is done about a broken rule.

pub mod gate;
