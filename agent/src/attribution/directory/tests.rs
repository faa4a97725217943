//! Containers that come, run, end and are told of, in whatever order.

use super::*;

const ID: &str = "aa";
const SECOND: u64 = 1_000_000_000;

fn container(init_pid: u32) -> Arc<Container> {
    Arc::new(Container {
        id: ID.to_owned(),
        name: "web".to_owned(),
        init_pid,
        ..Container::default()
    })
}

#[test]
fn a_container_is_expected_until_docker_removes_it() {
    let mut directory = Directory::new(8);
    let expected = |directory: &Directory| directory.expected().count();
    directory.known(container(0));
    assert_eq!(expected(&directory), 1, "it was created");
    directory.made(5, "/docker/aa", Some(ID), 0);
    directory.removed(5, SECOND);
    directory.tick(REMEMBER_NS * 2, SECOND);
    assert_eq!(expected(&directory), 1, "it may be started again");
    directory.made(6, "/docker/aa", Some(ID), REMEMBER_NS * 2);
    directory.destroyed(ID);
    assert_eq!(expected(&directory), 0);
    assert!(matches!(directory.standing(6), Standing::Known(_)), "what it did is still its");
    directory.removed(6, REMEMBER_NS * 2);
    directory.tick(REMEMBER_NS * 4, SECOND);
    assert!(directory.by_id(ID).is_none());
    directory.known(container(0));
    directory.destroyed(ID);
    assert!(directory.by_id(ID).is_none(), "it never ran");
}

#[test]
fn records_wait_for_docker_and_come_out_in_order() {
    let mut directory = Directory::new(8);
    assert!(!directory.made(5, "/docker/aa", Some(ID), 0));
    assert_eq!(directory.take_requests(), [Request::Ask { id: ID.to_owned() }]);
    directory.keep(5, b"one");
    directory.keep(5, b"two");
    assert_eq!(directory.known(container(0)), [5]);
    assert_eq!(directory.take_requests(), [Request::Watch { cgroup_id: 5, container: 5 }]);
    let held: Vec<_> = directory.release(5).into_iter().collect();
    assert_eq!(held, [b"one".as_slice().into(), b"two".as_slice().into()]);
    assert!(matches!(directory.standing(5), Standing::Known(it) if it.name == "web"));
}

#[test]
fn a_container_announced_before_its_cgroup_is_known_at_once() {
    let mut directory = Directory::new(10);
    assert!(directory.known(container(0)).is_empty());
    assert!(directory.made(5, "/docker/aa", Some(ID), 0));
    assert_eq!(directory.take_requests(), [Request::Watch { cgroup_id: 5, container: 5 }]);
}

#[test]
fn a_cgroup_below_a_container_is_the_containers_whatever_its_name() {
    let mut directory = Directory::new(10);
    directory.made(5, "/docker/aa", Some(ID), 0);
    directory.known(container(0));
    directory.take_requests();
    directory.made(6, "/docker/aa/bb", Some("bb"), 0);
    assert_eq!(directory.take_requests(), [Request::Watch { cgroup_id: 6, container: 5 }]);
    directory.made(7, "/docker/aab", None, 0);
    assert_eq!(directory.take_requests(), [Request::Unwatch { cgroup_id: 7 }]);
    assert_eq!(directory.own(6), 5);
    assert!(matches!(directory.standing(7), Standing::Dismissed));
    assert!(matches!(directory.standing(8), Standing::Unheard));
}

#[test]
fn what_nobody_can_name_is_told_as_unresolved() {
    let mut directory = Directory::new(10);
    directory.made(5, "/docker/aa", Some(ID), 0);
    assert!(directory.tick(9 * SECOND, 10 * SECOND).is_empty());
    assert_eq!(directory.tick(10 * SECOND, 10 * SECOND), [5]);
    assert_eq!(directory.unresolved(), 1);
    assert!(matches!(directory.standing(5), Standing::Known(it) if it.id == ID));
}

