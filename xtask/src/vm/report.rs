//! The page that says what each kernel gives: `docs/kernel-support.md`.

use std::{
    collections::BTreeSet,
    fmt::{Display, Write},
    fs,
};

use anyhow::{Context, Result};

use super::{
    kernels::{Exception, Kernel, List, Tier},
    known::{Known, Run},
    outcome::Program,
};
use crate::{paths, say};

const INTRODUCTION: &str = "\
# Kernels

Written by `cargo xtask vm`, which boots each kernel of [tests/kernels.toml](../tests/kernels.toml) \
under QEMU with a Docker inside, and runs those live tests in which the kernel has a part. The \
kernels are Debian's; later versions of the same line are expected to do the same. Each column is \
of its kernel's last run; [kernel-support.json](kernel-support.json) names the tests.
";

/// A kernel and its last run in one tier.
type Row<'k> = (&'k Kernel, &'k Run);

/// Writes the page.
pub(super) fn write(list: &List, known: &Known) -> Result<()> {
    let path = paths::root().join("docs/kernel-support.md");
    fs::write(&path, page(list, known)).with_context(|| format!("writing {}", path.display()))?;
    say("wrote docs/kernel-support.md");
    Ok(())
}

fn page(list: &List, known: &Known) -> String {
    let rows = |tier: &Tier| -> Vec<Row<'_>> {
        let kernels = list.kernels.iter();
        kernels.filter_map(|it| Some((it, known.get(&it.name, &tier.name)?))).collect()
    };
    let mut parts = vec![INTRODUCTION.to_owned()];
    for tier in &list.tiers {
        parts.push(summary(tier, &rows(tier)));
    }
    // A program is checked alike in each tier; the first attaches the most.
    if let Some(tier) = list.tiers.first() {
        parts.push(programs(&rows(tier)));
    }
    parts.push(exceptions(&list.exceptions));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// What a tier gives on each kernel.
