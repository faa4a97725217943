//! Every setting of the agent, by section: name, type, default and meaning.

use std::{path::PathBuf, time::Duration};

use plimsoll_ebpf::rules::Mode;

use super::{
    key::{Key, sections},
    setting::{Auto, Bytes, Kinds, Listen, OptionalPath, RingBytes, Setting, WhenGone},
};

sections! {
    /// The agent itself.
    agent: Agent {
        /// Directory in which the agent keeps everything that outlives it.
        data_dir: PathBuf = "/var/lib/plimsoll",
        /// Unix socket on which the agent answers the command line.
        socket: PathBuf = "/run/plimsoll/plimsoll.sock",
        /// Name of this node in observations. `auto` takes the host name; in a Swarm service, set
        /// it to `{{.Node.Hostname}}` through the environment.
        node_name: Auto<String> = "auto",
    }
    /// Where Docker answers.
    docker: Docker {
        /// Unix socket of the Docker daemon. The agent reconnects for ever when it does not answer.
        socket: PathBuf = "/var/run/docker.sock",
    }
    /// Where the host's file systems are, seen from the agent, which may run in a container.
    host: Host {
        /// The host's `/proc`. `auto` takes `/host/proc` where it is mounted, else `/proc`.
        proc: Auto<PathBuf> = "auto",
        /// Root of the host's cgroup v2 hierarchy. `auto` searches `/host/cgroup`,
        /// `/sys/fs/cgroup`, `/sys/fs/cgroup/unified` and all mounts.
        cgroup: Auto<PathBuf> = "auto",
    }
    /// The programs in the kernel and the rings through which they report.
    probe: Probe {
        /// How long repeats of one act (same container, program and object) are counted before the
        /// act is reported again. `0` reports every one.
        window: Duration = "10s",
        /// The same for an act that the profile vouches for, once enough is known to tell what is new:
        /// it costs next to nothing then, and is told this seldom, with how often it was done, but no
        /// less than twice in a unit of learning. What is no longer known, as after `profile revoke`,
        /// is reported at the next window's end. Below `window` it changes nothing.
        known_window: Duration = "5m",
        /// Size of the ring for what must not be lost: programs started, acts seen for the first
        /// time, gaps. Kernel memory that is not swapped.
        priority_ring_bytes: RingBytes = "4MiB",
        /// Size of the ring for everything else. Kernel memory that is not swapped.
        bulk_ring_bytes: RingBytes = "4MiB",
        /// Most cgroups watched at once. A container has one, and one more for each that it makes.
        max_cgroups: u32 = "16384",
    }
    /// How observations are given to containers and processes.
    attribution: Attribution {
        /// Most observations that wait in memory for their container to become known. Those beyond
        /// it are dropped and counted as `hold_overflow`.
        hold_limit: u32 = "65536",
        /// How long observations wait for Docker to name their container before they are told as
        /// unresolved.
        hold_patience: Duration = "10s",
        /// Most processes tracked at once; once half of that is used, a container has an eighth.
        /// Those beyond it are told without ancestors and counted as `process_table_full`.
        process_limit: u32 = "65536",
    }
    /// How each class is treated where no policy says otherwise: `learn` alerts only what no image
    /// does, `monitor` alerts every broken rule, `enforce` stops the act as well.
    modes: Modes {
        /// Programs, scripts and libraries that run.
        exec: Mode = "monitor",
        /// Files that are written, renamed or removed.
        file: Mode = "learn",
        /// Peers and ports.
        network: Mode = "learn",
    }
    /// How it is learned what images and services do, and when enough is known to tell what departs
    /// from it: see baseline.md.
    baseline: Baseline {
        /// Whether it is learned at all.
        enabled: bool = "true",
        /// Work of one container that counts as one unit: what is new is counted by units, not by
        /// acts.
        unit: Duration = "1h",
        /// How long each image is learned at least, whatever was seen.
        ready_after: Duration = "1d",
        /// How many units are seen at least; of starts, three.
        min_units: u32 = "24",
        /// How many connections a service has accepted at least, so that its silence says something.
        min_accepts: u32 = "100",
        /// How many alerts of new behaviours a day and image may be expected at most once it is
        /// monitored, in hundredths: it is learned until the upper bound of what is expected is
        /// below this.
        max_daily_percent: u32 = "100",
        /// How many times faster the clock of learning runs: at 60 a minute counts as an hour, and
        /// 24 minutes as a day. For tests, and for who would rather have alerts early than few;
        /// units, bounds and connections stay as they are. Set `probe.window` below the length of a
        /// unit with it.
        time_scale: u32 = "1",
        /// How long the start of a container takes at least; what it does then is kept apart. It ends
        /// when a port of its image is listened on or its health check succeeds.
        start_min: Duration = "10s",
        /// How long the start of a container takes at most.
        start_max: Duration = "5m",
        /// How many incidents an image may raise in an hour by departures: what one subtree of
        /// processes does within five minutes is one. Departures beyond it are counted, but for those
        /// of severity high.
        max_hourly: u32 = "20",
        /// File with the public key (Ed25519, PEM) by which profiles must be signed that are
        /// imported, as `plimsoll profile export --sign` signs them. Empty: no signature is asked
        /// for.
        import_key: OptionalPath = "",
    }
    /// What is done about acts that are to be stopped.
    response: Response {
        /// Whether programs and scripts that are not the image's are refused by fanotify, on kernels
        /// without BPF LSM, in containers whose class `exec` is enforced. Every program that such a
        /// container starts then waits for the agent's answer, some 15 us; while the agent is
        /// stopped (SIGSTOP), it waits until that goes on. Without it such programs are killed
        /// before their first instruction, and scripts are only told of.
        fanotify: bool = "true",
        /// What becomes of enforcement when the agent ends, however it ends: `release` detaches
        /// everything, `hold` leaves its programs pinned, so that they stop what they were told to
        /// until the next agent takes over or `plimsoll release` lets go of them.
        when_gone: WhenGone = "release",
        /// Directory on a BPF file system, for `when_gone = "hold"`. Only root may enter it.
        pins: PathBuf = "/sys/fs/bpf/plimsoll",
    }
    /// The node's own memory of observations.
    store: Store {
        /// Most disk space for the store. The oldest observations go first.
        max_bytes: Bytes = "1GiB",
        /// Observations older than this are removed.
        max_age: Duration = "7d",
        /// Events that are many and soon of little use, separated by commas. They have files of
        /// their own, so that others outlive them. Empty: all are kept equally long.
        brief_kinds: Kinds = "file_write,fork,exit",
        /// Observations of those events that are older than this are removed.
        brief_max_age: Duration = "3d",
        /// Percentage of `max_bytes` that those events may take where the others need the rest.
        brief_percent: u32 = "50",
        /// How often what was observed is made durable; at most this is lost when the host fails.
        flush_every: Duration = "200ms",
    }
    /// What Prometheus reads.
    metrics: Metrics {
        /// Address of `/metrics` and `/healthz`. Empty turns both off.
        listen: Listen = "127.0.0.1:9465",
        /// File with a token that whoever asks for `/metrics` has to send, as
        /// `Authorization: Bearer …`. It is read for each request, so that it may be replaced. Empty
        /// asks for none. `/healthz` is for all.
        token_file: OptionalPath = "",
        /// File with the certificate (PEM), and those between it and its root, by which `listen`
        /// speaks TLS. A new one is taken at the next connection. Empty speaks plain HTTP.
        tls_cert_file: OptionalPath = "",
        /// File with the certificate's key (PEM).
        tls_key_file: OptionalPath = "",
        /// Whether the kernel counts runs and run time of the agent's programs, for the
        /// `plimsoll_probe_*` metrics. Costs some ten nanoseconds for each run of every BPF
        /// program on the host.
        bpf_stats: bool = "false",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_reads_and_is_shown_as_it_is_written() {
        let config = Config::default();
        for key in KEYS {
            assert!((key.set)(&mut Config::default(), key.default), "{}", key.name);
            assert_eq!((key.show)(&config), key.default, "{}", key.name);
        }
    }

    #[test]
    fn setting_a_key_changes_that_key_alone() {
        let mut config = Config::default();
        let key = Key::by_name("store.max_bytes").expect("is a key");
        assert!((key.set)(&mut config, "2GiB"));
        assert_eq!(config.store.max_bytes, Bytes(2 << 30));
        config.store.max_bytes = Bytes(1 << 30);
        assert_eq!(config, Config::default());
    }

    #[test]
    fn every_text_is_made_of_sentences() {
        let sections = SECTIONS.iter().map(|(_, doc)| *doc);
        for doc in sections.chain(KEYS.iter().map(|key| key.doc)) {
            assert!(doc.starts_with(' ') && doc.ends_with('.'), "{doc}");
        }
    }
}
