//! Takes over from an agent that has ended and whose programs were held: first what they saw since,
//! then they are let go. This agent's programs stop the same by then.

use plimsoll_ebpf::catalog::split;

use super::losses::Losses;
use crate::{
    attribution::{
        attributor::{Attributor, Out},
        procfs::Procfs,
    },
    probe::pins::Predecessor,
};

/// Takes over at the moment since boot from which on this agent sees for itself.
pub(super) fn from(
    predecessor: Predecessor,
    since_ns: u64,
    attributor: &mut Attributor,
    procfs: &mut Procfs,
    losses: &mut Losses,
    out: &mut Out<'_>,
) {
    let pid = predecessor.pid;
    let mut read = 0_u64;
    match predecessor.left() {
        Ok(Some(mut left)) => {
            left.read(|entry| {
                let is_earlier = split(entry).is_ok_and(|(header, _)| header.boot_ns < since_ns);
                if is_earlier && attributor.entry(entry, procfs, out).is_ok() {
                    read += 1;
                }
            });
            left.losses().iter().for_each(|lost| losses.of_kernel(lost));
        }
        Ok(None) => losses.add(0, "", "other_version", 1),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "what was seen since the last agent ended is not known");
            losses.add(0, "", "other_version", 1);
        }
    }
    match predecessor.release() {
        Ok(()) => tracing::info!(agent = pid, records = read, "took over"),
        Err(error) => tracing::warn!(%error, agent = pid, "an earlier agent's programs are left"),
    }
}
