//! What it costs to judge an observation: run by `cargo xtask bench verdict`.
//!
//! Images are learned until they are monitored; then each kind of act is judged many times. Each
//! figure is a line of JSON.

mod scene;
#[path = "../store_bench/usage.rs"]
#[expect(dead_code, reason = "what is measured of the store is not measured here")]
mod usage;

use std::{
    io::{self, Write},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use plimsoll::{
    baseline::{
        dimension::{Context as Course, Dimension},
        learner::Baseline,
        profile::Profile,
        settings::Settings,
    },
    policy::book::Book,
    verdict::{assess, judge::Judge, own::Own},
};
use scene::{Act, FILES, IMAGES, PEERS, PROGRAMS, Scene};
use serde_json::{Value, json};

const HOUR_NS: u64 = 3_600_000_000_000;
/// An hour as any other, since the Unix epoch.
const BEGIN_NS: u64 = 1_764_000_000_000_000_000;
/// Hours that are learned.
const HOURS: u64 = 90;

fn main() -> Result<()> {
    let rounds = std::env::args().nth(1).map_or(Ok(1_000_000), |it| it.parse())?;
    let scene = Scene::new();
    let mut bench = Bench {
        scene,
        baseline: Baseline::new(Settings::default()),
        judge: Judge::new(Arc::new(Book::default()), Own::new(&[], u32::MAX)),
        now_ns: BEGIN_NS,
        told: 0,
    };
    let before = usage::resident_bytes()?;
    bench.learn()?;
    let profiles = bench.baseline.profiles();
    let bytes: usize = profiles.iter().map(Profile::bytes).sum();
    tell(&json!({
        "profiles": profiles.len(),
        "bytes": bytes,
        "resident_bytes": usage::resident_bytes()?.saturating_sub(before),
    }))?;
    let many = |count, make: &dyn Fn(usize) -> Act| (0..count).map(make).collect::<Vec<_>>();
    for (name, acts) in [
        ("a fork", vec![scene::fork()]),
        ("a known program", many(PROGRAMS, &scene::run)),
        ("a known file", many(FILES, &|it| scene::write("/data", it))),
        ("a known peer", many(PEERS, &scene::connect)),
        ("a file that is new", many(FILES, &|it| scene::write("/elsewhere", it))),
        ("a program that is not the image's", vec![scene::dropped()]),
    ] {
        bench.measure(name, &acts, rounds)?;
    }
    Ok(())
}

struct Bench {
    scene: Scene,
    baseline: Baseline,
    judge: Judge,
    now_ns: u64,
    told: u64,
}

impl Bench {
    fn learn(&mut self) -> Result<()> {
        let containers = self.scene.containers.len();
        let work: Vec<Act> = (0..PROGRAMS)
            .map(scene::run)
            .chain((0..FILES).map(|it| scene::write("/data", it)))
            .chain((0..PEERS).map(scene::connect))
            .chain((0..5).map(|_| scene::accept()))
            .collect();
        for container in 0..containers {
            self.judge(container, &scene::first());
        }
        for _ in 0..HOURS {
            self.now_ns += HOUR_NS;
            self.baseline.tick(self.now_ns / 1_000_000, |_| true);
            for container in 0..containers {
                for act in &work {
                    self.judge(container, act);
                }
            }
        }
        self.now_ns += HOUR_NS;
        self.baseline.tick(self.now_ns / 1_000_000, |_| true);
        let is_monitored = |dimension| {
            let mut profiles = self.baseline.profiles().iter();
            profiles.any(|it| it.is_monitored(dimension, Course::Steady))
        };
        for dimension in [Dimension::Process, Dimension::Write, Dimension::Peer] {
            ensure!(is_monitored(dimension), "{} is still learned", dimension.name());
        }
        ensure!(self.baseline.profiles().len() == 2 * IMAGES, "profiles are missing");
        Ok(())
    }

    fn judge(&mut self, container: usize, act: &Act) {
        let Self { scene, baseline, judge, now_ns, told } = self;
        scene.act(container, act, *now_ns, |it| {
            assess::observe(Some(baseline), judge, it, &mut |_, _, _| *told += 1);
        });
    }

    /// Judges acts in turn, in all containers in turn.
    fn measure(&mut self, name: &str, acts: &[Act], rounds: usize) -> Result<()> {
        let containers = self.scene.containers.len();
        let go = |bench: &mut Self, rounds: usize| {
            for round in 0..rounds {
                bench.judge(round % containers, &acts[round / containers % acts.len()]);
            }
        };
        go(self, rounds / 10);
        let (told, before) = (self.told, usage::thread_cpu_ns()?);
        go(self, rounds);
        let ns = (usage::thread_cpu_ns()? - before) / rounds.max(1) as u64;
        tell(&json!({"act": name, "ns": ns, "alerts": self.told - told}))
    }
}

fn tell(figures: &Value) -> Result<()> {
    writeln!(io::stdout().lock(), "{figures}").context("writing to standard output")
}
