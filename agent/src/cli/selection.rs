//! Which observations are asked for, and how they are shown: the options of all commands that ask.

use std::path::PathBuf;

use clap::ValueEnum;

use super::exit::Failure;
use crate::{api::params::Params, clock};

/// See the module.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Selection {
    /// Earliest moment: 10m, 2h, 2026-11-24T14:12:00, 2026-11-24, or seconds since 1970
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Latest moment, as --since
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
    /// Only this container, by name or start of its id
    #[arg(long, value_name = "NAME|ID")]
    pub(super) container: Vec<String>,
    /// Only containers of this image: repository, repository:tag, or start of its digest
    #[arg(long, value_name = "IMAGE")]
    pub(super) image: Vec<String>,
    /// Only containers of this Swarm or compose service
    #[arg(long, value_name = "NAME")]
    pub(super) service: Vec<String>,
    /// Only where this holds, such as: `proc.exe ~ 'sh$' and not net.raddr in 10.0.0.0/8`
    #[arg(long = "where", value_name = "EXPRESSION")]
    pub(super) expressions: Vec<String>,
    /// Go on with what happens from now on, or from --since or the newest --limit
    #[arg(long, short, conflicts_with = "reverse")]
    pub(super) follow: bool,
    /// Only the newest N
    #[arg(long, short = 'n', value_name = "N")]
    pub(super) limit: Option<u64>,
    /// Newest first
    #[arg(long)]
    pub(super) reverse: bool,
    /// How to show them
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
    /// With `-o csv`, these fields as columns, in this order; without it, all fields there are
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub(super) fields: Vec<String>,
    /// Do not cut long lines
    #[arg(long)]
    pub(super) no_trunc: bool,
    #[command(flatten)]
    pub(super) source: Source,
}

/// The time in which something is looked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Range {
    /// Earliest moment: 10m, 2h, 2026-11-24T14:12:00, 2026-11-24, or seconds since 1970
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Latest moment, as --since
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
}

impl Range {
    /// A question for all that is in it. Moments that count from now are fixed once, so that
    /// questions that follow each other are about the same time.
    ///
    /// # Errors
    /// When a moment cannot be read.
    pub(super) fn params(&self) -> Result<Params, Failure> {
        let params =
            Params { since: self.since.clone(), until: self.until.clone(), ..Params::default() };
        let query = params.query().map_err(Failure::usage)?;
        let until_ns = query.until_ns.min(clock::now_ns());
        let since = self.since.as_ref().map(|_| seconds(query.since_ns));
        Ok(Params { since, until: Some(seconds(until_ns)), ..Params::default() })
    }
}

/// Where observations are asked for: of the configured daemon, or of its store where none answers.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Source {
    /// Ask the daemon on this socket, not on the configured one
    #[arg(long, value_name = "PATH", conflicts_with = "data_dir")]
    pub(super) socket: Option<PathBuf>,
    /// Read the store in this directory, without the daemon: of this host or a copy, also where it
    /// cannot be written
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

/// How observations are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// One line each, for people.
    Table,
    /// One JSON object a line.
    Json,
    /// A heading and one line each, with commas between the values.
    Csv,
    /// One JSON object a line, alerts only, in the form of Falco.
    Falco,
}

impl Selection {
    /// The query, of any event.
    pub(super) fn params(&self) -> Params {
        let from_now = self.follow && self.since.is_none() && self.limit.is_none();
        Params {
            since: self.since.clone().or_else(|| from_now.then(|| seconds(clock::now_ns()))),
            until: self.until.clone(),
            containers: self.container.clone(),
            images: self.image.clone(),
            services: self.service.clone(),
            kinds: Vec::new(),
            expressions: self.expressions.clone(),
            limit: self.limit,
            reverse: self.reverse,
            follow: self.follow,
            ..Params::default()
        }
    }
}

/// Seconds since the epoch with nine digits behind the point.
pub(super) fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse as parsed;

    fn parse(line: &str) -> Result<Selection, clap::Error> {
        parsed(line)
    }

    #[test]
    fn a_repeated_option_gives_alternatives() {
        let selection = parse("--container web --container db -n 5 --reverse");
        let params = selection.expect("is right").params();
        assert_eq!(params.containers, ["web", "db"]);
        assert_eq!((params.limit, params.reverse, params.since), (Some(5), true, None));
    }

    #[test]
    fn a_follower_starts_at_what_it_was_told_or_now() {
        let since = |line| parse(line).expect("is right").params().since;
        let query = parse("-f").expect("is right").params().query().expect("is right");
        assert!(query.since_ns.abs_diff(clock::now_ns()) < 10_000_000_000);
        assert_eq!(since("-f --since 10m").as_deref(), Some("10m"));
        assert_eq!(since("-f -n 3"), None);
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        assert!(parse("-f --reverse").is_err());
        assert!(parse("--socket /a --data-dir /b").is_err());
        assert!(parse("-o yaml").is_err());
    }
}
