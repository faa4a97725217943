//! The list of kernels: `tests/kernels.toml`.

use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::paths;

/// The kernels and the package that each comes from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    package: String,
    kernel: Vec<Entry>,
}

/// An entry of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sources: Vec<String>,
    #[serde(default)]
    cmdline: String,
}

/// A kernel to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// What the user calls it.
    pub(super) name: String,
    /// Where apt finds it: address and suite.
    pub(super) sources: Vec<String>,
    /// The package that depends on the kernel's own.
    pub(super) package: String,
    /// What it needs on its command line beyond what all need.
    pub(super) cmdline: String,
}

/// The kernels of these names in the order of the list; all if none is named.
pub(super) fn select(names: &[String]) -> Result<Vec<Kernel>> {
    let path = paths::root().join("tests/kernels.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let all = parse(&text).with_context(|| format!("reading {}", path.display()))?;
    named(all, names)
}

fn parse(text: &str) -> Result<Vec<Kernel>> {
    let List { package, kernel } = toml::from_str(text)?;
    let kernels = kernel.into_iter().map(|Entry { name, sources, cmdline }| Kernel {
        name,
        sources,
        package: package.clone(),
        cmdline,
    });
    Ok(kernels.collect())
}

fn named(all: Vec<Kernel>, names: &[String]) -> Result<Vec<Kernel>> {
    for name in names {
        if !all.iter().any(|kernel| kernel.name == *name) {
            let known: Vec<&str> = all.iter().map(|kernel| kernel.name.as_str()).collect();
            bail!("tests/kernels.toml has no kernel {name}; it has {}", known.join(", "));
        }
    }
    Ok(all.into_iter().filter(|it| names.is_empty() || names.contains(&it.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        package = "linux"
        [[kernel]]
        name = "1"
        sources = ["http://host/debian one"]
        cmdline = "lsm=bpf"
        [[kernel]]
        name = "2"
        sources = []
    "#;

    fn names(asked: &[&str]) -> Vec<String> {
        let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
        let kernels = named(parse(LIST).expect("the list is good"), &asked);
        kernels.expect("the names are there").into_iter().map(|it| it.name).collect()
    }

    #[test]
    fn all_kernels_are_meant_when_none_is_named() {
        assert_eq!(names(&[]), ["1", "2"]);
        assert_eq!(names(&["2"]), ["2"]);
    }

    #[test]
    fn a_name_that_is_not_there_is_told_with_those_that_are() {
        let error = named(parse(LIST).expect("the list is good"), &["3".to_owned()]);
        let message = error.expect_err("there is no such kernel").to_string();
        assert_eq!(message, "tests/kernels.toml has no kernel 3; it has 1, 2");
    }

    #[test]
    fn an_entry_with_a_misspelt_key_is_refused() {
        assert!(parse(&LIST.replace("cmdline", "command_line")).is_err());
    }

    #[test]
    fn the_list_itself_is_good() {
        assert!(!select(&[]).expect("it is part of the repository").is_empty());
    }
}
