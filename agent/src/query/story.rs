//! What happened to a container, in order of time and for people: one line for each thing that
//! happened, and one for all its repeats.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{
    moment,
    table::{command, find, process, text, what},
};

/// A repeat belongs to a line while it comes within this time of the one before.
const WINDOW_NS: u64 = 60_000_000_000;
/// Lines that wait for repeats.
const MAX_OPEN: usize = 512;

/// One thing that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When it happened first, as it stands in the observation.
    pub ts: String,
    /// When it happened last; empty where it happened once.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub until: String,
    /// The event.
    pub kind: String,
    /// Name of the container.
    pub container: String,
    /// Who did it first: the program's name and process id; empty where nobody in particular did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub process: String,
    /// What was done.
    pub what: String,
    /// How bad it is, of an alert.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub severity: String,
    /// How often.
    pub count: u64,
}

/// Makes lines of observations that come in order of time.
#[derive(Default)]
pub struct Story {
    open: VecDeque<Open>,
    /// Lines that are open, by what repeats are alike in: their number since the first of all.
    known: HashMap<Alike, u64>,
    /// Lines that are told.
    told: u64,
}

struct Open {
    line: Line,
    alike: Alike,
    last_ns: u64,
}

/// What repeats have in common: container, event, program, and what was done.
type Alike = (String, String, String, String);

impl Story {
    /// Adds an observation; hands lines that no repeat can change any more to `tell`.
    pub fn add(&mut self, object: &Map<String, Json>, tell: &mut dyn FnMut(Line)) {
        let ts = text(object, "ts");
        let ts_ns = moment::parse(&ts).unwrap_or_default();
        self.tell_old(ts_ns, tell);
        let line = line(object, ts);
        let alike = (
            line.container.clone(),
            line.kind.clone(),
            text(object, "proc.exe"),
            line.what.clone(),
        );
        let known = self.known.get(&alike).and_then(|number| {
            let at = usize::try_from(number.checked_sub(self.told)?).ok()?;
            self.open.get_mut(at)
        });
        // A repeat that comes late begins a line of its own, though the first is still open.
        if let Some(open) = known.filter(|it| ts_ns.saturating_sub(it.last_ns) <= WINDOW_NS) {
            open.line.count = open.line.count.saturating_add(line.count);
            open.line.until = line.ts;
            open.last_ns = ts_ns;
            return;
        }
        self.known.insert(alike.clone(), self.told + self.open.len() as u64);
        self.open.push_back(Open { line, alike, last_ns: ts_ns });
        if self.open.len() > MAX_OPEN {
            self.tell_first(tell);
        }
    }

    /// Hands out what is left.
    pub fn end(&mut self, tell: &mut dyn FnMut(Line)) {
        while !self.open.is_empty() {
            self.tell_first(tell);
        }
    }

    fn tell_old(&mut self, now_ns: u64, tell: &mut dyn FnMut(Line)) {
        let is_old = |open: &Open| now_ns.saturating_sub(open.last_ns) > WINDOW_NS;
        while self.open.front().is_some_and(is_old) {
            self.tell_first(tell);
        }
    }

    fn tell_first(&mut self, tell: &mut dyn FnMut(Line)) {
        let Some(Open { line, alike, .. }) = self.open.pop_front() else { return };
        if self.known.get(&alike) == Some(&self.told) {
            self.known.remove(&alike);
        }
        self.told += 1;
        tell(line);
    }
}

fn line(object: &Map<String, Json>, ts: String) -> Line {
    let kind = text(object, "kind");
    let process = process(object);
    let number = |name| find(object, name).and_then(Json::as_u64);
    let count = if kind == "gap" { number("gap.lost") } else { number("count") };
    Line {
        ts,
        until: String::new(),
        container: text(object, "ctr.name"),
        process: if process == "-" { String::new() } else { process },
        what: happened(object, &kind),
        severity: if kind == "alert" { text(object, "severity") } else { String::new() },
        count: count.unwrap_or(1),
        kind,
    }
}

/// What happened, so that repeats read alike.
pub fn happened(object: &Map<String, Json>, kind: &str) -> String {
    let get = |name| text(object, name);
    let parts = match kind {
        "container" => {
            let code = get("container.exit_code");
            let code = if code.is_empty() { code } else { format!("(exit code {code})") };
            vec![get("container.op"), get("container.command"), code]
        }
        "exit" => match (get("exit.signal"), get("exit.code")) {
            (signal, code) if signal.is_empty() => vec![format!("exit code {code}")],
            (signal, _) => vec![format!("ended by signal {signal}")],
        },
        "dns" => vec![get("dns.name"), get("dns.type"), get("dns.response")],
        // Peers come from another port each time.
        "accept" => vec![format!("port {} from {}", get("net.lport"), get("net.raddr"))],
        "exec" => vec![command(object), foreign_layer(&get("exec.layer"))],
        "gap" => {
            let of = get("gap.of");
            let of = if of.is_empty() { "observation".to_owned() } else { of };
            vec![format!("{of} lost: {}", get("gap.reason"))]
        }
        _ => vec![what(object, kind)],
    };
    let told = parts.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ");
    match get("outcome") {
        // An alert says it by itself.
        outcome if !outcome.is_empty() && kind != "alert" => {
            format!("{}: {told}", outcome.to_uppercase())
        }
        _ => told,
    }
}

