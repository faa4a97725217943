//! `plimsoll profile diff`: what one version of an image does and another does not.

use std::{collections::BTreeMap, path::Path};

use anyhow::anyhow;
use plimsoll_ebpf::value::readable;
use serde_json::json;

use super::{
    super::{
        columns::{Format, lines, print, table},
        exit::{Exit, Failure},
    },
    import::read,
    source::SourceArgs,
};
use crate::baseline::{
    diff::{Difference, diff},
    import::Document,
    subject::Subject,
};

/// Show what one image, version or exported file knows and another does not.
///
/// Exit code 0 where both know the same, 1 where they differ.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// An image as it is asked for, the start of its digest, a service, or a file that was exported
    #[arg(value_name = "A")]
    a: String,
    /// The same, to compare it with
    #[arg(value_name = "B")]
    b: String,
    /// How to print: a table, or one JSON object a line
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let (a, b) = (args.documents(&args.a)?, args.documents(&args.b)?);
    let mut text = String::new();
    let mut differs = false;
    let pairs = pairs(&a, &b);
    if pairs.is_empty() {
        let text = format!("'{}' and '{}' have no use in common", args.a, args.b);
        return Err(Failure::usage(anyhow!(text)));
    }
    for (a, b) in &pairs {
        let differences = diff(a, b);
        differs |= !differences.is_empty();
        match args.output {
            Format::Json => text += &json_lines(a, b, &differences),
            Format::Table if differences.is_empty() => {}
            Format::Table => text += &shown(a, b, &differences),
        }
    }
    print(&text)?;
    let all = a.values().map(|it| (&args.a, it)).chain(b.values().map(|it| (&args.b, it)));
    for (whom, alone) in all {
        if !pairs.iter().any(|(a, b)| std::ptr::eq(*a, alone) || std::ptr::eq(*b, alone)) {
            let subject = alone.subject.to_string();
            eprintln!("note: only {whom} has a profile of {}", readable(subject.as_bytes()));
        }
    }
    Ok(if differs { Exit::Findings } else { Exit::Done })
}

type Documents = BTreeMap<String, Document>;
type Pairs<'d> = Vec<(&'d Document, &'d Document)>;

/// Those of one use, or else what each has alone.
fn pairs<'d>(a: &'d Documents, b: &'d Documents) -> Pairs<'d> {
    let alike = a.iter().filter_map(|(use_of, it)| Some((it, b.get(use_of)?)));
    let alike: Pairs<'_> = alike.collect();
    let only = |all: &'d Documents| all.values().next().filter(|_| all.len() == 1);
    match (only(a), only(b)) {
        (Some(a), Some(b)) if alike.is_empty() && a.subject.is_image() == b.subject.is_image() => {
            vec![(a, b)]
        }
        _ => alike,
    }
}

impl Args {
    /// The profiles of one side, by their use.
    fn documents(&self, whom: &str) -> Result<Documents, Failure> {
        let all = if Path::new(whom).is_file() {
            read(Path::new(whom))?.1
        } else {
            self.source.profiles(whom)?.iter().map(Document::of).collect()
        };
        let mut documents = Documents::new();
        for it in all {
            let use_of = match &it.subject {
                Subject::Image { variant, .. } => format!("image {variant}"),
                Subject::Service { name } => format!("service {name}"),
            };
            if let Some(other) = documents.insert(use_of, it.clone()) {
                let [a, b] = [&other, &it].map(|it| it.subject.to_string());
                let text = format!(
                    "'{whom}' is {} and {}: name one by its digest",
                    readable(a.as_bytes()),
                    readable(b.as_bytes())
                );
                return Err(Failure::usage(anyhow!(text)));
            }
        }
        Ok(documents)
    }
}

fn json_lines(a: &Document, b: &Document, differences: &[Difference]) -> String {
    let objects = differences.iter().map(|it| {
        let mut object = json!({ "a": a.subject, "b": b.subject });
        if let (Some(object), serde_json::Value::Object(more)) = (object.as_object_mut(), json!(it))
        {
            object.extend(more);
        }
        object
    });
    lines(&objects.collect::<Vec<_>>())
}

fn shown(a: &Document, b: &Document, differences: &[Difference]) -> String {
    let rows = differences.iter().map(|it| {
        let by = if it.by.is_empty() { String::new() } else { format!("{} ", it.by) };
        [
            it.change.sign().to_owned(),
            it.dimension.name().to_owned(),
            readable(format!("{by}{}", it.behaviour).as_bytes()).into_owned(),
            it.before.join(" "),
            it.after.join(" "),
        ]
    });
    let rows: Vec<[String; 5]> = rows.collect();
    let table = table(["", "DIMENSION", "BEHAVIOUR", "SEEN BY A", "SEEN BY B"], &rows);
    let [a, b] = [a, b].map(|it| {
        let whose = format!("{}  {}", it.image, it.subject);
        readable(whose.as_bytes()).into_owned()
    });
    format!("A: {a}\nB: {b}\n{table}\n")
}
