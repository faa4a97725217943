//! The judge as a whole: what exceptions cover, what is told beside what, and floods.

use std::{collections::HashSet, sync::Arc};

use plimsoll_ebpf::{
    catalog::{Record, TailBuilder, encode},
    events::{
        alert::Alert,
        exec::Exec,
        file_write::{self, FileWrite},
        privilege::{self, Privilege},
    },
    layer::code,
    record::{Header, flags},
    rules::{Class, Mode, Rule},
};

use super::{judge::Judge, own::Own};
use crate::{
    attribution::{container::Container, node::Node, observation::Observation},
    baseline::{
        departure::Departure,
        dimension::{Context, Dimension},
        explain::DepartureKind,
        learner::Baseline,
        settings::Settings,
    },
    policy::{
        book::{Book, Policy},
        exception::{Exception, Source, Terms},
        modes::{Modes, SomeModes},
        pattern::Pattern,
        place::Place,
        selector::Selector,
    },
};

const SOURCE: Source = Source::Operator { made_ns: 1 };

fn shop() -> Selector {
    let image = Some(Pattern::parse("shop:1").expect("is a pattern"));
    Selector { image, ..Selector::default() }
}

fn book(allowed: &[(Rule, &str)], file: Mode) -> Book {
    let exception = |&(rule, place): &(Rule, &str)| {
        let place = Place::parse(place).expect("is a place");
        let terms =
            Terms { selector: shop(), rule, place, expires_ns: None, reason: String::new() };
        terms.check().expect("is an exception");
        Arc::new(Exception::new(terms, SOURCE))
    };
    let modes = SomeModes::of(|class| (class == Class::File).then_some(file));
    Book {
        modes: Modes::default(),
        policies: vec![Policy { selector: shop(), modes, source: SOURCE }],
        exceptions: allowed.iter().map(exception).collect(),
    }
}

/// A judge, and what it told.
struct Scene {
    judge: Judge,
    baseline: Baseline,
    told: Vec<(Rule, String, u32)>,
    /// The incidents of these.
    incidents: Vec<String>,
}

impl Scene {
    fn new(allowed: &[(Rule, &str)], file: Mode) -> Self {
        let judge = Judge::new(Arc::new(book(allowed, file)), Own::default());
        Self {
            judge,
            baseline: Baseline::new(Settings::default()),
            told: Vec::new(),
            incidents: Vec::new(),
        }
    }

    fn see(&mut self, cgroup_id: u64, entry: &[u8], departure: Option<&Departure>) {
        let record = Record::decode(entry).expect("decodes");
        let header = Header { cgroup_id, pid: 7, ..record.header };
        let container =
            Container { serial: cgroup_id, image: "shop:1".to_owned(), ..Container::default() };
        let observation = Observation {
            ts_ns: 10,
            record: Record::from_parts(header, record.body()).expect("decodes"),
            node: &Arc::new(Node::default()),
            container: Some(&Arc::new(container)),
            process: None,
            peer_name: None,
            former_name: None,
        };
        let departure = departure.map(|it| (it, &self.baseline));
        let Self { judge, told, incidents, .. } = self;
        judge.observe(&observation, departure, &mut |entry, _, _| {
            told.push(alert(entry));
            incidents.push(incident_of(entry));
        });
    }

    /// What was told since the last call: rules and paths.
    fn told(&mut self) -> Vec<(Rule, String)> {
        std::mem::take(&mut self.told).into_iter().map(|(rule, path, _)| (rule, path)).collect()
    }
}

fn alert(entry: &[u8]) -> (Rule, String, u32) {
    let record = Record::decode(entry).expect("decodes");
    let (alert, tail) = record.read::<Alert>().expect("is an alert");
    let path = String::from_utf8_lossy(tail.get(alert.path)).into_owned();
    (Rule::by_number(alert.rule).expect("is a rule"), path, record.header.count)
}

fn incident_of(entry: &[u8]) -> String {
    let record = Record::decode(entry).expect("decodes");
    let (alert, tail) = record.read::<Alert>().expect("is an alert");
    String::from_utf8_lossy(tail.get(alert.incident)).into_owned()
}