/// Where a program comes from, unless it is the image's.
fn foreign_layer(layer: &str) -> String {
    if layer.is_empty() || layer == "image" { String::new() } else { format!("({layer})") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(objects: &[Json]) -> Vec<Line> {
        let (mut story, mut lines) = (Story::default(), Vec::new());
        for object in objects {
            story.add(object.as_object().expect("an object"), &mut |it| lines.push(it));
        }
        story.end(&mut |it| lines.push(it));
        lines
    }

    /// An exec so many seconds after midnight.
    fn exec(seconds: u64, pid: u64, program: &str) -> Json {
        json!({
            "ts": moment::rfc3339(1_767_225_600_000_000_000 + seconds * 1_000_000_000),
            "kind": "exec", "count": 1, "ctr": {"name": "web"},
            "proc": {"pid": pid, "exe": program, "args": [program]}, "exec": {"layer": "image"},
        })
    }

    fn short(lines: &[Line]) -> Vec<(&str, u64)> {
        lines.iter().map(|it| (it.what.as_str(), it.count)).collect()
    }

    #[test]
    fn repeats_are_one_line_in_the_place_of_the_first() {
        let lines =
            told(&[exec(0, 7, "/a"), exec(1, 8, "/b"), exec(50, 9, "/a"), exec(100, 9, "/a")]);
        assert_eq!(short(&lines), [("/a", 3), ("/b", 1)]);
        assert_eq!(lines[0].process, "a[7]");
        assert!(lines[0].until.contains("00:01:40") && lines[1].until.is_empty(), "{lines:?}");
    }

    #[test]
    fn what_comes_back_after_a_while_is_a_line_of_its_own() {
        let lines =
            told(&[exec(0, 7, "/a"), exec(30, 7, "/b"), exec(61, 7, "/a"), exec(62, 7, "/a")]);
        assert_eq!(short(&lines), [("/a", 1), ("/b", 1), ("/a", 2)]);
    }

    #[test]
    fn lines_are_told_in_order_though_few_wait() {
        let objects: Vec<Json> =
            (0..2000).map(|it| exec(it / 100, it, &format!("/p{it}"))).collect();
        let mut story = Story::default();
        let mut lines = Vec::new();
        for object in &objects {
            story.add(object.as_object().expect("an object"), &mut |it| lines.push(it));
            assert!(story.open.len() <= MAX_OPEN && story.known.len() <= MAX_OPEN);
        }
        story.end(&mut |it| lines.push(it));
        let order: Vec<String> = lines.into_iter().map(|it| it.what).collect();
        assert_eq!(order, (0..2000).map(|it| format!("/p{it}")).collect::<Vec<_>>());
    }

    #[test]
    fn each_event_says_what_it_was() {
        for (object, expected) in [
            (
                json!({"kind": "container", "container": {"op": "die", "exit_code": 137}}),
                "die (exit code 137)",
            ),
            (
                json!({"kind": "dns", "dns": {"name": "a.b", "type": "A", "answers": ["1.2.3.4"]}}),
                "a.b A",
            ),
            (
                json!({"kind": "accept", "net": {"lport": 80, "raddr": "10.0.0.9", "rport": 4711}}),
                "port 80 from 10.0.0.9",
            ),
            (
                json!({"kind": "gap", "gap": {"reason": "ring_full", "of": "exec", "lost": 7}}),
                "exec lost: ring_full",
            ),
            (json!({"kind": "exit", "exit": {"code": 0, "signal": 9}}), "ended by signal 9"),
            (
                json!({"kind": "exec", "outcome": "denied", "proc": {"exe": "/x"}, "exec": {"layer": "upper"}}),
                "DENIED: /x (upper)",
            ),
        ] {
            let object = object.as_object().expect("an object");
            assert_eq!(happened(object, &text(object, "kind")), expected);
        }
    }

    #[test]
    fn a_gap_counts_what_was_lost() {
        let gap = |lost: u64| json!({"ts": "2026-01-01T00:00:00Z", "kind": "gap", "count": 1, "gap": {"reason": "ring_full", "lost": lost}});
        assert_eq!(short(&told(&[gap(7), gap(4)])), [("observation lost: ring_full", 11)]);
    }
}
