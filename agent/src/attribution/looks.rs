//! How often the host is asked on behalf of each container: a look takes longer than many records, and a
//! container can make them necessary.

use std::collections::HashMap;

use plimsoll_ebpf::{
    catalog::Record,
    events::{
        exec::Exec,
        file_change::{FileChange, SETID, op},
        file_write::FileWrite,
    },
    layer::code,
    record::flags,
};

use super::{
    attributor::Host,
    container::Container,
    image_names::{is_place_of_programs, takes_place},
    normal::{Looked, plain},
};

/// Looks for one container between two ticks. What one container uses up is no other's.
const MOST: u32 = 1000;
/// Looks that one comparison of a file with the image's counts for.
const COMPARISON: u32 = 500;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// How many were taken since the last tick, by container cgroup.
    taken: HashMap<u64, u32>,
    /// What was not looked for although it should have been, likewise, since it was last asked.
    refused: HashMap<u64, u64>,
}

impl Looks {
    /// Takes a look, if there is one left.
    pub(super) fn take(&mut self, cgroup_id: u64) -> bool {
        let taken = self.taken.entry(cgroup_id).or_default();
        let is_left = *taken < MOST;
        if is_left {
            *taken += 1;
        } else {
            *self.refused.entry(cgroup_id).or_default() += 1;
        }
        is_left
    }

    /// Looks for what the kernel side does not tell.
    pub(super) fn look(
        &mut self,
        record: &Record<'_>,
        container: &Container,
        host: &mut dyn Host,
    ) -> Looked {
        let header = &record.header;
        if let Some((change, tail)) = record.read::<FileChange>() {
            let [path, to] = [change.path, change.to].map(|name| tail.get(name));
            if change.op == op::CHMOD && change.number & SETID != 0 && self.take(header.cgroup_id) {
                let is_directory = host.is_directory(container, header.pid, path);
                return Looked { is_directory, ..Looked::default() };
            }
            let names = if takes_place(change.op) { [path, to] } else { [b"".as_slice(); 2] };
            return self.is_of_image(header.cgroup_id, change.layer, names, container, host);
        }
        if let Some((write, tail)) = record.read::<FileWrite>() {
            let names = [tail.get(write.path), b""];
            return self.is_of_image(header.cgroup_id, write.layer, names, container, host);
        }
        let Some((exec, tail)) = record.read::<Exec>() else { return Looked::default() };
        let script = tail.get(exec.script);
        let is_doubtful = exec.layer == code::COPIED_UP && exec.flags & flags::CONTENT_CHANGED == 0;
        let is_script = !script.is_empty() && exec.flags & flags::REFUSED == 0;
        if !(is_doubtful || is_script) || !self.take(header.cgroup_id) {
            return Looked::default();
        }
        let mut layer_of = |path| host.layer_of(container, header.pid, tail.get(exec.cwd), path);
        let script = if is_script { layer_of(script) } else { None };
        let program = if is_doubtful { layer_of(tail.get(exec.path)) } else { None };
        // To compare a file with the image's takes as long as many looks.
        let more = host.take_comparisons().saturating_mul(COMPARISON);
        self.cost(header.cgroup_id, more);
        let is_changed = program.is_some_and(|it| it.is_changed);
        Looked { script, is_changed, ..Looked::default() }
    }

    /// Looks whether one of these names, of which only the path is known, is a program's of the image.
    fn is_of_image(
        &mut self,
        cgroup_id: u64,
        layer: u8,
        names: [&[u8]; 2],
        container: &Container,
        host: &mut dyn Host,
    ) -> Looked {
        if layer != code::BY_PATH {
            return Looked::default();
        }
        let is_of_image = names.into_iter().filter(|it| !it.is_empty()).any(|name| {
            let name = plain(name);
            // What lies in a mount is no layer's.
            is_place_of_programs(&name)
                && container.mount_of(&name).is_none()
                && self.take(cgroup_id)
                && host.is_in_image(container, &name)
        });
        Looked { is_of_image, ..Looked::default() }
    }

    /// A look took as long as so many more.
    fn cost(&mut self, cgroup_id: u64, more: u32) {
        let taken = self.taken.entry(cgroup_id).or_default();
        *taken = taken.saturating_add(more);
    }

    /// A second is over.
    pub(super) fn tick(&mut self) {
        self.taken.clear();
    }

    /// What was refused, by container cgroup.
    pub(super) fn take_refused(&mut self) -> impl Iterator<Item = (u64, u64)> + use<> {
        std::mem::take(&mut self.refused).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_ebpf::{
        catalog::{TailBuilder, encode},
        record::Header,
    };

    use super::*;
    use crate::attribution::{
        container::{Mount, MountKind},
        overlay::Layer,
        process_table::Found,
    };

    /// A host where the image of each container has these files.
    struct Images(&'static [&'static str]);

    impl Host for Images {
        fn process(&mut self, _: u32) -> Option<Found> {
            None
        }

        fn cgroup_path(&mut self, _: u32) -> Option<String> {
            None
        }

        fn layer_of(&mut self, _: &Container, _: u32, _: &[u8], _: &[u8]) -> Option<Layer> {
            None
        }

        fn take_comparisons(&mut self) -> u32 {
            0
        }

        fn is_directory(&mut self, _: &Container, _: u32, _: &[u8]) -> bool {
            false
        }

        fn is_in_image(&mut self, _: &Container, path: &[u8]) -> bool {
            self.0.iter().any(|it| it.as_bytes() == path)
        }
    }

    #[test]
    fn a_change_is_the_images_where_it_takes_the_place_of_one_of_its_programs() {
        let mut host = Images(&["/usr/bin/ls", "/etc/passwd", "/usr/lib/x/a.so"]);
        let destination = "/usr/lib/x".to_owned();
        let mount = Mount { kind: MountKind::Volume, destination, source: String::new() };
        let container = Container { mounts: vec![mount], ..Container::default() };
        let mut looks = Looks::default();
        let mut is_of_image = |op, path: &str, to: &str| {
            let mut texts = TailBuilder::default();
            let (path, to) = (texts.push(path.as_bytes()), texts.push(to.as_bytes()));
            let layer = code::BY_PATH;
            let body = FileChange { path, to, op, layer, ..FileChange::default() };
            let entry = encode(Header::default(), body, texts.bytes());
            let record = Record::decode(&entry).expect("decodes");
            looks.look(&record, &container, &mut host).is_of_image
        };
        assert!(is_of_image(op::RENAME, "/tmp/x", "/usr/./bin//ls"));
        assert!(is_of_image(op::RENAME, "/usr/bin/ls", "/tmp/x"));
        assert!(is_of_image(op::UNLINK, "/usr/bin/ls", ""));
        assert!(!is_of_image(op::RENAME, "/usr/bin/m.pyc.1", "/usr/bin/m.pyc"));
        assert!(!is_of_image(op::LINK, "/usr/bin/ls", "/usr/bin/ll"));
        assert!(!is_of_image(op::UNLINK, "/etc/passwd", ""), "is no program");
        assert!(!is_of_image(op::UNLINK, "/usr/lib/x/a.so", ""), "lies in a volume");
    }

    #[test]
    fn what_one_container_uses_up_is_no_others_and_what_is_refused_is_counted() {
        let mut looks = Looks::default();
        assert!(looks.take(1));
        looks.cost(1, MOST);
        assert!(!looks.take(1) && !looks.take(1) && looks.take(2));
        looks.tick();
        assert!(looks.take(1));
        assert_eq!(looks.take_refused().collect::<Vec<_>>(), [(1, 2)]);
        assert_eq!(looks.take_refused().count(), 0);
    }
}
