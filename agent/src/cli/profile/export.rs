//! `plimsoll profile export`: the profile of an image or service, as text for version control.

use std::{fs, path::PathBuf};

use anyhow::Context as _;

use super::{
    super::{
        columns::print,
        exit::{Exit, Failure},
    },
    import::signature_of,
    source::SourceArgs,
};
use crate::{baseline::export::export, signature::SigningKey};

/// Print what is known of an image or service as YAML that changes only with what is known.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The image as it is asked for, the start of its digest, or a service
    #[arg(value_name = "IMAGE")]
    whom: String,
    /// Write it into this file
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Sign it by this private key (Ed25519, PEM): the signature is written into FILE.sig
    #[arg(long, value_name = "KEY", requires = "to")]
    sign: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let key = args.sign.as_deref().map(SigningKey::read).transpose();
    let key = key.map_err(Failure::environment)?;
    let text = export(&args.source.profiles(&args.whom)?);
    let Some(path) = &args.to else {
        print(&text)?;
        return Ok(Exit::Done);
    };
    let write = |path: &PathBuf, bytes: &[u8]| {
        let written = fs::write(path, bytes);
        written.with_context(|| format!("writing {}", path.display())).map_err(Failure::environment)
    };
    write(path, text.as_bytes())?;
    if let Some(key) = key {
        write(&signature_of(path), &key.sign(text.as_bytes()))?;
    }
    Ok(Exit::Done)
}
