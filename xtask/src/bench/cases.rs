//! The single acts that are timed, and what the design allows them to take.

/// An act, how often it is done in a batch, and its budget in a watched container.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// As micro calls it.
    pub(super) act: &'static str,
    pub(super) place: Place,
    pub(super) iterations: u32,
    pub(super) budget: Budget,
    /// Whether the budget also binds outside of containers.
    pub(super) binds_everywhere: bool,
}

/// Where an act takes place.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// On the root file system: in a container the overlay, on the host the disk.
    Disk,
    /// On a tmpfs.
    Memory,
    /// It starts the small program.
    Program,
}

/// What the agent may add to an act.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    pub(super) added: Option<Added>,
    /// Most the act may take, with the agent's own time counted in, as a factor.
    pub(super) total: Option<f64>,
}

#[derive(Clone, Copy)]
pub(super) enum Added {
    /// Set on a machine where the act took `of`.
    Ns {
        most: f64,
        of: f64,
    },
    Percent(f64),
}

/// How a budget is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    /// Not in nanoseconds, but in proportion to what the act takes on this machine.
    InProportion,
    No,
}

const NONE: Budget = Budget { added: None, total: None };

pub(super) const CASES: &[Case] = &[
    Case {
        name: "getppid",
        act: "getppid",
        place: Place::Memory,
        iterations: 200_000,
        budget: Budget { added: Some(Added::Ns { most: 15.0, of: 55.0 }), total: None },
        binds_everywhere: true,
    },
    Case {
        name: "open to read, close",
        act: "open-read",
        place: Place::Disk,
        iterations: 20_000,
        budget: Budget { added: Some(Added::Ns { most: 60.0, of: 430.0 }), total: None },
        binds_everywhere: false,
    },
    Case {
        name: "open to write, close: a known file",
        act: "open-write",
        place: Place::Disk,
        iterations: 10_000,
        budget: Budget { added: Some(Added::Ns { most: 250.0, of: 1300.0 }), total: Some(1.2) },
        binds_everywhere: false,
    },
    Case {
        name: "create, close: a new file on disk",
        act: "create",
        place: Place::Disk,
        iterations: 500,
        budget: NONE,
        binds_everywhere: false,
    },
    Case {
        name: "create, close: a new file in tmpfs",
        act: "create",
        place: Place::Memory,
        iterations: 2000,
        budget: NONE,
        binds_everywhere: false,
    },
    Case {
        name: "fork, exec, exit",
        act: "spawn",
        place: Place::Program,
        iterations: 200,
        budget: Budget { added: Some(Added::Percent(2.0)), total: Some(1.05) },
        binds_everywhere: false,
    },
    Case {
        name: "connect by UDP: a known peer",
        act: "udp",
        place: Place::Memory,
        iterations: 10_000,
        budget: Budget { added: Some(Added::Ns { most: 200.0, of: 6300.0 }), total: None },
        binds_everywhere: false,
    },
    Case {
        name: "connect by UDP: a foreign peer, refused where enforced",
        act: "udp-foreign",
        place: Place::Memory,
        iterations: 10_000,
        budget: NONE,
        binds_everywhere: false,
    },
    Case {
        name: "socket, connect by TCP, accept, close: a known peer",
        act: "tcp",
        place: Place::Memory,
        iterations: 1000,
        budget: Budget { added: Some(Added::Ns { most: 200.0, of: 6300.0 }), total: Some(1.04) },
        binds_everywhere: false,
    },
];

impl Budget {
    pub(super) fn text(self) -> String {
        let added = self.added.map(|added| match added {
            Added::Ns { most, .. } => format!("+{most:.0} ns"),
            Added::Percent(percent) => format!("+{percent:.0} %"),
        });
        let total = self.total.map(|factor| format!("x{factor:.2} in all"));
        let parts: Vec<String> = [added, total].into_iter().flatten().collect();
        if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
    }

    /// Whether it is kept by times in nanoseconds; nothing is said where there is no budget.
    pub(super) fn kept(self, without: f64, with: f64, agent: f64) -> Option<Kept> {
        let more = with - without;
        let added = self.added.map(|added| match added {
            Added::Ns { most, .. } if more <= most => Kept::Yes,
            Added::Ns { most, of } if more / without <= most / of => Kept::InProportion,
            Added::Percent(percent) if more / without <= percent / 100.0 => Kept::Yes,
            Added::Ns { .. } | Added::Percent(_) => Kept::No,
        });
        let is_exceeded = self.total.is_some_and(|factor| (with + agent) / without > factor);
        if is_exceeded { Some(Kept::No) } else { added }
    }
}

impl Kept {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::InProportion => "in proportion",
            Self::No => "no",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_kept_when_all_of_it_is() {
        let budget = Budget { added: Some(Added::Ns { most: 10.0, of: 100.0 }), total: Some(1.2) };
        assert_eq!(budget.kept(100.0, 110.0, 10.0), Some(Kept::Yes));
        assert_eq!(budget.kept(100.0, 111.0, 0.0), Some(Kept::No));
        assert_eq!(budget.kept(100.0, 105.0, 20.0), Some(Kept::No));
        let percent = Budget { added: Some(Added::Percent(2.0)), total: None };
        assert_eq!(percent.kept(100.0, 103.0, 0.0), Some(Kept::No));
        assert_eq!(NONE.kept(1.0, 9.0, 9.0), None);
    }

    #[test]
    fn on_a_slower_machine_a_budget_is_kept_in_proportion() {
        let budget = Budget { added: Some(Added::Ns { most: 10.0, of: 100.0 }), total: None };
        assert_eq!(budget.kept(400.0, 440.0, 0.0), Some(Kept::InProportion));
        assert_eq!(budget.kept(400.0, 441.0, 0.0), Some(Kept::No));
    }

    #[test]
    fn a_budget_reads_as_in_the_design() {
        let budget = Budget { added: Some(Added::Percent(2.0)), total: Some(1.05) };
        assert_eq!((budget.text(), NONE.text()), ("+2 %, x1.05 in all".into(), "-".into()));
    }
}
