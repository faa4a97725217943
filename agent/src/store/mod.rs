//! The forensic store: what happened, on disk, within a bound.
//!
//! Observations leave the pipeline in batches ([`appender`]), become columnar blocks on the
//! store's own thread ([`writer`]) and are read back by [`reader`], which needs neither the
//! daemon nor a lock. The segment files are the truth; sled holds an index that may be lost.
//!
//! ```text
//! VERSION               format of the directory
//! lock                  held by the daemon
//! events/seg-<seq>.evs  blocks; named by the number of their first observation
//! events/brief-<seq>.evs  the same of events that are kept less long ([`stream`])
//! events/wal            small blocks since the last one in a segment, each durable
//! kv/                   sled: index of blocks
//! peer-names.json       names that containers resolved ([`peer_names`])
//! profiles/<id>.profile what was learned of an image or service ([`profiles`])
//! *.bad.*               what was damaged, moved aside
//! ```

pub mod appender;
pub mod compact;
pub mod config;
pub mod directory;
pub mod error;
pub mod losses;
pub mod open;
pub mod peer_names;
pub mod profiles;
pub mod reader;
pub mod row;
pub mod scan;
pub mod stat;
pub mod stream;
pub mod texts;
pub mod verify;

mod background;
mod batch;
mod block;
mod builder;
mod bytes;
mod column;
mod decode;
mod dictionary;
mod files;
mod kv;
mod names;
mod numbers;
mod recoder;
mod segment;
mod table;
mod watermarks;
mod writer;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod hardship_tests;
#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod reopen_tests;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod scan_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod upkeep_tests;
