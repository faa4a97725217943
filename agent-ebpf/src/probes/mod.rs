//! The probes of each event, in files of the events' names; what they share stands beside them.

mod cgroup;
pub mod connect;
mod dns;
pub mod exec;
pub mod exec_map;
mod exit;
pub mod file_change;
pub mod file_write;
mod fork;
mod io_uring;
mod listen;
mod privilege;
mod syscall;
