//! Every metric of the agent, and the page that shows them.
//!
//! To add a metric, add its line in [`names`]; the documentation page follows from it. Labels come
//! from closed sets, or are names on a bounded [`roll`], and every series exists before it counts, so
//! that the first increase is seen.

pub mod access;
pub mod docs;
pub mod family;
pub mod names;
pub mod roll;
pub mod server;

mod labels;
mod process;