fn exec(path: &str, layer: u8, bits: u32, script: (&str, u8)) -> Vec<u8> {
    let mut texts = TailBuilder::default();
    let body = Exec {
        path: texts.push(path.as_bytes()),
        args: texts.push(path.as_bytes()),
        script: texts.push(script.0.as_bytes()),
        layer,
        script_layer: script.1,
        flags: bits,
        ..Exec::default()
    };
    encode(Header::default(), body, texts.bytes())
}

fn write(path: &str, layer: u8) -> Vec<u8> {
    write_at(0, path, layer)
}

fn write_at(boot_ns: u64, path: &str, layer: u8) -> Vec<u8> {
    let mut texts = TailBuilder::default();
    let path = texts.push(path.as_bytes());
    let body =
        FileWrite { path, layer, mode: 0o644, op: file_write::op::CREATE, ..FileWrite::default() };
    encode(Header { boot_ns, ..Header::default() }, body, texts.bytes())
}

fn departure(rule: Rule, object: &str) -> Departure {
    Departure {
        dimension: Dimension::Write,
        context: Context::Steady,
        rule,
        profile: 0,
        kind: DepartureKind::New,
        scope: String::new(),
        key: String::new(),
        object: object.to_owned(),
        layer: code::UPPER,
        fingerprint: u64::from(rule as u8),
        words: "It is new.".to_owned(),
    }
}

fn one(rule: Rule, path: &str) -> Vec<(Rule, String)> {
    vec![(rule, path.to_owned())]
}

#[test]
fn an_exception_for_a_program_is_none_for_its_script_or_its_master() {
    let python = "/venv/bin/python";
    let allowed = [(Rule::ExecutableInMount, "/venv/bin/*")];
    let mut scene = Scene::new(&allowed, Mode::Learn);
    scene.see(1, &exec(python, code::VOLUME, 0, ("", 0)), None);
    assert_eq!(scene.told(), []);
    scene.see(1, &exec(python, code::VOLUME, 0, ("/tmp/x", code::TMPFS)), None);
    assert_eq!(scene.told(), one(Rule::ForeignScript, "/tmp/x"));
    scene.see(1, &exec(python, code::VOLUME, flags::INPUT_SOCKET, ("", 0)), None);
    assert_eq!(scene.told(), one(Rule::ReverseShell, python));
}

#[test]
fn an_exception_covers_that_a_file_is_new_and_no_other_departure() {
    let path = "/var/www/shell.php";
    let allowed = [(Rule::WriteOutsideVolumes, "/var/www/**")];
    for mode in [Mode::Learn, Mode::Monitor] {
        let mut scene = Scene::new(&allowed, mode);
        let new = departure(Rule::NewWrite, path);
        scene.see(1, &write(path, code::UPPER), Some(&new));
        assert_eq!(scene.told(), []);
        let sensitive = departure(Rule::NewSensitiveWrite, path);
        scene.see(1, &write(path, code::UPPER), Some(&sensitive));
        assert_eq!(scene.told(), one(Rule::NewSensitiveWrite, path), "{mode:?}");
    }
}

#[test]
fn a_departure_that_is_worse_than_the_rule_is_told_beside_it() {
    let path = "/root/.ssh/authorized_keys";
    let mut scene = Scene::new(&[], Mode::Monitor);
    let sensitive = departure(Rule::NewSensitiveWrite, path);
    scene.see(1, &write(path, code::UPPER), Some(&sensitive));
    let told: Vec<Rule> = scene.told().into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(told, [Rule::WriteOutsideVolumes, Rule::NewSensitiveWrite]);
    // What is no worse says nothing more.
    let process = departure(Rule::NewProcess, "/opt/x");
    scene.see(1, &exec("/opt/x", code::UPPER, 0, ("", 0)), Some(&process));
    assert_eq!(scene.told(), one(Rule::NewExecutable, "/opt/x"));
}

