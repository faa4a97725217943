//! Asking for observations: filters, moments, and how the answers look.

pub mod docs;
pub mod expr;
pub mod filter;
pub mod json;
pub mod moment;
pub mod parsed;
pub mod search;
pub mod table;

mod lexer;
mod parser;
