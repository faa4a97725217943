//! `plimsoll mode enforce --dry-run`: what would have been stopped, from what was recorded.

use std::{fmt::Write, path::Path};

use anyhow::anyhow;
use plimsoll_ebpf::rules::Class;
use serde_json::{Value as Json, json};

use super::{
    Args,
    tally::{Asked, Tally},
};
use crate::{
    api::{
        client::{self, Lines},
        messages::{ExceptionLine, PolicyAnswer},
        params::Params,
    },
    cli::{
        answer::{Line, warn},
        ask,
        columns::{self, Format, lines, print, table},
        exit::{Exit, Failure},
        progress::Progress,
        selection::seconds,
    },
    clock,
    policy::{exception::Terms, names, place::Place, selector::Selector},
    query::{
        moment::{self, rfc3339},
        table::find,
    },
    verdict::stored,
};

/// Since when it is counted where nobody says.
const SINCE: &str = "24h";

/// Rows of the table.
const SHOWN: usize = 20;

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let since = args.since.as_deref().unwrap_or(SINCE);
    let since_ns =
        moment::parse(since).map_err(|error| Failure::usage(anyhow!("--since: {error}")))?;
    let socket = args.agent.socket()?;
    let policy: PolicyAnswer = client::value(&socket, "/v1/policy").map_err(ask::failure)?;
    let asked = Asked {
        selector: Selector::from(args.selector.clone()),
        exceptions: policy.exceptions.into_iter().filter_map(terms).collect(),
    };
    let counted = count(&socket, &args.classes, since_ns, &asked)?;
    print(&match args.output {
        Format::Table => counted.text(&asked.selector),
        Format::Json => counted.objects(),
    })?;
    for note in counted.notes() {
        eprintln!("note: {note}");
    }
    Ok(Exit::Done)
}

/// An exception that holds; none where this program does not know its rule.
fn terms(line: ExceptionLine) -> Option<Terms> {
    if line.expired {
        return None;
    }
    let (Ok(rule), Ok(place)) = (names::rule(&line.rule), Place::parse(&line.place)) else {
        warn(&format!("exception {} of another version is left out", line.id));
        return None;
    };
    Some(Terms { selector: line.selector, rule, place, expires_ns: None, reason: line.reason })
}

/// What was found.
struct Counted {
    tally: Tally,
    since_ns: u64,
    /// Observations that were looked at.
    looked_at: u64,
    is_complete: bool,
}

fn count(
    socket: &Path,
    classes: &[Class],
    since_ns: u64,
    asked: &Asked,
) -> Result<Counted, Failure> {
    let mut counted =
        Counted { tally: Tally::default(), since_ns, looked_at: 0, is_complete: true };
    let kinds: Vec<String> =
        classes.iter().flat_map(|it| stored::kinds(*it)).map(|it| (*it).to_owned()).collect();
    if kinds.is_empty() {
        return Ok(counted);
    }
    let until_ns = clock::now_ns();
    let params = Params {
        since: Some(seconds(since_ns)),
        until: Some(seconds(until_ns)),
        kinds,
        ..Params::default()
    };
    let mut lines: Lines =
        client::get(socket, &format!("/v1/events?{}", params.encode())).map_err(ask::failure)?;
    let mut progress = Progress::new(until_ns);
    while let Some(line) = lines.next_line().map_err(Failure::environment)? {
        match Line::read(line) {
            Line::Observation(object) => {
                counted.tally.count(&object, asked);
                counted.looked_at += 1;
                progress.step(counted.looked_at, || {
                    find(&object, "ts").and_then(Json::as_str).and_then(moment::of_rfc3339)
                });
            }
            Line::Notice(text) | Line::End(text) => {
                counted.is_complete = false;
                warn(&text);
            }
            // Of summaries alone.
            Line::At(_) => {}
        }
    }
    Ok(counted)
}

