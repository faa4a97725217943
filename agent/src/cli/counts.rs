//! How much there is of what, and when: the summaries of `plimsoll events`.

use std::fmt::Write;

use jiff::{Timestamp, tz::TimeZone};
use plimsoll_ebpf::value::readable;
use serde_json::{Map, Value as Json};

use super::{
    answer,
    columns::{aligned, lines, print},
    csv,
    exit::{Exit, Failure},
    selection::{Output, Selection},
};
use crate::{api::params::Params, query::table::find};

/// Groups that a table shows where nobody says how many.
const SHOWN: u64 = 20;
/// Width of what is not shown on a terminal.
const WIDTH: usize = 100;
/// Shortest of the longest bars.
const LEAST_BAR: usize = 10;

/// Counts by fields.
///
/// # Errors
/// When nothing can be asked, or the answer cannot be written.
pub(super) fn by_fields(selection: &Selection, mut params: Params) -> Result<Exit, Failure> {
    if selection.output == Output::Table {
        params.limit = params.limit.or(Some(SHOWN));
    }
    let names = params.count_by.clone();
    let groups = gathered(selection, params)?;
    print(&match selection.output {
        Output::Json | Output::Falco => lines(&groups),
        Output::Csv => groups_csv(&names, &groups),
        Output::Table => groups_table(&names, &groups),
    })?;
    Ok(Exit::Done)
}

/// Counts over time, of each event by itself or of all together.
///
/// # Errors
/// When nothing can be asked, or the answer cannot be written.
pub(super) fn over_time(
    selection: &Selection,
    params: Params,
    is_by_kind: bool,
) -> Result<Exit, Failure> {
    let intervals = gathered(selection, params)?;
    print(&match selection.output {
        Output::Json | Output::Falco => lines(&intervals),
        Output::Csv => intervals_csv(&intervals),
        Output::Table => {
            let width = rustix::termios::tcgetwinsize(std::io::stdout());
            let width = width.map_or(0, |it| usize::from(it.ws_col));
            let width = if width == 0 { WIDTH } else { width };
            intervals_table(&intervals, is_by_kind, width, &TimeZone::system())
        }
    })?;
    Ok(Exit::Done)
}

fn gathered(selection: &Selection, params: Params) -> Result<Vec<Map<String, Json>>, Failure> {
    let mut gathered = Vec::new();
    answer::each(&selection.source, params, &mut |line| gathered.push(line.clone()))?;
    Ok(gathered)
}

/// Values of a group, with the counts before them.
fn cells(names: &[String], group: &Map<String, Json>) -> Vec<String> {
    let counts =
        ["count", "observations"].map(|name| group.get(name).map_or_else(String::new, csv::text));
    let by = group.get("by").and_then(Json::as_object);
    let value = |name: &String| by.and_then(|by| by.get(name)).map_or_else(String::new, csv::text);
    counts.into_iter().chain(names.iter().map(value)).collect()
}

/// What is said in the place of values of groups that are not shown; none for a group.
fn others(group: &Map<String, Json>) -> Option<String> {
    match group.get("other_groups")?.as_u64() {
        Some(0) | None => Some("(others)".to_owned()),
        Some(1) => Some("(1 other)".to_owned()),
        Some(groups) => Some(format!("({groups} others)")),
    }
}

fn groups_table(names: &[String], groups: &[Map<String, Json>]) -> String {
    let heading = ["COUNT", "OBSERVATIONS"].map(str::to_owned).into_iter();
    let heading = heading.chain(names.iter().map(|name| name.to_uppercase()));
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|group| {
            let mut cells = cells(names, group);
            if let Some(others) = others(group) {
                cells.truncate(2);
                cells.push(others);
            }
            cells
        })
        .collect();
    aligned(heading.collect(), rows.iter().map(Vec::as_slice))
}

