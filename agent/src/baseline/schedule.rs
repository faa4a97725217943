//! What an image has its own scheduler do: the commands of the crontabs in its layers. A job that
//! comes up once a week or a month has hardly run when enough else is known of an image; but the image
//! says that it will, so its first runs are learned from whenever they come.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{
    behaviour::{Behaviour, Learning},
    dimension::Dimension,
    program,
};
use crate::attribution::{
    normal::base,
    process::{Origin, Process},
};

/// Runs of a job that are learned from.
const FIRST_RUNS: u32 = 3;
/// Commands that are kept of an image.
const MOST_JOBS: usize = 64;
/// Longest command that is kept, in bytes.
const MOST_BYTES: usize = 1024;
/// Schedulers: Debian's and Vixie's; cronie's, dcron's and Busybox'.
const SCHEDULERS: [&[u8]; 2] = [b"cron", b"crond"];

/// The jobs of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    jobs: Vec<Job>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Job {
    /// What the shell is given.
    command: String,
    /// How often it was seen to run; no more than [`FIRST_RUNS`] are counted.
    runs: u32,
}

/// What stands between the time of a line and its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// A user's name, in the system's own tables.
    System,
    /// Nothing, in those of users.
    User,
    /// Nothing, in those of Busybox, to which a `%` is a letter as any other.
    Busybox,
}

impl Schedule {
    /// The jobs of an image's tables.
    pub fn of<'t>(tables: impl IntoIterator<Item = (Table, &'t str)>) -> Self {
        let mut schedule = Self::default();
        let lines = tables
            .into_iter()
            .flat_map(|(table, text)| text.lines().filter_map(move |line| command_of(table, line)));
        for command in lines {
            let is_there = schedule.jobs.iter().any(|it| it.command == command);
            if !is_there && command.len() <= MOST_BYTES && schedule.jobs.len() < MOST_JOBS {
                schedule.jobs.push(Job { command: command.into_owned(), runs: 0 });
            }
        }
        schedule
    }

    /// Counts a run, if a process that a scheduler made is the shell of a job. Returns whether it is one
    /// of the job's first.
    pub fn is_first_run(&mut self, process: &Process) -> bool {
        let code = program::shell_text(&process.exe, &process.args);
        let code = code.and_then(|it| std::str::from_utf8(it).ok());
        let Some(command) = code.filter(|_| process.origin == Origin::Init).map(str::trim) else {
            return false;
        };
        let mut jobs = self.jobs.iter_mut();
        let job = jobs.find(|it| it.command == command && it.runs < FIRST_RUNS);
        job.map(|it| it.runs += 1).is_some()
    }

    /// All of it is to be learned.
    pub fn forget_runs(&mut self) {
        self.jobs.iter_mut().for_each(|it| it.runs = 0);
    }

    /// Keeps what is known of jobs that there were before.
    pub fn go_on(&mut self, before: &Self) {
        for job in &mut self.jobs {
            let known = before.jobs.iter().find(|it| it.command == job.command);
            job.runs = known.map_or(job.runs, |it| it.runs);
        }
    }

    /// What it takes, about, in bytes.
    pub fn bytes(&self) -> usize {
        self.jobs.iter().map(|it| size_of::<Job>() + it.command.len()).sum()
    }
}

/// Whether a behaviour of a job's first run is learned: which of the image's programs run, by whose doing
/// and with what, and what they write that nobody runs or obeys.
pub(super) fn is_learned(it: &Behaviour<'_>) -> bool {
    let is_of_job = matches!(
        it.dimension,
        Dimension::Process | Dimension::Lineage | Dimension::Arguments | Dimension::Write
    );
    is_of_job && matches!(it.learning, Learning::AsTemplate | Learning::AsItIs)
}

/// Whether a process begins a scheduler that is one of many programs in a file: its children do not show
/// it.
pub(super) fn is_scheduler(process: &Process) -> bool {
    SCHEDULERS.contains(&&*program::called(&process.exe, &process.args))
}

/// Whether the program that made a process is a scheduler by its file's name.
pub(super) fn is_by_scheduler(process: &Process) -> bool {
    let parent = process.lineage.ancestors.first();
    parent.is_some_and(|it| SCHEDULERS.contains(&base(&it.exe)))
}

/// The command of a line of a table, as `crontab(5)` reads it; `None` where it has none, or is run when
/// the scheduler starts, as servers may be that never end.
fn command_of(table: Table, line: &str) -> Option<Cow<'_, str>> {
    let line = line.trim();
    let first = line.split_ascii_whitespace().next()?;
    if line.starts_with('#') || first.contains('=') || first == "@reboot" {
        return None;
    }
    let times = if line.starts_with('@') { 1 } else { 5 };
    let fields = times + usize::from(table == Table::System);
    let mut rest = line;
    for _ in 0..fields {
        let (_, after) = rest.split_once(|it: char| it.is_ascii_whitespace())?;
        rest = after.trim_start();
    }
    let command = if table == Table::Busybox { rest.into() } else { before_input(rest) };
    (!command.is_empty()).then_some(command)
}

