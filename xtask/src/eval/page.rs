//! What a campaign showed, as text and as tables of docs/detection.md.

use std::{fmt::Write as _, fs};

use anyhow::{Context, Result};

use super::{
    Args,
    profiles::{self, Known, Profile},
    score::{Rate, Run, Score},
};
use crate::paths;

const BEGIN: &str = "<!-- Begin of what `cargo xtask eval --page` writes. -->\n";
const END: &str = "<!-- End of what `cargo xtask eval --page` writes. -->\n";

const QUIET_BEGIN: &str = "<!-- Begin of what `cargo xtask eval --quiet --page` writes. -->\n";
const QUIET_END: &str = "<!-- End of what `cargo xtask eval --quiet --page` writes. -->\n";

/// Puts the result between its marks in docs/detection.md; what people wrote around them stays.
pub(super) fn write(args: &Args, score: &Score, profiles: &[Profile]) -> Result<()> {
    put([BEGIN, END], &tables(args, score, profiles))
}

/// The same of a run without attacks.
pub(super) fn write_quiet(args: &Args, table: &str) -> Result<()> {
    let command = command(args);
    put([QUIET_BEGIN, QUIET_END], &format!("`{command}`\n\n{table}"))
}

fn put([begin, end]: [&str; 2], text: &str) -> Result<()> {
    let path = paths::root().join("docs/detection.md");
    let page = fs::read_to_string(&path).context("reading docs/detection.md")?;
    let missing = |mark: &str| format!("docs/detection.md has no mark: {}", mark.trim());
    let (before, rest) = page.split_once(begin).with_context(|| missing(begin))?;
    let (_, after) = rest.split_once(end).with_context(|| missing(end))?;
    let page = format!("{before}{begin}\n{text}\n{end}{after}");
    fs::write(&path, page).context("writing docs/detection.md")
}

/// What was run.
fn command(args: &Args) -> String {
    let Args { learn, detect, seed, time_scale, .. } = args;
    let quiet = if args.quiet { " --quiet" } else { "" };
    format!(
        "cargo xtask eval{quiet} --learn {learn} --detect {detect} --seed {seed} --time-scale {time_scale}"
    )
}

/// The result in short.
pub(super) fn summary(score: &Score) -> String {
    let mut text = String::new();
    for (what, value) in figures(score) {
        let _ = writeln!(text, "{what:32} {value}");
    }
    text
}

fn figures(score: &Score) -> Vec<(&'static str, String)> {
    let mut figures = vec![
        ("attacks carried out", format!("{} of {} kinds", score.runs, score.attacks)),
        ("detected", rate(&score.detection)),
        ("of it, beyond the channel's own", rate(&score.specific)),
        ("in the right container", score.attribution.right.to_string()),
        ("told of another container only", score.attribution.only_elsewhere.to_string()),
        ("container hours", format!("{:.1}", score.container_hours)),
        ("false incidents", score.false_incidents.to_string()),
        ("of it, near maintenance", score.false_near_maintenance.to_string()),
        ("of it, near an administrator", score.false_near_grey.to_string()),
        ("alerts of no victim", score.alerts_without_victim.to_string()),
        ("windows without attack that alerted", rate(&score.sham)),
    ];
    if let Some(delays) = &score.time_to_detect {
        let text = format!("{} median, {} p90, {} most", delays.median, delays.p90, delays.max);
        figures.push(("seconds to the alert", text));
    }
    if !score.missed.is_empty() {
        figures.push(("missed", score.missed.join(", ")));
    }
    if !score.not_performed.is_empty() {
        figures.push(("not carried out", score.not_performed.join(", ")));
    }
    figures
}

fn rate(rate: &Rate) -> String {
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let [low, high] = rate.interval;
    let share = rate.share.map_or_else(|| "none".to_owned(), percent);
    format!("{share} of {} ({} to {})", rate.n, percent(low), percent(high))
}

fn tables(args: &Args, score: &Score, profiles: &[Profile]) -> String {
    let mut text = format!("`{}`\n\n| | |\n| --- | --- |\n", command(args));
    for (what, value) in figures(score) {
        let _ = writeln!(text, "| {what} | {value} |");
    }
    text += "\n| class | detected | specific |\n| --- | --- | --- |\n";
    for (name, class) in &score.by_class {
        let specific = class.specific.map_or_else(String::new, |it| format!("{:.0} %", 100.0 * it));
        let share = class.detected.share.unwrap_or_default();
        let detected = (share * class.detected.n as f64).round();
        let _ = writeln!(text, "| {name} | {detected} of {} | {specific} |", class.detected.n);
    }
    text += "\n| attack | in | came by | told as | seconds |\n| --- | --- | --- | --- | --- |\n";
    for run in sorted(&score.details) {
        text += &row(run);
    }
    text += &false_alarms(score);
    text += &known(profiles);
    text
}

fn sorted(runs: &[Run]) -> Vec<&Run> {
    let mut runs: Vec<&Run> = runs.iter().collect();
    runs.sort_by(|a, b| (&a.class, &a.id).cmp(&(&b.class, &b.id)));
    runs
}

fn row(run: &Run) -> String {
    let told = if run.detected {
        let kinds: Vec<String> = run.kinds.iter().map(|kind| format!("`{kind}`")).collect();
        let is_common = if run.specific { "" } else { " (as the channel alone)" };
        format!("{}{is_common}", kinds.join(" "))
    } else {
        "**not told**".to_owned()
    };
    let seconds = run.seconds.map_or_else(String::new, |it| format!("{it:.1}"));
    let or_none = |it: &Option<String>| {
        it.clone().filter(|it| !it.is_empty()).unwrap_or_else(|| "own".into())
    };
    format!(
        "| {} | {} | {} | {told} | {seconds} |\n",
        run.id,
        or_none(&run.service),
        or_none(&run.channel)
    )
}

fn false_alarms(score: &Score) -> String {
    if score.false_kinds.is_empty() {
        return String::new();
    }
    let mut text = "\n| false incidents by rule | |\n| --- | --- |\n".to_owned();
    for (kind, count) in &score.false_kinds {
        let _ = writeln!(text, "| `{kind}` | {count} |");
    }
    text
}

/// What was known of each image and service when the attacks began.
fn known(profiles: &[Profile]) -> String {
    let mut text = "\n| known before the attacks | profiles | enough by itself | alerts/day expected | at most |\n\
                    | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for (dimension, known) in profiles::by_dimension(profiles) {
        let Known { profiles, monitored, daily, daily_bound } = known;
        let _ = writeln!(
            text,
            "| {dimension} | {profiles} | {monitored} | {daily:.1} | {daily_bound:.1} |"
        );
    }
    text
}
