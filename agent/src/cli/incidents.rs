//! `plimsoll incidents`: alerts that belong together, and the whole story of one.

use std::fmt::Write;

use anyhow::anyhow;
use jiff::{SignedDuration, Timestamp};
use plimsoll_ebpf::{rules::Severity, value::readable};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{
    answer, choices,
    columns::{lines, moment, print, table},
    exit::{Exit, Failure},
    selection::{Output, Selection},
};
use crate::query::table::{find, severity};

/// Incidents that are remembered while alerts are read; beyond that the oldest are left out.
const MOST: usize = 10_000;
/// How much before and after an incident is worth a look, in seconds.
const AROUND_SECONDS: i64 = 60;

/// Show incidents: alerts of one subtree of processes, each within five minutes of another.
///
/// With the beginning of an incident's number, shows all that is known of it: each alert with its
/// reason, its process and ancestors, and the command that allows it. The score is how likely it is,
/// in percent, that the incident means something.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Number of an incident, or how it begins
    #[arg(value_name = "INCIDENT")]
    incident: Option<String>,
    /// Only incidents with a score as high as this
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    score: u64,
    /// Only incidents with an alert as bad as this or worse
    #[arg(long, value_name = "LEVEL", value_parser = choices::severities())]
    severity: Option<Severity>,
    #[command(flatten)]
    selection: Selection,
}

/// Alerts that belong together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Incident {
    #[serde(rename = "incident")]
    id: String,
    /// When the first and the last alert was.
    ts: String,
    until: String,
    score: u64,
    /// The name of the worst of its severities.
    #[serde(rename = "severity")]
    level: &'static str,
    #[serde(skip)]
    severity: Option<Severity>,
    container: String,
    image: String,
    service: String,
    /// How many acts are told of.
    count: u64,
    rules: Vec<String>,
    #[serde(skip)]
    alerts: Vec<Map<String, Json>>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let Args { selection, .. } = args;
    if selection.follow || !matches!(selection.output, Output::Table | Output::Json) {
        return Err(Failure::usage(anyhow!(
            "incidents are shown as a table or as json, and not followed: see plimsoll alerts"
        )));
    }
    let mut params = selection.params();
    // Those are of incidents.
    (params.limit, params.reverse) = (None, false);
    params.kinds.push("alert".to_owned());
    let mut incidents = Vec::new();
    answer::each(&selection.source, params, &mut |alert| add(&mut incidents, alert, args))?;
    incidents.retain(|it| it.score >= args.score && it.severity >= args.severity);
    if let Some(wanted) = &args.incident {
        return show(&incidents, wanted, selection.output);
    }
    let most = selection.limit.map_or(usize::MAX, |it| it.try_into().unwrap_or(usize::MAX));
    incidents.drain(..incidents.len().saturating_sub(most));
    if selection.reverse {
        incidents.reverse();
    }
    print(&match selection.output {
        Output::Json => lines(&incidents),
        Output::Table | Output::Csv | Output::Falco => listed(&incidents),
    })?;
    Ok(Exit::Done)
}

/// Adds an alert to its incident. Whole alerts are kept of the one that was asked for.
fn add(incidents: &mut Vec<Incident>, alert: &Map<String, Json>, args: &Args) {
    let id = text(alert, "alert.incident");
    if id.is_empty() || args.incident.as_ref().is_some_and(|wanted| !id.starts_with(wanted)) {
        return;
    }
    let found = incidents.iter().rposition(|it| it.id == id);
    let at = found.unwrap_or_else(|| {
        if incidents.len() >= MOST {
            incidents.remove(0);
        }
        incidents.push(Incident {
            id,
            ts: text(alert, "ts"),
            container: text(alert, "ctr.name"),
            image: text(alert, "ctr.image"),
            service: text(alert, "swarm.service"),
            ..Incident::default()
        });
        incidents.len() - 1
    });
    let incident = &mut incidents[at];
    incident.until = text(alert, "ts");
    let number = |name| find(alert, name).and_then(Json::as_u64);
    incident.score = incident.score.max(number("alert.score").unwrap_or_default());
    incident.severity = incident.severity.max(severity(alert));
    incident.level = incident.severity.map_or("", Severity::name);
    incident.count += number("count").unwrap_or(1);
    let rule = text(alert, "rule");
    if !incident.rules.contains(&rule) {
        incident.rules.push(rule);
    }
    if args.incident.is_some() {
        incident.alerts.push(alert.clone());
    }
}

fn listed(incidents: &[Incident]) -> String {
    let heading = ["TIME", "SCORE", "SEVERITY", "CONTAINER", "IMAGE", "ACTS", "RULES", "INCIDENT"];
    let rows: Vec<[String; 8]> = incidents
        .iter()
        .map(|it| {
            let whose = if it.service.is_empty() { &it.container } else { &it.service };
            [
                moment(&it.ts),
                it.score.to_string(),
                it.level.to_owned(),
                whose.clone(),
                it.image.clone(),
                it.count.to_string(),
                it.rules.join(", "),
                it.id.chars().take(12).collect(),
            ]
        })
        .collect();
    table(heading, &rows)
}

fn show(incidents: &[Incident], wanted: &str, output: Output) -> Result<Exit, Failure> {
    let incident = match incidents {
        [] => {
            return Err(Failure::usage(anyhow!(
                "no incident begins with {}: plimsoll incidents lists them",
                readable(wanted.as_bytes())
            )));
        }
        [one] => one,
        [..] => {
            return Err(Failure::usage(anyhow!(
                "{} incidents begin with {}: give more of its number",
                incidents.len(),
                readable(wanted.as_bytes())
            )));
        }
    };
    print(&match output {
        Output::Json => lines(&incident.alerts),
        Output::Table | Output::Csv | Output::Falco => story(incident),
    })?;
    Ok(Exit::Done)
}

