//! `plimsoll profile allow`: lets some containers break a rule at a path, or with a peer.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use hyper::Method;
use plimsoll_ebpf::rules::Rule;

use super::exceptions;
use crate::{
    api::{
        client,
        messages::{ChangeAnswer, ExceptionRequest},
    },
    cli::{
        ask,
        choices::{self, SelectorArgs},
        columns::Format,
        exit::{Exit, Failure},
    },
    clock,
    config::setting::Setting,
    policy::{
        exception::Terms,
        peers::{Peers, PeersError},
        place::Place,
        selector::Selector,
        template::{Template, TemplateError},
    },
    query::moment::{self, rfc3339},
};

/// Let some containers break a rule at a path, or with a peer.
///
/// That holds at once and across restarts, until it ends or is revoked.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    selector: SelectorArgs,
    /// The rule
    #[arg(long, value_name = "RULE", value_parser = choices::rules())]
    rule: Rule,
    /// Where, as the container sees it: /a/b exactly, /a/b/* or /a/b/pre* one name in /a/b,
    /// /a/b/** everything below it
    #[arg(long, value_name = "PATH", value_parser = path)]
    path: Option<Place>,
    /// With whom, for rules on the network: 10.0.0.0/8:5432/tcp or *:53/udp; of `raw_socket`, raw
    #[arg(
        long,
        value_name = "PEER",
        value_parser = peer,
        conflicts_with = "path",
        required_unless_present = "path"
    )]
    peer: Option<Place>,
    /// End after this time, such as 24h or 7d
    #[arg(long = "for", id = "for", value_name = "TIME", conflicts_with = "until")]
    lasting: Option<String>,
    /// End at this moment: 2026-12-31T00:00:00Z, 2026-12-31, or seconds since 1970
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Why it is allowed
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// How to print: a table, or one JSON object a line
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    agent: ask::AgentArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let request = args.request(clock::now_ns()).map_err(Failure::usage)?;
    let socket = args.agent.socket()?;
    let answer: ChangeAnswer =
        client::change(&socket, Method::POST, "/v1/exceptions", Some(&request))
            .map_err(ask::failure)?;
    exceptions::tell_change(&answer, args.output)
}

fn path(text: &str) -> Result<Place, TemplateError> {
    Template::parse(text).map(Place::Path)
}

fn peer(text: &str) -> Result<Place, PeersError> {
    Peers::parse(text).map(Place::Peers)
}

impl Args {
    fn request(&self, now_ns: u64) -> anyhow::Result<ExceptionRequest> {
        let expires_ns = self.expires_ns(now_ns)?;
        let selector = Selector::from(self.selector.clone());
        // Before the agent is asked: what is wrong here is wrong on every host.
        let place = self.path.as_ref().or(self.peer.as_ref()).cloned();
        let place = place.context("a path or a peer is needed")?;
        let (rule, reason) = (self.rule, self.reason.clone());
        Terms { selector: selector.clone(), rule, place: place.clone(), expires_ns, reason }
            .check()?;
        Ok(ExceptionRequest {
            image: selector.image,
            service: selector.service,
            container: selector.container,
            rule: rule.info().name.to_owned(),
            place,
            expires: expires_ns.map(rfc3339),
            reason: self.reason.clone(),
        })
    }

    fn expires_ns(&self, now_ns: u64) -> anyhow::Result<Option<u64>> {
        if let Some(text) = &self.lasting {
            let lasting = Duration::parse(text).and_then(|it| u64::try_from(it.as_nanos()).ok());
            let end = lasting.and_then(|lasting| now_ns.checked_add(lasting));
            return Ok(Some(end.ok_or_else(|| {
                anyhow!("--for: '{text}' is no time with its unit, such as 24h or 7d")
            })?));
        }
        let Some(text) = &self.until else { return Ok(None) };
        let end = moment::parse(text).map_err(|error| anyhow!("--until: {error}"))?;
        if end <= now_ns {
            bail!("--until: {text} is past; for a time from now on there is --for");
        }
        Ok(Some(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse as parsed;

    const NOW: u64 = 1_764_000_000_000_000_000;

    fn request(more: &str) -> Result<ExceptionRequest, String> {
        let line = format!("--rule new_executable --path /opt/** {more}");
        let args: Args = parsed(&line).map_err(|it| it.to_string())?;
        args.request(NOW).map_err(|error| error.to_string())
    }

    #[test]
    fn an_exception_may_end_after_a_time_or_at_a_moment() {
        let expires =
            |more: &str| request(&format!("--image nginx {more}")).map(|request| request.expires);
        let end = Some("2025-11-25T16:00:00.000000000Z".to_owned());
        assert_eq!(expires(""), Ok(None));
        assert_eq!(expires("--for 24h"), Ok(end.clone()));
        assert_eq!(expires("--until 2025-11-25T16:00:00Z"), Ok(end));
        for (more, reason) in [
            ("--for soon", "'soon' is no time"),
            ("--for 24h --until 2030-01-01", "cannot be used with"),
            ("--until 2020-01-01", "2020-01-01 is past"),
            ("--until soon", "`soon` is no moment"),
        ] {
            assert!(expires(more).expect_err("is wrong").contains(reason), "{more}");
        }
    }

    #[test]
    fn what_is_too_wide_is_refused_before_anybody_is_asked() {
        assert!(request("").expect_err("is for all").contains("too wide"));
        let wide = parsed::<Args>("--rule new_executable --path /**");
        let error = wide.expect_err("is wide").to_string();
        assert!(error.contains("'/**' is too wide"), "{error}");
    }
}
