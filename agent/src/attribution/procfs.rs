//! Processes that were there before the agent, and those whose beginning was lost.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read as _,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

use super::{
    attributor::Host,
    cgroup,
    container::Container,
    overlay::{
        Layer, Overlay,
        script::{Named, layer_of_program, layer_of_script, resolve},
    },
    process::Process,
    process_table::Found,
};

/// Bytes of arguments that are read; a process may have megabytes of them.
const MOST_ARGS: u64 = 4096;

/// Bytes of a file that are compared with the image's while observations wait.
const MOST_COMPARED_BYTES: u64 = 32 << 20;

/// Containers of whose files what was found out is kept.
const MOST_OVERLAYS: usize = 256;

/// What the kernel puts behind the path of a file that was unlinked.
const DELETED: &[u8] = b" (deleted)";

/// What was found out of the files of containers, by their ids and first processes; `None` where there is
/// no overlay.
type Overlays = HashMap<(String, u32), Option<Overlay>>;

/// A view of the host's processes.
#[derive(Debug)]
pub struct Procfs {
    root: PathBuf,
    tick_ns: u64,
    overlays: Overlays,
    comparisons: u32,
}

impl Procfs {
    /// The host's process file system, mounted here.
    pub fn at(root: PathBuf) -> Self {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        Self { root, tick_ns: 1_000_000_000 / ticks, overlays: HashMap::new(), comparisons: 0 }
    }

    /// Where it is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, pid: u32, name: &str) -> PathBuf {
        self.root.join(pid.to_string()).join(name)
    }

    /// Path of the unified cgroup of a process.
    pub fn cgroup_path(&self, pid: u32) -> Option<String> {
        cgroup::path_of_pid(&self.root, pid)
    }

    /// A process, or `None` if it is gone. Its ancestors are not filled in.
    pub fn process(&self, pid: u32) -> Option<Found> {
        let (parent, ticks) = self.times(pid)?;
        let process = Process {
            pid,
            start_ns: ticks.saturating_mul(self.tick_ns),
            ppid: parent,
            exe: self.place(pid, "exe").unwrap_or_default().into(),
            args: self.args(pid)?.into(),
            cwd: self.place(pid, "cwd").unwrap_or_default().into(),
            ..Process::default()
        };
        // It may have ended meanwhile, and its number may be another's by now.
        (self.times(pid)?.1 == ticks).then_some(Found { process, tick_ns: self.tick_ns })
    }

    /// Parent and start, the latter in clock ticks since boot.
    fn times(&self, pid: u32) -> Option<(u32, u64)> {
        parse_stat(&fs::read(self.path(pid, "stat")).ok()?)
    }

    /// The arguments, NUL between them.
    fn args(&self, pid: u32) -> Option<Vec<u8>> {
        let mut args = Vec::new();
        let file = File::open(self.path(pid, "cmdline")).ok()?;
        file.take(MOST_ARGS).read_to_end(&mut args).ok()?;
        if args.last() == Some(&0) {
            args.pop();
        }
        Some(args)
    }

    /// Where a link of a process points to, in the words of its container. The kernel tells a path
    /// from the reader's root, but stops at the root of the mount namespace the file is mounted in:
    /// for a container that is the container's root, whatever the process itself changed its root
    /// to.
    fn place(&self, pid: u32, name: &str) -> Option<Vec<u8>> {
        let link = self.path(pid, name);
        let target = fs::read_link(&link).ok()?.into_os_string().into_vec();
        let Some(bare) = target.strip_suffix(DELETED) else { return Some(target) };
        if let Some(name) = bare.strip_prefix(b"/memfd:") {
            // As kernel records name it: in no directory.
            return Some([b"memfd:", name].concat());
        }
        let is_its_name = self.is_at(pid, &link, &target);
        Some(if is_its_name { target } else { bare.to_vec() })
    }

    /// Whether the file behind this link lies at this path: it may really be called so.
    fn is_at(&self, pid: u32, link: &Path, path: &[u8]) -> bool {
        let relative = path.strip_prefix(b"/").unwrap_or(path);
        let there = self.path(pid, "root").join(std::ffi::OsStr::from_bytes(relative));
        let (Ok(file), Ok(there)) = (fs::metadata(link), fs::symlink_metadata(there)) else {
            return false;
        };
        (file.dev(), file.ino()) == (there.dev(), there.ino())
    }

    /// Which layer of a container the program lies in that one of its processes runs.
    pub fn layer_of_program(&mut self, container: &Container, pid: u32) -> Option<Layer> {
        let overlay = overlay_of(&mut self.overlays, &self.root, container);
        let init_pid = if container.init_pid == 0 { pid } else { container.init_pid };
        layer_of_program(overlay, &self.root, pid, init_pid)
    }

    /// The processes in cgroups whose path is wanted, each with that path. Who ends meanwhile is
    /// left out.
    pub fn scan(&self, wanted: impl Fn(&str) -> bool) -> Vec<(String, Found)> {
        let find = |pid| {
            let path = self.cgroup_path(pid).filter(|path| wanted(path))?;
            Some((path, self.process(pid)?))
        };
        self.pids().into_iter().filter_map(find).collect()
    }

    /// Every process id there is.
    pub fn pids(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
    }

    /// Whether a process is there.
    pub fn is_alive(&self, pid: u32) -> bool {
        self.root.join(pid.to_string()).exists()
    }
}

