//! `plimsoll profile revoke`: takes back an exception.

use hyper::Method;

use super::exceptions;
use crate::{
    api::{client, messages::ChangeAnswer},
    cli::{
        ask,
        columns::Format,
        exit::{Exit, Failure},
    },
};

/// Take back an exception that was made at the command line.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Its id, as `plimsoll profile exceptions` shows it
    #[arg(value_parser = id)]
    id: String,
    /// How to print: a table, or one JSON object a line
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    agent: ask::AgentArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let socket = args.agent.socket()?;
    let target = format!("/v1/exceptions/{}", args.id);
    let answer: ChangeAnswer =
        client::change(&socket, Method::DELETE, &target, None::<&()>).map_err(ask::failure)?;
    exceptions::tell_change(&answer, args.output)
}

fn id(text: &str) -> Result<String, String> {
    let is_id = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { Ok(text.to_owned()) } else { Err("an id has hexadecimal digits only".to_owned()) }
}
