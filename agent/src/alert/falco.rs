//! An alert in the form of Falco, such that falcosidekick takes it as it is.
//!
//! falcosidekick asks for a `rule`, a known `priority`, a `time` with its zone and `output_fields`
//! that are not empty; some of its outputs make a label of each field, so that there are few.

use plimsoll_ebpf::rules::Severity;
use serde_json::{Map, Value as Json, json};

use super::native::{command, service, text};
use crate::query::table::{find, severity};

/// Name of the source, beside Falco's own such as `syscall`.
const SOURCE: &str = "plimsoll";
/// Digits of a container's id that Falco tells.
const SHORT_ID: usize = 12;

/// The object of an alert in the form of Falco.
pub fn object(native: &Map<String, Json>) -> Map<String, Json> {
    let priority = priority(severity(native).unwrap_or(Severity::Critical));
    let time = text(native, "ts");
    let fields = fields(native);
    let mut object = Map::new();
    let mut set = |name: &str, value: Json| object.insert(name.to_owned(), value);
    set("hostname", text(native, "node.name").into());
    set("output", output(native, priority, &fields).into());
    set("output_fields", fields.into());
    set("priority", priority.into());
    set("rule", text(native, "rule").into());
    set("source", SOURCE.into());
    set("tags", tags(native).into());
    set("time", time.into());
    object
}

/// Falco's word for how bad something is.
const fn priority(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "Critical",
        Severity::High => "Error",
        Severity::Medium => "Warning",
        Severity::Low => "Notice",
        Severity::Info => "Informational",
    }
}

/// The sentence for people: moment of the day, priority, reason and whom it is about.
fn output(native: &Map<String, Json>, priority: &str, fields: &Map<String, Json>) -> String {
    let moment = text(native, "ts").split_once('T').map_or("", |(_, time)| time);
    let moment = moment.trim_end_matches('Z');
    let shown = ["container.name", "container.image.repository", "swarm.service", "proc.cmdline"];
    let shown: Vec<String> = (shown.into_iter())
        .filter_map(|name| {
            let value = fields.get(name)?.as_str()?;
            Some(format!("{}={value}", name.replace('.', "_")))
        })
        .collect();
    let reason = text(native, "reason");
    let about = if shown.is_empty() { String::new() } else { format!(" ({})", shown.join(" ")) };
    format!("{moment}: {priority} {reason}{about}")
}

fn fields(native: &Map<String, Json>) -> Map<String, Json> {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Json| {
        let is_nothing = value.is_null() || value.as_str().is_some_and(str::is_empty);
        if !is_nothing {
            fields.insert(name.to_owned(), value);
        }
    };
    let number = |name: &str| find(native, name).cloned().unwrap_or_default();
    let (id, exe) = (text(native, "ctr.id"), text(native, "proc.exe"));
    let (repository, tag) = image(text(native, "ctr.image"));
    set("evt.time", nanoseconds(text(native, "ts")).into());
    set("evt.type", text(native, "alert.of").into());
    set("container.id", id.get(..SHORT_ID).unwrap_or(id).into());
    set("container.full_id", id.into());
    set("container.name", text(native, "ctr.name").into());
    set("container.image.repository", repository.into());
    set("container.image.tag", tag.into());
    set("container.image.digest", text(native, "ctr.image_digest").into());
    set("swarm.service", service(native).into());
    set("proc.name", base(exe).into());
    set("proc.exepath", exe.into());
    set("proc.cmdline", command(native).into());
    set("proc.pid", number("proc.pid"));
    set("proc.pname", base(text(native, "proc.parent.exe")).into());
    set("user.uid", number("proc.uid"));
    set("fd.name", text(native, "alert.path").into());
    set("plimsoll.severity", text(native, "severity").into());
    set("plimsoll.outcome", text(native, "outcome").into());
    set("plimsoll.allow", text(native, "alert.allow").into());
    set("plimsoll.count", number("count"));
    fields
}

/// Falco's tags: where it is from, and the tactic and technique of ATT&CK.
fn tags(native: &Map<String, Json>) -> Vec<Json> {
    let tactic = text(native, "attack.tactic").replace('-', "_");
    let tactic = if tactic.is_empty() { tactic } else { format!("mitre_{tactic}") };
    let technique = text(native, "attack.technique").to_owned();
    let is_test = native.get("test") == Some(&json!(true));
    let test = if is_test { "test" } else { "" };
    let tags = ["container", "plimsoll", &tactic, &technique, test];
    tags.into_iter().filter(|tag| !tag.is_empty()).map(Json::from).collect()
}

/// Nanoseconds since 1970 of a moment of ours; 0 where it is none.
fn nanoseconds(ts: &str) -> u64 {
    let moment = ts.parse::<jiff::Timestamp>();
    moment.ok().and_then(|it| u64::try_from(it.as_nanosecond()).ok()).unwrap_or_default()
}

/// Repository and tag of an image; one that names no tag has none.
fn image(image: &str) -> (&str, &str) {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, ""),
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::native::tests::alert, *};
    use crate::alert::native::Alert;

    #[test]
    fn an_alert_has_every_key_that_falcosidekick_reads() {
        let falco = object(alert().object());
        let expected = json!({
            "hostname": "host-a",
            "output": "15:06:40.007000123: Critical A program ran that was written in this container: /opt/x (in the container's writable layer). It was refused. (container_name=web container_image_repository=registry:5000/shop/web swarm_service=shop_web proc_cmdline=/opt/x -c a b)",
            "output_fields": {
                "evt.time": 1_795_619_200_007_000_123_u64,
                "evt.type": "exec",
                "container.id": "0123456789ab",
                "container.full_id": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "container.name": "web",
                "container.image.repository": "registry:5000/shop/web",
                "container.image.tag": "1.2",
                "container.image.digest": "sha256:0123",
                "swarm.service": "shop_web",
                "proc.name": "x",
                "proc.exepath": "/opt/x",
                "proc.cmdline": "/opt/x -c a b",
                "proc.pid": 77,
                "proc.pname": "sh",
                "user.uid": 33,
                "fd.name": "/opt/x",
                "plimsoll.severity": "critical",
                "plimsoll.outcome": "denied",
                "plimsoll.allow": "plimsoll profile allow --service shop_web --rule new_executable --path /opt/x",
                "plimsoll.count": 3
            },
            "priority": "Critical",
            "rule": "new_executable",
            "source": "plimsoll",
            "tags": ["container", "plimsoll", "mitre_command_and_control", "T1105"],
            "time": "2026-11-25T15:06:40.007000123Z"
        });
        assert_eq!(Json::Object(falco), expected);
    }

    #[test]
    fn a_test_is_taken_too() {
        let falco = object(Alert::test("host-a", 7).object());
        assert_eq!(falco["priority"], "Informational");
        assert_eq!(falco["rule"], "test");
        assert_eq!(falco["output_fields"]["evt.time"], 7);
        assert!(falco["tags"].as_array().is_some_and(|tags| tags.contains(&json!("test"))));
    }

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(image("registry:5000/a/b"), ("registry:5000/a/b", ""));
        assert_eq!(image("a:1@sha256:00"), ("a", "1"));
        assert_eq!(image(""), ("", ""));
    }

    #[test]
    fn every_severity_has_a_priority_of_its_own() {
        let mut priorities: Vec<_> = Severity::ALL.into_iter().map(priority).collect();
        priorities.dedup();
        assert_eq!(priorities.len(), Severity::ALL.len());
    }
}
