//! The list of kernels, and of what is tested on them: `tests/kernels.toml`.

use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::paths;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// What is run with every test of the project.
    pub(super) proof: Proof,
    #[serde(rename = "kernel")]
    pub(super) kernels: Vec<Kernel>,
    #[serde(rename = "tier")]
    pub(super) tiers: Vec<Tier>,
    #[serde(rename = "exception", default)]
    pub(super) exceptions: Vec<Exception>,
}

/// The tests that prove that acts are refused, and where they are run each time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    pub(super) kernel: String,
    pub(super) tier: String,
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

/// What kernels are booted with, so that acts are stopped by one means or another.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(super) struct Tier {
    /// What the user calls it.
    pub(super) name: String,
    /// What it is, as the heading of its results.
    pub(super) title: String,
    /// Whether programs of BPF LSM are to be called.
    pub(super) has_bpf_lsm: bool,
    /// What it needs on the command line, after what the kernel needs.
    #[serde(default)]
    pub(super) cmdline: String,
    /// How the names of the tests begin that are run.
    pub(super) tests: Vec<String>,
}

/// Tests that are not run under some kernels.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exception {
    pub(super) kernels: Vec<String>,
    /// In these tiers; in all if none is named.
    #[serde(default)]
    pub(super) tiers: Vec<String>,
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

    /// The tiers of this name in the order of the list; all if none is given.
    pub(super) fn tiers(&self, name: Option<&str>) -> Result<Vec<&Tier>> {
        let tiers: Vec<&Tier> =
            self.tiers.iter().filter(|tier| name.is_none_or(|name| tier.name == name)).collect();
        if tiers.is_empty() {
            let known: Vec<&str> = self.tiers.iter().map(|it| it.name.as_str()).collect();
            let name = name.unwrap_or_default();
            bail!("tests/kernels.toml has no tier {name}; it has {}", known.join(", "));
        }
        Ok(tiers)
    }

    /// Those of all tests whose names begin so and that this kernel is to pass.
    pub(super) fn tests_for<'t>(
        &self,
        kernel: &Kernel,
        tier: &str,
        starts: &[String],
        all: &'t [String],
    ) -> Vec<&'t str> {
        let is_listed = |test: &str| starts.iter().any(|start| test.starts_with(start));
        let is_excepted = |test: &str| self.is_excepted(&kernel.name, tier, test);
        all.iter().map(String::as_str).filter(|it| is_listed(it) && !is_excepted(it)).collect()
    }

    /// Whether a test is not run under a kernel in a tier.
    pub(super) fn is_excepted(&self, kernel: &str, tier: &str, test: &str) -> bool {
        let names = |names: &[String], name: &str| names.iter().any(|it| it == name);
        let is_it = |it: &Exception| {
            names(&it.kernels, kernel)
                && (it.tiers.is_empty() || names(&it.tiers, tier))
                && names(&it.tests, test)
        };
        self.exceptions.iter().any(is_it)
    }

    /// Fails where the list names something that is not there.
    pub(super) fn verify(&self, all: &[String]) -> Result<()> {
        for test in self.exceptions.iter().flat_map(|it| &it.tests) {
            if !all.contains(test) {
                bail!("tests/kernels.toml names the test {test}, which is not there");
            }
        }
        let starts = self.tiers.iter().flat_map(|it| &it.tests).chain(&self.proof.tests);
        for start in starts {
            if !all.iter().any(|test| test.starts_with(start)) {
                bail!("tests/kernels.toml names tests of {start}, of which there are none");
            }
        }
        self.select(std::slice::from_ref(&self.proof.kernel))?;
        self.tiers(Some(&self.proof.tier))?;
        for exception in &self.exceptions {
            self.select(&exception.kernels)?;
            exception.tiers.iter().try_for_each(|tier| self.tiers(Some(tier)).map(|_| ()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        proof = { kernel = "2", tier = "a", tests = ["names::"] }
        [[kernel]]
        name = "1"
        sources = ["http://host/debian one"]
        cmdline = "lsm=bpf"
        [[kernel]]
        name = "2"
        sources = []
        [[tier]]
        name = "a"
        title = "A"
        has_bpf_lsm = true
        tests = ["files::", "names::one"]
        [[exception]]
        kernels = ["1"]
        tests = ["files::b"]
        why = "it is too old"
        [[exception]]
        kernels = ["2"]
        tiers = ["b"]
        tests = ["files::a"]
        why = "nothing shows it there"
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
    fn a_tier_that_is_not_there_is_told_with_those_that_are() {
        let list = list();
        assert_eq!(list.tiers(None).expect("none is wrong").len(), 1);
        let message = list.tiers(Some("b")).expect_err("there is none").to_string();
        assert_eq!(message, "tests/kernels.toml has no tier b; it has a");
    }

    #[test]
    fn a_kernel_passes_what_is_listed_and_not_excepted() {
        let list = list();
        let all = texts(&["files::a", "files::b", "names::one", "names::two"]);
        let starts = &list.tiers[0].tests;
        assert_eq!(list.tests_for(&list.kernels[0], "a", starts, &all), ["files::a", "names::one"]);
        assert_eq!(
            list.tests_for(&list.kernels[1], "a", starts, &all),
            ["files::a", "files::b", "names::one"]
        );
        let in_b = list.tests_for(&list.kernels[1], "b", starts, &all);
        assert_eq!(in_b, ["files::b", "names::one"]);
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
