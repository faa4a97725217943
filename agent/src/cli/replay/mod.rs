//! `plimsoll replay`: what was recorded, judged again without the agent.

mod known;
mod source;
mod told;

use std::path::PathBuf;

use anyhow::anyhow;
use plimsoll_ebpf::rules::{Class, Mode, Severity};

use super::{
    choices,
    columns::Format,
    exit::{Exit, Failure},
    overrides::Overrides,
    progress::Progress,
};
use crate::{
    api::params::Params,
    baseline::learner::Baseline,
    clock,
    daemon::learn_settings,
    policy::{configured, keeper, modes::Modes, names},
    query::{moment, search::Query},
    replay::{Replay, moment_of},
};

use source::Source;
use told::{Form, Told};

/// Judge what was recorded once more, and show what would be alerted.
///
/// Reads the store of an agent, or a file that `plimsoll events -o json` wrote, and hands everything
/// to the agent's own baseline and judge, at the moments that were recorded: the same recording gives
/// the same alerts. Policies, exceptions and the settings of learning are the configuration's. What is
/// known at the beginning is nothing, unless --profiles says more. With a store come the policies and
/// exceptions that were set at the command line of its agent. No agent is asked, and nothing is
/// changed. What images hold on disk is not looked into, and amounts (cpu, memory, traffic) are not
/// measured again.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A file of JSON lines as plimsoll events writes them, which may be packed by zstd; the store where
    /// none is named
    #[arg(value_name = "FILE", conflicts_with = "data_dir")]
    file: Option<PathBuf>,
    /// Read the store in this directory, not in the configured one
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Earliest moment: 10m, 2h, 2026-11-24T14:12:00, 2026-11-24, or seconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Latest moment, as --since
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only learn until this moment, as --since; what was learned is then taken for approved
    #[arg(long, value_name = "TIME")]
    learn_until: Option<String>,
    /// Begin with these profiles: the data directory of an agent, or a file of profile export
    #[arg(long, value_name = "PATH")]
    profiles: Option<PathBuf>,
    /// Configuration file: policies, exceptions and settings of learning
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Treat every class so in every container, whatever the configuration says
    #[arg(long, value_name = "MODE", value_parser = ["learn", "monitor", "enforce"])]
    mode: Option<String>,
    /// Only this container, by name or start of its id
    #[arg(long, value_name = "NAME|ID")]
    container: Vec<String>,
    /// Only containers of this image: repository, repository:tag, or start of its digest
    #[arg(long, value_name = "IMAGE")]
    image: Vec<String>,
    /// Only containers of this Swarm or compose service
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// Only what this holds of, such as: `ctr.image != 'shop/test'`
    #[arg(long = "where", value_name = "EXPRESSION")]
    expressions: Vec<String>,
    /// Only alerts that are as bad as this or worse
    #[arg(long, value_name = "LEVEL", value_parser = choices::severities())]
    severity: Option<Severity>,
    /// End with exit code 1 if an alert is shown that is as bad as this or worse
    #[arg(long, value_name = "LEVEL", value_parser = choices::severities())]
    fail_on: Option<Severity>,
    /// Only the summary, not each alert
    #[arg(long)]
    summary: bool,
    /// How to print: a table, or one JSON object a line
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Do not cut long lines
    #[arg(long)]
    no_trunc: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let config = Overrides::default().load(args.config.clone())?.config;
    let query = args.params().query().map_err(Failure::usage)?;
    let learn_until_ns = args.learn_until()?;
    let source = if let Some(file) = &args.file {
        Source::File(file.clone())
    } else {
        Source::Store(args.data_dir.as_ref().unwrap_or(&config.agent.data_dir).clone())
    };
    let book = configured::book(&config);
    let mut book = book.map_err(|problems| Failure::usage(anyhow!(problems.join("; "))))?;
    if let Source::Store(directory) = &source {
        book = keeper::read_book(book, directory).map_err(Failure::environment)?;
    }
    if let Some(mode) = args.mode()? {
        book.modes = Modes::of(|_: Class| mode);
        book.policies.clear();
    }
    let known = args.profiles.as_deref().map(known::read).transpose()?.unwrap_or_default();
    let mut baseline = Baseline::new(learn_settings(&config));
    let entrypoints = known.entrypoints();
    known.restore(&mut baseline, query.since_ns);
    let mut replay = Replay::new(baseline, book.into(), learn_until_ns);
    for (digest, entrypoint) in entrypoints {
        replay.restorer().assume(digest, entrypoint);
    }
    let worst = judge(&source, &query, replay, args)?;
    let is_found = args.fail_on.is_some_and(|it| worst >= Some(it));
    Ok(if is_found { Exit::Findings } else { Exit::Done })
}

/// Goes through the recording twice: for what containers were started as, and to judge. Returns how
/// bad the worst is that was told.
fn judge(
    source: &Source,
    query: &Query,
    mut replay: Replay,
    args: &Args,
) -> Result<Option<Severity>, Failure> {
    let mut starts = query.clone();
    // The start of a container may lie before what is asked for.
    starts.since_ns = 0;
    starts.filter.expressions.clear();
    starts.filter.kinds = vec!["container".to_owned()];
    source.each(&starts, &mut |recorded| replay.restorer().prepare(recorded))?;
    let form = match args.output {
        _ if args.summary => Form::Summary,
        Format::Table => Form::Lines,
        Format::Json => Form::Objects,
    };
    let mut told = Told::new(args.severity, form, args.no_trunc);
    let mut progress = Progress::new(query.until_ns.min(clock::now_ns()));
    let mut looked_at = 0;
    source.each(query, &mut |recorded| {
        looked_at += 1;
        progress.step(looked_at, || moment_of(recorded));
        replay.take(recorded, &mut |alert| told.add(alert));
        if !replay.is_learning() {
            told.note_recorded(recorded);
        }
    })?;
    drop(progress);
    if replay.is_learning() {
        return Err(Failure::usage(anyhow!(
            "nothing was recorded after --learn-until: there is nothing to judge"
        )));
    }
    replay.end(&mut |alert| told.add(alert));
    told.end(looked_at, replay.counts(), args.output)
}

impl Args {
    fn params(&self) -> Params {
        Params {
            since: self.since.clone(),
            until: self.until.clone(),
            containers: self.container.clone(),
            images: self.image.clone(),
            services: self.service.clone(),
            expressions: self.expressions.clone(),
            ..Params::default()
        }
    }

    fn learn_until(&self) -> Result<Option<u64>, Failure> {
        let moment = self.learn_until.as_deref().map(moment::parse).transpose();
        moment.map_err(|error| Failure::usage(anyhow!("--learn-until: {error}")))
    }

    fn mode(&self) -> Result<Option<Mode>, Failure> {
        self.mode.as_deref().map(names::mode).transpose().map_err(Failure::usage)
    }
}
