//! Configuration: one struct per stage, from file, environment and flags, in rising order.
//!
//! To add a setting, add its line in [`sections`]: parsing, errors, `plimsoll check --config`, the
//! commented default file and the documentation page follow from it. Arrays of tables are in
//! [`tables`].

pub mod docs;
pub mod error;
pub mod host;
pub mod key;
pub mod load;
pub mod sections;
pub mod setting;
pub mod sink;
pub mod tables;

#[cfg(test)]
pub(crate) mod pages;

mod document;
mod nearest;
mod probe;
mod rules;
mod sink_keys;
mod sink_reader;
mod table_reader;
mod units;
