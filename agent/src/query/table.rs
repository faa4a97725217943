//! Observations as lines for people: time, event, container, process and what happened.

use std::{fmt::Write, io::IsTerminal};

use jiff::{Timestamp, tz::TimeZone};
use plimsoll_ebpf::{catalog::Kind, rules::Severity, value::readable};
use serde_json::{Map, Value as Json};

/// How lines are to look.
#[derive(Clone, Debug)]
pub struct Style {
    /// With colours.
    pub colour: bool,
    /// Longest line; longer ones are cut.
    pub width: Option<usize>,
    layout: Layout,
    zone: TimeZone,
}

/// What stands in a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Time, event, container, process and what happened, of any event.
    #[default]
    Events,
    /// Time, severity, container, rule, what became of it and why, of alerts alone.
    Alerts,
}

impl Style {
    /// As fits standard output: colours on a terminal that wants them, lines within its width
    /// unless `whole`.
    pub fn of_stdout(whole: bool) -> Self {
        let stdout = std::io::stdout();
        let is_terminal = stdout.is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty())
            || std::env::var_os("TERM").is_some_and(|it| it == "dumb");
        let width = rustix::termios::tcgetwinsize(&stdout).ok().map(|it| usize::from(it.ws_col));
        Self {
            colour: is_terminal && !refused,
            width: width.filter(|width| is_terminal && !whole && *width > 0),
            layout: Layout::default(),
            zone: TimeZone::system(),
        }
    }

    /// With this in a line.
    #[must_use]
    pub fn with(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Without colours and width, in UTC.
    pub fn plain() -> Self {
        Self { colour: false, width: None, layout: Layout::default(), zone: TimeZone::UTC }
    }

    /// The line above all others.
    pub fn heading(&self) -> String {
        let heading = match self.layout {
            Layout::Events => columns("TIME", "KIND", "CONTAINER", "PROCESS", "DETAIL"),
            Layout::Alerts => alert_columns("TIME", "SEVERITY", "CONTAINER", "RULE", "REASON"),
        };
        self.paint("1", &self.cut(&heading))
    }

    /// An observation, as [`super::json::object`] makes it.
    pub fn line(&self, object: &Map<String, Json>) -> String {
        let (time, kind) = (self.time(&text(object, "ts")), text(object, "kind"));
        let container = container(object);
        let line = match self.layout {
            Layout::Events => {
                columns(&time, &kind, &container, &process(object), &detail(object, &kind))
            }
            Layout::Alerts => {
                let [severity, rule] = ["severity", "rule"].map(|name| text(object, name));
                let reason = with_count(object, reason(object));
                alert_columns(&time, &severity, &container, &rule, &reason)
            }
        };
        let line = self.cut(&line);
        match colour_of(object, &kind) {
            Some(colour) => self.paint(colour, &line),
            None => line,
        }
    }

    fn time(&self, ts: &str) -> String {
        ts.parse::<Timestamp>().map_or_else(
            |_| ts.to_owned(),
            |ts| ts.to_zoned(self.zone.clone()).strftime("%H:%M:%S%.3f").to_string(),
        )
    }

    fn cut(&self, line: &str) -> String {
        match self.width {
            Some(width) if line.chars().count() > width => {
                line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
            }
            _ => line.to_owned(),
        }
    }

    fn paint(&self, colour: &str, line: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{line}\x1b[0m") } else { line.to_owned() }
    }
}

fn columns(time: &str, kind: &str, container: &str, process: &str, detail: &str) -> String {
    let line = format!("{time:<12} {kind:<11} {container:<20} {process:<20} {detail}");
    line.trim_end().to_owned()
}

fn alert_columns(time: &str, severity: &str, container: &str, rule: &str, reason: &str) -> String {
    let line = format!("{time:<12} {severity:<8} {container:<20} {rule:<21} {reason}");
    line.trim_end().to_owned()
}

/// Whose it is: the service's, else the container's name, else the start of its id.
fn container(object: &Map<String, Json>) -> String {
    let names = [text(object, "swarm.service"), text(object, "ctr.name")];
    let name = names.into_iter().find(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| text(object, "ctr.id").chars().take(12).collect());
    if name.is_empty() { "-".to_owned() } else { name }
}

fn colour_of(object: &Map<String, Json>, kind: &str) -> Option<&'static str> {
    match kind {
        "alert" => severity(object).and_then(colour_of_severity),
        "gap" => Some("31"),
        "privilege" => Some("33"),
        "container" => Some("36"),
        "exec" => Some("32"),
        "connect" | "accept" | "listen" | "dns" => Some("34"),
        _ => None,
    }
}

