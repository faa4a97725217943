//! Volumes as a whole, from what containers use to what is told.

use std::{net::IpAddr, sync::Arc};

use plimsoll_ebpf::{record::Header, rules::Rule};

use super::measure::{Busy, Excess};
use crate::{
    attribution::{container::Container, process::Process},
    baseline::{
        convergence::{Reason, State},
        dimension::{Context, Dimension},
        learner::Baseline,
        profile::Profile,
        saved::Saved,
        settings::Settings,
    },
    volume::usage::{PeerUsage, Usage},
};

/// A moment as any other, since the Unix epoch.
const BEGIN_MS: u64 = 1_764_000_000_000;
const WINDOW_MS: u64 = 10_000;
const HOUR: usize = 360;
const MB: u64 = 1_000_000;
const DB: [u8; 4] = [10, 0, 0, 5];
const EVIL: [u8; 4] = [192, 0, 2, 7];

struct Stage {
    baseline: Baseline,
    container: Arc<Container>,
    now_ms: u64,
    windows: u64,
}

impl Stage {
    fn new() -> Self {
        let container = Container {
            id: "aa".repeat(32),
            image: "shop/app:1".to_owned(),
            image_digest: "sha256:00ffaa".to_owned(),
            ..Container::default()
        };
        let baseline = Baseline::new(Settings::default());
        Self { baseline, container: Arc::new(container), now_ms: BEGIN_MS, windows: 0 }
    }

    /// A service that has worked for four days, looked at each minute.
    fn learned() -> Self {
        let mut stage = Self::new();
        for _ in 0..96 * 60 {
            stage.now_ms += 5 * WINDOW_MS;
            let Usage { cpu_ns, sent_bytes, received_bytes, .. } = stage.usual();
            let usage = Usage {
                span_ms: 6 * WINDOW_MS,
                cpu_ns: cpu_ns.map(|it| 6 * it),
                sent_bytes: 6 * sent_bytes,
                received_bytes: 6 * received_bytes,
                peers: vec![to(DB, 6 * sent_bytes)],
                ..stage.usual()
            };
            assert!(stage.measure(&usage, None).is_empty());
        }
        assert_eq!(stage.state(), State::Monitor);
        stage
    }

    /// What it usually uses in ten seconds.
    fn usual(&self) -> Usage {
        let sent_bytes = 2000 + self.windows % 7 * 300;
        Usage {
            cgroup_id: 7,
            span_ms: WINDOW_MS,
            cpu_ns: Some((100 + self.windows % 5 * 50) * MB),
            memory_bytes: Some(60 * MB),
            pids: Some(4),
            sent_bytes,
            received_bytes: 900,
            peers: vec![to(DB, sent_bytes)],
            ..Usage::default()
        }
    }

    fn work(&mut self) -> Vec<Excess> {
        let usage = self.usual();
        self.measure(&usage, None)
    }

    fn measure(&mut self, usage: &Usage, busy: Option<&Busy>) -> Vec<Excess> {
        self.now_ms += WINDOW_MS;
        self.windows += 1;
        let Self { baseline, container, now_ms, .. } = self;
        let told = baseline.measure(container, usage, busy, &|_| None, *now_ms);
        if self.windows.is_multiple_of(6) {
            self.baseline.tick(self.now_ms, |_| true);
        }
        told
    }

    /// Sends so much in ten seconds.
    fn send(&mut self, peer: [u8; 4], bytes: u64) -> Vec<Excess> {
        let usage = Usage { sent_bytes: bytes, peers: vec![to(peer, bytes)], ..self.usual() };
        self.measure(&usage, None)
    }

    fn service(&self) -> &Profile {
        let mut services = self.baseline.profiles().iter().filter(|it| !it.subject.is_image());
        services.next().expect("was met")
    }

    fn state(&self) -> State {
        let (settings, now_s) = (self.baseline.settings(), self.now_ms / 1000);
        self.service().assess(Dimension::Volume, Context::Steady, now_s, settings).state
    }
}

fn to(peer: [u8; 4], sent_bytes: u64) -> PeerUsage {
    PeerUsage { address: IpAddr::from(peer), sent_bytes, received_bytes: 0 }
}

fn rules(told: &[Excess]) -> Vec<Rule> {
    told.iter().map(|it| it.departure.rule).collect()
}

#[test]
fn a_burst_is_told_at_once_with_what_is_usual() {
    let mut stage = Stage::learned();
    let told = stage.send(EVIL, 200 * MB);
    assert_eq!(rules(&told), [Rule::VolumeOut]);
    let Excess { departure, event, peer, .. } = &told[0];
    assert_eq!((event.value, event.span_ms, peer.as_str()), (200 * MB, 10_000, "192.0.2.7"));
    assert!(event.usual < 4000 && event.high < 5000, "{event:?}");
    for part in ["It was 200.0 MB in 10 s", "Most went to 192.0.2.7", " hours over "] {
        assert!(departure.words.contains(part), "{}", departure.words);
    }
    // Half a megabyte more is no more than usual of something that is no burst.
    assert_eq!(rules(&stage.send(DB, MB / 2)), []);
}

#[test]
fn nothing_is_told_before_enough_is_known() {
    let mut stage = Stage::new();
    for _ in 0..30 * HOUR {
        assert!(stage.work().is_empty());
    }
    assert_eq!(stage.state(), State::Learning(Reason::NotConverging));
    assert!(stage.send(EVIL, 200 * MB).is_empty());
    for _ in 0..HOUR {
        stage.work();
    }
    let volumes = &stage.service().volumes;
    assert_eq!((volumes.novel_hours, volumes.destinations.known().count()), (1, 2));
}

