//! `plimsoll mode`: how each class is treated in which containers, and how it shall be.

mod dry_run;
mod tally;

use std::io::{self, BufRead, IsTerminal};

use anyhow::anyhow;
use hyper::Method;
use plimsoll_ebpf::rules::{Class, Mode};
use serde_json::json;

use super::{
    ask,
    choices::{self, Choice, SelectorArgs},
    columns::{Format, lines, print, table},
    exit::{Exit, Failure},
};
use crate::{
    api::{
        client,
        messages::{ChangeAnswer, ModesRequest, PolicyAnswer, SourceLine},
    },
    policy::{modes::SomeModes, selector::Selector},
};

/// Show or set how broken rules are treated.
///
/// Without a mode it shows the defaults, the policies, and the modes in effect in each running
/// container. With one it sets that mode for the given classes in the containers that --image,
/// --service and --container name; in all of them where none is given. That holds at once and
/// across restarts, and wins over the configuration file.
///
/// `enforce --dry-run` changes nothing: it counts what would have been stopped, from what was
/// recorded.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The mode to set
    #[arg(value_parser = choices::modes(), requires = "classes")]
    mode: Option<Choice>,
    /// For this class; may be repeated
    #[arg(long = "class", id = "classes", value_name = "CLASS", value_parser = choices::classes())]
    #[arg(requires = "mode")]
    classes: Vec<Class>,
    #[command(flatten)]
    selector: SelectorArgs,
    /// Do not ask before acts are stopped
    #[arg(long, short, requires = "mode")]
    yes: bool,
    /// Change nothing; count what `enforce` would have stopped, from what was recorded
    #[arg(long, requires = "mode", conflicts_with = "yes")]
    dry_run: bool,
    /// Count from this moment on: 24h (the default), 7d, 2026-11-24T14:12:00, 2026-11-24
    #[arg(long, value_name = "TIME", requires = "dry_run")]
    since: Option<String>,
    /// How to print: a table, or one JSON object a line
    #[arg(long, short, visible_alias = "format", value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    agent: ask::AgentArgs,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    match args.mode {
        Some(Choice::Set(Mode::Enforce)) if args.dry_run => dry_run::run(&args),
        Some(_) if args.dry_run => {
            Err(failure_of("--dry-run goes with enforce: no other mode stops anything"))
        }
        Some(mode) => set(args, mode),
        None if Selector::from(args.selector.clone()) != Selector::default() => {
            Err(failure_of("name the mode to set: learn, monitor, enforce or default"))
        }
        None => show(&args),
    }
}

fn failure_of(text: &'static str) -> Failure {
    Failure::usage(anyhow!(text))
}

fn set(args: Args, mode: Choice) -> Result<Exit, Failure> {
    let socket = args.agent.socket()?;
    let selector = Selector::from(args.selector);
    eprintln!("{}", intention(mode, &args.classes, &selector));
    if mode == Choice::Set(Mode::Enforce) && !args.yes && !is_confirmed()? {
        eprintln!("nothing is changed");
        return Ok(Exit::Done);
    }
    let of = |class| args.classes.contains(&class).then(|| mode.name().to_owned());
    let request = ModesRequest {
        exec: of(Class::Exec),
        file: of(Class::File),
        network: of(Class::Network),
        image: selector.image,
        service: selector.service,
        container: selector.container,
    };
    let answer: ChangeAnswer =
        client::change(&socket, Method::POST, "/v1/modes", Some(&request)).map_err(ask::failure)?;
    if let Some(why) = &answer.unsaved {
        eprintln!("warning: this holds until the agent ends: {why}");
    }
    print(&match args.output {
        Format::Table => format!("done; running containers concerned: {}\n", answer.containers),
        Format::Json => lines(&[answer]),
    })?;
    Ok(Exit::Done)
}

/// What is going to be done, in one line.
fn intention(mode: Choice, classes: &[Class], selector: &Selector) -> String {
    let names: Vec<&str> =
        Class::ALL.into_iter().filter(|it| classes.contains(it)).map(Class::name).collect();
    let (names, selector) = (names.join(", "), selector.to_string());
    match mode {
        Choice::Set(mode) => {
            let what = match mode {
                Mode::Learn => "what no image does is alerted",
                Mode::Monitor => "broken rules are alerted",
                Mode::Enforce => "broken rules are alerted and the acts stopped",
            };
            format!("{names}: {} for {selector}: {what}", mode.name())
        }
        Choice::Default => {
            format!("{names}: what was set at the command line for {selector} is taken back")
        }
    }
}

