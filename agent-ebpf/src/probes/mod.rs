//! The probes of each event, in files of the events' names; what they share stands beside them.

mod cgroup;
mod connect;
mod dns;
mod exec;
mod exec_map;
mod exit;
mod file_change;
mod file_write;
mod fork;
mod io_uring;
mod listen;
mod privilege;
mod syscall;
