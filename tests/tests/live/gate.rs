//! The gate, on real containers and without an agent: what drifted is refused before it runs.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use crossbeam_channel::{Receiver, unbounded};
use plimsoll::{
    attribution::{
        container::MountKind,
        overlay::{
            Layers, Overlay, Provenance,
            script::{Named, layer_of_script},
        },
    },
    response::gate::{Allows, Denial, Gate, Guarded},
};
use plimsoll_ebpf::{layer::code, rules::Rule};
use plimsoll_tests::{
    docker::{BUSYBOX, Container, Docker, LAYERED, Volume},
    poll,
};

const HELLO: &str = "/usr/bin/hello";
const GROUP: u64 = 7;

/// What the shell says, and exits with, when a program may not run.
const REFUSED: &str = "Operation not permitted";

fn layers(container: &Container) -> Layers {
    if container.inspect("{{.GraphDriver.Name}}") != "overlay2" {
        let id = container.inspect("{{.Id}}");
        return Layers::mounted(Path::new("/proc"), &id).expect("it is mounted");
    }
    let of = |name: &str| container.inspect(&format!("{{{{.GraphDriver.Data.{name}}}}}"));
    Layers {
        upper: of("UpperDir").into(),
        lowers: of("LowerDir").split(':').map(PathBuf::from).collect(),
        merged: of("MergedDir").into(),
    }
}

/// A guarded container.
struct Fixture {
    gate: Gate,
    denials: Receiver<Denial>,
    container: Container,
}

impl Fixture {
    fn start(image: &str, options: &[&str]) -> Self {
        Self::excepting(image, options, Arc::new(|_, _| false))
    }

    fn excepting(image: &str, options: &[&str], allows: Allows) -> Self {
        let container = Docker::host().start(image, options, &["/usr/bin/acts", "wait"]);
        let (report, denials) = unbounded();
        let mut gate = Gate::start("/proc".into(), report).expect("the kernel has such events");
        let layers = layers(&container);
        let guarded = Guarded { cgroup_id: GROUP, layers, allows };
        gate.guard(guarded).expect("the container runs");
        Self { gate, denials, container }
    }

    /// Whether a program runs; if not, it was refused.
    #[track_caller]
    fn runs(&self, path: &str) -> bool {
        let told = self.container.shell(&format!("{path} 2>&1 || echo refused $?"));
        let is_refused = told.contains(REFUSED) && told.contains("refused 126");
        assert!(is_refused || !told.contains("refused"), "{path}: {told}");
        !is_refused
    }

    /// The rule and path of the only denial since the last look.
    #[track_caller]
    fn denial(&self) -> (Rule, String) {
        let told = poll::until(poll::PATIENCE, || self.denials.try_recv().ok()).expect("is told");
        assert_eq!(told.cgroup_id, GROUP);
        assert!(told.pid > 0 && told.at_boot_ns > 0);
        assert!(
            self.denials.is_empty(),
            "one is told: {:?}",
            self.denials.try_iter().collect::<Vec<_>>()
        );
        (told.rule, String::from_utf8(told.path).expect("is text"))
    }
}

#[test]
fn what_the_image_brought_runs_and_what_came_later_does_not() {
    let fixture = Fixture::start(LAYERED, &[]);
    assert!(fixture.runs(HELLO));
    assert!(fixture.runs("/usr/local/bin/script.sh"), "a script of another layer");
    fixture.container.shell("cp /usr/bin/hello /opt/new");
    assert!(!fixture.runs("/opt/new"));
    assert_eq!(fixture.denial(), (Rule::NewExecutable, "/opt/new".to_owned()));
    fixture.container.shell("printf '#!/bin/sh\\n:\\n' > /opt/script; chmod +x /opt/script");
    assert!(!fixture.runs("/opt/script"));
    assert_eq!(fixture.denial(), (Rule::ForeignScript, "/opt/script".to_owned()));
    assert!(fixture.runs(HELLO));
}

#[test]
fn a_change_of_owner_is_no_drift_and_a_change_of_content_is() {
    let fixture = Fixture::start(BUSYBOX, &[]);
    fixture.container.shell("chown 33:33 /usr/bin/hello; chmod 700 /usr/bin/hello");
    let upper = layers(&fixture.container).upper;
    assert!(upper.join("usr/bin/hello").exists(), "it was copied up");
    assert!(fixture.runs(HELLO));
    // The same length, and the old times.
    fixture.container.shell(
        "touch -r /usr/bin/hello /opt/time
         printf x | dd of=/usr/bin/hello bs=1 seek=5000 conv=notrunc 2>/dev/null
         touch -r /opt/time /usr/bin/hello",
    );
    assert!(!fixture.runs(HELLO));
    assert_eq!(fixture.denial(), (Rule::ChangedExecutable, HELLO.to_owned()));
}

