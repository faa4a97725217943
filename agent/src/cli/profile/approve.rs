//! `plimsoll profile approve`, `reset` and `deny`: enough is known, nothing is, or not what some did.

use std::{
    io::{self, BufRead, IsTerminal},
    time::Duration,
};

use anyhow::anyhow;
use hyper::Method;
use plimsoll_ebpf::value::readable;

use super::{
    super::{
        ask,
        columns::{Format, print},
        exit::{Exit, Failure},
    },
    list,
};
use crate::{
    api::{client, params::escape, profiles::ProfileRequest},
    baseline::{saved::Saved, view::Summary},
    clock,
    config::setting::Setting,
    query::moment,
};

/// Say that enough is known of an image or service: what departs from it is alerted from now on.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ApproveArgs {
    #[command(flatten)]
    common: Common,
}

/// Forget what is known of an image or service, and learn it anew.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ResetArgs {
    #[command(flatten)]
    common: Common,
}

/// Say that what only some containers did, or what is new since a moment, does not belong to an
/// image: it is told whenever it happens, and never learned.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub(super) struct DenyArgs {
    /// The container, by at least 6 digits of its id
    #[arg(long, value_name = "ID", group = "which")]
    pub(super) container: Option<String>,
    /// What was seen first at this moment or later: 10m, 2026-12-31T00:00:00Z, or seconds since 1970
    #[arg(long, value_name = "TIME", group = "which")]
    pub(super) since: Option<String>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Whose profile is changed, and how that is told.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Common {
    /// The image as it is asked for, the start of its digest, or a service
    #[arg(value_name = "IMAGE")]
    pub(super) whom: String,
    /// Do not ask
    #[arg(long, short)]
    pub(super) yes: bool,
    /// How to print: a table, or one JSON object a line
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    pub(super) output: Format,
    #[command(flatten)]
    pub(super) agent: ask::AgentArgs,
}

pub(super) fn approve(args: &ApproveArgs) -> Result<Exit, Failure> {
    let socket = args.common.agent.socket()?;
    let target = format!("/v1/profiles/{}", escape(&args.common.whom));
    let profiles: Vec<Saved> = client::value(&socket, &target).map_err(ask::failure)?;
    let now_s = clock::now_ns() / 1_000_000_000;
    for saved in &profiles {
        // It holds what an image says of itself.
        eprintln!("{}", readable(cost(&Summary::of(saved, now_s)).as_bytes()));
    }
    args.common.change("/v1/profiles/approve", None, None)
}

pub(super) fn reset(args: &ResetArgs) -> Result<Exit, Failure> {
    eprintln!("all that is known of {} is forgotten and learned anew", args.common.whom);
    args.common.change("/v1/profiles/reset", None, None)
}

pub(super) fn deny(args: &DenyArgs) -> Result<Exit, Failure> {
    let since = args.since.as_deref().map(|text| since_ns(text, clock::now_ns())).transpose();
    let since_s = since.map_err(Failure::usage)?.map(|since_ns| since_ns / 1_000_000_000);
    eprintln!(
        "what is meant is told whenever it happens, and never learned of {}",
        args.common.whom
    );
    args.common.change("/v1/profiles/deny", args.container.clone(), since_s)
}

/// A time before now, or a moment.
fn since_ns(text: &str, now_ns: u64) -> anyhow::Result<u64> {
    if let Some(before) = Duration::parse(text) {
        let before_ns = u64::try_from(before.as_nanos()).unwrap_or(u64::MAX);
        return Ok(now_ns.saturating_sub(before_ns));
    }
    moment::parse(text).map_err(|error| anyhow!("--since: {error}"))
}

/// What approving a profile costs, in one line.
fn cost(it: &Summary) -> String {
    let [expected, bound] = it.cost();
    format!(
        "{} {}: about {expected:.1} alerts a day of new behaviours are to be expected, at most \
         {bound:.1} (95 %), from {} units and {} starts; containers that have not started under \
         observation are not judged while they start",
        it.image, it.subject, it.units, it.starts,
    )
}

impl Common {
    fn change(
        &self,
        target: &str,
        container: Option<String>,
        since_s: Option<u64>,
    ) -> Result<Exit, Failure> {
        if !self.yes && !is_confirmed()? {
            eprintln!("nothing is changed");
            return Ok(Exit::Done);
        }
        let socket = self.agent.socket()?;
        let request = ProfileRequest { whom: self.whom.clone(), container, since_s };
        let answer: Vec<Summary> =
            client::change(&socket, Method::POST, target, Some(&request)).map_err(ask::failure)?;
        print(&list::shown(&answer, self.output))?;
        Ok(Exit::Done)
    }
}

/// Asks on the terminal.
fn is_confirmed() -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let text = "there is no terminal to ask on: confirm with --yes";
        return Err(Failure::usage(anyhow!(text)));
    }
    eprint!("go on? [y/N] ");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Failure::environment)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
