//! Disk space: what happens when there is none, and how much the store takes of it.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
    time::Duration,
};

use plimsoll_tests::{
    agent::Setup,
    docker::{BUSYBOX, Docker},
    event::{number, text},
    poll,
};
use serde_json::json;
use tempfile::TempDir;

/// A small file system of the test's own; unmounted with this value.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let place = tempfile::tempdir().expect("a directory to mount on");
        let options = ["-t", "tmpfs", "-o", "size=8m,mode=755", "plimsoll-test"];
        let status = Command::new("mount").args(options).arg(place.path()).status();
        assert!(status.expect("there is mount").success(), "a tmpfs cannot be mounted");
        Self(place)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let mut file = File::create(self.path().join("filler")).expect("it can be written");
        for bytes in [1 << 16, 1 << 10, 1] {
            while file.write_all(&vec![0; bytes]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.path().join("filler")).expect("it was just written");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: an agent that still ends may have files open here.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_costs_only_what_happens_while_it_is_full() {
    const LOST: &str = "plimsoll_observations_lost_total{reason=\"disk_full\"}";
    let disk = SmallDisk::mount();
    let elsewhere = tempfile::tempdir().expect("a directory");
    let sink = elsewhere.path().join("alerts");
    let config =
        format!("[[sink]]\nname = \"kept\"\ntype = \"file\"\npath = \"{}\"\n", sink.display());
    let setup = Setup::default().config(&config);
    let mut agent = setup.data_dir(&disk.path().join("store")).start();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.exec(&["/usr/bin/hello", "before"]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "before"]}));
    assert!(agent.metric(LOST) < 1.0);

    disk.fill();
    poll::holds("what cannot be kept is counted", || {
        container.exec(&["/usr/bin/acts", "spin-open", "/opt", "200"]);
        agent.metric(LOST) > 0.0
    });
    assert!(agent.runs());
    poll::holds("the sink is told", || {
        fs::read_to_string(&sink).is_ok_and(|it| it.contains("\"recording_stopped\""))
    });
    let (_, health) = agent.health();
    assert!(health.contains("disk") || health.contains("stor"), "health says only {health:?}");
    // What was kept can still be read.
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "before"]}));

    disk.free();
    poll::holds("recording goes on", || {
        container.exec(&["/usr/bin/hello", "after"]);
        !agent
            .all(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "after"]}))
            .is_empty()
    });
    let gap = agent.wait_for(&["--kind", "gap"], "gap for the full disk", |event| {
        text(event, "gap.reason") == "disk_full"
    });
    assert!(number(&gap, "gap.lost") > 0, "{gap}");
    assert!(text(&gap, "gap.from") <= text(&gap, "gap.to"), "{gap}");
    poll::holds("every loss that is counted is told", || {
        let gaps = agent.events(&["--kind", "gap", "--where", "gap.reason = 'disk_full'"]);
        let told: i64 = gaps.iter().map(|gap| number(gap, "gap.lost")).sum();
        (agent.metric(LOST) - told as f64).abs() < 0.5
    });
    agent.wait_for(&["--kind", "alert"], "the alert of the full disk", |alert| {
        text(alert, "rule") == "recording_stopped"
    });
    agent.stop();
}

/// Bytes of all files below a directory.
fn bytes_below(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(it) if it.is_dir() => bytes_below(&entry.path()),
        it => it.map_or(0, |it| it.len()),
    });
    bytes.sum()
}

#[test]
fn the_store_stays_within_its_bound_and_the_oldest_goes_first() {
    const BOUND: u64 = 4 << 20;
    let data = tempfile::tempdir().expect("a directory for the store");
    let setup = Setup::default().config("[store]\nmax_bytes = \"4MiB\"\n");
    let agent = setup.data_dir(data.path()).start();
    let container = Docker::host().start(BUSYBOX, &["--tmpfs=/s"], &[]);
    let first = json!({"proc.args": ["/usr/bin/hello", "first"]});
    container.exec(&["/usr/bin/hello", "first"]);
    agent.expect(&container, "exec", &first);
    let mut rounds = 0;
    poll::until(Duration::from_mins(1), || {
        // Slower than the ring is read: what is lost takes no space.
        container.shell("/usr/bin/acts spin-open /s 50000; rm -rf /s/*");
        let bytes = bytes_below(data.path());
        assert!(bytes <= BOUND, "{bytes} bytes after {rounds} rounds");
        rounds += 1;
        agent.all(&container, "exec", &first).is_empty().then_some(())
    })
    .expect("the oldest goes when the space is used");
    container.exec(&["/usr/bin/hello", "last"]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "last"]}));
    assert!(agent.metric("plimsoll_store_bytes") <= BOUND as f64);
    let gaps = agent.events(&["--kind", "gap", "--where", "gap.reason != 'over_share'"]);
    assert!(gaps.is_empty(), "{gaps:#?}");
}
