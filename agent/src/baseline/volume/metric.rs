//! What is measured, and how much of it is worth an alert at all.

use plimsoll_ebpf::{events::volume::what, rules::Rule};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Bytes sent.
    Out,
    /// Bytes received.
    In,
    /// Processor time, in thousandths of a processor.
    Cpu,
    /// Memory, in bytes.
    Memory,
    /// Processes and threads.
    Pids,
}

const MB: u64 = 1_000_000;

/// Bytes to a peer that a service never sent to, in a day.
pub const UNKNOWN_PEER_FLOOR: u64 = MB;

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 5] = [Self::Out, Self::In, Self::Cpu, Self::Memory, Self::Pids];

    /// The number in records.
    pub const fn code(self) -> u8 {
        match self {
            Self::Out => what::OUT,
            Self::In => what::IN,
            Self::Cpu => what::CPU,
            Self::Memory => what::MEMORY,
            Self::Pids => what::PIDS,
        }
    }

    /// The name in output.
    pub fn name(self) -> &'static str {
        what::name(self.code()).unwrap_or_default()
    }

    /// The rule that far too much of it breaks.
    pub const fn rule(self) -> Rule {
        match self {
            Self::Out => Rule::VolumeOut,
            Self::In => Rule::VolumeIn,
            Self::Cpu => Rule::CpuLoad,
            Self::Memory => Rule::MemoryUse,
            Self::Pids => Rule::Pids,
        }
    }

    /// What is no burst, whatever is usual: in one window.
    pub const fn window_floor(self) -> u64 {
        match self {
            Self::Out => 50 * MB,
            Self::In => 100 * MB,
            // A quarter of a processor: miners are often kept from taking all of it.
            Self::Cpu => 250,
            Self::Memory | Self::Pids => u64::MAX,
        }
    }

    /// What is not much, whatever is usual: in a minute, or at its end.
    pub const fn minute_floor(self) -> u64 {
        match self {
            Self::Out => 5 * MB,
            Self::In => 20 * MB,
            Self::Cpu => u64::MAX,
            Self::Memory => 256 * MB,
            Self::Pids => 100,
        }
    }

    /// What is not much, whatever is usual: in an hour, to or from all peers.
    pub const fn hour_floor(self) -> u64 {
        match self {
            Self::Out => 50 * MB,
            Self::In => 200 * MB,
            Self::Cpu | Self::Memory | Self::Pids => u64::MAX,
        }
    }

    /// The same of one peer.
    pub const fn peer_hour_floor(self) -> u64 {
        match self {
            Self::Out => 10 * MB,
            Self::In => 100 * MB,
            Self::Cpu | Self::Memory | Self::Pids => u64::MAX,
        }
    }

    /// An amount in words.
    pub fn shown(self, amount: u64) -> String {
        match self {
            Self::Out | Self::In | Self::Memory => bytes(amount),
            Self::Cpu => format!("{}.{:02} processors", amount / 1000, amount % 1000 / 10),
            Self::Pids => format!("{amount} processes"),
        }
    }
}

fn bytes(amount: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (MB, "MB"), (1000, "kB")];
    let unit = UNITS.into_iter().find(|(size, _)| amount >= *size);
    match unit {
        Some((size, name)) => format!("{}.{} {name}", amount / size, amount % size / (size / 10)),
        None => format!("{amount} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_told_in_the_unit_that_fits() {
        assert_eq!(Metric::Out.shown(209_715_200), "209.7 MB");
        assert_eq!(Metric::In.shown(999), "999 bytes");
        assert_eq!(Metric::Memory.shown(1500), "1.5 kB");
        assert_eq!(Metric::Cpu.shown(1984), "1.98 processors");
        assert_eq!(Metric::Pids.shown(120), "120 processes");
    }

    #[test]
    fn every_metric_has_a_name_and_a_rule_of_its_own() {
        let rules: std::collections::HashSet<Rule> = Metric::ALL.map(Metric::rule).into();
        assert_eq!(rules.len(), Metric::ALL.len());
        assert!(Metric::ALL.into_iter().all(|it| !it.name().is_empty()));
    }
}
