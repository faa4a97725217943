//! Where recorded observations are read from.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use zstd::stream::read::Decoder;

use crate::{
    cli::{
        answer::{Line, warn},
        exit::Failure,
    },
    fields::Fields,
    query::{
        parsed::Parsed,
        search::{self, Answer, Query},
    },
    replay::moment_of,
    store::reader::Reader,
};

/// Longest line that is read.
const MOST_LINE: u64 = 4 << 20;

/// How files begin that zstd packed (RFC 8878, section 3.1.1).
const PACKED: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// See the module.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The store in a data directory.
    Store(PathBuf),
    /// JSON lines.
    File(PathBuf),
}

impl Source {
    /// Hands out every observation that is asked for, in the order of time.
    ///
    /// # Errors
    /// When the source cannot be read, or a line is none of an observation.
    pub(super) fn each(
        &self,
        query: &Query,
        take: &mut dyn FnMut(&dyn Fields),
    ) -> Result<(), Failure> {
        match self {
            Self::Store(directory) => of_store(directory, query, take),
            Self::File(path) => of_file(path, query, take),
        }
    }
}

fn of_store(
    directory: &Path,
    query: &Query,
    take: &mut dyn FnMut(&dyn Fields),
) -> Result<(), Failure> {
    let mut reader = Reader::open(directory).map_err(Failure::environment)?;
    let read = search::run(&mut reader, query, &mut |answer| {
        match answer {
            Answer::Row(row) => take(&row),
            Answer::Damage(damage) => warn(&damage.to_string()),
            // What is left are parts of summaries, which nobody asked for.
            Answer::Idle | Answer::Line(_) | Answer::Notice(_) | Answer::At(_) => {}
        }
        ControlFlow::Continue(())
    });
    read.map_err(Failure::environment)
}

/// Opens a file, which may be packed.
fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut plain = BufReader::with_capacity(1 << 16, File::open(path)?);
    if !plain.fill_buf()?.starts_with(&PACKED) {
        return Ok(Box::new(plain));
    }
    Ok(Box::new(BufReader::with_capacity(1 << 16, Decoder::with_buffer(plain)?)))
}

fn of_file(path: &Path, query: &Query, take: &mut dyn FnMut(&dyn Fields)) -> Result<(), Failure> {
    let shown = path.display();
    let mut reader =
        open(path).with_context(|| format!("opening {shown}")).map_err(Failure::environment)?;
    let (mut line, mut number, mut last_ns) = (Vec::new(), 0_u64, 0);
    loop {
        line.clear();
        number += 1;
        let read = std::io::Read::take(&mut reader, MOST_LINE).read_until(b'\n', &mut line);
        let count = read.with_context(|| format!("reading {shown}"));
        if count.map_err(Failure::environment)? == 0 {
            return Ok(());
        }
        let wrong = |what: &str| Failure::usage(anyhow!("{shown}:{number}: {what}"));
        let text = std::str::from_utf8(&line).map_err(|_| wrong("it is no UTF-8"))?.trim();
        if text.is_empty() {
            continue;
        }
        let object = match Line::read(text) {
            Line::Observation(object) => object,
            Line::Notice(what) if text.starts_with("{\"notice\":") => {
                warn(&what);
                continue;
            }
            // Whoever wrote it was told so; what is here is judged.
            Line::End(why) => {
                warn(&why);
                continue;
            }
            Line::Notice(_) | Line::At(_) => return Err(wrong("it is no JSON object")),
        };
        let parsed = Parsed::of(&object);
        let ts_ns = moment_of(&parsed).ok_or_else(|| wrong("it has no `ts`, as events have"))?;
        if ts_ns < last_ns {
            return Err(wrong("it is earlier than the line before: sort by `ts`"));
        }
        last_ns = ts_ns;
        let is_asked = (query.since_ns..=query.until_ns).contains(&ts_ns);
        if is_asked && query.filter.matches(&parsed) {
            take(&parsed);
        }
    }
}