impl Counted {
    fn text(&self, selector: &Selector) -> String {
        let acts = self.tally.acts();
        let mut text = String::new();
        if !acts.is_empty() {
            let rows: Vec<[String; 5]> = (acts.iter().take(SHOWN))
                .map(|(act, count)| {
                    let rule = act.rule.info().name.to_owned();
                    let (container, image) = (act.container.clone(), act.image.clone());
                    [container, image, rule, act.place.clone(), count.to_string()]
                })
                .collect();
            text += &table(["CONTAINER", "IMAGE", "RULE", "PLACE", "COUNT"], &rows);
            if acts.len() > SHOWN {
                let _ = writeln!(text, "… and {} more", acts.len() - SHOWN);
            }
            text.push('\n');
        }
        let since = columns::moment(&rfc3339(self.since_ns));
        let is_complete = if self.is_complete { "" } else { ", in what could be read" };
        let _ = writeln!(
            text,
            "{} would have been stopped in {selector} since {since}{is_complete}; nothing is changed",
            number(self.tally.total()),
        );
        if self.tally.stopped > 0 {
            let _ = writeln!(text, "stopped as it is: {}", number(self.tally.stopped));
        }
        text
    }

    /// What to bear in mind about the numbers.
    fn notes(&self) -> Vec<String> {
        let Tally { changes, unseen, .. } = self.tally;
        let mut notes = Vec::new();
        if changes > 0 {
            notes.push(format!(
                "{changes} of them changed names or metadata: without BPF LSM that is told, not stopped"
            ));
        }
        if unseen > 0 {
            notes.push(format!(
                "not counted are scripts that were gone before it was seen where they lie: {unseen}"
            ));
        }
        notes
    }

    /// One object a line: each act, then the total.
    fn objects(&self) -> String {
        let acts = self.tally.acts();
        let mut objects: Vec<Json> = (acts.iter())
            .map(|(act, count)| {
                json!({
                    "of": "act",
                    "container": act.container,
                    "image": act.image,
                    "rule": act.rule.info().name,
                    "place": act.place,
                    "count": count,
                })
            })
            .collect();
        objects.push(json!({
            "of": "total",
            "since": rfc3339(self.since_ns),
            "count": self.tally.total(),
            "stopped_already": self.tally.stopped,
            "name_changes": self.tally.changes,
            "scripts_unseen": self.tally.unseen,
            "observations": self.looked_at,
            "complete": self.is_complete,
        }));
        lines(&objects)
    }
}

fn number(acts: u64) -> String {
    match acts {
        0 => "nothing".to_owned(),
        1 => "one act".to_owned(),
        acts => format!("{acts} acts"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(paths: usize) -> Counted {
        let mut tally = Tally::default();
        let asked = Asked { selector: Selector::default(), exceptions: Vec::new() };
        for number in 0..paths {
            let line = format!(
                r#"{{"kind":"file_write","count":{},"ctr":{{"name":"web","image":"nginx:1"}},
                "file":{{"path":"/etc/{number:02}","op":"create","layer":"upper","mode":33188}}}}"#,
                100 - number
            );
            let Line::Observation(object) = Line::read(&line) else { panic!("{line}") };
            tally.count(&object, &asked);
        }
        Counted { tally, since_ns: 0, looked_at: 30, is_complete: true }
    }

    #[test]
    fn the_table_has_the_most_frequent_and_the_number_of_the_others() {
        let text = counted(22).text(&Selector::default());
        let told: Vec<&str> = text.lines().collect();
        let first = "web        nginx:1  write_outside_volumes  /etc/00  100";
        assert_eq!((told[1], told[21], told.len()), (first, "… and 2 more", 24));
        let total = "1969 acts would have been stopped in every container since ";
        assert!(told[23].starts_with(total), "{text}");
    }

    #[test]
    fn where_there_is_nothing_that_is_said() {
        let text = counted(0).text(&Selector::default());
        assert!(text.starts_with("nothing would have been stopped in every container since "));
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn json_has_every_act_and_the_total() {
        let text = counted(22).objects();
        assert_eq!(text.lines().count(), 23);
        assert_eq!(counted(22).notes(), Vec::<String>::new());
        let last = text.lines().next_back().expect("is there");
        assert!(last.starts_with(r#"{"of":"total","since":"1970-"#), "{last}");
        assert!(last.contains(r#""count":1969,"#), "{last}");
    }

    #[test]
    fn exceptions_that_are_over_or_unknown_do_not_count() {
        let line = |rule: &str, expired: bool| {
            let line = json!({"id": "0a", "image": "nginx", "rule": rule, "place": "/a/*",
                "reason": "", "expired": expired, "uses": 0, "source": "config", "line": 1});
            serde_json::from_value::<ExceptionLine>(line).expect("reads")
        };
        assert!(terms(line("new_executable", false)).is_some());
        assert!(terms(line("new_executable", true)).is_none());
        assert!(terms(line("of_tomorrow", false)).is_none());
    }
}