#[test]
fn little_by_little_is_told_within_a_day() {
    let mut stage = Stage::learned();
    let mut told = Vec::new();
    for _ in 0..20 {
        told.extend(stage.send(EVIL, 100_000));
        for _ in 1..HOUR {
            told.extend(stage.work());
        }
    }
    assert_eq!(rules(&told), [Rule::VolumeOut], "{:?}", told.first().map(|it| &it.departure.words));
    assert!(told[0].departure.words.contains("to a peer that was not learned"));
}

#[test]
fn a_usual_peer_has_its_budget_too() {
    let mut stage = Stage::learned();
    let told: Vec<Excess> = (0..HOUR).flat_map(|_| stage.send(DB, 60_000)).collect();
    assert_eq!(rules(&told), [Rule::VolumeOut]);
    assert_eq!(told[0].peer, "10.0.0.5");
    assert!(told[0].departure.words.contains("within 60 min"), "{}", told[0].departure.words);
}

#[test]
fn an_attack_does_not_teach_itself_in() {
    let mut stage = Stage::learned();
    let most = |stage: &Stage| stage.service().volumes.usual()[0].1[2];
    let before = most(&stage);
    let told: Vec<Excess> = (0..HOUR).flat_map(|_| stage.send(EVIL, 20 * MB)).collect();
    assert!(!told.is_empty());
    for _ in 0..24 * HOUR {
        stage.work();
    }
    let known: Vec<&str> = stage.service().volumes.destinations.known().map(|it| it.0).collect();
    assert_eq!(known, ["10.0.0.5"]);
    assert!(rules(&stage.send(EVIL, 200 * MB)).contains(&Rule::VolumeOut));
    assert_eq!(most(&stage), before);
}

#[test]
fn a_steady_load_is_told_with_its_program_and_a_restless_one_is_not() {
    let mut stage = Stage::learned();
    let process = Process { pid: 9, exe: b"/tmp/xmrig".as_slice().into(), ..Process::default() };
    let header = Header { pid: 9, ..Header::default() };
    let busy = Busy { header, process: Arc::new(process), percent: 98 };
    let compute = |stage: &mut Stage, thousandths: u64| {
        let cpu_ns = Some(thousandths * WINDOW_MS * 1000);
        let usage = Usage { cpu_ns, ..stage.usual() };
        stage.measure(&usage, Some(&busy))
    };
    let restless = |it: usize| if it.is_multiple_of(2) { 600 } else { 1400 };
    let told: Vec<Excess> = (0..70).flat_map(|it| compute(&mut stage, restless(it))).collect();
    assert_eq!(rules(&told), []);
    for _ in 0..10 {
        stage.work();
    }
    let mut told = Vec::new();
    for minute in 0..60 {
        for _ in 0..6 {
            told.extend(compute(&mut stage, 1950).into_iter().map(|it| (minute, it)));
        }
    }
    assert_eq!(told.len(), 1, "once");
    let (minute, excess) = &told[0];
    assert_eq!((*minute, excess.departure.rule, excess.header.pid), (9, Rule::CpuLoad, 9));
    assert_eq!(excess.departure.object, "/tmp/xmrig");
    let words = &excess.departure.words;
    for part in ["It was 1.95 processors on average for 10 min", "/tmp/xmrig took 98 % of it."] {
        assert!(words.contains(part), "{words}");
    }
}

#[test]
fn memory_and_processes_are_told_after_two_minutes() {
    let mut stage = Stage::learned();
    let mut told = Vec::new();
    for window in 0..18 {
        let usage = Usage { memory_bytes: Some(900 * MB), pids: Some(5000), ..stage.usual() };
        told.extend(stage.measure(&usage, None).into_iter().map(|it| (window, it.departure.rule)));
    }
    assert_eq!(told[..2].iter().map(|it| it.1).collect::<Vec<_>>(), [Rule::MemoryUse, Rule::Pids]);
    assert!((6..13).contains(&told[0].0), "{told:?}");
}

#[test]
fn what_is_known_is_kept_and_bounded() {
    let stage = Stage::learned();
    let profile = stage.service();
    let saved = Saved::of(profile, stage.baseline.settings(), 1);
    let text = serde_json::to_vec(&saved).expect("is written");
    assert!(text.len() < 16 << 10, "{}", text.len());
    let read: Saved = serde_json::from_slice(&text).expect("is read");
    let read = read.into_profile();
    assert_eq!(read.volumes, profile.volumes);
    assert!(read.is_monitored(Dimension::Volume, Context::Steady));
    assert!(profile.bytes() < 64 << 10, "{}", profile.bytes());
    // Files of the first version have none of it.
    let mut first: serde_json::Value = serde_json::to_value(&saved).expect("is written");
    first.as_object_mut().map(|it| it.remove("volumes"));
    let first: Saved = serde_json::from_value(first).expect("is read");
    assert_eq!(first.into_profile().volumes.hours, 0);
}

#[test]
fn what_a_container_used_last_counts_after_its_end() {
    let mut stage = Stage::learned();
    let instance = stage.baseline.instances.remove(&7).expect("is there");
    stage.baseline.ended.push_front((7, instance));
    assert_eq!(rules(&stage.send(EVIL, 200 * MB)), [Rule::VolumeOut]);
    assert!(stage.baseline.instances.is_empty());
}