#[test]
fn what_finds_no_room_is_counted() {
    let mut directory = Directory::new(2);
    directory.made(5, "/docker/aa", Some(ID), 0);
    directory.keep(5, b"one");
    directory.keep(5, b"two");
    assert_eq!(directory.take_overflow(), HashMap::from([(5, 1)]), "beyond its share");
    assert_eq!(directory.held(), 1);
}

#[test]
fn a_dead_container_is_remembered_for_ten_minutes() {
    let mut directory = Directory::new(10);
    directory.known(container(0));
    directory.made(5, "/docker/aa", Some(ID), 0);
    directory.removed(5, SECOND);
    directory.destroyed(ID);
    directory.tick(600 * SECOND, SECOND);
    assert!(matches!(directory.standing(5), Standing::Known(_)));
    directory.tick(602 * SECOND, SECOND);
    assert!(matches!(directory.standing(5), Standing::Unheard));
    assert!(directory.by_id(ID).is_none());
}

#[test]
fn a_container_that_is_started_again_is_the_same_in_another_cgroup() {
    let mut directory = Directory::new(10);
    directory.known(container(0));
    directory.made(5, "/docker/aa", Some(ID), 0);
    directory.removed(5, SECOND);
    assert!(directory.made(6, "/docker/aa", Some(ID), 2 * SECOND), "it is known already");
    assert_eq!(directory.cgroup_of(ID), Some(6));
    let renamed = Container { name: "shop".to_owned(), ..Container::clone(&container(7)) };
    assert!(directory.known(Arc::new(renamed)).is_empty());
    assert!(matches!(directory.standing(6), Standing::Known(it) if it.name == "shop"));
    directory.tick(700 * SECOND, SECOND);
    assert!(matches!(directory.standing(5), Standing::Unheard));
    assert!(directory.by_id(ID).is_some(), "it still runs");
}

#[test]
fn a_container_that_is_started_again_has_another_first_process() {
    let mut directory = Directory::new(10);
    let pid = |directory: &Directory, cgroup_id| match directory.standing(cgroup_id) {
        Standing::Known(it) => it.init_pid,
        Standing::Held | Standing::Dismissed | Standing::Unheard => panic!("it is known"),
    };
    directory.made(5, "/docker/aa", Some(ID), 0);
    directory.known(container(7));
    directory.removed(5, SECOND);
    directory.made(6, "/docker/aa", Some(ID), 2 * SECOND);
    assert_eq!((pid(&directory, 5), pid(&directory, 6)), (7, 0));
    directory.known(container(7));
    assert_eq!(pid(&directory, 6), 0, "it was looked at before the first one ended");
    directory.known(container(8));
    directory.removed(5, 3 * SECOND);
    assert_eq!(pid(&directory, 6), 8, "a removal that is told twice is no other one");
    directory.removed(6, 4 * SECOND);
    directory.tick(700 * SECOND, SECOND);
    directory.made(9, "/docker/aa", Some(ID), 700 * SECOND);
    assert_eq!(pid(&directory, 9), 0, "the old cgroups are forgotten");
}

#[test]
fn a_container_whose_removal_nobody_told_is_swept() {
    let mut directory = Directory::new(10);
    directory.known(container(7));
    directory.made(5, "/docker/aa", Some(ID), 0);
    directory.take_requests();
    assert_eq!(directory.sweep(2 * SECOND, |path, id| (path, id) == ("/docker/aa", 5)), 0);
    assert_eq!(directory.sweep(SECOND, |_, _| false), 0, "it may not be seen yet");
    assert_eq!((directory.running(), directory.take_requests()), (1, Vec::new()));
    assert_eq!(directory.sweep(2 * SECOND, |_, _| false), 1);
    assert_eq!(directory.running(), 0);
    assert_eq!(directory.take_requests(), [Request::Unwatch { cgroup_id: 5 }]);
    assert_eq!(directory.sweep(3 * SECOND, |_, _| false), 0, "it is gone once");
}

#[test]
fn a_container_that_was_there_before_has_to_be_located() {
    let mut directory = Directory::new(10);
    directory.known(container(77));
    let locate = Request::Locate { id: ID.to_owned(), init_pid: 77 };
    assert_eq!(directory.take_requests(), [locate]);
}
