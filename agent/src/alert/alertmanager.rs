//! An alert as Alertmanager's API v2 takes it.
//!
//! Alertmanager takes alerts with equal labels for one. So the labels are few and say where and
//! what; all that differs between two alike is an annotation.

use serde_json::{Map, Value as Json, json};

use super::native::{Alert, TEST_RULE, command, service};
use crate::query::moment::rfc3339;

/// The alert that began when it happened and ends `stands_ns` from now: what was told late is
/// still told.
pub fn object(alert: &Alert, now_ns: u64, stands_ns: u64) -> Json {
    json!({
        "labels": labels(alert),
        "annotations": annotations(alert),
        "startsAt": alert.text("ts"),
        "endsAt": rfc3339(now_ns.saturating_add(stands_ns)),
    })
}

fn labels(alert: &Alert) -> Map<String, Json> {
    let name = name(alert.text("rule"));
    with_text([
        ("alertname", name.as_str()),
        ("severity", alert.text("severity")),
        ("rule", alert.text("rule")),
        ("node", alert.text("node.name")),
        ("image", alert.text("ctr.image")),
        ("container", alert.text("ctr.name")),
        ("service", service(alert.object())),
    ])
}

fn annotations(alert: &Alert) -> Map<String, Json> {
    let reason = alert.text("reason");
    let summary = match alert.rule() {
        Some(rule) => rule.info().summary,
        None if alert.text("rule") == TEST_RULE => "A test of a sink.",
        None => reason,
    };
    let count = alert.object().get("count").map(Json::to_string).unwrap_or_default();
    with_text([
        ("summary", summary),
        ("description", reason),
        ("allow", alert.text("alert.allow")),
        ("process", &command(alert.object())),
        ("technique", alert.text("attack.technique")),
        ("count", &count),
    ])
}

/// Those that are not empty: Alertmanager takes an empty label for none.
fn with_text<const N: usize>(pairs: [(&str, &str); N]) -> Map<String, Json> {
    let pairs = pairs.into_iter().filter(|(_, text)| !text.is_empty());
    pairs.map(|(name, text)| (name.to_owned(), text.into())).collect()
}

/// `new_executable` becomes `PlimsollNewExecutable`.
fn name(rule: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|it| it.to_uppercase().chain(letters).collect::<String>())
    };
    let words = rule.split('_').filter_map(capital);
    std::iter::once("Plimsoll".to_owned()).chain(words).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::native::tests::alert, *};

    #[test]
    fn labels_say_where_and_what_and_annotations_the_rest() {
        let told = object(&alert(), 1_795_619_300_000_000_000, 60_000_000_000);
        let expected = json!({
            "labels": {
                "alertname": "PlimsollNewExecutable",
                "severity": "critical",
                "rule": "new_executable",
                "node": "host-a",
                "image": "registry:5000/shop/web:1.2",
                "container": "web",
                "service": "shop_web"
            },
            "annotations": {
                "summary": "A program ran that was written in this container.",
                "description": "A program ran that was written in this container: /opt/x (in the container's writable layer). It was refused.",
                "allow": "plimsoll profile allow --service shop_web --rule new_executable --path /opt/x",
                "process": "/opt/x -c a b",
                "technique": "T1105",
                "count": "3"
            },
            "startsAt": "2026-11-25T15:06:40.007000123Z",
            "endsAt": "2026-11-25T15:09:20.000000000Z"
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn what_an_alert_does_not_have_is_left_out() {
        let told = object(&Alert::test("host-a", 0), 0, 1);
        assert_eq!(told["labels"]["alertname"], "PlimsollTest");
        assert_eq!(told["labels"].get("container"), None);
    }
}
