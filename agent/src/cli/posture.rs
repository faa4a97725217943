//! `plimsoll posture`: what containers were given that leads out of them.

use std::path::{Path, PathBuf};

use bollard::{
    errors::Error,
    models::ContainerInspectResponse,
    query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder},
};
use plimsoll_ebpf::rules::Severity;
use serde::Serialize;

use super::{
    columns::{Format, lines, print, table},
    exit::{Exit, Failure},
    overrides::Overrides,
};
use crate::attribution::{docker, inspect, posture};

/// Show what containers were given that leads out of them: privileges, namespaces, mounts, devices.
///
/// Docker is asked, and no agent needs to run. The exit code is 1 where something severe was found.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Containers that do not run as well
    #[arg(long, short)]
    all: bool,
    /// How to print: a table, or one JSON object a line
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

/// Something that a container was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Found {
    #[serde(rename = "ctr.name")]
    container: String,
    #[serde(rename = "ctr.image")]
    image: String,
    #[serde(rename = "swarm.service")]
    service: String,
    severity: &'static str,
    /// The rule that alerts it, or `root_user`, which none does.
    finding: &'static str,
    /// What it is about, as an exception names it.
    object: String,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let config = args.overrides.load(args.config)?.config;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::environment)?;
    let socket = &config.docker.socket;
    let inspections = runtime.block_on(inspections(socket, args.all)).map_err(|error| {
        let socket = socket.display();
        Failure::environment(anyhow::anyhow!("docker at {socket} does not tell: {error}"))
    })?;
    let mut findings: Vec<Found> = inspections.iter().flat_map(findings_of).collect();
    findings.sort_by(|a, b| (&a.container, a.finding).cmp(&(&b.container, b.finding)));
    print(&shown(&findings, args.output))?;
    let severe = [Severity::High.name(), Severity::Critical.name()];
    let is_severe = findings.iter().any(|it| severe.contains(&it.severity));
    Ok(if is_severe { Exit::Findings } else { Exit::Done })
}

async fn inspections(socket: &Path, all: bool) -> Result<Vec<ContainerInspectResponse>, Error> {
    let docker = docker::connect(socket).await?;
    let options = ListContainersOptionsBuilder::new().all(all).build();
    let mut found = Vec::new();
    for id in docker.list_containers(Some(options)).await?.into_iter().filter_map(|it| it.id) {
        match docker.inspect_container(&id, None::<InspectContainerOptions>).await {
            Ok(response) => found.push(response),
            // It was removed meanwhile.
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn findings_of(response: &ContainerInspectResponse) -> Vec<Found> {
    let container = inspect::container(response, &[]);
    let finding = |severity: Severity, finding, object: &str| Found {
        container: container.name.clone(),
        image: container.image.clone(),
        service: container.service.clone(),
        severity: severity.name(),
        finding,
        object: object.to_owned(),
    };
    let grants = container.grants.iter();
    let mut findings: Vec<Found> = grants
        .map(|it| {
            let info = it.rule.info();
            finding(info.severity, info.name, &it.object)
        })
        .collect();
    if posture::runs_as_root(response) {
        findings.push(finding(Severity::Low, "root_user", ""));
    }
    findings
}

fn shown(findings: &[Found], output: Format) -> String {
    if output == Format::Json {
        return lines(findings);
    }
    let heading = ["CONTAINER", "IMAGE", "SERVICE", "SEVERITY", "FINDING", "WHAT"];
    let rows: Vec<[String; 6]> = findings
        .iter()
        .map(|it| {
            let [severity, finding] = [it.severity, it.finding].map(str::to_owned);
            let [container, image] = [&it.container, &it.image].map(Clone::clone);
            [container, image, it.service.clone(), severity, finding, it.object.clone()]
        })
        .collect();
    table(heading, &rows)
}
