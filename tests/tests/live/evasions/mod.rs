//! Known ways round such rules, each tried. What gets through is asserted too, with the reason: the
//! test fails on the day it no longer does.

mod files;
mod libraries;
mod programs;

use plimsoll_tests::docker::{BUSYBOX, Container, Docker};

/// The calls of `io_uring` and some others are kept from containers by Docker's own filter.
const UNFILTERED: &str = "--security-opt=seccomp=unconfined";

fn start(options: &[&str]) -> Container {
    Docker::host().start(BUSYBOX, options, &[])
}
