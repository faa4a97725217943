//! An alert as its native JSON object, from which everything that is told of it is made.

use plimsoll_ebpf::rules::{Rule, Severity};
use serde_json::{Map, Value as Json, json};

use super::falco;
use crate::{
    config::sink::Format,
    fields::Fields,
    query::{
        json::{SCHEMA, object},
        moment::rfc3339,
        table,
    },
};

/// Name of the rule that a test alert breaks.
pub const TEST_RULE: &str = "test";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    object: Map<String, Json>,
}

impl Alert {
    /// An observation that is an alert.
    pub fn of(observation: &impl Fields) -> Self {
        Self { object: object(observation) }
    }

    /// Reads what [`Alert::line`] wrote; `None` where that is no alert.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let alert = Self { object: serde_json::from_slice(line).ok()? };
        (alert.text("kind") == "alert").then_some(alert)
    }

    /// One that says it is a test.
    pub fn test(node: &str, now_ns: u64) -> Self {
        let reason = "This is a test of a sink, and nothing has happened.";
        let alert = json!({
            "schema": SCHEMA,
            "ts": rfc3339(now_ns),
            "kind": "alert",
            "count": 1,
            "test": true,
            "node": {"name": node},
            "rule": TEST_RULE,
            "severity": Severity::Info.name(),
            "reason": reason,
        });
        let Json::Object(object) = alert else { unreachable!("it is written as an object") };
        Self { object }
    }

    /// All of it.
    pub fn object(&self) -> &Map<String, Json> {
        &self.object
    }

    /// On one line in a format, without the line's end.
    pub fn line(&self, format: Format) -> String {
        match format {
            Format::Native => Json::Object(self.object.clone()).to_string(),
            Format::Falco => Json::Object(falco::object(&self.object)).to_string(),
        }
    }

    /// How bad it is; one that does not say is not kept back.
    pub fn severity(&self) -> Severity {
        table::severity(&self.object).unwrap_or(Severity::Critical)
    }

    /// The rule that it broke.
    pub fn rule(&self) -> Option<Rule> {
        Rule::by_name(self.text("rule"))
    }

    /// The text of a field; empty where it has none.
    pub fn text(&self, name: &str) -> &str {
        text(&self.object, name)
    }
}

/// The text of a field; empty where there is none.
pub(super) fn text<'o>(object: &'o Map<String, Json>, name: &str) -> &'o str {
    table::find(object, name).and_then(Json::as_str).unwrap_or_default()
}

/// The service of a container: Swarm's, else compose's; empty where it has none.
pub(super) fn service(object: &Map<String, Json>) -> &str {
    let swarm = text(object, "swarm.service");
    if swarm.is_empty() { text(object, "compose.service") } else { swarm }
}

/// The command line of a process: its arguments, else its program.
pub(super) fn command(object: &Map<String, Json>) -> String {
    let arguments = table::find(object, "proc.args").and_then(Json::as_array);
    let words: Vec<&str> = arguments.into_iter().flatten().filter_map(Json::as_str).collect();
    if words.is_empty() { text(object, "proc.exe").to_owned() } else { words.join(" ") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An alert as the agent writes it.
    pub(crate) const LINE: &str = concat!(
        r#"{"schema":"1","ts":"2026-11-25T15:06:40.007000123Z","kind":"alert","count":3,"#,
        r#""proc":{"uid":33,"pid":77,"exe":"/opt/x","args":["/opt/x","-c","a b"],"ppid":70,"#,
        r#""parent":{"exe":"/bin/sh"}},"outcome":"denied","node":{"name":"host-a"},"#,
        r#""ctr":{"id":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","#,
        r#""name":"web","image":"registry:5000/shop/web:1.2","image_digest":"sha256:0123"},"#,
        r#""swarm":{"service":"shop_web"},"rule":"new_executable","severity":"critical","#,
        r#""reason":"A program ran that was written in this container: /opt/x (in the container's writable layer). It was refused.","#,
        r#""alert":{"of":"exec","path":"/opt/x","layer":"upper","mode":"enforce","#,
        r#""allow":"plimsoll profile allow --service shop_web --rule new_executable --path /opt/x"},"#,
        r#""attack":{"technique":"T1105","tactic":"command-and-control"}}"#
    );

    pub(crate) fn alert() -> Alert {
        Alert::parse(LINE.as_bytes()).expect("is an alert")
    }

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let alert = alert();
        assert_eq!(alert.line(Format::Native), LINE);
        assert_eq!(alert.severity(), Severity::Critical);
        assert_eq!(alert.rule(), Some(Rule::NewExecutable));
    }

    #[test]
    fn what_is_no_alert_is_none() {
        for line in ["", "[]", "{}", "{\"kind\":\"exec\"}", "\u{0}\u{0}"] {
            assert_eq!(Alert::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_test_says_that_it_is_one() {
        let test = Alert::test("host-a", 0);
        assert_eq!(test.object().get("test"), Some(&Json::Bool(true)));
        assert!(Alert::parse(test.line(Format::Native).as_bytes()).is_some_and(|it| it == test));
        assert_eq!(test.rule(), None);
    }
}
