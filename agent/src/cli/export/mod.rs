//! `plimsoll export`: observations for other programs, in a file.

mod columns;
mod parquet;

use std::{
    fs::{self, File},
    io::{self, BufWriter, IsTerminal, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use serde_json::{Map, Value as Json};

use self::parquet::Table;
use super::{
    answer,
    exit::{Exit, Failure},
    output,
    selection::{Range, Source},
};
use crate::api::params::Params;

/// Write observations to a file, for `DuckDB`, pandas, `ClickHouse` and the like.
///
/// Parquet has a column for each field of the catalogue, nested at the dots in its name as in JSON,
/// and says in its metadata of which schema, nodes and time it is. The file is there when it is
/// whole: until then it has another name.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where to write it; - is standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The form; without it, what the file's name ends with: .parquet, .jsonl, .ndjson or .json
    #[arg(long, short, visible_alias = "format", value_enum)]
    output: Option<Form>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// Only this event: exec, connect, dns …
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Only this container, by name or start of its id
    #[arg(long, value_name = "NAME|ID")]
    container: Vec<String>,
    /// Only containers of this image: repository, repository:tag, or start of its digest
    #[arg(long, value_name = "IMAGE")]
    image: Vec<String>,
    /// Only containers of this Swarm or compose service
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// Only where this holds, as `plimsoll events --where`
    #[arg(long = "where", value_name = "EXPRESSION")]
    expressions: Vec<String>,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    source: Source,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Columns, compressed.
    Parquet,
    /// One JSON object a line.
    Json,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let form = args.form()?;
    let params = args.params()?;
    if args.file == Path::new("-") {
        if form == Form::Parquet && io::stdout().is_terminal() {
            return Err(Failure::usage(anyhow!("a terminal cannot show parquet: name a file")));
        }
        let written = write(output::shared_stdout(), form, args, params)?;
        tell(written);
        return Ok(Exit::Done);
    }
    if args.file.exists() && !args.force {
        return Err(Failure::usage(anyhow!(
            "{} is there already: --force writes over it",
            args.file.display()
        )));
    }
    let unfinished = Unfinished::beside(&args.file);
    let file = File::create(&unfinished.path)
        .with_context(|| format!("cannot create {}", unfinished.path.display()))
        .map_err(Failure::environment)?;
    let written = write(file, form, args, params)?;
    unfinished.finish(&args.file).map_err(Failure::environment)?;
    tell(written);
    Ok(Exit::Done)
}

fn tell(written: u64) {
    eprintln!("note: {written} observations are written");
}

impl Args {
    fn form(&self) -> Result<Form, Failure> {
        let ending = self.file.extension().and_then(|it| it.to_str());
        match (self.output, ending) {
            (Some(form), _) => Ok(form),
            (None, Some("parquet")) => Ok(Form::Parquet),
            (None, Some("json" | "jsonl" | "ndjson")) => Ok(Form::Json),
            (None, _) => Err(Failure::usage(anyhow!(
                "the name of {} does not tell its form: give -o parquet or -o json",
                self.file.display()
            ))),
        }
    }

    fn params(&self) -> Result<Params, Failure> {
        let params = Params {
            kinds: self.kind.clone(),
            containers: self.container.clone(),
            images: self.image.clone(),
            services: self.service.clone(),
            expressions: self.expressions.clone(),
            ..self.range.params()?
        };
        params.query().map_err(Failure::usage)?;
        Ok(params)
    }
}

/// A file that has its name once it is whole, and is removed if it never is.
struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    fn beside(file: &Path) -> Self {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        Self { path: file.with_file_name(name) }
    }

    fn finish(&self, file: &Path) -> anyhow::Result<()> {
        let synced = File::open(&self.path).and_then(|it| it.sync_all());
        synced
            .and_then(|()| fs::rename(&self.path, file))
            .with_context(|| format!("cannot finish {}", file.display()))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Gone already where it was finished.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes what is asked for; returns how many observations.
fn write(out: impl Write + Send, form: Form, args: &Args, params: Params) -> Result<u64, Failure> {
    let mut written = 0;
    match form {
        Form::Json => {
            let mut out = BufWriter::with_capacity(64 << 10, out);
            take_all(args, params, &mut |object| {
                written += 1;
                serde_json::to_writer(&mut out, object)?;
                Ok(out.write_all(b"\n")?)
            })?;
            out.flush().map_err(Failure::environment)?;
        }
        Form::Parquet => {
            let mut table = Table::new(out).map_err(Failure::environment)?;
            take_all(args, params, &mut |object| {
                written += 1;
                table.add(object)
            })?;
            table.close().map_err(Failure::environment)?;
        }
    }
    Ok(written)
}

/// Hands out observations until writing one fails.
fn take_all(
    args: &Args,
    params: Params,
    take: &mut dyn FnMut(&Map<String, Json>) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    let mut failed = None;
    let ended = answer::each_or_end(&args.source, params, &mut |object| match take(object) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = failed {
        return Err(Failure::environment(error.context("writing the export")));
    }
    // A file that has its name is whole.
    ended.map_or(Ok(()), |why| {
        Err(Failure::environment(anyhow!("the export is not whole and is not kept: {why}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse as parsed;

    fn parse(line: &str) -> Args {
        parsed(line).expect("is right")
    }

    #[test]
    fn the_name_tells_the_form_unless_it_is_said() {
        for (line, form) in [
            ("a.parquet", Form::Parquet),
            ("a.jsonl", Form::Json),
            ("a.b -o parquet", Form::Parquet),
            ("- -o json", Form::Json),
        ] {
            assert_eq!(parse(line).form().ok(), Some(form), "{line}");
        }
        for line in ["-", "a", "a.csv"] {
            let exit = parse(line).form().map_err(|failure| failure.exit).err();
            assert_eq!(exit, Some(Exit::Usage), "{line}");
        }
    }

    #[test]
    fn a_file_that_is_there_is_kept_and_an_unfinished_one_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("a.jsonl");
        fs::write(&file, "kept").expect("is written");
        let exit = |line: &str| run(&parse(line)).map_err(|failure| failure.exit).err();
        let line = format!("{} --data-dir /nonexistent", file.display());
        assert_eq!(exit(&line), Some(Exit::Usage));
        assert_eq!(exit(&format!("{line} --force")), Some(Exit::Environment));
        assert_eq!(fs::read_to_string(&file).expect("is there"), "kept");
        assert_eq!(fs::read_dir(dir.path()).expect("is there").count(), 1);
    }
}