#[test]
fn a_path_of_which_a_part_is_missing_is_covered_by_no_exception() {
    let path = "/opt/plugins/x";
    let allowed = [(Rule::NewExecutable, "/opt/plugins/**")];
    let mut scene = Scene::new(&allowed, Mode::Learn);
    for bits in [flags::PATH_TRUNCATED, flags::DETACHED] {
        scene.see(u64::from(bits), &exec(path, code::UPPER, bits, ("", 0)), None);
        assert_eq!(scene.told(), one(Rule::NewExecutable, path));
    }
    scene.see(9, &exec(path, code::UPPER, 0, ("", 0)), None);
    assert_eq!(scene.told(), []);
}

#[test]
fn who_loads_programs_into_the_kernel_can_be_allowed_and_who_attacks_the_agent_cannot() {
    let allowed = [(Rule::AgentAttacked, "/kernel/bpf")];
    let mut scene = Scene::new(&allowed, Mode::Learn);
    let act = |op| encode(Header::default(), Privilege { op, ..Privilege::default() }, b"");
    scene.see(1, &act(privilege::op::BPF), None);
    assert_eq!(scene.told(), []);
    scene.see(1, &act(privilege::op::MODULE), None);
    assert_eq!(scene.told(), one(Rule::AgentAttacked, "/kernel/module"));
    scene.see(1, &act(privilege::op::SIGNAL_AGENT), None);
    assert_eq!(scene.told(), one(Rule::AgentAttacked, ""));
}

#[test]
fn a_setting_by_which_the_kernel_runs_programs_is_told_while_writes_are_learned() {
    let path = "/proc/sys/kernel/core_pattern";
    let mut scene = Scene::new(&[], Mode::Learn);
    scene.see(1, &write(path, code::PROC), None);
    scene.see(1, &write("/proc/self/oom_score_adj", code::PROC), None);
    assert_eq!(scene.told(), one(Rule::KernelSettingWritten, path));
}

#[test]
fn memory_of_a_process_that_is_opened_to_write_is_told_while_writes_are_learned() {
    let path = "/proc/935/mem";
    let mut scene = Scene::new(&[], Mode::Learn);
    scene.see(1, &write(path, code::UNKNOWN), None);
    assert_eq!(scene.told(), one(Rule::ProcessMemoryWritten, path));
}

#[test]
fn a_flood_of_one_container_is_told_as_a_number_and_hides_no_others_alerts() {
    let mut scene = Scene::new(&[], Mode::Learn);
    for number in 0..5000 {
        scene.see(1, &exec(&format!("/tmp/{number}"), code::TMPFS, 0, ("", 0)), None);
    }
    scene.see(2, &exec("/tmp/x", code::TMPFS, 0, ("", 0)), None);
    let told = scene.told();
    assert!((100..=3000).contains(&told.len()), "{}", told.len());
    assert_eq!(told.last(), Some(&(Rule::ExecutableInTmpfs, "/tmp/x".to_owned())));
    let mut counted = 0;
    scene.judge.end(1, &mut |entry, _, _| counted += alert(entry).2 as usize);
    assert_eq!(told.len() + counted, 5001);
}

#[test]
fn changes_that_are_like_others_are_told_together_as_part_of_their_incident() {
    let mut scene = Scene::new(&[], Mode::Learn);
    for number in 0..20 {
        let path = format!("/data/{number}");
        let scope = "/usr/bin/chown attribute volume".to_owned();
        let of = Departure {
            scope,
            key: path.clone(),
            layer: code::VOLUME,
            fingerprint: number,
            ..departure(Rule::NewWrite, &path)
        };
        // It goes on for longer than what was told keeps the incident open.
        scene.see(
            1,
            &write_at(if number < 5 { 0 } else { 200_000_000_000 }, &path, code::VOLUME),
            Some(&of),
        );
    }
    assert_eq!(scene.told().len(), 5);
    let incident = scene.incidents.clone();
    assert_eq!((incident.len(), incident.iter().collect::<HashSet<_>>().len()), (5, 1));
    let mut together = Vec::new();
    let mut seconds = (0..600).map(|second| second * 1_000_000_000);
    while together.is_empty() {
        let now_ns = seconds.next().expect("it is told while its incident goes on");
        scene.judge.tick(now_ns, &mut |entry, _, _| {
            together.push((alert(entry), incident_of(entry)));
        });
    }
    assert_eq!(together, [((Rule::NewWrite, String::new(), 15), incident[0].clone())]);
}
