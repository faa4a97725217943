//! Flags that stand above the configuration, for the commands that load it.

use std::{env, io::ErrorKind, path::PathBuf};

use super::exit::{Exit, Failure};
use crate::{
    config::{
        error::{ConfigError, Problem},
        load::{Effective, Flag, Sources},
    },
    policy::configured,
};

/// Names the file where no flag does.
const VARIABLE: &str = "PLIMSOLL_CONFIG";

/// Flags that stand above the configuration.
#[derive(Debug, Default, clap::Args)]
pub struct Overrides {
    /// Directory in which the agent keeps its data.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Unix socket of the agent.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<String>,
    /// Address of /metrics and /healthz; empty turns them off.
    #[arg(long, value_name = "ADDR")]
    pub metrics_listen: Option<String>,
}

impl Overrides {
    /// The configuration in effect: file (the one named, else the one in `PLIMSOLL_CONFIG`, else
    /// the default one if it exists), environment, these flags.
    ///
    /// # Errors
    /// Exit 2 where what it says is wrong, 3 where the file cannot be read.
    pub fn load(&self, file: Option<PathBuf>) -> Result<Effective, Failure> {
        let file = file.or_else(|| env::var_os(VARIABLE).map(PathBuf::from));
        let flags = [
            ("agent.data_dir", "--data-dir", &self.data_dir),
            ("agent.socket", "--socket", &self.socket),
            ("metrics.listen", "--metrics-listen", &self.metrics_listen),
        ];
        let flags = flags
            .into_iter()
            .filter_map(|(key, flag, value)| Some(Flag { key, flag, value: value.clone()? }));
        let effective = Sources::from_environment(file, flags.collect()).load();
        effective.and_then(with_policy).map_err(failure)
    }
}

/// Refuses a configuration whose policies or exceptions mean nothing.
fn with_policy(effective: Effective) -> Result<Effective, ConfigError> {
    let Err(problems) = configured::book(&effective.config) else { return Ok(effective) };
    let place = effective.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
    let problem = |message| Problem { place: place.clone(), message };
    Err(ConfigError::Wrong(problems.into_iter().map(problem).collect()))
}

fn failure(error: ConfigError) -> Failure {
    let exit = match &error {
        // A path that leads nowhere is a slip of whoever named it.
        ConfigError::Unreadable { source, .. } if source.kind() == ErrorKind::NotFound => {
            Exit::Usage
        }
        ConfigError::Unreadable { .. } => Exit::Environment,
        ConfigError::Wrong(_) => Exit::Usage,
    };
    Failure { exit, error: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &std::path::Path) -> Failure {
        Overrides::default().load(Some(file.to_owned())).expect_err("cannot be loaded")
    }

    #[test]
    fn flags_stand_above_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "[agent]\ndata_dir = \"/file\"\n").expect("written");
        let data_dir = Some("/flag".to_owned());
        let overrides = Overrides { data_dir, ..Overrides::default() };
        let effective = overrides.load(Some(file.path().to_owned())).expect("loads");
        assert_eq!(effective.config.agent.data_dir, std::path::Path::new("/flag"));
    }

    #[test]
    fn each_fault_has_its_exit_code() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = of(&directory.path().join("none.toml"));
        assert_eq!(missing.exit, Exit::Usage);
        assert!(missing.to_string().contains("none.toml: No such file"), "{missing}");
        // Reading a directory fails for root too, as reading a forbidden file would not.
        assert_eq!(of(directory.path()).exit, Exit::Environment);
        let wrong = directory.path().join("wrong.toml");
        std::fs::write(&wrong, "[agents]\n").expect("written");
        assert_eq!(of(&wrong).exit, Exit::Usage);
        std::fs::write(&wrong, "[[policy]]\nimage = \"\"\nexec = \"learn\"\n").expect("written");
        let failure = of(&wrong);
        assert_eq!(failure.exit, Exit::Usage);
        let expected =
            "wrong.toml: [[policy]]: 'image' at line 2 cannot be '': a pattern cannot be";
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}
