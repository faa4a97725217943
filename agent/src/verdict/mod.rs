//! What observations mean: which rules they break, and what people are told of that.
//!
//! Pure: data and the moment in, data out.

pub mod act;
pub mod assess;
pub mod departures;
pub mod docs;
pub mod incidents;
pub mod judge;
pub mod own;
pub mod stored;

mod budget;
mod digest;
mod explain;
mod kernel_settings;
mod process_memory;
mod repeats;

#[cfg(test)]
mod judge_tests;