#[test]
fn an_exception_allows_its_rule_and_path_alone() {
    let allows = |rule, path: &[u8]| rule == Rule::NewExecutable && path == b"/opt/allowed";
    let fixture = Fixture::excepting(BUSYBOX, &[], Arc::new(allows));
    fixture.container.shell("cp /usr/bin/hello /opt/allowed; cp /usr/bin/hello /opt/other");
    assert!(fixture.runs("/opt/allowed"));
    assert!(!fixture.runs("/opt/other"));
    fixture.denial();
    fixture.container.shell("printf '#!/bin/sh\\n' > /opt/allowed");
    assert!(!fixture.runs("/opt/allowed"), "another rule");
}

#[test]
fn a_thousand_tries_are_a_thousand_denials() {
    let fixture = Fixture::start(BUSYBOX, &[]);
    let script = "cp /usr/bin/hello /opt/new; i=0; ran=0
        while [ $i -lt 1000 ]; do /opt/new 2>/dev/null && ran=$((ran+1)); i=$((i+1)); done
        echo ran $ran";
    assert_eq!(fixture.container.shell(script), "ran 0");
    poll::holds("all are told", || fixture.denials.len() == 1000);
    let counts = fixture.gate.counts();
    assert_eq!(counts.denied, 1000);
    assert_eq!((counts.untold, counts.unreported, counts.unanswered, counts.unread), (0, 0, 0, 0));
}

#[test]
fn a_denial_does_not_depend_on_its_report() {
    let container = Docker::host().start(BUSYBOX, &[], &["/usr/bin/acts", "wait"]);
    let (report, denials) = crossbeam_channel::bounded(1);
    let mut gate = Gate::start("/proc".into(), report).expect("the kernel has such events");
    let allows: Allows = Arc::new(|_, _| false);
    let guarded = Guarded { cgroup_id: GROUP, layers: layers(&container), allows };
    gate.guard(guarded.clone()).expect("the container runs");
    assert!(gate.guard(guarded).is_err(), "once is enough");
    let script =
        "cp /usr/bin/hello /opt/new; for i in 1 2 3; do /opt/new || echo $?; done 2>/dev/null";
    assert_eq!(container.shell(script), "126\n126\n126");
    poll::holds("what found no room is counted", || gate.counts().unreported == 2);
    assert_eq!((denials.len(), gate.counts().denied), (1, 3));
}

#[test]
fn whoever_ends_the_gate_opens_it() {
    let mut fixture = Fixture::start(BUSYBOX, &[]);
    fixture.container.shell("cp /usr/bin/hello /opt/new");
    assert!(!fixture.runs("/opt/new"));
    fixture.gate.release(GROUP);
    assert!(fixture.runs("/opt/new") && !fixture.gate.is_guarded(GROUP));
    let Fixture { gate, container, .. } = Fixture::start(BUSYBOX, &[]);
    drop(gate);
    assert!(container.shell("cp /usr/bin/hello /opt/new; /opt/new").contains("hello"));
}

#[test]
fn a_thread_that_breaks_down_leaves_nobody_waiting() {
    let fixture = Fixture::excepting(BUSYBOX, &[], Arc::new(|_, _| panic!("an exception breaks")));
    assert!(fixture.runs(HELLO) && fixture.gate.is_guarded(GROUP));
    fixture.container.shell("cp /usr/bin/hello /opt/new");
    assert!(fixture.runs("/opt/new"));
    poll::holds("the loss is told", || !fixture.gate.is_guarded(GROUP));
}

#[test]
fn what_lies_in_a_mount_does_not_run_and_the_host_is_not_concerned() {
    let docker = Docker::host();
    let volume = Volume::create(&docker);
    let option = format!("--volume={}:/data", volume.name);
    let fixture = Fixture::start(BUSYBOX, &[&option, "--tmpfs=/scratch:exec"]);
    fixture.container.shell("cp /usr/bin/hello /data; cp /usr/bin/hello /scratch");
    assert!(fixture.runs("/data/hello") && fixture.runs("/scratch/hello"), "not guarded yet");
    let pid = fixture.container.pid();
    let guard = |mounts: &[(&Path, MountKind)]| fixture.gate.guard_mounts(GROUP, pid, mounts);
    let (data, scratch) = (Path::new("/data"), Path::new("/scratch"));
    guard(&[(data, MountKind::Volume), (scratch, MountKind::Tmpfs)]).expect("both are there");
    assert!(!fixture.runs("/data/hello"));
    assert_eq!(fixture.denial(), (Rule::ExecutableInMount, "/data/hello".to_owned()));
    assert!(!fixture.runs("/scratch/hello"));
    assert_eq!(fixture.denial(), (Rule::ExecutableInTmpfs, "/scratch/hello".to_owned()));
    assert!(fixture.runs(HELLO));
    let place = docker.run(&["volume", "inspect", "--format", "{{.Mountpoint}}", &volume.name]);
    let on_host = Command::new(Path::new(&place).join("hello")).output().expect("runs");
    assert!(on_host.status.success(), "the host's programs are the host's");

    let error = guard(&[(Path::new("/usr"), MountKind::Bind)]).expect_err("is no mount");
    assert!(error.to_string().contains("/usr: nothing is mounted there"), "{error}");
}

