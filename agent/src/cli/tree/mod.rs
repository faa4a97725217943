//! `plimsoll tree`: who made whom, and what each of them did.

mod drawn;

use std::ops::ControlFlow;

use anyhow::anyhow;
use plimsoll_ebpf::value::readable;
use serde_json::{Map, Value as Json};

use super::{
    answer,
    columns::{Format, lines, print},
    exit::{Exit, Failure},
    selection::{Range, Source},
    timeline,
};
use crate::{
    api::params::Params,
    query::{
        lineage::{Ancestors, Family, Identity, Sighting, sight},
        moment::rfc3339,
        table::text,
    },
};

/// Digits of the longest process id that Linux gives out; more are the number of an incident.
const PID_DIGITS: usize = 7;
/// Shortest start of an incident's number that is taken for one.
const MIN_INCIDENT: usize = 4;

/// Show a process with its ancestors and descendants, and what they did.
///
/// A process is asked for by its id on the host, at whatever time it lived; an incident by the start
/// of its number, which stands for the processes of its alerts; a container for all its processes.
/// Processes that had the same id one after the other are told apart by their start.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A process by its id on the host, or an incident by the start of its number
    #[arg(value_name = "PID|INCIDENT", required_unless_present = "container")]
    whose: Option<String>,
    /// All processes of this container or service; with a process, only if it is in there
    #[arg(long, value_name = "NAME|ID")]
    container: Option<String>,
    /// Of the processes that had this id, the one that started so many nanoseconds after boot
    #[arg(long, value_name = "NANOSECONDS", requires = "whose")]
    start: Option<u64>,
    /// Show at most so many different acts of each process
    #[arg(long, value_name = "N", default_value_t = 10)]
    acts: usize,
    /// How to show it
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    source: Source,
}

/// Whose tree it is.
enum Root {
    Process(u64),
    Incident(String),
    Container,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let root = root(args.whose.as_deref())?;
    let mut params = args.range.params()?;
    if let Some(container) = &args.container {
        timeline::find_out(&args.source, container, &mut params)?;
    }
    let mut family = match root {
        Root::Container => Family::of_all(),
        Root::Process(pid) => {
            let asked = process(args, &params, pid)?;
            related(args, &mut params, asked)?
        }
        Root::Incident(id) => {
            let asked = incident(args, &params, &id)?;
            related(args, &mut params, asked)?
        }
    };
    answer::each(&args.source, params, &mut |object| family.add(object))?;
    if family.left_out > 0 {
        answer::warn(&format!(
            "{} observations of further processes are left out: narrow the time",
            family.left_out
        ));
    }
    let roots = family.link();
    print(&match args.output {
        Format::Json => lines(&family.processes),
        Format::Table => drawn::family(&family, &roots, args.acts),
    })?;
    Ok(Exit::Done)
}

fn root(whose: Option<&str>) -> Result<Root, Failure> {
    let Some(whose) = whose else { return Ok(Root::Container) };
    if let Ok(pid) = whose.parse::<u64>()
        && whose.len() <= PID_DIGITS
    {
        return Ok(Root::Process(pid));
    }
    let is_number = whose.len() >= MIN_INCIDENT && whose.bytes().all(|it| it.is_ascii_hexdigit());
    if is_number {
        return Ok(Root::Incident(whose.to_lowercase()));
    }
    Err(Failure::usage(anyhow!(
        "'{}' is neither a process id nor the start of an incident's number, which `plimsoll incidents` lists; a container is named with --container",
        readable(whose.as_bytes())
    )))
}

/// The process of this id: the one that was asked for, or the newest.
fn process(args: &Args, params: &Params, pid: u64) -> Result<Vec<Sighting>, Failure> {
    let mut asked = params.clone();
    asked.expressions.push(format!("proc.pid = {pid}"));
    let mut seen = Vec::new();
    answer::each(&args.source, asked, &mut |object| sight(&mut seen, object))?;
    if let Some(start) = args.start {
        seen.retain(|it| it.identity.start == start);
    }
    seen.sort_by_key(|it| (it.last_ns, it.first_ns));
    let Some(newest) = seen.pop() else {
        let which = args.start.map_or_else(String::new, |it| format!(" that started at {it}"));
        return Err(Failure::usage(anyhow!(
            "nothing is recorded of a process {pid}{which}: ids are those of the host"
        )));
    };
    if !seen.is_empty() {
        note_others(pid, &newest, &seen);
    }
    Ok(vec![newest])
}

