//! Asking for observations: filters, moments, and how the answers look.

pub mod docs;
pub mod expr;
pub mod filter;
pub mod json;
pub mod lineage;
pub mod moment;
pub mod parsed;
pub mod search;
pub mod story;
pub mod summary;
pub mod table;

mod lexer;
mod needles;
pub(crate) mod parser;
