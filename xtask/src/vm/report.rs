//! The page that says what each kernel gives: `docs/kernel-support.md`.

use std::{
    collections::BTreeSet,
    fmt::{Display, Write},
    fs,
};

use anyhow::{Context, Result};

use super::{
    kernels::{Exception, Kernel, List},
    outcome::{Outcome, Program},
};
use crate::{paths, say};

const INTRODUCTION: &str = "\
# Kernels

Written by `cargo xtask vm`, which boots each kernel of [tests/kernels.toml](../tests/kernels.toml) \
under QEMU with a Docker inside, and runs those live tests in which the kernel has a part. The \
kernels are Debian's; later versions of the same line are expected to do the same.
";

/// A kernel and what was found out about it.
pub(super) type Row<'k> = (&'k Kernel, Outcome);

/// Writes the page.
pub(super) fn write(list: &List, rows: &[Row<'_>]) -> Result<()> {
    let path = paths::root().join("docs/kernel-support.md");
    fs::write(&path, page(list, rows)).with_context(|| format!("writing {}", path.display()))?;
    say("wrote docs/kernel-support.md");
    Ok(())
}

fn page(list: &List, rows: &[Row<'_>]) -> String {
    [
        INTRODUCTION.to_owned(),
        summary(rows),
        programs(rows),
        exceptions(&list.exceptions),
        failures(rows),
    ]
    .into_iter()
    .filter(|part| !part.is_empty())
    .collect::<Vec<_>>()
    .join("\n")
}

fn summary(rows: &[Row<'_>]) -> String {
    let mut text = heading("", rows);
    line(&mut text, "version", rows, |it| it.release.clone());
    line(&mut text, "BPF LSM", rows, |it| if it.has_bpf_lsm { "active" } else { "not active" });
    line(&mut text, "programs attached", rows, |it| {
        format!("{} of {}", it.attached(), it.programs.len())
    });
    line(&mut text, "tests passed", rows, |it| {
        format!("{} of {}", it.passed.len(), it.passed.len() + it.failed.len())
    });
    let needs: Vec<String> = rows
        .iter()
        .filter(|(kernel, _)| !kernel.cmdline.is_empty())
        .map(|(kernel, _)| format!("{} was booted with `{}`.\n", kernel.name, kernel.cmdline))
        .collect();
    if !needs.is_empty() {
        text.push('\n');
    }
    text + &needs.concat()
}

fn programs(rows: &[Row<'_>]) -> String {
    let mut text = "## Programs\n\nThe number is what the verifier followed before it took the \
        program, of at most a million instructions; kernels before 5.16 do not tell.\n\n"
        .to_owned();
    text += &heading("program", rows);
    let names: BTreeSet<&String> = rows.iter().flat_map(|(_, it)| it.programs.keys()).collect();
    for name in names {
        line(&mut text, &format!("`{name}`"), rows, |it| {
            it.programs.get(name).map_or("not there".to_owned(), became)
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
        "## What a kernel cannot do\n\n| kernels | test | why |\n| --- | --- | --- |\n".to_owned();
    for exception in exceptions {
        for test in &exception.tests {
            row(&mut text, [&exception.kernels.join(", "), &format!("`{test}`"), &exception.why]);
        }
    }
    text
}

fn failures(rows: &[Row<'_>]) -> String {
    let failed = rows.iter().flat_map(|(kernel, outcome)| {
        outcome.failed.iter().map(move |test| format!("| {} | `{test}` |\n", kernel.name))
    });
    let failed = failed.collect::<String>();
    if failed.is_empty() {
        return failed;
    }
    format!("## What failed\n\n| kernel | test |\n| --- | --- |\n{failed}")
}

fn heading(first: &str, rows: &[Row<'_>]) -> String {
    let mut text = String::new();
    let names = rows.iter().map(|(kernel, _)| kernel.name.as_str());
    row(&mut text, std::iter::once(first).chain(names));
    row(&mut text, std::iter::repeat_n("---", rows.len() + 1));
    text
}

fn line<T: Display>(text: &mut String, what: &str, rows: &[Row<'_>], cell: impl Fn(&Outcome) -> T) {
    let cells = rows.iter().map(|(_, outcome)| cell(outcome).to_string());
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
    use super::*;

    #[test]
    fn the_page_says_what_each_kernel_gives() {
        let list: List = toml::from_str(
            "tests = []\nproof = { kernel = \"1\", tests = [] }\n[[kernel]]\nname = \"1\"\nsources = []\ncmdline = \"lsm=bpf\"\n\
             [[exception]]\nkernels = [\"1\"]\ntests = [\"a::b\"]\nwhy = \"it is too old\"\n",
        )
        .expect("the list is good");
        let program = |is_attached, instructions, why: &str| Program {
            is_attached,
            instructions,
            why: why.to_owned(),
        };
        let outcome = Outcome {
            release: "1.2.3".to_owned(),
            has_bpf_lsm: true,
            programs: [
                ("on_a".to_owned(), program(true, 512, "")),
                ("on_b".to_owned(), program(false, 0, "no such tracepoint")),
            ]
            .into(),
            passed: vec!["a::c".to_owned()],
            failed: vec!["a::d".to_owned()],
        };
        let page = page(&list, &[(&list.kernels[0], outcome)]);
        for line in [
            "| version | 1.2.3 |",
            "| BPF LSM | active |",
            "| programs attached | 1 of 2 |",
            "| tests passed | 1 of 2 |",
            "1 was booted with `lsm=bpf`.",
            "| `on_a` | 512 |",
            "| `on_b` | no such tracepoint |",
            "| 1 | `a::b` | it is too old |",
            "| 1 | `a::d` |",
        ] {
            assert!(page.lines().any(|it| it == line), "no {line:?} in\n{page}");
        }
    }
}
