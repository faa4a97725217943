//! What the table makes of the life of processes.

use plimsoll_ebpf::catalog::TailBuilder;

use super::*;

const CONTAINER: u64 = 40;
const HOST_NS: u32 = 1;
const OWN_NS: u32 = 2;

fn header(pid: u32, boot_ns: u64) -> Header {
    let start_ns = u64::from(pid) * 10;
    Header { pid, start_ns, boot_ns, cgroup_id: CONTAINER, count: 1, ..Header::default() }
}

fn exec(table: &mut ProcessTable, pid: u32, boot_ns: u64, mnt_ns: u32, path: &str) -> Arc<Process> {
    let mut tail = TailBuilder::default();
    let body = Exec {
        mnt_ns,
        path: tail.push(path.as_bytes()),
        args: tail.push(&[path.as_bytes(), b"\0"].concat()),
        ..Exec::default()
    };
    table.executed(&header(pid, boot_ns), &body, Tail(tail.bytes()), |args| args == b"/bin/check")
}

fn fork(table: &mut ProcessTable, parent: u32, child: u32) {
    let body = Fork { ppid: parent, parent_start_ns: u64::from(parent) * 10, ..Fork::default() };
    table.forked(&header(child, 0), body);
}

fn enter(table: &mut ProcessTable, pid: u32) {
    table.entered(&header(pid, 0), CgroupEntered { mnt_ns: HOST_NS, ppid: 1 });
}

fn get(table: &mut ProcessTable, pid: u32) -> Arc<Process> {
    table.of(&header(pid, u64::MAX)).expect("is held")
}

#[test]
fn the_runtime_ends_where_the_container_begins() {
    let mut table = ProcessTable::new(100);
    enter(&mut table, 10);
    exec(&mut table, 10, 1, HOST_NS, "/memfd:runc");
    assert!(get(&mut table, 10).is_runtime, "runc copies itself to memory first");
    fork(&mut table, 10, 11);
    assert!(get(&mut table, 11).is_runtime);
    exec(&mut table, 11, 2, OWN_NS, "/bin/app");
    let app = get(&mut table, 11);
    assert!(!app.is_runtime);
    assert_eq!((app.origin, app.lineage.ancestors.len()), (Origin::Init, 0));
}

#[test]
fn a_later_entrant_is_a_session_and_a_health_check_is_told_apart() {
    let mut table = ProcessTable::new(100);
    enter(&mut table, 10);
    exec(&mut table, 10, 1, OWN_NS, "/bin/app");
    enter(&mut table, 20);
    exec(&mut table, 20, 2, OWN_NS, "/bin/sh");
    fork(&mut table, 20, 21);
    exec(&mut table, 21, 3, OWN_NS, "/bin/check");
    enter(&mut table, 30);
    exec(&mut table, 30, 4, OWN_NS, "/bin/check");
    assert_eq!(get(&mut table, 20).origin, Origin::Exec);
    assert_eq!(get(&mut table, 21).origin, Origin::Exec, "a session's child is the session's");
    assert_eq!(get(&mut table, 30).origin, Origin::Health);
}

#[test]
fn a_process_that_moves_within_its_container_stays_what_it_is() {
    let mut table = ProcessTable::new(100);
    enter(&mut table, 10);
    exec(&mut table, 10, 1, OWN_NS, "/bin/app");
    enter(&mut table, 10);
    let app = get(&mut table, 10);
    assert_eq!((app.origin, &*app.exe), (Origin::Init, b"/bin/app".as_slice()));
}

#[test]
fn ancestors_are_told_parent_first() {
    let mut table = ProcessTable::new(100);
    enter(&mut table, 10);
    exec(&mut table, 10, 1, OWN_NS, "/sbin/init");
    fork(&mut table, 10, 11);
    exec(&mut table, 11, 2, OWN_NS, "/bin/sh");
    fork(&mut table, 11, 12);
    exec(&mut table, 12, 3, OWN_NS, "/bin/ls");
    let process = get(&mut table, 12);
    assert_eq!(&*process.lineage.paths, b"/bin/sh\0/sbin/init");
    assert_eq!(process.lineage.ancestors[0].pid, 11);
}

#[test]
fn an_act_before_an_exec_belongs_to_the_program_before() {
    let mut table = ProcessTable::new(100);
    enter(&mut table, 10);
    exec(&mut table, 10, 100, OWN_NS, "/bin/sh");
    exec(&mut table, 10, 200, OWN_NS, "/bin/ls");
    let at = |table: &mut ProcessTable, ns| table.at(10, 100, ns).expect("is held").exe.clone();
    assert_eq!(&*at(&mut table, 150), b"/bin/sh");
    assert_eq!(&*at(&mut table, 250), b"/bin/ls");
    exec(&mut table, 10, 300, OWN_NS, "/bin/env");
    assert_eq!(&*at(&mut table, 150), b"/bin/sh", "whatever it became since");
    assert_eq!(&*at(&mut table, 250), b"/bin/ls");
}

#[test]
fn a_process_ends_once() {
    let mut table = ProcessTable::new(100);
    enter(&mut table, 10);
    assert!(!table.has_exited(&header(10, 5)) && table.has_exited(&header(10, 6)));
    assert!(!table.has_exited(&header(11, 5)), "one that is not known");
}

#[test]
fn an_ended_process_answers_for_a_while_and_its_number_may_be_used_again() {
    let mut table = ProcessTable::new(100);
    enter(&mut table, 10);
    exec(&mut table, 10, 1, OWN_NS, "/bin/a");
    table.exited(&header(10, 1000));
    table.tick(1000 + GRACE_NS - 1);
    assert!(table.of(&header(10, 5)).is_some());
    table.tick(1000 + GRACE_NS);
    assert!(table.of(&header(10, 5)).is_none());
}

#[test]
fn a_full_table_counts_what_it_refuses_and_still_tells_of_it() {
    let mut table = ProcessTable::new(2);
    enter(&mut table, 10);
    enter(&mut table, 11);
    assert_eq!((table.len(), table.take_refused()), (1, HashMap::from([(CONTAINER, 1)])));
    let told = exec(&mut table, 11, 1, OWN_NS, "/bin/app");
    assert_eq!((&*told.exe, table.len()), (b"/bin/app".as_slice(), 1));
}

#[test]
fn a_crowd_leaves_room_for_others() {
    let mut table = ProcessTable::new(80);
    for pid in 1..=100 {
        enter(&mut table, pid);
    }
    assert_eq!(table.len(), 40, "half of the room, and no more than its share of the rest");
    let other = Header { cgroup_id: CONTAINER + 1, ..header(200, 0) };
    table.entered(&other, CgroupEntered { mnt_ns: HOST_NS, ppid: 1 });
    assert_eq!(table.len(), 41);
    (1..=40).for_each(|pid| table.remove(pid));
    assert_eq!((table.len(), table.held.len()), (1, 1));
}

#[test]
fn a_process_from_proc_takes_on_its_exact_start() {
    let mut table = ProcessTable::new(100);
    let process = Process { pid: 7, start_ns: 40_000_000, ..Process::default() };
    table.found(Found { process, tick_ns: 10_000_000 }, CONTAINER);
    assert!(table.at(7, 51_000_000, 0).is_none(), "another process of that number");
    assert_eq!(table.at(7, 44_000_000, 0).expect("same tick").start_ns, 44_000_000);
}
