//! Checks what Prometheus, Alertmanager and Grafana are given, by their own tools.

use std::{fmt::Write, fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{cmd, dashboards, debian, paths, say};

const PACKAGES: [&str; 2] = ["prometheus", "prometheus-alertmanager"];
const RULES: &str = "plimsoll.rules.yml";
const RULE_TESTS: [&str; 2] = ["plimsoll.rules.test.yml", "plimsoll.rules.days.test.yml"];
const CONFIGS: [&str; 2] = ["prometheus.yml", "prometheus-dns.yml"];

/// Checks rules, their tests, configurations and the queries of dashboards.
pub(crate) fn check() -> Result<()> {
    debian::install("promtool and amtool", &PACKAGES)?;
    let deploy = paths::root().join("deploy");
    let prometheus = deploy.join("prometheus");
    promtool(&prometheus, &["check", "rules", RULES])?;
    promtool(&prometheus, &[&["test", "rules"], &RULE_TESTS[..]].concat())?;
    for config in CONFIGS {
        promtool(&prometheus, &["check", "config", config])?;
    }
    let mut amtool = Command::new("amtool");
    amtool.args(["check-config", "alertmanager.yml"]).current_dir(deploy.join("alertmanager"));
    told(&mut amtool)?;
    check_queries()
}

/// Has promtool read every query of every dashboard: each becomes a rule of its own.
fn check_queries() -> Result<()> {
    let mut rules = String::from("groups:\n  - name: dashboards\n    rules:\n");
    for (number, (file, query)) in dashboards::queries().iter().enumerate() {
        let query = query.replace('\'', "''");
        let _ = writeln!(rules, "      # {file}\n      - record: query:{number}");
        let _ = writeln!(rules, "        expr: '{query}'");
    }
    let made = paths::made();
    fs::create_dir_all(&made)?;
    let file = "dashboards.rules.yml";
    fs::write(made.join(file), rules).context("writing the queries of the dashboards")?;
    promtool(&made, &["check", "rules", file])
}

fn promtool(directory: &Path, arguments: &[&str]) -> Result<()> {
    told(Command::new("promtool").args(arguments).current_dir(directory))
}

/// Runs a command after showing it; what it says is of use only when it fails.
fn told(command: &mut Command) -> Result<()> {
    say(&cmd::line(command));
    let output = command.output().with_context(|| format!("starting `{}`", cmd::line(command)))?;
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    anyhow::ensure!(output.status.success(), "`{}`: {}", cmd::line(command), said.concat());
    Ok(())
}

/// Names of the metrics that an agent has, by its documentation.
#[cfg(test)]
pub(crate) fn documented() -> std::collections::BTreeSet<String> {
    let page = fs::read_to_string(paths::root().join("docs/metrics.md")).expect("is there");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let names: std::collections::BTreeSet<String> = rows
        .filter(|(name, rest)| {
            !name.contains('`') && (rest.starts_with("counter") || rest.starts_with("gauge"))
        })
        .map(|(name, _)| name.to_owned())
        .collect();
    assert!(names.len() > 30, "{names:?}");
    names
}

/// Names of this project's metrics in a text, and of those that every process has.
#[cfg(test)]
pub(crate) fn metrics_in(text: &str) -> std::collections::BTreeSet<String> {
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    let is_metric = |word: &&str| {
        let is_ours = word.starts_with("plimsoll_") || word.starts_with("process_");
        is_ours && !word.ends_with("_monitoring") && !word.ends_with("_agent")
    };
    words.filter(is_metric).map(str::to_owned).collect()
}

/// Whether a page below `docs` is there, with the heading that the link names.
#[cfg(test)]
pub(crate) fn is_there(link: &str) -> bool {
    let (page, heading) = link.split_once('#').unwrap_or((link, ""));
    let Ok(text) = fs::read_to_string(paths::root().join("docs").join(page)) else { return false };
    let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
    heading.is_empty()
        || headings.map(|it| it.to_lowercase().replace(' ', "-")).any(|it| it == heading)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> String {
        fs::read_to_string(paths::root().join("deploy/prometheus").join(name)).expect("is there")
    }

    /// Name and text of every rule.
    fn rules() -> Vec<(String, String)> {
        let text = read(RULES);
        let rules: Vec<_> = text
            .split("- alert: ")
            .skip(1)
            .map(|rule| (rule.lines().next().unwrap_or_default().to_owned(), rule.to_owned()))
            .collect();
        assert!(rules.len() > 20);
        rules
    }

    #[test]
    fn every_rule_is_tested_firing_and_quiet() {
        let tests = RULE_TESTS.map(read).concat();
        for (name, _) in rules() {
            let tries = tests.split("- eval_time: ").filter(|it| {
                it.lines().nth(1).is_some_and(|line| line.trim() == format!("alertname: {name}"))
            });
            let (quiet, firing): (Vec<&str>, Vec<&str>) =
                tries.partition(|it| it.contains("exp_alerts: []"));
            assert!(!firing.is_empty() && quiet.len() > 1, "{name}: {} quiet", quiet.len());
        }
    }

    #[test]
    fn every_rule_is_explained_and_has_a_severity() {
        for (name, rule) in rules() {
            for part in ["summary: ", "description: ", "for: 0s"] {
                assert_eq!(rule.contains(part), part != "for: 0s", "{name}: {part}");
            }
            let is_carried = rule.contains("severity) (");
            assert!(rule.contains("severity: ") || is_carried, "{name} has no severity");
            let link = rule.split("runbook_url: docs/").nth(1).unwrap_or_default();
            let link = link.lines().next().unwrap_or_default();
            assert_eq!(link.split('#').nth(1), Some(name.to_lowercase().as_str()));
            assert!(is_there(link), "{name}: {link} leads nowhere");
        }
    }

    #[test]
    fn rules_ask_for_metrics_that_there_are() {
        let asked = metrics_in(&rules().into_iter().map(|(_, rule)| rule).collect::<String>());
        let known = documented();
        let strange: Vec<_> = asked.difference(&known).collect();
        assert!(strange.is_empty(), "there are no metrics {strange:?}");
    }

    #[test]
    fn every_runbook_is_of_a_rule() {
        let names: Vec<String> = rules().into_iter().map(|(name, _)| name).collect();
        for page in fs::read_dir(paths::root().join("docs/runbooks")).expect("is there") {
            let page = page.expect("is readable").path();
            let text = fs::read_to_string(&page).expect("is text");
            for heading in text.lines().filter_map(|line| line.strip_prefix("## ")) {
                assert!(names.iter().any(|it| it == heading), "{heading} in {}", page.display());
            }
        }
    }
}