/// How bad an alert is.
pub fn severity(object: &Map<String, Json>) -> Option<Severity> {
    let name = find(object, "severity")?.as_str()?;
    Severity::ALL.into_iter().find(|it| it.name() == name)
}

fn colour_of_severity(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::Critical => Some("1;31"),
        Severity::High => Some("31"),
        Severity::Medium => Some("33"),
        Severity::Low => Some("36"),
        Severity::Info => None,
    }
}

/// The value at a dotted name, as text without control characters; empty where there is none.
pub fn text(object: &Map<String, Json>, name: &str) -> String {
    find(object, name).map_or_else(String::new, plain)
}

/// The value at a dotted name.
pub fn find<'o>(object: &'o Map<String, Json>, name: &str) -> Option<&'o Json> {
    match name.split_once('.') {
        None => object.get(name),
        Some((first, rest)) => find(object.get(first)?.as_object()?, rest),
    }
}

fn plain(value: &Json) -> String {
    match value {
        // Another program may have made the object: its texts are not trusted to be harmless.
        Json::String(text) => readable(text.as_bytes()).into_owned(),
        Json::Array(parts) => {
            parts.iter().map(|part| quoted(&plain(part))).collect::<Vec<_>>().join(" ")
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => value.to_string(),
    }
}

/// A word as a shell would need it.
fn quoted(word: &str) -> String {
    let is_plain = |it: char| it.is_alphanumeric() || "-_./=:,+@%^".contains(it);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Who did it: the program's name and the process id.
pub fn process(object: &Map<String, Json>) -> String {
    let exe = text(object, "proc.exe");
    let program = exe.rsplit('/').next().unwrap_or_default();
    let pid = text(object, "proc.pid");
    match (program, &*pid) {
        ("", "") => "-".to_owned(),
        ("", pid) => format!("[{pid}]"),
        (program, "") => program.to_owned(),
        (program, pid) => format!("{program}[{pid}]"),
    }
}

fn detail(object: &Map<String, Json>, kind: &str) -> String {
    with_count(object, what(object, kind))
}

/// What happened, whoever did it and however often.
pub fn what(object: &Map<String, Json>, kind: &str) -> String {
    let mut detail = match kind {
        "exec" => vec![command(object), text(object, "exec.layer")],
        "connect" | "accept" => {
            vec![text(object, "net.proto"), peer(object, "net.raddr", "net.rport")]
        }
        "listen" => vec![text(object, "net.proto"), peer(object, "net.laddr", "net.lport")],
        "file_write" | "file_change" | "exec_map" => file(object),
        "alert" => vec![text(object, "severity"), text(object, "rule"), reason(object)],
        _ => return generic(object, kind),
    };
    let name = text(object, "net.dns");
    if !name.is_empty() {
        detail.push(format!("({name})"));
    }
    detail.retain(|part| !part.is_empty());
    detail.join(" ")
}

/// What became of an alert's act, if it did not go through, and why it is one.
fn reason(object: &Map<String, Json>) -> String {
    let [outcome, reason] = ["outcome", "reason"].map(|name| text(object, name));
    let mark = if outcome.is_empty() { outcome } else { format!("{}: ", outcome.to_uppercase()) };
    format!("{mark}{reason}")
}

fn with_count(object: &Map<String, Json>, detail: String) -> String {
    match find(object, "count").and_then(Json::as_u64) {
        Some(count) if count > 1 => format!("{detail} x{count}"),
        _ => detail,
    }
}

/// The command line of a process, else its program.
pub fn command(object: &Map<String, Json>) -> String {
    let arguments = text(object, "proc.args");
    let script = text(object, "exec.script");
    let command = if arguments.is_empty() { text(object, "proc.exe") } else { arguments };
    if script.is_empty() { command } else { format!("{command} (script {script})") }
}

fn peer(object: &Map<String, Json>, address: &str, port: &str) -> String {
    let address = text(object, address);
    let address = if address.contains(':') { format!("[{address}]") } else { address };
    match text(object, port) {
        port if port.is_empty() => address,
        port => format!("{address}:{port}"),
    }
}

fn file(object: &Map<String, Json>) -> Vec<String> {
    let to = text(object, "file.to");
    let arrow = if to.is_empty() { String::new() } else { format!("-> {to}") };
    vec![text(object, "file.op"), text(object, "file.path"), arrow, text(object, "file.layer")]
}

/// The event's own fields in the order of the catalogue, without their common beginning.
fn generic(object: &Map<String, Json>, kind: &str) -> String {
    let mut detail = String::new();
    for field in Kind::by_name(kind).map(Kind::fields).unwrap_or_default() {
        let value = text(object, field.name);
        if value.is_empty() {
            continue;
        }
        let name = field.name.rsplit('.').next().unwrap_or(field.name);
        let space = if detail.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(detail, "{space}{name}={value}");
    }
    detail
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{query::json, store::sample::Sample};

    fn line(number: u64) -> String {
        Style::plain().line(&Sample::new().with(number, |it| json::object(it)))
    }

    #[test]
    fn lines_say_who_did_what() {
        assert_eq!(
            line(5),
            "15:06:40.005 connect     shop_web             tool-1[1001]         tcp 10.0.0.5:443 (db.example.org)"
        );
        assert_eq!(
            line(6),
            "15:06:40.006 exec        shop_web             tool-2[1002]         tool --number 2 image"
        );
        assert_eq!(
            line(8),
            "15:06:40.008 file_write  shop_web             tool-2[1002]         create /var/lib/app/file-8 upper"
        );
    }

    #[test]
    fn other_events_show_their_fields_by_name() {
        let object = serde_json::from_str(
            r#"{"kind":"gap","gap":{"reason":"ring_full","lost":7},"ts":"nonsense"}"#,
        );
        let line = Style::plain().line(&object.expect("is an object"));
        assert_eq!(
            line,
            "nonsense     gap         -                    -                    reason=ring_full lost=7"
        );
    }

    #[test]
    fn an_alert_is_one_line_that_says_how_bad_what_and_why() {
        let object = serde_json::from_str(
            r#"{"kind":"alert","ts":"2026-11-25T15:06:40.007Z","count":3,"ctr":{"name":"web"},
            "proc":{"exe":"/bin/sh","pid":7},"outcome":"denied","severity":"critical",
            "rule":"new_executable","reason":"A program ran: /opt/x. It was refused."}"#,
        );
        let object = object.expect("is an object");
        let alerts = Style::plain().with(Layout::Alerts);
        assert_eq!(
            alerts.line(&object),
            "15:06:40.007 critical web                  new_executable        DENIED: A program ran: /opt/x. It was refused. x3"
        );
        assert_eq!(
            alerts.heading().split_whitespace().collect::<Vec<_>>(),
            ["TIME", "SEVERITY", "CONTAINER", "RULE", "REASON"]
        );
        assert_eq!(
            Style::plain().line(&object),
            "15:06:40.007 alert       web                  sh[7]                critical new_executable DENIED: A program ran: /opt/x. It was refused. x3"
        );
        let painted = Style { colour: true, ..alerts }.line(&object);
        assert!(painted.starts_with("\x1b[1;31m"), "{painted}");
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let object = serde_json::from_str(
            r#"{"kind":"exec\u001b[31m","proc":{"args":["a\u001b]0;x\u0007","b c"]},"ts":"\n"}"#,
        );
        let line = Style::plain().line(&object.expect("is an object"));
        assert!(!line.chars().any(char::is_control), "{line}");
    }

    #[test]
    fn long_lines_are_cut_to_the_width() {
        let style = Style { width: Some(40), ..Style::plain() };
        let line = style.line(&Sample::new().with(5, |it| json::object(it)));
        assert_eq!(line.chars().count(), 40);
        assert!(line.ends_with('…'));
        assert!(style.heading().chars().count() <= 40);
    }
}
