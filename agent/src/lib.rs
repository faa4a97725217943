//! The Plimsoll agent: what happens in containers, seen in the kernel, attributed, kept and told.
//!
//! One folder per stage of the data flow, in reading order. A stage imports only stages before it.

pub mod secret;

pub mod clock;
pub mod config;
pub mod fields;
pub mod memory;
pub mod metrics;
pub mod replace;
pub mod signature;
pub mod stable_hash;

pub mod probe;

pub mod attribution;

pub mod volume;

pub mod baseline;

pub mod policy;

pub mod verdict;

pub mod store;

pub mod query;

pub mod replay;

pub mod alert;

pub mod sink;

pub mod response;

pub mod pipeline;

pub mod api;

pub mod daemon;

pub mod cli;
