//! `plimsoll health`: whether the running agent does its work.

use std::io::Write;

use serde::Deserialize;

use super::{
    ask::{self, AgentArgs},
    exit::{Exit, Failure},
    output,
};
use crate::api::client;

/// Tell whether the running agent does its work, as health checks ask.
///
/// It asks on the agent's socket, so that it needs neither the port of the metrics nor its token.
/// Exit code 0 while what the kernel reports reaches the store, 3 while it does not, 4 where no agent
/// answers.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    agent: AgentArgs,
}

/// What the agent says of itself, as far as it is asked for here.
#[derive(Debug, Deserialize)]
struct Status {
    healthy: bool,
    detail: String,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let status: Status =
        client::value(&args.agent.socket()?, "/v1/status").map_err(ask::failure)?;
    let mut out = output::stdout();
    writeln!(out, "{}", status.detail).and_then(|()| out.flush()).map_err(Failure::environment)?;
    Ok(exit(&status))
}

fn exit(status: &Status) -> Exit {
    if status.healthy { Exit::Done } else { Exit::Environment }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_the_health() {
        let said = |healthy: bool| {
            let text = format!(r#"{{"version":"1","healthy":{healthy},"detail":"x"}}"#);
            exit(&serde_json::from_str(&text).expect("is what the agent says"))
        };
        assert_eq!((said(true), said(false)), (Exit::Done, Exit::Environment));
    }
}