impl Host for Procfs {
    fn process(&mut self, pid: u32) -> Option<Found> {
        Self::process(self, pid)
    }

    fn cgroup_path(&mut self, pid: u32) -> Option<String> {
        Self::cgroup_path(self, pid)
    }

    fn layer_of(
        &mut self,
        container: &Container,
        pid: u32,
        directory: &[u8],
        path: &[u8],
    ) -> Option<Layer> {
        let overlay = overlay_of(&mut self.overlays, &self.root, container)?;
        let layer = by_either(container, pid, |pid, init_pid| {
            layer_of_script(overlay, &self.root, &Named { pid, init_pid, cwd: directory, path })
        });
        self.comparisons += overlay.take_comparisons();
        layer
    }

    fn take_comparisons(&mut self) -> u32 {
        std::mem::take(&mut self.comparisons)
    }

    fn is_directory(&mut self, container: &Container, pid: u32, path: &[u8]) -> bool {
        let found = by_either(container, pid, |pid, init_pid| {
            resolve(&self.root, &Named { pid, init_pid, cwd: b"/", path }).ok()
        });
        found.is_some_and(|it| it.is_directory())
    }

    fn is_in_image(&mut self, container: &Container, path: &[u8]) -> bool {
        let overlay = overlay_of(&mut self.overlays, &self.root, container);
        overlay.is_some_and(|it| it.image_has(path).unwrap_or_default())
    }
}

/// What was found out of the files of a container. `procfs` is where the host's processes are.
fn overlay_of<'o>(
    overlays: &'o mut Overlays,
    procfs: &Path,
    container: &Container,
) -> Option<&'o mut Overlay> {
    let key = (container.id.clone(), container.init_pid);
    if overlays.len() >= MOST_OVERLAYS && !overlays.contains_key(&key) {
        overlays.clear();
    }
    let overlay = overlays.entry(key).or_insert_with(|| {
        let layers = container.find_layers(procfs)?;
        Some(Overlay::new(layers).comparing_at_most(MOST_COMPARED_BYTES))
    });
    overlay.as_mut()
}

/// What is found by a process of a container or, of one that is gone, by the container's first one,
/// which mostly sees the same. `look` is given both, the one that looks first.
fn by_either<T>(
    container: &Container,
    pid: u32,
    mut look: impl FnMut(u32, u32) -> Option<T>,
) -> Option<T> {
    let init_pid = if container.init_pid == 0 { pid } else { container.init_pid };
    look(pid, init_pid).or_else(|| look(init_pid, init_pid))
}