#[test]
fn a_program_without_a_name_does_not_pass() {
    let fixture = Fixture::start(BUSYBOX, &[]);
    fixture.container.shell("cp /usr/bin/hello /opt/gone");
    let told = fixture.container.shell("/usr/bin/acts unlinked /opt/gone 2>&1 || echo refused");
    assert!(told.contains(REFUSED), "{told}");
    let (rule, path) = fixture.denial();
    assert_eq!(rule, Rule::UnlinkedExecutable, "{path}");
    // No path that is used here is too long for the kernel, but that of the file is.
    let deep = "n=$(printf %0200d 0); n=$n/$n/$n/$n/$n/$n/$n/$n/$n/$n/$n/$n
        mkdir -p /opt/$n; ln -s /opt/$n /opt/half; mkdir -p /opt/half/$n
        cp /usr/bin/hello /opt/half/$n/x; /opt/half/$n/x 2>&1 || echo refused";
    let told = fixture.container.shell(deep);
    assert!(told.contains(REFUSED), "{told}");
    assert_eq!(fixture.denial(), (Rule::NewExecutable, String::new()), "too long to be told");
}

#[test]
fn a_name_of_the_image_does_not_help_what_is_not_the_images() {
    let options = ["--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined"];
    let fixture = Fixture::start(BUSYBOX, &options);
    fixture.container.shell("cp /usr/bin/acts /opt/evil; mount -o bind /opt/evil /usr/bin/hello");
    assert!(!fixture.runs(HELLO));
    assert_eq!(fixture.denial(), (Rule::ChangedExecutable, HELLO.to_owned()));
}

#[test]
fn what_overlayfs_notes_of_directories_is_understood() {
    let container = Docker::host().start(LAYERED, &[], &[]);
    let mut overlay = Overlay::new(layers(&container));
    let conf = b"/etc/app/app.conf";
    assert_eq!(overlay.provenance(conf), Provenance::Image);
    container.shell("chown 33 /etc/app/app.conf");
    assert_eq!(overlay.provenance(conf), Provenance::CopiedUp { is_changed: false });
    container.shell("cp /etc/app/app.conf /opt; rm -r /etc/app");
    assert_eq!(overlay.provenance(conf), Provenance::Gone);
    container.shell("mkdir /etc/app; cp /opt/app.conf /etc/app");
    assert_eq!(overlay.provenance(conf), Provenance::New, "an opaque directory");
}

#[test]
fn the_layer_of_a_script_is_found_as_its_process_would() {
    let container = Docker::host().start(LAYERED, &["--tmpfs=/scratch"], &[]);
    container.shell(
        "touch /opt/new /scratch/s; ln -s /../../opt/new /opt/link; ln -s /etc/passwd /scratch/l
         mkfifo /opt/pipe; chown 33 /etc/app/app.conf; chown 33 /usr/local/bin/script.sh
         echo >> /usr/local/bin/script.sh",
    );
    let pid = container.pid();
    let mut overlay = Overlay::new(layers(&container));
    let mut layer = |cwd: &str, path: &str| {
        let named = Named { pid, init_pid: pid, cwd: cwd.as_bytes(), path: path.as_bytes() };
        let found = layer_of_script(&mut overlay, Path::new("/proc"), &named)?;
        Some((found.code, found.is_changed))
    };
    assert_eq!(layer("/", "/bin/busybox"), Some((code::IMAGE, false)));
    assert_eq!(layer("/etc", "../opt/new"), Some((code::UPPER, false)));
    assert_eq!(layer("/opt", "link"), Some((code::UPPER, false)), "within the container");
    assert_eq!(layer("/", "/etc/app/app.conf"), Some((code::COPIED_UP, false)));
    assert_eq!(layer("/", "/usr/local/bin/script.sh"), Some((code::COPIED_UP, true)));
    assert_eq!(layer("/scratch", "s"), Some((code::TMPFS, false)));
    assert_eq!(layer("/", "/etc/hosts"), Some((code::MOUNT, false)));
    for nothing in ["/opt/pipe", "/opt", "/none", "/proc/self/exe"] {
        assert_eq!(layer("/", nothing), None, "{nothing}");
    }
}
