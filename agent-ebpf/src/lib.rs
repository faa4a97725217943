//! What can happen in a container: one file per event, shared by the kernel programs and the agent.
//!
//! To add an event: write its file in [`events`], add its `mod` line there and its line in
//! [`catalog::CATALOG`]; on the kernel side write its probes. Decoding, display, JSON, the query
//! fields, the stored columns and the documentation page follow from the catalogue.

#![cfg_attr(target_arch = "bpf", no_std)]
#![forbid(unsafe_code)]

pub mod events;
pub mod layer;
pub mod offsets;
pub mod orders;
pub mod record;
pub mod rules;
pub mod signals;

#[cfg(not(target_arch = "bpf"))]
pub mod catalog;
#[cfg(not(target_arch = "bpf"))]
pub mod syscalls;
#[cfg(not(target_arch = "bpf"))]
pub mod value;
