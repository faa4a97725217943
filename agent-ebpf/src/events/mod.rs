//! One file per event. The order here is the order of the catalogue.

pub mod accept;
pub mod alert;
pub mod connect;
pub mod container;
pub mod dns;
pub mod exec;
pub mod exec_map;
pub mod exit;
pub mod file_change;
pub mod file_write;
pub mod fork;
pub mod gap;
pub mod listen;
pub mod privilege;
pub mod volume;