/// A command without what it is given to read: all behind the first `%` that is not quoted.
fn before_input(command: &str) -> Cow<'_, str> {
    if !command.contains('%') {
        return command.into();
    }
    let mut before = String::new();
    let mut letters = command.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek() == Some(&'%') => before.extend(letters.next()),
            '%' => break,
            _ => before.push(letter),
        }
    }
    before.trim_end().to_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::process::{Ancestor, Lineage};

    const TABLE: &str = r#"
# m h dom mon dow user command
SHELL=/bin/sh
PATH = /usr/bin
17 *	* * *	root    cd / && run-parts --report /etc/cron.hourly
@daily nobody /opt/job "a b"
*/5 * * * * root date +\%F >/x%ignored
* * * * root
"#;

    fn commands(table: Table, text: &str) -> Vec<String> {
        Schedule::of([(table, text)]).jobs.into_iter().map(|it| it.command).collect()
    }

    #[test]
    fn commands_are_what_stands_behind_time_and_user() {
        let wanted =
            ["cd / && run-parts --report /etc/cron.hourly", "/opt/job \"a b\"", "date +%F >/x"];
        assert_eq!(commands(Table::System, TABLE), wanted);
        assert_eq!(commands(Table::User, "0 3 * * 0 /opt/weekly  --all\n"), ["/opt/weekly  --all"]);
        let percent = "@hourly date +%F\n@reboot /opt/server\n";
        assert_eq!(commands(Table::User, percent), ["date +"]);
        assert_eq!(commands(Table::Busybox, percent), ["date +%F"]);
    }

    #[test]
    fn a_hostile_table_is_bounded() {
        let many: Vec<String> = (0..1000).map(|it| format!("* * * * * /x{it}")).collect();
        assert_eq!(commands(Table::User, &many.join("\n")).len(), MOST_JOBS);
        assert!(commands(Table::User, &format!("* * * * * {}", "x".repeat(2000))).is_empty());
        assert!(commands(Table::System, "\u{0}\n%%%\n@\n@reboot\n* * * * *\n").is_empty());
    }

    fn run((parent, exe): (&str, &str), args: &[&str], origin: Origin) -> Process {
        let parent = Ancestor { pid: 1, start_ns: 1, exe: parent.as_bytes().into() };
        Process {
            exe: exe.as_bytes().into(),
            args: args.join("\0").into_bytes().into(),
            origin,
            lineage: Lineage::of([parent]),
            ..Process::default()
        }
    }

    #[test]
    fn the_first_runs_by_a_shell_are_counted() {
        let job = ["/bin/sh", "-c", "date +%F >/x"];
        let mut schedule = Schedule::of([(Table::System, TABLE)]);
        let dash = ("/usr/sbin/cron", "/usr/bin/dash");
        for (exe, args, origin) in [
            (dash, &job[..], Origin::Exec),
            (dash, &["/bin/sh", "-c", "date; id"][..], Origin::Init),
            (dash, &["/bin/sh", "-c", "date +%F >/x", "more"][..], Origin::Init),
            (dash, &["/bin/sh", "date +%F >/x"][..], Origin::Init),
            (("/usr/sbin/cron", "/usr/bin/php8.2"), &job[..], Origin::Init),
            (("/usr/sbin/cron", "/usr/bin/python3"), &job[..], Origin::Init),
        ] {
            assert!(!schedule.is_first_run(&run(exe, args, origin)), "{exe:?} {args:?}");
        }
        let by_cron = run(dash, &job, Origin::Init);
        let runs: Vec<bool> = (0..5).map(|_| schedule.is_first_run(&by_cron)).collect();
        assert_eq!(runs, [true, true, true, false, false]);
        let mut next = Schedule::of([(Table::System, TABLE)]);
        next.go_on(&schedule);
        assert!(!next.is_first_run(&by_cron));
        next.forget_runs();
        assert!(next.is_first_run(&by_cron));
        let busybox = run(("/bin/busybox", "/bin/busybox"), &["sh", "-c", job[2]], Origin::Init);
        assert!(next.is_first_run(&busybox));
    }

    #[test]
    fn schedulers_are_known_by_their_files_or_by_what_they_are_called() {
        let shell = |parent| run((parent, "/usr/bin/dash"), &["sh"], Origin::Init);
        assert!(is_by_scheduler(&shell("/usr/sbin/cron")));
        assert!(is_by_scheduler(&shell("/usr/sbin/crond")));
        assert!(!is_by_scheduler(&shell("/bin/busybox")) && !is_by_scheduler(&shell("/tmp/crony")));
        let of_many = |args: &[&str]| run(("/bin/sh", "/bin/busybox"), args, Origin::Init);
        assert!(is_scheduler(&of_many(&["crond", "-f"])));
        assert!(is_scheduler(&of_many(&["/bin/busybox", "crond"])));
        assert!(!is_scheduler(&of_many(&["sh", "crond"])));
    }
}