fn groups_csv(names: &[String], groups: &[Map<String, Json>]) -> String {
    let heading = ["count", "observations"].into_iter().chain(names.iter().map(String::as_str));
    let mut text = csv::line(heading.map(str::to_owned)) + "\n";
    for group in groups {
        let mut cells = cells(names, group);
        if let Some((others, cell)) = others(group).zip(cells.get_mut(2)) {
            *cell = others;
        }
        text += &csv::line(cells.into_iter());
        text.push('\n');
    }
    text
}

fn intervals_csv(intervals: &[Map<String, Json>]) -> String {
    let kinds = kinds(intervals);
    let names = ["ts", "until", "count", "observations"];
    let heading = names.iter().map(ToString::to_string).chain(kinds.iter().cloned());
    let mut text = csv::line(heading) + "\n";
    for interval in intervals {
        let cell = |name: &&str| interval.get(*name).map_or_else(String::new, csv::text);
        let counts = kinds.iter().map(|kind| count_of(interval, Some(kind)).to_string());
        text += &csv::line(names.iter().map(cell).chain(counts));
        text.push('\n');
    }
    text
}

/// The events that there are in any interval.
fn kinds(intervals: &[Map<String, Json>]) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    for interval in intervals {
        for kind in interval.get("kinds").and_then(Json::as_object).into_iter().flat_map(Map::keys)
        {
            if !kinds.contains(kind) {
                kinds.push(kind.clone());
            }
        }
    }
    kinds.sort_unstable();
    kinds
}

/// How much there is in an interval, of an event or altogether.
fn count_of(interval: &Map<String, Json>, kind: Option<&str>) -> u64 {
    let count = match kind {
        Some(kind) => interval.get("kinds").and_then(|kinds| kinds.get(kind)),
        None => interval.get("count"),
    };
    count.and_then(Json::as_u64).unwrap_or_default()
}

fn intervals_table(
    intervals: &[Map<String, Json>],
    is_by_kind: bool,
    width: usize,
    zone: &TimeZone,
) -> String {
    if !is_by_kind {
        return bars(intervals, None, width, zone);
    }
    let charts = kinds(intervals).into_iter().map(|kind| {
        let total: u64 = intervals.iter().map(|it| count_of(it, Some(&kind))).sum();
        let bars = bars(intervals, Some(&kind), width, zone);
        format!("{}: {total}\n{bars}", readable(kind.as_bytes()))
    });
    charts.collect::<Vec<_>>().join("\n")
}

/// A line for each interval, with a bar as long as there is much.
fn bars(
    intervals: &[Map<String, Json>],
    kind: Option<&str>,
    width: usize,
    zone: &TimeZone,
) -> String {
    let counts: Vec<u64> = intervals.iter().map(|it| count_of(it, kind)).collect();
    let most = counts.iter().copied().max().unwrap_or_default();
    let digits = most.to_string().len();
    let is_long = span_seconds(intervals) >= 86_400;
    let format = if is_long { "%Y-%m-%d %H:%M" } else { "%H:%M:%S%.f" };
    let mut chart = String::new();
    for (interval, count) in intervals.iter().zip(counts) {
        let ts = find(interval, "ts").and_then(Json::as_str).unwrap_or_default();
        let time = ts.parse::<Timestamp>().map_or_else(
            |_| readable(ts.as_bytes()).into_owned(),
            |ts| ts.to_zoned(zone.clone()).strftime(format).to_string(),
        );
        let room = width.saturating_sub(time.chars().count() + digits + 4).max(LEAST_BAR);
        // Writing to a string cannot fail.
        let _ = writeln!(chart, "{time}  {count:>digits$}  {}", bar(count, most, room));
    }
    chart.lines().map(str::trim_end).fold(String::new(), |text, line| text + line + "\n")
}

/// Seconds from the beginning of the first interval to the end of the last.
fn span_seconds(intervals: &[Map<String, Json>]) -> i64 {
    let moment = |interval: Option<&Map<String, Json>>, name| {
        let ts = find(interval?, name)?.as_str()?;
        ts.parse::<Timestamp>().ok()
    };
    let ends = moment(intervals.first(), "ts").zip(moment(intervals.last(), "until"));
    ends.map_or(0, |(from, to)| to.as_second() - from.as_second())
}

