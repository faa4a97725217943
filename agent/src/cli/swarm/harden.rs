//! `plimsoll swarm harden`: what no command of Docker's sets for a service.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use bollard::{
    Docker,
    errors::Error,
    models::{Service, ServiceSpec},
    query_parameters::{InspectServiceOptions, UpdateServiceOptionsBuilder},
};

use super::privileges::{AppArmor, FIRST_ENGINE, Seccomp, Wanted, major, missing, patched};
use crate::{
    attribution::docker,
    cli::{
        columns::print,
        exit::{Exit, Failure},
        overrides::Overrides,
    },
};

/// Set what no command of Docker's sets for a service: seccomp, `AppArmor`, no new privileges.
///
/// Asks an engine from 25 on, on a manager of the Swarm, over its API, then reads the service again to
/// see whether it was taken. Tasks are replaced as in every update of the service. Older engines drop
/// such settings without a word, so nothing is sent to them; `plimsoll check` tells what `AppArmor` keeps
/// from the agent there.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The service that the agents run as
    #[arg(long, value_name = "NAME|ID", default_value = "plimsoll_agent")]
    service: String,
    /// Filter of system calls
    #[arg(long, value_enum, default_value_t = Seccomp::Default)]
    seccomp: Seccomp,
    /// Profile of `AppArmor`, where the hosts use it
    #[arg(long, value_enum, default_value_t = AppArmor::Disabled)]
    apparmor: AppArmor,
    /// Let programs gain privileges when they are executed
    #[arg(long)]
    allow_new_privileges: bool,
    /// Only tell what would be changed
    #[arg(long)]
    dry_run: bool,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let config = Overrides::default().load(args.config.clone())?.config;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::environment)?;
    let told = runtime.block_on(harden(args, &config.docker.socket));
    print(&told.map_err(Failure::environment)?)?;
    Ok(Exit::Done)
}

/// Does it, and returns what to say of it.
async fn harden(args: &Args, socket: &Path) -> anyhow::Result<String> {
    let wanted = Wanted {
        seccomp: Some(args.seccomp),
        app_armor: Some(args.apparmor),
        no_new_privileges: Some(!args.allow_new_privileges),
    };
    let name = &args.service;
    let docker = docker::connect(socket)
        .await
        .with_context(|| format!("docker at {} does not answer", socket.display()))?;
    let version = docker.version().await?.version.unwrap_or_default();
    if major(&version).is_some_and(|it| it < FIRST_ENGINE) {
        return Err(anyhow!(
            "the engine is {version}, and services take seccomp, AppArmor and no new privileges from \
             {FIRST_ENGINE} on: nothing was changed; `plimsoll check` in the agent's container tells \
             what AppArmor keeps from it, and docs/deploy.md how to run it otherwise"
        ));
    }
    let (version, spec) = inspect(&docker, name).await?;
    let changes = missing(&spec, wanted);
    if changes.is_empty() {
        return Ok(format!("{name} has it all: nothing was changed\n"));
    }
    let listed = changes.join("\n") + "\n";
    if args.dry_run {
        return Ok(format!("{listed}nothing was changed: --dry-run\n"));
    }
    let options = UpdateServiceOptionsBuilder::new().version(version).build();
    let spec = patched(spec, wanted)?;
    docker.update_service(name, spec, options, None).await.context("updating the service")?;
    let (_, spec) = inspect(&docker, name).await?;
    let dropped = missing(&spec, wanted);
    if !dropped.is_empty() {
        return Err(anyhow!(
            "the engine took the update and dropped this of it: {}",
            dropped.join("; ")
        ));
    }
    Ok(format!("{listed}{name} is updated: `docker service ps {name}` shows how that goes\n"))
}

/// The version and the specification of a service.
async fn inspect(docker: &Docker, name: &str) -> anyhow::Result<(i32, ServiceSpec)> {
    let found = docker.inspect_service(name, None::<InspectServiceOptions>).await;
    let Service { version, spec, .. } = found.map_err(|error| {
        let status = if let Error::DockerResponseServerError { status_code, .. } = &error {
            *status_code
        } else {
            0
        };
        match status {
            404 => anyhow!("there is no service {name}: name it by --service"),
            406 | 503 => anyhow!("this node is no manager of a Swarm: run this on one"),
            _ => anyhow::Error::from(error).context("asking for the service"),
        }
    })?;
    let version = version.and_then(|it| it.index).context("the service tells no version")?;
    let version = version.try_into().context("the service's version is too large")?;
    Ok((version, spec.context("the service tells no specification")?))
}
