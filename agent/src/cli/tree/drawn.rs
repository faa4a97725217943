//! A family of processes as a tree for people.

use std::fmt::Write;

use jiff::{Timestamp, tz::TimeZone};
use plimsoll_ebpf::value::readable;

use crate::query::lineage::{Family, Process, Role};

/// How deep a tree is drawn; whoever is deeper stands below the last that is.
const MAX_DEPTH: usize = 100;

/// All trees of a family, with at most so many acts of each process.
pub(super) fn family(family: &Family, roots: &[usize], acts: usize) -> String {
    let zone = TimeZone::system();
    let mut drawing = Drawing { family, acts, zone, text: String::new() };
    for (index, root) in roots.iter().enumerate() {
        if index > 0 {
            drawing.text.push('\n');
        }
        let process = &family.processes[*root];
        let Process { container, origin, .. } = process;
        let from = match origin.as_str() {
            "exec" => ", entered by docker exec",
            "health" => ", run by its health check",
            _ => "",
        };
        let _ = writeln!(drawing.text, "{}{from}", readable(container.as_bytes()));
        drawing.below(&[*root], "");
    }
    if roots.is_empty() {
        drawing.text.push_str("no process is recorded\n");
    }
    drawing.text
}

struct Drawing<'f> {
    family: &'f Family,
    acts: usize,
    zone: TimeZone,
    text: String,
}

/// Siblings that look alike, the first of them.
struct Alike {
    first: usize,
    count: usize,
}

