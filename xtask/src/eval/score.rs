//! What the scorer of the corpus says.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The report of one campaign.
#[derive(Debug, Deserialize)]
pub(super) struct Score {
    /// Attacks that were carried out, an attack for each time.
    pub(super) runs: usize,
    /// Attacks of different kinds.
    pub(super) attacks: usize,
    /// Attacks that could not be carried out here.
    pub(super) not_performed: Vec<String>,
    pub(super) detection: Rate,
    pub(super) specific: Rate,
    pub(super) by_class: BTreeMap<String, Class>,
    pub(super) time_to_detect: Option<Delays>,
    pub(super) attribution: Attribution,
    pub(super) container_hours: f64,
    pub(super) false_incidents: usize,
    pub(super) alerts_without_victim: usize,
    pub(super) false_kinds: Vec<(String, usize)>,
    pub(super) false_near_maintenance: usize,
    pub(super) false_near_grey: usize,
    pub(super) sham: Rate,
    pub(super) missed: Vec<String>,
    #[serde(rename = "runs_detail")]
    pub(super) details: Vec<Run>,
}

/// A share of runs, and the interval of 95 % around it.
#[derive(Debug, Deserialize)]
pub(super) struct Rate {
    pub(super) n: usize,
    #[serde(rename = "rate")]
    pub(super) share: Option<f64>,
    #[serde(rename = "ci95")]
    pub(super) interval: [f64; 2],
}

/// Attacks of one class.
#[derive(Debug, Deserialize)]
pub(super) struct Class {
    #[serde(flatten)]
    pub(super) detected: Rate,
    pub(super) specific: Option<f64>,
}

/// Seconds from the act to the alert.
#[derive(Debug, Deserialize)]
pub(super) struct Delays {
    pub(super) median: f64,
    pub(super) p90: f64,
    pub(super) max: f64,
}

/// Whether alerts named the container in which it happened.
#[derive(Debug, Deserialize)]
pub(super) struct Attribution {
    pub(super) right: usize,
    pub(super) only_elsewhere: usize,
}

/// One attack.
#[derive(Debug, Deserialize)]
pub(super) struct Run {
    pub(super) id: String,
    #[serde(rename = "cls")]
    pub(super) class: String,
    #[serde(rename = "svc", default)]
    pub(super) service: Option<String>,
    #[serde(rename = "deliver", default)]
    pub(super) channel: Option<String>,
    pub(super) detected: bool,
    pub(super) specific: bool,
    #[serde(rename = "ttd")]
    pub(super) seconds: Option<f64>,
    pub(super) kinds: Vec<String>,
}

impl Score {
    /// Reads the scorer's JSON.
    pub(super) fn of(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("reading what the scorer says")
    }
}
