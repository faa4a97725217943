//! `plimsoll profile show`: what is known of an image, how far each dimension is, what is missing.

use plimsoll_ebpf::value::readable;
use serde_json::json;

use super::{
    super::{
        columns::{Format, lines, print, table},
        exit::{Exit, Failure},
    },
    source::SourceArgs,
};
use crate::{
    baseline::{
        dimension::Context,
        entries::Entry,
        heritage::{Look, is_unused},
        saved::Saved,
        subject::short,
        view::{Amounts, Inheritance, Part, Summary},
        volume::metric::Metric,
    },
    clock,
};

/// Show what is known of an image or service, and what is missing.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The image as it is asked for, the start of its digest, or a service
    #[arg(value_name = "IMAGE")]
    whom: String,
    /// Show each behaviour too
    #[arg(long, short)]
    behaviours: bool,
    /// How to print: a table, or one JSON object a line
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let now_s = clock::now_ns() / 1_000_000_000;
    let mut text = String::new();
    for saved in args.source.profiles(&args.whom)? {
        let summary = Summary::of(&saved, now_s);
        match args.output {
            Format::Json => {
                let behaviours: Vec<_> =
                    if args.behaviours { behaviours(&saved) } else { Vec::new() };
                let mut object = json!(summary);
                if args.behaviours {
                    object["behaviours"] = json!(behaviours);
                }
                text += &lines(&[object]);
            }
            Format::Table => text += &shown(&saved, &summary, args.behaviours),
        }
    }
    print(&text)?;
    Ok(Exit::Done)
}

fn behaviours(saved: &Saved) -> Vec<serde_json::Value> {
    let all = saved.dimensions.iter().flat_map(|of| of.entries.iter().map(move |it| (of, it)));
    all.map(|(of, (scope, key, entry))| {
        let units = Context::ALL.map(|it| (it.name(), entry.seen[it as usize].units));
        json!({
            "dimension": of.dimension,
            "by": scope,
            "behaviour": key,
            "units": units.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "confirmed": entry.is_confirmed() && !entry.is_denied,
            "denied": entry.is_denied,
            "inherited": entry.is_inherited,
            "unused": is_unused(saved.heritage.as_ref(), entry),
        })
    })
    .collect()
}

fn shown(saved: &Saved, it: &Summary, with_behaviours: bool) -> String {
    let heading =
        ["DIMENSION", "WHEN", "STATE", "KNOWN", "UNITS", "NOVEL", "ALERTS/DAY", "MISSING"];
    let rows: Vec<[String; 8]> = it.parts.iter().map(row).collect();
    let mut text = format!(
        "{}  {}\n{} containers, {} starts, {} units; about {} KiB\n\n",
        readable(it.image.as_bytes()),
        readable(it.subject.as_bytes()),
        it.containers.len(),
        it.starts,
        it.units,
        it.bytes / 1024,
    );
    if let Some(heritage) = &it.heritage {
        text.insert_str(text.len() - 1, &inheritance(heritage));
    }
    text += &table(heading, &rows);
    if !it.volumes.is_empty() {
        let rows: Vec<[String; 5]> = it.volumes.iter().map(amounts).collect();
        text += "\n";
        text += &table(["VOLUME", "USUAL", "99.5 %", "MOST", "LARGEST HOUR"], &rows);
    }
    if with_behaviours {
        let rows = saved.dimensions.iter().flat_map(|of| {
            of.entries.iter().map(|(scope, key, entry)| {
                let units = Context::ALL.map(|it| entry.seen[it as usize].units.to_string());
                let key = if scope.is_empty() { key.clone() } else { format!("{scope} {key}") };
                [of.dimension.name().to_owned(), key, units.join("/"), mark(saved, entry)]
            })
        });
        let rows: Vec<[String; 4]> = rows.collect();
        text += "\n";
        let units = "START/STEADY/HEALTH/SESSION";
        text += &table(["DIMENSION", "BEHAVIOUR", units, "CONFIRMED"], &rows);
    }
    text + "\n"
}

fn amounts(it: &Amounts) -> [String; 5] {
    let metric = Metric::ALL.into_iter().find(|metric| metric.name() == it.of);
    let shown = |amount: u64| metric.map_or_else(|| amount.to_string(), |it| it.shown(amount));
    let is_by_hours = matches!(metric, Some(Metric::Out | Metric::In));
    let hour = if is_by_hours { shown(it.hour) } else { "-".to_owned() };
    [it.of.clone(), shown(it.usual), shown(it.high), shown(it.most), hour]
}

/// What was taken over from the version before, in one line.
fn inheritance(it: &Inheritance) -> String {
    let from = short(&it.from);
    if it.look == Look::Different {
        return format!("nothing inherited: too little is the same as in {from}\n");
    }
    let looked = match it.look {
        Look::Pending => "; not compared yet",
        Look::Unreadable => "; the image could not be looked into",
        Look::Alike | Look::Different => "",
    };
    format!(
        "{} behaviours inherited from {from}, {} dropped, {} never used; {} added by the release{}{looked}\n",
        it.inherited,
        it.dropped,
        it.unused,
        it.added,
        if it.is_open { ", which may go on" } else { "" },
    )
}

fn mark(saved: &Saved, entry: &Entry) -> String {
    let mark = match entry.is_confirmed() {
        _ if entry.is_denied => "denied",
        _ if is_unused(saved.heritage.as_ref(), entry) => "inherited, never used",
        _ if entry.is_inherited => "yes, inherited",
        true => "yes",
        false => "by one only",
    };
    mark.to_owned()
}

fn row(it: &Part) -> [String; 8] {
    let state = if it.reason.is_empty() {
        it.state.clone()
    } else {
        format!("{} ({})", it.state, it.reason)
    };
    let denied = match it.denied {
        0 => String::new(),
        count => format!("{count} denied; "),
    };
    let open = match it.open_directories {
        0 => String::new(),
        count => format!("{count} directories take any name; "),
    };
    let any = match it.any_arguments {
        0 => String::new(),
        1 => "arguments of one program are too varied; ".to_owned(),
        count => format!("arguments of {count} programs are too varied; "),
    };
    [
        it.dimension.name().to_owned(),
        it.context.name().to_owned(),
        state,
        it.entries.to_string(),
        it.units.to_string(),
        it.novel_units.to_string(),
        format!("{:.2} (at most {:.2})", it.daily, it.daily_bound),
        format!("{denied}{open}{any}{}", it.missing),
    ]
}
