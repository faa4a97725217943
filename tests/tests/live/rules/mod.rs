//! Each rule broken, and its benign twin: what is alike and harmless raises nothing.

mod attacks;
mod files;
mod harmless;
mod libraries;
mod network;
mod posture;
mod programs;

use plimsoll_tests::docker::{BUSYBOX, Container, Docker};

fn start(options: &[&str]) -> Container {
    Docker::host().start(BUSYBOX, options, &[])
}
