//! Processes and who made them, from observations as they are recorded.

use serde_json::json;

use super::*;

/// An observation of process (pid, start) with its parent, at this second.
fn seen(kind: &str, second: u64, process: (u64, u64), parent: Option<(u64, u64)>) -> Json {
    let mut object = json!({
        "ts": moment::rfc3339(1_767_225_600_000_000_000 + second * 1_000_000_000),
        "kind": kind, "count": 1, "ctr": {"name": "web", "id": "ab"}, "node": {"boot_id": "b"},
        "proc": {"pid": process.0, "start": process.1, "exe": format!("/p{}", process.0)},
    });
    if let Some((pid, start)) = parent {
        object["proc"]["parent"] = json!({"pid": pid, "start": start});
    }
    object
}

fn identity((pid, start): (u64, u64)) -> Identity {
    Identity { boot_id: "b".to_owned(), pid, start }
}

const INIT: (u64, u64) = (10, 1);
const SHELL: (u64, u64) = (20, 2);
const CHILD: (u64, u64) = (30, 3);
const GRANDCHILD: (u64, u64) = (40, 4);
/// Of the same id as the shell.
const REUSED: (u64, u64) = (20, 9);

fn observations() -> Vec<Json> {
    let mut written = seen("file_write", 5, GRANDCHILD, Some(CHILD));
    written["file"] = json!({"op": "create", "path": "/tmp/x", "layer": "tmpfs"});
    vec![
        seen("exec", 0, INIT, None),
        seen("fork", 1, SHELL, Some(INIT)),
        seen("exec", 2, SHELL, Some(INIT)),
        seen("fork", 3, CHILD, Some(SHELL)),
        seen("fork", 4, GRANDCHILD, Some(CHILD)),
        written.clone(),
        written,
        seen("exit", 6, GRANDCHILD, Some(CHILD)),
        seen("fork", 7, (50, 5), Some(INIT)),
        seen("fork", 8, REUSED, Some(INIT)),
        seen("fork", 9, (60, 10), Some(REUSED)),
    ]
}

fn family(mut family: Family) -> Family {
    for object in observations() {
        family.add(object.as_object().expect("an object"));
    }
    family
}

fn pids(family: &Family) -> Vec<u64> {
    family.processes.iter().map(|it| it.identity.pid).collect()
}

#[test]
fn descendants_are_found_and_a_reused_id_is_another_process() {
    let mut family = family(Family::of(&[identity(SHELL)], &[identity(INIT)]));
    assert_eq!(pids(&family), [10, 20, 30, 40], "neither siblings nor who got the id later");
    let roots = family.link();
    assert_eq!(roots, [0]);
    assert_eq!(family.processes[0].children, [1]);
    assert_eq!(family.processes[2].children, [3]);
    let roles: Vec<Role> = family.processes.iter().map(|it| it.role).collect();
    assert_eq!(roles, [Role::Ancestor, Role::Asked, Role::Descendant, Role::Descendant]);
}

#[test]
fn children_stand_in_the_order_in_which_they_began() {
    let asked = [(60, 10), (50, 5)].map(identity);
    let mut family = family(Family::of(&asked, &[identity(INIT), identity(REUSED)]));
    family.link();
    let init = family.places[&identity(INIT)];
    let children = family.processes[init].children.iter();
    let pids: Vec<u64> = children.map(|it| family.processes[*it].identity.pid).collect();
    assert_eq!(pids, [50, 20], "not in the order in which they were asked for");
}

#[test]
fn acts_are_told_with_their_repeats_and_how_it_ended() {
    let family = family(Family::of(&[identity(GRANDCHILD)], &[]));
    let process = &family.processes[0];
    assert_eq!(process.acts.len(), 1);
    assert_eq!(process.acts[0].what, "create /tmp/x tmpfs");
    assert_eq!(process.acts[0].count, 2);
    assert!(process.ended.contains("00:00:06"), "{process:?}");
    assert_eq!(process.programs.len(), 1);
}

#[test]
fn all_of_a_container_are_told_where_nobody_in_particular_was_asked_for() {
    let mut family = family(Family::of_all());
    assert_eq!(pids(&family), [10, 20, 30, 40, 50, 20, 60]);
    assert_eq!(family.link(), [0]);
}

#[test]
fn ancestors_are_found_backwards_and_then_it_is_enough() {
    let observations = observations();
    let object = |at: usize| observations[at].as_object().expect("an object");
    let mut ancestors = Ancestors::default();
    ancestors.begin(object(5));
    assert!(!ancestors.is_whole());
    for at in (0..11).rev() {
        ancestors.add(object(at));
    }
    assert!(ancestors.is_whole());
    assert_eq!(ancestors.found(), [CHILD, SHELL, INIT].map(identity));
}

#[test]
fn circles_of_damaged_observations_end() {
    let mut family = Family::of_all();
    for (process, parent) in [((1, 5), (2, 5)), ((2, 5), (1, 5)), ((3, 5), (3, 5))] {
        let object = seen("fork", 0, process, Some(parent));
        family.add(object.as_object().expect("an object"));
    }
    let roots = family.link();
    let below: usize = family.processes.iter().map(|it| it.children.len()).sum();
    assert_eq!(roots.len() + below, 3, "each has one place");
    assert!(!roots.is_empty());
}

#[test]
fn too_many_processes_are_counted() {
    let mut family = Family::of_all();
    for pid in 0..MAX_PROCESSES as u64 + 7 {
        let object = seen("fork", 0, (pid, 1), None);
        family.add(object.as_object().expect("an object"));
    }
    assert_eq!((family.processes.len(), family.left_out), (MAX_PROCESSES, 7));
}

#[test]
fn processes_of_one_id_are_told_apart() {
    let mut sightings = Vec::new();
    for object in observations().iter().filter(|it| it["proc"]["pid"] == 20) {
        sight(&mut sightings, object.as_object().expect("an object"));
    }
    let starts: Vec<u64> = sightings.iter().map(|it| it.identity.start).collect();
    assert_eq!(starts, [2, 9]);
    assert!(sightings[0].last_ns < sightings[1].first_ns);
}
