//! How much containers use: processor, memory, processes, bytes sent and received.
//!
//! A thread of its own reads the kernel's counters whenever the pipeline asks for a round, which
//! never waits for it.

pub mod cgroup_files;
pub mod processes;
pub mod rounds;
pub mod sampler;
pub mod usage;
