//! Every metric of the agent, and the page that shows them.
//!
//! To add a metric, add its line in [`names`]; the documentation page follows from it. Labels come
//! from closed sets and every series exists from the start, so that the first increase is seen.

pub mod docs;
pub mod family;
pub mod names;
pub mod server;

mod labels;
mod process;