/// A bar in eighths of a character; what is there at all can be seen.
fn bar(count: u64, most: u64, room: usize) -> String {
    const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    if count == 0 {
        return String::new();
    }
    let eighths = u128::from(count) * (room as u128 * 8) / u128::from(most.max(1));
    let eighths = (eighths as usize).max(1);
    let part = (eighths % 8).checked_sub(1).and_then(|it| EIGHTHS.get(it));
    "█".repeat(eighths / 8) + &part.map_or_else(String::new, char::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn objects(lines: Json) -> Vec<Map<String, Json>> {
        serde_json::from_value(lines).expect("are objects")
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn groups() -> Vec<Map<String, Json>> {
        objects(json!([
            {"count": 12, "observations": 3, "by": {"proc.exe": "/bin/a", "net.rport": 443}},
            {"count": 2, "observations": 2, "by": {"proc.exe": null, "net.rport": null}},
            {"count": 5, "observations": 5, "by": null, "other_groups": 4},
        ]))
    }

    #[test]
    fn groups_are_a_table_with_the_others_at_its_end() {
        assert_eq!(
            groups_table(&names(&["proc.exe", "net.rport"]), &groups()),
            "COUNT  OBSERVATIONS  PROC.EXE    NET.RPORT\n\
             12     3             /bin/a      443\n\
             2      2             -           -\n\
             5      5             (4 others)\n"
        );
    }

    #[test]
    fn groups_are_lines_of_values_too() {
        assert_eq!(
            groups_csv(&names(&["proc.exe", "net.rport"]), &groups()),
            "count,observations,proc.exe,net.rport\n12,3,/bin/a,443\n2,2,,\n5,5,(4 others),\n"
        );
    }

    fn intervals() -> Vec<Map<String, Json>> {
        objects(json!([
            {"ts": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:10Z", "count": 80,
             "observations": 80, "kinds": {"exec": 30, "dns": 50}},
            {"ts": "2026-01-01T00:00:10Z", "until": "2026-01-01T00:00:20Z", "count": 0,
             "observations": 0, "kinds": {}},
            {"ts": "2026-01-01T00:00:20Z", "until": "2026-01-01T00:00:30Z", "count": 1,
             "observations": 1, "kinds": {"exec": 1}},
        ]))
    }

    #[test]
    fn bars_are_as_long_as_there_is_much() {
        let chart = intervals_table(&intervals(), false, 24, &TimeZone::UTC);
        assert_eq!(chart, "00:00:00  80  ██████████\n00:00:10   0\n00:00:20   1  ▏\n");
        let lines: Vec<String> = chart.lines().map(str::to_owned).collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 24), "{chart}");
    }

    #[test]
    fn each_event_has_bars_of_its_own() {
        let chart = intervals_table(&intervals(), true, 24, &TimeZone::UTC);
        assert!(chart.starts_with("dns: 50\n00:00:00  50  ██████████\n"), "{chart}");
        assert!(chart.contains("\n\nexec: 31\n00:00:00  30  ██████████\n"), "{chart}");
    }

    #[test]
    fn intervals_are_lines_of_values_with_a_column_for_each_event() {
        let text = intervals_csv(&intervals());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ts,until,count,observations,dns,exec");
        assert_eq!(lines[1], "2026-01-01T00:00:00Z,2026-01-01T00:00:10Z,80,80,50,30");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn a_bar_never_exceeds_its_room() {
        for (count, most, room, length) in
            [(0, 9, 10, 0), (9, 9, 10, 10), (1, u64::MAX, 10, 1), (u64::MAX, u64::MAX, 7, 7)]
        {
            assert_eq!(bar(count, most, room).chars().count(), length, "{count} of {most}");
        }
    }
}
