//! What starts of containers are told by, and what is known by them.

use plimsoll_ebpf::{
    events::{exec::Exec, listen::Listen},
    value::address,
};

use super::{
    behaviour::Behaviour,
    dimension::{Context, Dimension},
    entries::Entry,
    profile::Profile,
    shield,
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

/// Whether an entry vouches for an act in a context, of a container. What came up at a start when other work was judged
/// already vouches for starts alone, until another start or container shows it.
pub(super) fn vouches(
    profile: &Profile,
    dimension: Dimension,
    entry: &Entry,
    (context, actor): (Context, u64),
) -> bool {
    let since_s = profile.standing[dimension as usize].monitored_s[Context::Steady as usize];
    let is_late = entry.first_s > since_s && !entry.is_confirmed();
    let is_meant =
        matches!(dimension, Dimension::Listener | Dimension::Peer | Dimension::Privilege);
    let asked_in = if is_meant && is_late { context } else { dimension.asked_in(context) };
    profile.vouches(entry, asked_in, actor)
}

/// Whether something is told of a start though few starts are known: what intruders need and no context
/// knows. Who brings a service down that hardly ever starts acts in its start. A release starts otherwise.
pub(super) fn is_told_at_start(
    profile: &Profile,
    it: &Behaviour<'_>,
    entry: Option<&Entry>,
    context: Context,
) -> bool {
    context == Context::Start
        && profile.is_monitored(it.dimension, Context::Steady)
        && profile.exposure[Context::Start as usize].units > 0
        && !profile.is_in_release()
        && entry.is_none_or(|it| it.units(&Context::ALL) == 0)
        && shield::is_of_intruders(it.dimension, it.key)
}
