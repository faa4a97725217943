//! `plimsoll store stat`: how much is recorded, and of when.

use std::fmt::Write;

use serde::Serialize;

use super::{
    super::{
        columns::{Format, lines, moment, print, table},
        exit::{Exit, Failure},
    },
    Place, failure, rfc3339, size,
};
use crate::store::{
    stat::{FileStat, Stat, stat},
    stream::Stream,
};

/// Show how much is recorded, and of when
///
/// Reads the headers of all blocks, beside a running agent or without one.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// How to print: a table, or one JSON object
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Show each segment
    #[arg(long)]
    segments: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let stat = stat(&args.place.directory()?).map_err(failure)?;
    print(&shown(&stat, args.output, args.segments))?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Held {
    #[serde(rename = "file")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'static str>,
    bytes: u64,
    damaged_bytes: u64,
    blocks: u64,
    observations: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    kinds: Vec<String>,
}

#[derive(Serialize)]
struct Whole {
    format: Option<u16>,
    in_use: bool,
    bytes: u64,
    segments: usize,
    observations: u64,
    index_bytes: u64,
    profile_bytes: u64,
    set_aside: usize,
    set_aside_bytes: u64,
    files: Vec<Held>,
}

fn held(of: &FileStat) -> Held {
    Held {
        name: of.name.clone(),
        stream: of.stream.map(Stream::name),
        bytes: of.bytes,
        damaged_bytes: of.damaged_bytes,
        blocks: of.blocks,
        observations: of.observations,
        from: of.between.and_then(|(from, _)| rfc3339(from)),
        to: of.between.and_then(|(_, to)| rfc3339(to)),
        kinds: of.kinds.iter().cloned().collect(),
    }
}

/// The answer.
fn shown(stat: &Stat, output: Format, with_segments: bool) -> String {
    let files = stat.segments.iter().chain([&stat.log]);
    match output {
        Format::Json => lines(&[Whole {
            format: stat.format,
            in_use: stat.is_in_use,
            bytes: stat.bytes,
            segments: stat.segments.len(),
            observations: stat.in_segments().observations + stat.log.observations,
            index_bytes: stat.index_bytes,
            profile_bytes: stat.profile_bytes,
            set_aside: stat.asides,
            set_aside_bytes: stat.aside_bytes,
            files: files.map(held).collect(),
        }]),
        Format::Table => text(stat, with_segments),
    }
}

fn text(stat: &Stat, with_segments: bool) -> String {
    let mut rows: Vec<[String; 8]> = Vec::new();
    if with_segments {
        rows.extend(stat.segments.iter().map(row));
    } else {
        for stream in Stream::ALL {
            let of = stat.segments.iter().filter(|it| it.stream == Some(stream));
            let mut all = FileStat { stream: Some(stream), ..FileStat::default() };
            let mut count = 0;
            for segment in of {
                count += 1;
                all.add(segment);
            }
            all.name = format!("{count} segments");
            rows.push(row(&all));
        }
    }
    rows.push(row(&stat.log));
    let heading = ["FILE", "STREAM", "BYTES", "DAMAGED", "BLOCKS", "OBSERVATIONS", "FROM", "TO"];
    let mut text = table(heading, &rows);
    let format = stat.format.map_or_else(|| "unknown".to_owned(), |it| it.to_string());
    let used = if stat.is_in_use { "in use by an agent" } else { "not in use" };
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\nin all {}, format {format}, {used}; index {}, profiles {}, damaged and set aside {} in {} files\n",
        size(stat.bytes),
        size(stat.index_bytes),
        size(stat.profile_bytes),
        size(stat.aside_bytes),
        stat.asides,
    );
    text
}

fn row(of: &FileStat) -> [String; 8] {
    let at = |ns: Option<u64>| ns.and_then(rfc3339).map_or_else(String::new, |it| moment(&it));
    [
        of.name.clone(),
        of.stream.map_or("", Stream::name).to_owned(),
        size(of.bytes),
        if of.damaged_bytes > 0 { size(of.damaged_bytes) } else { String::new() },
        of.blocks.to_string(),
        of.observations.to_string(),
        at(of.between.map(|(from, _)| from)),
        at(of.between.map(|(_, to)| to)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Stat {
        let segment = |name: &str, stream, bytes| FileStat {
            name: name.to_owned(),
            stream: Some(stream),
            bytes,
            blocks: 2,
            observations: 8000,
            between: Some((0, 1_000_000_000)),
            ..FileStat::default()
        };
        let segments = vec![
            segment("seg-0.evs", Stream::Lasting, 2048),
            segment("brief-1.evs", Stream::Brief, 3 << 20),
            FileStat { damaged_bytes: 9, ..segment("brief-2.evs", Stream::Brief, 3 << 20) },
        ];
        let log = FileStat { name: "wal".to_owned(), observations: 5, ..FileStat::default() };
        Stat { format: Some(2), segments, log, bytes: 7 << 20, ..Stat::default() }
    }

    #[test]
    fn streams_are_summed_and_segments_shown_where_asked_for() {
        let text = shown(&sample(), Format::Table, false);
        let brief = text.lines().find(|line| line.contains(" brief ")).expect("has a line");
        let words: Vec<&str> = brief.split_whitespace().collect();
        assert_eq!(words[..9], ["2", "segments", "brief", "6.0", "MiB", "9", "B", "4", "16000"]);
        assert!(text.contains("in all 7.0 MiB, format 2, not in use"), "{text}");
        let text = shown(&sample(), Format::Table, true);
        assert!(text.contains("brief-2.evs") && text.contains("seg-0.evs"), "{text}");
    }

    #[test]
    fn json_has_every_file_and_the_sums() {
        let json: serde_json::Value =
            serde_json::from_str(&shown(&sample(), Format::Json, false)).expect("is JSON");
        assert_eq!(json["observations"], 24005);
        assert_eq!(json["files"].as_array().map(Vec::len), Some(4));
        assert_eq!(json["files"][2]["damaged_bytes"], 9);
        assert_eq!(json["files"][0]["to"], "1970-01-01T00:00:01Z");
    }
}
