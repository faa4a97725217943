//! What can be wrong with the configuration.

use std::{fmt, path::PathBuf};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("reading the configuration {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What it says is wrong.
    #[error("{}", one_line(.0))]
    Wrong(Vec<Problem>),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: the file, a variable, a flag.
    pub place: String,
    /// What, with its line where there is one.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// All problems in one line, a place named once.
fn one_line(problems: &[Problem]) -> String {
    let mut line = String::new();
    for (index, problem) in problems.iter().enumerate() {
        let is_same_place = index > 0 && problems[index - 1].place == problem.place;
        if index > 0 {
            line.push_str("; ");
        }
        line += &if is_same_place { problem.message.clone() } else { problem.to_string() };
    }
    line
}