/// Parent and start in clock ticks since boot: fields 4 and 22 of `proc_pid_stat(5)`. The name in
/// parentheses may hold anything, parentheses too.
fn parse_stat(stat: &[u8]) -> Option<(u32, u64)> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let text = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let began = fields.nth(17)?.parse().ok()?;
    Some((parent, began))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let stat = b"42 (a) R 1 (b) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        assert_eq!(parse_stat(stat), Some((7, 12345)));
        assert_eq!(parse_stat(b"42 (x"), None);
    }

    fn own() -> Procfs {
        Procfs::at(PathBuf::from("/proc"))
    }

    #[test]
    fn this_process_is_found_with_its_arguments() {
        let found = own().process(std::process::id()).expect("runs");
        let exe = std::env::current_exe().expect("is told");
        assert_eq!(found.process.pid, std::process::id());
        assert_eq!(&*found.process.exe, exe.as_os_str().as_bytes());
        assert!(!found.process.args.is_empty() && !found.process.args.ends_with(&[0]));
        let age_ns = crate::clock::boot_ns() - found.process.start_ns;
        assert!(age_ns < 3_600_000_000_000, "{age_ns}");
    }

    #[test]
    fn a_scan_finds_this_process_by_its_cgroup() {
        let path = own().cgroup_path(std::process::id()).expect("runs");
        let found = own().scan(|its| its == path);
        assert!(found.iter().any(|(_, it)| it.process.pid == std::process::id()));
        assert!(own().scan(|_| false).is_empty());
    }

    /// A process file system with one process that runs `target`.
    fn running(target: &str) -> (tempfile::TempDir, Procfs) {
        let host = tempfile::tempdir().expect("a directory");
        let place = host.path().join("7");
        fs::create_dir_all(place.join("root/bin")).expect("is made");
        fs::write(place.join("stat"), "7 (a) S 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 500 0")
            .expect("is written");
        fs::write(place.join("cmdline"), "a\0b\0").expect("is written");
        std::os::unix::fs::symlink(target, place.join("exe")).expect("is made");
        let procfs = Procfs::at(host.path().to_owned());
        (host, procfs)
    }

    fn exe(procfs: &Procfs) -> String {
        let found = procfs.process(7).expect("runs");
        String::from_utf8(found.process.exe.to_vec()).expect("is text")
    }

    #[test]
    fn the_mark_of_an_unlinked_program_is_no_part_of_its_name() {
        let (_host, procfs) = running("/bin/a (deleted)");
        assert_eq!(exe(&procfs), "/bin/a");
        assert_eq!(&*procfs.process(7).expect("runs").process.args, b"a\0b");
        let (_host, procfs) = running("/memfd:x (deleted)");
        assert_eq!(exe(&procfs), "memfd:x");
    }

    #[test]
    fn a_program_may_be_called_deleted() {
        let (host, procfs) = running("/");
        let file = host.path().join("7/root/bin/a (deleted)");
        fs::write(&file, "").expect("is written");
        let link = host.path().join("7/exe");
        fs::remove_file(&link).expect("is removed");
        std::os::unix::fs::symlink(&file, &link).expect("is made");
        assert!(procfs.is_at(7, &link, b"/bin/a (deleted)"));
        assert!(!procfs.is_at(7, &link, b"/bin/b (deleted)"));
    }

    #[test]
    fn who_is_gone_is_none() {
        let (host, procfs) = running("/bin/a");
        assert_eq!(procfs.pids(), [7]);
        fs::remove_file(host.path().join("7/cmdline")).expect("is removed");
        assert!(procfs.process(7).is_none() && procfs.process(8).is_none());
        assert!(procfs.cgroup_path(7).is_none());
    }
}