/// All that is known of an incident, for people.
fn story(incident: &Incident) -> String {
    let Incident { id, score, level, ts, until, .. } = incident;
    let mut story = format!("incident {id}: score {score}, {level}\n");
    let _ = writeln!(story, "from {ts} to {until}");
    let plain = |text: &str| readable(text.as_bytes()).into_owned();
    let _ = write!(story, "container {} of {}", plain(&incident.container), plain(&incident.image));
    if !incident.service.is_empty() {
        let _ = write!(story, ", service {}", plain(&incident.service));
    }
    story.push('\n');
    for alert in &incident.alerts {
        told(&mut story, alert);
    }
    let _ = writeln!(
        story,
        "\nall that happened: plimsoll events --container {} --since {} --until {}",
        plain(&incident.container),
        around(ts, -AROUND_SECONDS),
        around(until, AROUND_SECONDS),
    );
    story
}

/// A moment before or after another.
fn around(ts: &str, seconds: i64) -> String {
    let moment: Option<Timestamp> = ts.parse().ok();
    let moved = moment.and_then(|it| it.checked_add(SignedDuration::from_secs(seconds)).ok());
    moved.map_or_else(|| ts.to_owned(), |it| format!("{it:.0}"))
}

/// One alert.
fn told(story: &mut String, alert: &Map<String, Json>) {
    let get = |name| readable(text(alert, name).as_bytes()).into_owned();
    let [ts, severity, rule] = ["ts", "severity", "rule"].map(get);
    let _ = writeln!(story, "\n{ts} {severity} {rule} ({})", get("attack.technique"));
    let _ = writeln!(story, "    {}", get("reason"));
    let programs = ancestors(alert);
    if !programs.is_empty() {
        let origin = get("proc.origin");
        let _ = writeln!(story, "    process {} ({origin}): {programs}", get("proc.pid"));
    }
    let allow = get("alert.allow");
    if !allow.is_empty() {
        let _ = writeln!(story, "    allowed by: {allow}");
    }
}

/// The programs from the container's first process to the one it is about.
fn ancestors(alert: &Map<String, Json>) -> String {
    let listed = find(alert, "proc.ancestors").and_then(Json::as_array);
    let mut programs: Vec<String> = listed.into_iter().flatten().map(plain).collect();
    programs.reverse();
    programs.extend(Some(text(alert, "proc.exe")).filter(|it| !it.is_empty()));
    let programs = programs.iter().map(|it| readable(it.as_bytes()).into_owned());
    programs.collect::<Vec<_>>().join(" > ")
}

fn text(alert: &Map<String, Json>, name: &str) -> String {
    find(alert, name).map(plain).unwrap_or_default()
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::parse as parsed;

    fn gathered(line: &str, alerts: &[Json]) -> Vec<Incident> {
        let args = parsed(line).expect("is right");
        let mut incidents = Vec::new();
        for alert in alerts {
            add(&mut incidents, alert.as_object().expect("an object"), &args);
        }
        incidents
    }

    fn alert(id: &str, rule: &str, severity: &str, score: u64) -> Json {
        json!({
            "ts": "2026-01-01T00:00:00Z", "kind": "alert", "rule": rule, "severity": severity,
            "reason": "It is bad.", "count": 2,
            "ctr": {"name": "web", "image": "shop:1"},
            "proc": {"pid": 7, "exe": "/bin/sh", "origin": "init", "ancestors": ["/b", "/a"]},
            "alert": {"incident": id, "score": score, "allow": "plimsoll profile allow it"},
        })
    }

    #[test]
    fn alerts_of_one_incident_are_one_line() {
        let alerts = [
            alert("aa01", "new_lineage", "medium", 25),
            alert("bb02", "new_write", "medium", 10),
            alert("aa01", "new_executable", "critical", 93),
            alert("aa01", "new_lineage", "medium", 93),
        ];
        let incidents = gathered("", &alerts);
        assert_eq!(incidents.len(), 2);
        let first = &incidents[0];
        assert_eq!((first.score, first.severity), (93, Some(Severity::Critical)));
        assert_eq!(
            (first.count, first.rules.as_slice()),
            (6, &["new_lineage".to_owned(), "new_executable".to_owned()][..])
        );
        let table = listed(&incidents);
        assert_eq!(table.lines().count(), 3, "{table}");
    }

    #[test]
    fn one_incident_is_told_whole() {
        let alerts =
            [alert("aa01", "new_lineage", "medium", 25), alert("ab02", "new_write", "medium", 10)];
        let incidents = gathered("aa", &alerts);
        assert_eq!(incidents.len(), 1, "only what was asked for");
        let story = story(&incidents[0]);
        for part in [
            "incident aa01: score 25, medium",
            "container web of shop:1",
            "It is bad.",
            "process 7 (init): /a > /b > /bin/sh",
            "allowed by: plimsoll profile allow it",
            "plimsoll events --container web --since 2025-12-31T23:59:00Z --until 2026-01-01T00:01:00Z",
        ] {
            assert!(story.contains(part), "no {part:?} in\n{story}");
        }
        assert!(show(&gathered("a", &alerts), "a", Output::Table).is_err(), "two begin so");
        assert!(show(&[], "cc", Output::Table).is_err());
    }
}
