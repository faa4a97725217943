//! `plimsoll profile revoke`: takes back an exception, or what some containers taught.

use anyhow::anyhow;
use hyper::Method;

use super::{
    approve::{self, Common, DenyArgs},
    exceptions,
};
use crate::{
    api::{client, messages::ChangeAnswer},
    cli::{
        ask,
        columns::Format,
        exit::{Exit, Failure},
    },
};

/// Take back an exception that was made at the command line, or, with --container or --since, what
/// an image or service learned of some containers or since a moment.
///
/// The latter is what `plimsoll profile deny` does: what is meant is told whenever it happens, and
/// never learned.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The id of the exception, as `plimsoll profile exceptions` shows it; with --container or
    /// --since the image, the start of its digest, or a service
    #[arg(value_name = "ID|IMAGE")]
    what: String,
    /// What only this container taught, by at least 6 digits of its id
    #[arg(long, value_name = "ID")]
    container: Option<String>,
    /// What was seen first at this moment or later: 10m, 2026-12-31T00:00:00Z, or seconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// How to print: a table, or one JSON object a line
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    agent: ask::AgentArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let Args { what, container, since, yes, output, agent } = args.clone();
    if container.is_some() || since.is_some() {
        let common = Common { whom: what, yes, output, agent };
        return approve::deny(&DenyArgs { container, since, common });
    }
    if what.is_empty() || !what.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let text = "an id has hexadecimal digits only; with an image, name --container or --since";
        return Err(Failure::usage(anyhow!(text)));
    }
    let socket = agent.socket()?;
    let target = format!("/v1/exceptions/{what}");
    let answer: ChangeAnswer =
        client::change(&socket, Method::DELETE, &target, None::<&()>).map_err(ask::failure)?;
    exceptions::tell_change(&answer, output)
}