impl Drawing<'_> {
    /// Draws siblings and all below them. Without recursion: what is stored decides how deep it is.
    fn below(&mut self, roots: &[usize], indent: &str) {
        // What is still to be drawn, the next one last.
        let mut waiting = self.children(roots, indent, 0);
        while let Some((alike, branch, indent, depth)) = waiting.pop() {
            let process = &self.family.processes[alike.first];
            let line = self.line(process, alike.count);
            let _ = writeln!(self.text, "{indent}{branch}{line}");
            let below = match branch {
                "├─ " => format!("{indent}│  "),
                _ => format!("{indent}   "),
            };
            let stem = if process.children.is_empty() { "   " } else { "│  " };
            self.acts(process, &format!("{below}{stem}"));
            if depth < MAX_DEPTH {
                waiting.extend(self.children(&process.children, &below, depth + 1));
            } else if !process.children.is_empty() {
                let _ = writeln!(self.text, "{below}└─ … deeper ones are in -o json");
            }
        }
    }

    /// Siblings in inverse order, those that look alike put together.
    fn children(
        &self,
        siblings: &[usize],
        indent: &str,
        depth: usize,
    ) -> Vec<(Alike, &'static str, String, usize)> {
        let mut groups: Vec<Alike> = Vec::new();
        for place in siblings {
            match groups.last_mut() {
                Some(last) if self.are_alike(last.first, *place) => last.count += 1,
                _ => groups.push(Alike { first: *place, count: 1 }),
            }
        }
        let last = groups.len();
        let branch = |index| if index + 1 == last { "└─ " } else { "├─ " };
        let drawn = groups.into_iter().enumerate();
        let drawn = drawn.map(|(at, alike)| (alike, branch(at), indent.to_owned(), depth));
        let mut drawn: Vec<_> = drawn.collect();
        drawn.reverse();
        drawn
    }

    /// Whether two processes ran and did the same, and made no others.
    fn are_alike(&self, one: usize, other: usize) -> bool {
        let (a, b) = (&self.family.processes[one], &self.family.processes[other]);
        let did = |process: &Process| {
            let acts = process.acts.iter().map(|it| (it.kind.clone(), it.what.clone()));
            acts.collect::<Vec<_>>()
        };
        a.role == Role::Descendant
            && b.role == Role::Descendant
            && a.children.is_empty()
            && b.children.is_empty()
            && a.command() == b.command()
            && a.end == b.end
            && did(a) == did(b)
    }

    fn line(&self, process: &Process, count: usize) -> String {
        let command = match process.command() {
            "" => "(nothing recorded)".to_owned(),
            command => readable(command.as_bytes()).into_owned(),
        };
        let mut facts = vec![format!("pid {}", process.identity.pid)];
        if !process.ts.is_empty() {
            facts.push(format!("seen {}", self.time(&process.ts)));
        }
        if !process.ended.is_empty() {
            facts.push(format!("ended {}, {}", self.time(&process.ended), process.end));
        }
        if let Some(uid) = process.uid.filter(|uid| *uid != 0) {
            facts.push(format!("uid {uid}"));
        }
        let before: Vec<String> = process
            .programs
            .iter()
            .rev()
            .skip(1)
            .rev()
            .filter(|it| it.command != process.command())
            .map(|it| readable(it.exe.as_bytes()).into_owned())
            .collect();
        if !before.is_empty() {
            facts.push(format!("was {}", before.join(", ")));
        }
        let mark = if process.role == Role::Asked { "▶ " } else { "" };
        let repeats = if count > 1 { format!(" x{count}, the first") } else { String::new() };
        format!("{mark}{command}{repeats} [{}]", facts.join("; "))
    }

    fn acts(&mut self, process: &Process, indent: &str) {
        for act in process.acts.iter().take(self.acts) {
            let repeats = if act.count > 1 { format!(" x{}", act.count) } else { String::new() };
            let (kind, time) = (&act.kind, self.time(&act.ts));
            let _ = writeln!(self.text, "{indent}{time} {kind} {}{repeats}", act.what);
        }
        let more = process.acts.len().saturating_sub(self.acts) as u64 + process.more_acts;
        if more > 0 {
            let _ = writeln!(self.text, "{indent}… and {more} more");
        }
    }

    fn time(&self, ts: &str) -> String {
        ts.parse::<Timestamp>().map_or_else(
            |_| readable(ts.as_bytes()).into_owned(),
            |ts| ts.to_zoned(self.zone.clone()).strftime("%H:%M:%S%.3f").to_string(),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::query::lineage::Identity;

    fn seen(kind: &str, pid: u64, parent: Option<u64>, program: &str) -> Json {
        let mut object = json!({
            "ts": "2026-01-01T00:00:00Z", "kind": kind, "count": 1,
            "ctr": {"name": "web"}, "node": {"boot_id": "b"},
            "proc": {"pid": pid, "start": pid, "exe": program, "args": [program], "origin": "exec"},
        });
        if let Some(parent) = parent {
            object["proc"]["parent"] = json!({"pid": parent, "start": parent});
        }
        object
    }

    fn drawn(mut made: Family, objects: &[Json], acts: usize) -> String {
        for object in objects {
            made.add(object.as_object().expect("an object"));
        }
        let roots = made.link();
        family(&made, &roots, acts)
    }

    #[test]
    fn a_family_is_drawn_with_what_each_did() {
        let mut written = seen("file_write", 3, Some(2), "/bin/c");
        written["file"] = json!({"op": "create", "path": "/tmp/x\u{1b}[2J", "layer": "tmpfs"});
        let asked = Identity { boot_id: "b".to_owned(), pid: 2, start: 2 };
        let above = Identity { boot_id: "b".to_owned(), pid: 1, start: 1 };
        let text = drawn(
            Family::of(&[asked], &[above]),
            &[
                seen("exec", 1, None, "/bin/a"),
                seen("exec", 2, Some(1), "/bin/b"),
                seen("exec", 3, Some(2), "/bin/c"),
                written,
                seen("exec", 4, Some(2), "/bin/d"),
                seen("exec", 5, Some(2), "/bin/d"),
            ],
            10,
        );
        let plain: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(plain[0], "web, entered by docker exec");
        assert!(plain[1].starts_with("└─ /bin/a [pid 1; seen "), "{text}");
        assert!(plain[2].starts_with("   └─ ▶ /bin/b [pid 2; "), "{text}");
        assert!(plain[3].starts_with("      ├─ /bin/c [pid 3; "), "{text}");
        assert!(plain[4].ends_with("file_write create /tmp/x\\x1b[2J tmpfs"), "{text}");
        assert!(plain[5].starts_with("      └─ /bin/d x2, the first [pid 4; "), "{text}");
        assert_eq!(plain.len(), 6, "{text}");
    }

    #[test]
    fn acts_beyond_what_is_shown_are_counted() {
        let acts = (0..7).map(|number| {
            let mut written = seen("file_write", 1, None, "/bin/a");
            written["file"] = json!({"op": "create", "path": format!("/f{number}")});
            written
        });
        let text = drawn(Family::of_all(), &acts.collect::<Vec<_>>(), 3);
        assert!(text.contains("create /f2\n") && !text.contains("/f3"), "{text}");
        assert!(text.contains("… and 4 more\n"), "{text}");
    }

    #[test]
    fn a_line_of_thousands_of_generations_is_drawn_without_end_of_the_stack() {
        let objects: Vec<Json> =
            (1..5000).map(|pid| seen("fork", pid, (pid > 1).then(|| pid - 1), "/bin/a")).collect();
        let text = drawn(Family::of_all(), &objects, 3);
        assert!(text.contains("deeper ones are in -o json"));
    }
}