/// Tells of processes that had the same id.
fn note_others(pid: u64, shown: &Sighting, others: &[Sighting]) {
    const TOLD: usize = 5;
    eprintln!(
        "note: {} processes had the id {pid}; this is the one last seen at {}",
        others.len() + 1,
        rfc3339(shown.last_ns)
    );
    for other in others.iter().rev().take(TOLD) {
        eprintln!(
            "note: another: --start {} ({}, last seen at {})",
            other.identity.start,
            readable(other.command.as_bytes()),
            rfc3339(other.last_ns)
        );
    }
}

/// The processes that an incident's alerts are of.
fn incident(args: &Args, params: &Params, id: &str) -> Result<Vec<Sighting>, Failure> {
    let mut asked = params.clone();
    asked.kinds = vec!["alert".to_owned()];
    asked.expressions.push(format!("alert.incident ^= '{id}'"));
    let (mut seen, mut incidents) = (Vec::new(), Vec::<String>::new());
    answer::each(&args.source, asked, &mut |object: &Map<String, Json>| {
        let incident = text(object, "alert.incident");
        if !incidents.contains(&incident) {
            incidents.push(incident);
        }
        sight(&mut seen, object);
    })?;
    match incidents.len() {
        0 => Err(Failure::usage(anyhow!(
            "no incident begins with {id}: plimsoll incidents lists them"
        ))),
        1 if seen.is_empty() => Err(Failure::usage(anyhow!(
            "the alerts of incident {id} are of no process in particular: see `plimsoll timeline`"
        ))),
        1 => Ok(seen),
        many => Err(Failure::usage(anyhow!(
            "{many} incidents begin with {id}: give more of its number"
        ))),
    }
}

/// The family of processes, as far as it is known before their acts are read; asks for its
/// containers alone.
fn related(args: &Args, params: &mut Params, asked: Vec<Sighting>) -> Result<Family, Failure> {
    let mut ids: Vec<String> = asked.iter().map(|it| it.container_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.iter().all(|id| !id.is_empty()) {
        params.containers = ids;
        params.services.clear();
    }
    let mut ancestors = Ancestors::default();
    for it in &asked {
        ancestors.begin(&it.object);
    }
    if !ancestors.is_whole() {
        // Backwards, since they are usually found soon: an ancestor lives longer than who it made.
        let backwards = Params { reverse: true, ..params.clone() };
        answer::each_until(&args.source, backwards, &mut |object| {
            ancestors.add(object);
            if ancestors.is_whole() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    let identities: Vec<Identity> = asked.into_iter().map(|it| it.identity).collect();
    Ok(Family::of(&identities, &ancestors.found()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse as parsed;

    #[test]
    fn a_process_an_incident_or_a_container_is_asked_for() {
        assert!(matches!(root(Some("4194304")), Ok(Root::Process(4_194_304))));
        assert!(matches!(root(Some("00123456")), Ok(Root::Incident(_))), "too long for a process");
        assert!(matches!(root(Some("ABCD")), Ok(Root::Incident(id)) if id == "abcd"));
        assert!(matches!(root(None), Ok(Root::Container)));
        for wrong in ["web", "abc", "", "-1"] {
            let exit = root(Some(wrong)).map_err(|failure| failure.exit).err();
            assert_eq!(exit, Some(Exit::Usage), "{wrong}");
        }
    }

    #[test]
    fn nothing_at_all_is_refused() {
        assert!(parsed::<Args>("").is_err());
        assert!(parsed::<Args>("--container web").is_ok());
        assert!(parsed::<Args>("--container web --start 7").is_err());
    }
}
