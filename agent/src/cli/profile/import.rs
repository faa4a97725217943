//! `plimsoll profile import`: profiles that were written down are known from now on.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use hyper::Method;

use super::{
    super::{
        ask,
        columns::{Format, print},
        exit::{Exit, Failure},
    },
    list,
};
use crate::{
    api::{client, profiles::ImportRequest},
    baseline::{
        import::{Document, MOST_TEXT, parse},
        view::Summary,
    },
    signature::{SIGNATURE_BYTES, VerifyingKey},
};

/// Have what a file says known of its images and services, and nothing else.
///
/// The file is one that `plimsoll profile export` wrote. Counts of what the agent knows already
/// stay; what the file does not hold is forgotten.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take it only if its signature is by this public key (Ed25519, PEM)
    #[arg(long, value_name = "PUBKEY")]
    verify: Option<PathBuf>,
    /// The signature; FILE.sig where it is not named
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Tell what departs from it from now on, without learning first
    #[arg(long)]
    approve: bool,
    /// Only look whether it can be taken; no agent is asked
    #[arg(long)]
    check: bool,
    /// How to print: a table, or one JSON object a line
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    agent: ask::AgentArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let (text, documents) = read(&args.file)?;
    let signature = args.signature()?;
    if let Some(path) = &args.verify {
        let key = VerifyingKey::read(path).map_err(Failure::environment)?;
        let path = args.signature_path();
        let signature =
            signature.as_ref().with_context(|| format!("{} is missing", path.display()));
        let checked = signature.and_then(|it| key.check(text.as_bytes(), it));
        checked.with_context(|| format!("{}", args.file.display())).map_err(Failure::usage)?;
    }
    if args.check {
        let behaviours: usize = documents.iter().map(|it| it.items.len()).sum();
        print(&format!("{} profiles, {behaviours} behaviours\n", documents.len()))?;
        return Ok(Exit::Done);
    }
    let socket = args.agent.socket()?;
    let request = ImportRequest { text, signature, approve: args.approve };
    let answer: Vec<Summary> =
        client::change(&socket, Method::POST, "/v1/profiles/import", Some(&request))
            .map_err(ask::failure)?;
    print(&list::shown(&answer, args.output))?;
    Ok(Exit::Done)
}

impl Args {
    fn signature_path(&self) -> PathBuf {
        self.signature.clone().unwrap_or_else(|| signature_of(&self.file))
    }

    /// The signature, where there is one; one that was asked for must be there.
    fn signature(&self) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.signature_path();
        let opened = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.signature.is_none() => {
                return Ok(None);
            }
            opened => opened,
        };
        let mut bytes = Vec::new();
        let read =
            opened.and_then(|it| it.take(SIGNATURE_BYTES as u64 + 1).read_to_end(&mut bytes));
        read.with_context(|| format!("reading {}", path.display()))
            .map_err(Failure::environment)?;
        Ok(Some(bytes))
    }
}

/// Where the signature of a file lies.
pub(super) fn signature_of(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".sig");
    name.into()
}

/// Reads a file that was exported. What is wrong with it is told by lines.
pub(in crate::cli) fn read(path: &Path) -> Result<(String, Vec<Document>), Failure> {
    let mut text = Vec::new();
    let file = File::open(path).with_context(|| format!("opening {}", path.display()));
    let file = file.map_err(Failure::environment)?;
    let read = file.take(MOST_TEXT as u64 + 1).read_to_end(&mut text);
    read.with_context(|| format!("reading {}", path.display())).map_err(Failure::environment)?;
    let shown = path.display();
    let text = String::from_utf8(text).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        Failure::usage(anyhow!("{shown}:{line}: it is no UTF-8"))
    })?;
    let documents = parse(&text).map_err(|faults| {
        let lines = faults.iter().map(|it| format!("{shown}:{}: {}", it.line, it.text));
        Failure::usage(anyhow!(lines.collect::<Vec<_>>().join("\n")))
    })?;
    Ok((text, documents))
}
