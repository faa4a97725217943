//! What starts of containers are told by.

use plimsoll_ebpf::{
    events::{exec::Exec, listen::Listen},
    value::address,
};

use crate::attribution::{container::Container, observation::Observation, process::Origin};

/// Whether a container begins its first program.
pub(super) fn is_start(observation: &Observation<'_>) -> bool {
    let is_first = observation.process.is_some_and(|process| {
        process.origin == Origin::Init && process.lineage.ancestors.is_empty()
    });
    is_first && observation.record.read::<Exec>().is_some()
}

/// Whether listening tells that a container has started: on a port of its image, or on any where
/// its image names none.
pub(super) fn tells_readiness(container: &Container, listen: &Listen) -> bool {
    let is_local = address(listen.address).to_canonical().is_loopback();
    !is_local
        && (container.announced.is_empty() || container.announces(listen.port, listen.protocol))
}
