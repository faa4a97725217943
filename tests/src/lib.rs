//! What the tests that need root and Docker share: an agent, containers, and ways to wait for both.
#![allow(clippy::missing_panics_doc, reason = "a harness panics to fail the test that uses it")]

pub mod agent;
pub mod bpffs;
pub mod cgroup;
pub mod docker;
pub mod event;
pub mod guard;
pub mod http;
pub mod maps;
pub mod poll;
pub mod process;
pub mod receiver;
pub mod require;
