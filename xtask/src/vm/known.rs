//! What is known of each kernel, from the last run of its tests: `docs/kernel-support.json`.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{kernels::List, outcome::Outcome};
use crate::{cmd, paths};

/// Results by kernel and tier.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Known(BTreeMap<String, BTreeMap<String, Run>>);

/// What came of the tests, and of which agent.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Run {
    /// The commit that the agent was built from.
    pub(super) commit: String,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

impl Known {
    pub(super) fn read() -> Result<Self> {
        let path = path();
        if !path.exists() {
            return Ok(Self::default());
        }
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// Without the tests that are not run any more where they were.
    pub(super) fn without_excepted(mut self, list: &List) -> Self {
        for (kernel, runs) in &mut self.0 {
            for (tier, run) in runs {
                let Outcome { passed, passed_again, failed, .. } = &mut run.outcome;
                for tests in [passed, passed_again, failed] {
                    tests.retain(|test| !list.is_excepted(kernel, tier, test));
                }
            }
        }
        self
    }

    pub(super) fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("writing down what is known")?;
        fs::write(path(), text + "\n").with_context(|| format!("writing {}", path().display()))
    }

    /// Takes the place of the last run.
    pub(super) fn insert(&mut self, kernel: &str, tier: &str, outcome: Outcome) {
        let run = Run { commit: commit(), outcome };
        self.0.entry(kernel.to_owned()).or_default().insert(tier.to_owned(), run);
    }

    pub(super) fn get(&self, kernel: &str, tier: &str) -> Option<&Run> {
        self.0.get(kernel)?.get(tier)
    }
}

fn path() -> PathBuf {
    paths::root().join("docs/kernel-support.json")
}

/// The commit of the workspace, with a plus where files differ from it.
fn commit() -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(paths::root());
    git.args(["describe", "--always", "--abbrev=7", "--exclude=*", "--dirty=+"]);
    cmd::output(&mut git).map_or("unknown".to_owned(), |told| told.trim().to_owned())
}