fn summary(tier: &Tier, rows: &[Row<'_>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("## {}\n\n", tier.title);
    text += &heading("", rows);
    line(&mut text, "version", rows, |it| it.outcome.release.clone());
    line(&mut text, "agent", rows, |it| it.commit.clone());
    line(&mut text, "programs attached", rows, |it| {
        format!("{} of {}", it.outcome.attached(), it.outcome.programs.len())
    });
    let classes: BTreeSet<&String> =
        rows.iter().flat_map(|(_, it)| it.outcome.denies.keys()).collect();
    for class in classes {
        line(&mut text, &format!("acts of `{class}` are"), rows, |it| {
            if it.outcome.denies.get(class) == Some(&true) { "refused" } else { "answered" }
        });
    }
    for area in areas(rows) {
        line(&mut text, &format!("tests of {area} passed"), rows, |it| {
            let passed = in_area(&it.outcome.passed, &area);
            format!("{passed} of {}", passed + in_area(&it.outcome.failed, &area))
        });
    }
    text += &figures(rows);
    let needs = rows.iter().map(|(kernel, _)| (*kernel, [&*kernel.cmdline, &*tier.cmdline]));
    let needs: Vec<String> = needs
        .map(|(kernel, words)| (kernel, words.join(" ").trim().to_owned()))
        .filter(|(_, words)| !words.is_empty())
        .map(|(kernel, words)| format!("{} was booted with `{words}`.\n", kernel.name))
        .collect();
    if !needs.is_empty() {
        text.push('\n');
    }
    text + &needs.concat() + &failures(rows)
}

/// What the tests are about: the first name of their paths.
fn areas(rows: &[Row<'_>]) -> BTreeSet<String> {
    let tests = rows.iter().flat_map(|(_, it)| it.outcome.passed.iter().chain(&it.outcome.failed));
    tests.filter_map(|test| Some(test.split_once("::")?.0.to_owned())).collect()
}

fn in_area(tests: &[String], area: &str) -> usize {
    tests.iter().filter(|it| it.split_once("::").is_some_and(|(first, _)| first == area)).count()
}

/// What tests counted that try an act many times.
fn figures(rows: &[Row<'_>]) -> String {
    let tried: BTreeSet<&String> =
        rows.iter().flat_map(|(_, it)| it.outcome.figures.keys()).collect();
    if tried.is_empty() {
        return String::new();
    }
    let mut text = "\n".to_owned();
    text += &heading("of so many tries", rows);
    for tried in tried {
        line(&mut text, tried, rows, |it| {
            it.outcome.figures.get(tried).cloned().unwrap_or_default()
        });
    }
    text
}

fn programs(rows: &[Row<'_>]) -> String {
    let mut text = "## Programs\n\nThe number is what the verifier followed before it took the \
        program, of at most a million instructions; kernels before 5.16 do not tell.\n\n"
        .to_owned();
    text += &heading("program", rows);
    let names: BTreeSet<&String> =
        rows.iter().flat_map(|(_, it)| it.outcome.programs.keys()).collect();
    for name in names {
        line(&mut text, &format!("`{name}`"), rows, |it| {
            it.outcome.programs.get(name).map_or("not there".to_owned(), became)
        });
    }
    text
}

fn became(program: &Program) -> String {
    match program {
        Program { is_attached: false, why, .. } if why.is_empty() => "not attached".to_owned(),
        Program { is_attached: false, why, .. } => why.clone(),
        Program { instructions: 0, .. } => "attached".to_owned(),
        Program { instructions, .. } => instructions.to_string(),
    }
}

fn exceptions(exceptions: &[Exception]) -> String {
    if exceptions.is_empty() {
        return String::new();
    }
    let mut text =
        "## What is not run\n\n| kernels | test | why |\n| --- | --- | --- |\n".to_owned();
    for exception in exceptions {
        for test in &exception.tests {
            let kernels = match exception.tiers.as_slice() {
                [] => exception.kernels.join(", "),
                tiers => format!("{} ({})", exception.kernels.join(", "), tiers.join(", ")),
            };
            row(&mut text, [&kernels, &format!("`{test}`"), &exception.why]);
        }
    }
    text
}

fn failures(rows: &[Row<'_>]) -> String {
    listed("What failed", rows, |it| &it.outcome.failed)
        + &listed("What passed by itself, after it had failed beside another test", rows, |it| {
            &it.outcome.passed_again
        })
}

/// Tests of some kind, by kernel.
fn listed(what: &str, rows: &[Row<'_>], tests: impl Fn(&Run) -> &[String]) -> String {
    let lines = rows.iter().flat_map(|(kernel, run)| {
        tests(run).iter().map(move |test| format!("| {} | `{test}` |\n", kernel.name))
    });
    let lines = lines.collect::<String>();
    if lines.is_empty() {
        return lines;
    }
    format!("\n{what}:\n\n| kernel | test |\n| --- | --- |\n{lines}")
}

fn heading(first: &str, rows: &[Row<'_>]) -> String {
    let mut text = String::new();
    let names = rows.iter().map(|(kernel, _)| kernel.name.as_str());
    row(&mut text, std::iter::once(first).chain(names));
    row(&mut text, std::iter::repeat_n("---", rows.len() + 1));
    text
}

fn line<T: Display>(text: &mut String, what: &str, rows: &[Row<'_>], cell: impl Fn(&Run) -> T) {
    let cells = rows.iter().map(|(_, run)| cell(run).to_string());
    row(text, std::iter::once(what.to_owned()).chain(cells));
}

fn row<T: Display>(text: &mut String, cells: impl IntoIterator<Item = T>) {
    for cell in cells {
        let _ = write!(text, "| {cell} ");
    }
    text.push_str("|\n");
}

#[cfg(test)]
mod tests {
    use super::{super::outcome::Outcome, *};

    const LIST: &str = r#"
        proof = { kernel = "1", tier = "a", tests = [] }
        [[kernel]]
        name = "1"
        sources = []
        cmdline = "lsm=bpf"
        [[kernel]]
        name = "2"
        sources = []
        [[tier]]
        name = "a"
        title = "With"
        has_bpf_lsm = true
        tests = []
        [[tier]]
        name = "b"
        title = "Without"
        has_bpf_lsm = false
        cmdline = "lsm=none"
        tests = []
        [[exception]]
        kernels = ["1"]
        tests = ["a::b"]
        why = "it is too old"
    "#;

    fn outcome() -> Outcome {
        let program = |is_attached, instructions, why: &str| Program {
            is_attached,
            instructions,
            why: why.to_owned(),
        };
        Outcome {
            release: "1.2.3".to_owned(),
            has_bpf_lsm: true,
            denies: [("exec".to_owned(), true), ("file".to_owned(), false)].into(),
            programs: [
                ("on_a".to_owned(), program(true, 512, "")),
                ("on_b".to_owned(), program(false, 0, "no such tracepoint")),
            ]
            .into(),
            figures: [("a thread writes".to_owned(), "written=0".to_owned())].into(),
            passed: vec!["a::c".to_owned()],
            passed_again: vec!["a::c".to_owned()],
            failed: vec!["a::d".to_owned()],
        }
    }

    #[test]
    fn the_page_says_what_each_kernel_gives() {
        let list: List = toml::from_str(LIST).expect("the list is good");
        let mut known = Known::default();
        known.insert("1", "a", outcome());
        known.insert("1", "b", Outcome { passed: vec!["a::c".to_owned()], ..Outcome::default() });
        let page = page(&list, &known);
        for line in [
            "## With",
            "| version | 1.2.3 |",
            "| programs attached | 1 of 2 |",
            "| acts of `exec` are | refused |",
            "| acts of `file` are | answered |",
            "| tests of a passed | 1 of 2 |",
            "| a thread writes | written=0 |",
            "1 was booted with `lsm=bpf`.",
            "| 1 | `a::d` |",
            "| 1 | `a::c` |",
            "## Without",
            "1 was booted with `lsm=bpf lsm=none`.",
            "| tests of a passed | 1 of 1 |",
            "| `on_a` | 512 |",
            "| `on_b` | no such tracepoint |",
            "| 1 | `a::b` | it is too old |",
        ] {
            assert!(page.lines().any(|it| it == line), "no {line:?} in\n{page}");
        }
        assert!(!page.contains("| 2 "), "{page}");
    }
}
