//! `plimsoll profile approve` and `reset`: says that enough is known, or has all learned anew.

use std::io::{self, BufRead, IsTerminal};

use anyhow::anyhow;
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
    api::{client, params::escape, profiles::ProfileRequest},
    baseline::{saved::Saved, view::Summary},
    clock,
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

#[derive(Clone, Debug, clap::Args)]
struct Common {
    /// The image as it is asked for, the start of its digest, or a service
    #[arg(value_name = "IMAGE")]
    whom: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// How to print: a table, or one JSON object a line
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    agent: ask::AgentArgs,
}

pub(super) fn approve(args: &ApproveArgs) -> Result<Exit, Failure> {
    let socket = args.common.agent.socket()?;
    let target = format!("/v1/profiles/{}", escape(&args.common.whom));
    let profiles: Vec<Saved> = client::value(&socket, &target).map_err(ask::failure)?;
    let now_s = clock::now_ns() / 1_000_000_000;
    for saved in &profiles {
        eprintln!("{}", cost(&Summary::of(saved, now_s)));
    }
    args.common.change("/v1/profiles/approve")
}

pub(super) fn reset(args: &ResetArgs) -> Result<Exit, Failure> {
    eprintln!("all that is known of {} is forgotten and learned anew", args.common.whom);
    args.common.change("/v1/profiles/reset")
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
    fn change(&self, target: &str) -> Result<Exit, Failure> {
        if !self.yes && !is_confirmed()? {
            eprintln!("nothing is changed");
            return Ok(Exit::Done);
        }
        let socket = self.agent.socket()?;
        let request = ProfileRequest { whom: self.whom.clone() };
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