/// Asks on the terminal.
fn is_confirmed() -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(anyhow!(
            "acts would be stopped, and there is no terminal to ask on: confirm with --yes"
        )));
    }
    eprint!("go on? [y/N] ");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Failure::environment)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn show(args: &Args) -> Result<Exit, Failure> {
    let socket = args.agent.socket()?;
    let answer: PolicyAnswer = client::value(&socket, "/v1/policy").map_err(ask::failure)?;
    print(&match args.output {
        Format::Table => tables(&answer),
        Format::Json => objects(&answer),
    })?;
    Ok(Exit::Done)
}

/// One object a line: the defaults, each policy, each running container.
fn objects(answer: &PolicyAnswer) -> String {
    let mut objects = vec![json!({"of": "default", "modes": answer.modes})];
    let tagged = |of: &str, value: serde_json::Value| {
        let mut object = json!({ "of": of });
        if let (Some(object), serde_json::Value::Object(fields)) = (object.as_object_mut(), value) {
            object.extend(fields);
        }
        object
    };
    objects.extend(answer.policies.iter().map(|it| tagged("policy", json!(it))));
    objects.extend(answer.containers.iter().map(|it| tagged("container", json!(it))));
    lines(&objects)
}

fn tables(answer: &PolicyAnswer) -> String {
    let default = row("default".to_owned(), answer.modes, String::new());
    let policies = answer.policies.iter().map(|policy| {
        let source = match &policy.source {
            SourceLine::Config { line } => format!("configuration, line {line}"),
            SourceLine::Operator { made } => {
                format!("command line, {}", super::columns::moment(made))
            }
        };
        row(policy.selector.to_string(), policy.modes, source)
    });
    let rows: Vec<[String; 5]> = std::iter::once(default).chain(policies).collect();
    let mut text = table(["FOR", "EXEC", "FILE", "NETWORK", "FROM"], &rows);
    let containers = answer.containers.iter().map(|it| {
        let name =
            if it.name.is_empty() { it.id.chars().take(12).collect() } else { it.name.clone() };
        row(name, it.modes, it.image.clone())
    });
    let mut rows: Vec<[String; 5]> = containers.collect();
    rows.sort();
    if !rows.is_empty() {
        text += "\n";
        text += &table(["CONTAINER", "EXEC", "FILE", "NETWORK", "IMAGE"], &rows);
    }
    text
}

fn row(first: String, modes: SomeModes, last: String) -> [String; 5] {
    let name = |class| modes.get(class).map_or("", Mode::name).to_owned();
    [first, name(Class::Exec), name(Class::File), name(Class::Network), last]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse as parsed;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        parsed(line)
    }

    #[test]
    fn a_mode_is_set_for_classes_that_are_named() {
        let args = parse("enforce --class exec --class file --image nginx:*").expect("is right");
        assert_eq!(args.classes, [Class::Exec, Class::File]);
        let selector = Selector::from(args.selector);
        assert_eq!(
            intention(Choice::Set(Mode::Enforce), &args.classes, &selector),
            "exec, file: enforce for image nginx:*: broken rules are alerted and the acts stopped"
        );
        for line in
            ["enforce", "--class exec", "block --class exec", "enforce --class exe", "--yes"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(parse("").is_ok());
    }

    #[test]
    fn only_what_stops_acts_can_be_tried_dry() {
        let args = parse("enforce --class exec --dry-run --since 7d").expect("is right");
        assert!(args.dry_run && args.since.as_deref() == Some("7d"));
        let refused = |line| run(parse(line).expect("is read")).err().map(|it| it.exit);
        assert_eq!(refused("monitor --class exec --dry-run"), Some(Exit::Usage));
        assert_eq!(
            refused("enforce --class exec --dry-run --since soon --socket /x"),
            Some(Exit::Usage)
        );
        for line in
            ["--dry-run", "enforce --class exec --since 7d", "enforce --class exec --dry-run -y"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn what_is_shown_tells_who_decided_it() {
        let answer = r#"{"modes":{"exec":"monitor","file":"learn","network":"learn"},
            "policies":[{"image":"nginx:*","modes":{"exec":"enforce"},"source":"config","line":3}],
            "exceptions":[],
            "containers":[{"id":"00","name":"web","image":"nginx:1",
                "modes":{"exec":"enforce","file":"learn","network":"learn"}}]}"#;
        let answer: PolicyAnswer = serde_json::from_str(answer).expect("reads");
        let expected = "\
FOR            EXEC     FILE   NETWORK  FROM
default        monitor  learn  learn    -
image nginx:*  enforce  -      -        configuration, line 3

CONTAINER  EXEC     FILE   NETWORK  IMAGE
web        enforce  learn  learn    nginx:1
";
        assert_eq!(tables(&answer), expected);
        let objects = objects(&answer);
        let second = r#"{"of":"policy","image":"nginx:*","modes":{"exec":"enforce"},"source":"config","line":3}"#;
        assert_eq!(objects.lines().nth(1), Some(second));
        assert_eq!(objects.lines().count(), 3);
    }
}
