//! A run without attacks: whatever is told in it is a false alarm. What was told of each image, beside
//! what its profiles had said is to be expected.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{
    lines,
    profiles::{self, Profile},
};

/// Seconds in a day of the clock of learning.
const DAY_S: f64 = 86_400.0;
/// The rule by which a release is told as a whole.
const RELEASE: &str = "release_diff";

/// One image, in all its versions.
#[derive(Debug, Default)]
struct Image {
    /// Dimensions of its profiles, of steady work.
    parts: usize,
    /// Of these, those of which enough was known when telling began.
    monitored: usize,
    /// Alerts to be expected of the latter in all of the run.
    expected: f64,
    /// The upper bound of that, the bounds added.
    bound: f64,
    /// Alerts that were told, by rule.
    told: BTreeMap<String, usize>,
    /// The incidents that those belong to that are beside the release.
    incidents: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Phase {
    t: f64,
    phase: String,
}

#[derive(Deserialize)]
struct Told {
    t: f64,
    #[serde(default)]
    image: Option<String>,
    kind: String,
    evidence: Evidence,
}

#[derive(Deserialize)]
struct Evidence {
    incident: String,
}

/// The table of the run whose files are in `out`.
pub(super) fn table(out: &Path, time_scale: u32) -> Result<String> {
    let phases: Vec<Phase> = lines(&out.join("phases.jsonl"))?;
    let at = |name: &str| {
        let found = phases.iter().find(|it| it.phase == name).map(|it| it.t);
        found.with_context(|| format!("the run has no phase {name}: it did not come to its end"))
    };
    let (from, to) = (at("detect")?, at("end")?);
    let mut images = known(&profiles::read(&out.join("profiles.jsonl"))?);
    let days = (to - from) * f64::from(time_scale) / DAY_S;
    for image in images.values_mut() {
        image.expected *= days;
        image.bound *= days;
    }
    for told in lines::<Told>(&out.join("alerts.jsonl"))? {
        if (from..=to).contains(&told.t) {
            let image = repository(told.image.as_deref().unwrap_or("none")).to_owned();
            let image = images.entry(image).or_default();
            if told.kind != RELEASE {
                image.incidents.insert(told.evidence.incident);
            }
            *image.told.entry(told.kind).or_default() += 1;
        }
    }
    Ok(shown(&images, days))
}

fn known(profiles: &[Profile]) -> BTreeMap<String, Image> {
    let mut images: BTreeMap<String, Image> = BTreeMap::new();
    for profile in profiles {
        let image = images.entry(repository(&profile.image).to_owned()).or_default();
        for part in profile.steady() {
            image.parts += 1;
            if part.is_monitored() {
                image.monitored += 1;
                image.expected += part.daily;
                image.bound += part.daily_bound;
            }
        }
    }
    images
}

fn shown(images: &BTreeMap<String, Image>, days: f64) -> String {
    let mut text = format!(
        "Of {days:.1} days on the clock of learning.\n\n\
         | image | enough known by itself | alerts expected | at most | told | beside its release | in incidents | by rule |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    );
    for (name, image) in images {
        let Image { parts, monitored, expected, bound, told, incidents } = image;
        let incidents = incidents.len();
        let all: usize = told.values().sum();
        let beside = all - told.get(RELEASE).copied().unwrap_or_default();
        let rules: Vec<String> = told.iter().map(|(rule, n)| format!("{n} `{rule}`")).collect();
        let rules = rules.join(", ");
        let _ = writeln!(
            text,
            "| {name} | {monitored} of {parts} | {expected:.1} | {bound:.1} | {all} | {beside} | {incidents} | {rules} |"
        );
    }
    text
}

/// An image's name without its tag.
fn repository(image: &str) -> &str {
    match image.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn alerts_are_counted_by_image_within_the_run() {
        let out = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            fs::write(out.path().join(name), text).expect("the directory is the test's own");
        };
        let part = |state: &str| {
            format!(
                r#"{{"dimension":"write","context":"steady","state":"{state}","daily":0.5,"daily_bound":1.0}}"#
            )
        };
        write(
            "profiles.jsonl",
            &format!(
                r#"{{"image":"shop/web:1","parts":[{},{}]}}"#,
                part("monitor"),
                part("learning")
            ),
        );
        write("phases.jsonl", "{\"t\":100,\"phase\":\"detect\"}\n{\"t\":460,\"phase\":\"end\"}\n");
        let told = |t: u32, rule: &str| {
            let evidence = "{\"incident\":\"1f\"}";
            let whose = "\"image\":\"shop/web:2\"";
            format!("{{\"t\":{t},{whose},\"kind\":\"{rule}\",\"evidence\":{evidence}}}\n")
        };
        let all = [(99, "new_peer"), (200, "new_peer"), (201, "new_write"), (300, RELEASE)];
        let all = all.map(|(t, rule)| told(t, rule)).concat();
        write("alerts.jsonl", &all);
        let table = table(out.path(), 480).expect("it is a whole run");
        let row = "| shop/web | 1 of 2 | 1.0 | 2.0 | 3 | 2 | 1 | 1 `new_peer`, 1 `new_write`, 1 `release_diff` |";
        assert!(table.contains(row), "{table}");
        write("phases.jsonl", "{\"t\":100,\"phase\":\"detect\"}\n");
        assert!(super::table(out.path(), 480).is_err());
    }
}
