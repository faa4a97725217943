//! The list of kernels, and of what is tested on them: `tests/kernels.toml`.

use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::paths;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// How the names of the tests begin that are run.
    pub(super) tests: Vec<String>,
    /// What is run with every test of the project.
    pub(super) proof: Proof,
    #[serde(rename = "kernel")]
    pub(super) kernels: Vec<Kernel>,
    #[serde(rename = "exception", default)]
    pub(super) exceptions: Vec<Exception>,
}

/// The tests that prove that acts are refused, and the kernel they are run on each time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    pub(super) kernel: String,
    pub(super) tests: Vec<String>,
}

/// A kernel to boot.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(super) struct Kernel {
    /// What the user calls it.
    pub(super) name: String,
    /// Where apt finds it: address and suite.
    pub(super) sources: Vec<String>,
    /// What it needs on its command line beyond what all need.
    #[serde(default)]
    pub(super) cmdline: String,
}

/// Tests that some kernels cannot pass.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exception {
    pub(super) kernels: Vec<String>,
    pub(super) tests: Vec<String>,
    pub(super) why: String,
}

impl List {
    pub(super) fn read() -> Result<Self> {
        let path = paths::root().join("tests/kernels.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// The list with the tests of the proof in the place of its own.
    pub(super) fn for_proof(self) -> Self {
        Self { tests: self.proof.tests.clone(), ..self }
    }

    /// The kernels of these names in the order of the list; all if none is named.
    pub(super) fn select(&self, names: &[String]) -> Result<Vec<&Kernel>> {
        for name in names {
            if !self.kernels.iter().any(|kernel| kernel.name == *name) {
                let known: Vec<&str> = self.kernels.iter().map(|it| it.name.as_str()).collect();
                bail!("tests/kernels.toml has no kernel {name}; it has {}", known.join(", "));
            }
        }
        let is_meant = |name: &String| names.is_empty() || names.contains(name);
        Ok(self.kernels.iter().filter(|kernel| is_meant(&kernel.name)).collect())
    }

    /// Those of all tests that this kernel is to pass.
    pub(super) fn tests_for<'t>(&self, kernel: &Kernel, all: &'t [String]) -> Vec<&'t str> {
        let is_listed = |test: &str| self.tests.iter().any(|start| test.starts_with(start));
        let is_excepted = |test: &str| {
            self.exceptions.iter().any(|it| {
                it.kernels.contains(&kernel.name) && it.tests.iter().any(|name| name == test)
            })
        };
        all.iter().map(String::as_str).filter(|it| is_listed(it) && !is_excepted(it)).collect()
    }

    /// Fails where the list names something that is not there.
    pub(super) fn verify(&self, all: &[String]) -> Result<()> {
        for test in self.exceptions.iter().flat_map(|it| &it.tests) {
            if !all.contains(test) {
                bail!("tests/kernels.toml names the test {test}, which is not there");
            }
        }
        for start in &self.tests {
            if !all.iter().any(|test| test.starts_with(start)) {
                bail!("tests/kernels.toml names tests of {start}, of which there are none");
            }
        }
        self.select(std::slice::from_ref(&self.proof.kernel))?;
        self.exceptions.iter().try_for_each(|it| self.select(&it.kernels).map(|_| ()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        tests = ["files::", "names::one"]
        proof = { kernel = "2", tests = ["names::"] }
        [[kernel]]
        name = "1"
        sources = ["http://host/debian one"]
        cmdline = "lsm=bpf"
        [[kernel]]
        name = "2"
        sources = []
        [[exception]]
        kernels = ["1"]
        tests = ["files::b"]
        why = "it is too old"
    "#;

    fn list() -> List {
        toml::from_str(LIST).expect("the list is good")
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_kernels_are_meant_when_none_is_named() {
        let list = list();
        assert_eq!(list.select(&[]).expect("none is wrong").len(), 2);
        let one = list.select(&texts(&["2"])).expect("it is there");
        assert_eq!(one.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["2"]);
    }

    #[test]
    fn a_name_that_is_not_there_is_told_with_those_that_are() {
        let message = list().select(&texts(&["3"])).expect_err("there is none").to_string();
        assert_eq!(message, "tests/kernels.toml has no kernel 3; it has 1, 2");
    }

    #[test]
    fn a_kernel_passes_what_is_listed_and_not_excepted() {
        let list = list();
        let all = texts(&["files::a", "files::b", "names::one", "names::two"]);
        assert_eq!(list.tests_for(&list.kernels[0], &all), ["files::a", "names::one"]);
        assert_eq!(list.tests_for(&list.kernels[1], &all), ["files::a", "files::b", "names::one"]);
    }

    #[test]
    fn an_exception_for_a_test_that_is_not_there_is_refused() {
        let error = list().verify(&texts(&["files::a", "names::one"]));
        let message = error.expect_err("files::b is not there").to_string();
        assert_eq!(message, "tests/kernels.toml names the test files::b, which is not there");
    }

    #[test]
    fn an_entry_with_a_misspelt_key_is_refused() {
        assert!(toml::from_str::<List>(&LIST.replace("cmdline", "command_line")).is_err());
    }

    #[test]
    fn the_list_itself_is_good() {
        assert!(!List::read().expect("it is part of the repository").kernels.is_empty());
    }
}
