//! The live tests: real containers under a real agent. They need root and Docker.
//!
//! Most share one agent and tell their events apart by their containers. Those that need an agent
//! of another kind, or at another time, start their own.

mod attribution;
mod bad_input;
mod baseline;
mod damage;
mod deploy;
mod disk_full;
mod docker_restart;
mod earlier;
mod enforcement;
mod evasions;
mod files;
mod floods;
mod foreign_scripts;
mod forensics;

mod gate;
mod incidents;
mod limits;
mod metrics;
mod names;
mod namespaces;
mod network;
mod nginx;
mod output;
mod policy;
mod privilege;
mod programs;
mod query;
mod replay;
mod rules;
mod scripts;
mod short_lived;
mod shutdown;
mod sinks;
mod swarm;
mod top;
