//! What outlives the agent: its programs, pinned to a BPF file system, and the rings they fill until
//! the next agent takes over.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, RingBuf},
};
use plimsoll_ebpf::orders::{Lost, LostKey, knocked};

use super::{PACKED_OBJECT, load::Loaded, orders::KernelLoss, plain::Plain};
use crate::stable_hash::stable_hash;

/// `include/uapi/linux/magic.h`
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// Maps that the next agent reads, and the one that is emptied when nobody holds it.
const MAPS: [&str; 5] = ["PRIORITY", "BULK", "LOST", "KNOCKED", "FOLLOW_UPS"];

/// Records of a ring that are read at most: more than the largest ring holds.
const MOST_RECORDS: usize = 1 << 24;

/// Where an agent keeps its pins.
#[derive(Clone, Debug)]
pub struct Place {
    root: PathBuf,
    /// Tells the agents of one host apart: each has a data directory of its own.
    agent: u64,
    pid: u32,
}

/// The pins of this agent; they are removed again unless they are kept.
pub struct Pins {
    dir: PathBuf,
    is_kept: bool,
}

/// The pins that an agent left which has ended.
#[derive(Debug)]
pub struct Predecessor {
    dir: PathBuf,
    /// Process id that it had.
    pub pid: u32,
    /// Whether its programs are the same as this agent's, so that its records can be read.
    is_alike: bool,
}

/// What an agent left on its rings.
pub struct Left {
    priority: RingBuf<MapData>,
    bulk: RingBuf<MapData>,
    lost: HashMap<MapData, Plain<LostKey>, Plain<Lost>>,
    /// When it knocked last, in nanoseconds since boot: it has ended since.
    pub knocked_ns: u64,
}

impl Place {
    /// The place of the agent with this data directory and process id.
    pub fn new(root: &Path, data_dir: &Path, pid: u32) -> Self {
        let data_dir = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        Self {
            root: root.to_owned(),
            agent: stable_hash(data_dir.as_os_str().as_encoded_bytes()),
            pid,
        }
    }

    /// Whether programs can be pinned there.
    ///
    /// # Errors
    /// When they cannot; the text says why and what helps.
    pub fn check(&self) -> anyhow::Result<()> {
        let below = self.root.ancestors().find(|it| it.exists()).unwrap_or(Path::new("/"));
        let found =
            rustix::fs::statfs(below).with_context(|| format!("looking at {}", below.display()))?;
        if found.f_type != BPF_FS_MAGIC {
            bail!(
                "{} is no BPF file system: mount one (mount -t bpf bpf /sys/fs/bpf), or set \
                 response.pins",
                below.display()
            );
        }
        Ok(())
    }

    /// Pins the maps; the programs follow once they are proved.
    ///
    /// # Errors
    /// When there is no BPF file system, or it refuses.
    pub fn begin(&self, ebpf: &Ebpf) -> anyhow::Result<Pins> {
        self.check()?;
        make_private(&self.root)?;
        let name = format!("{:016x}-{:016x}-{}", self.agent, stable_hash(PACKED_OBJECT), self.pid);
        let dir = self.root.join(name);
        // An agent that had this process id before.
        remove(&dir);
        make_private(&dir)?;
        let pins = Pins { dir, is_kept: false };
        for name in MAPS {
            let map = ebpf.map(name).with_context(|| format!("the object has no map {name}"))?;
            map.pin(pins.dir.join(name)).with_context(|| format!("pinning {name}"))?;
        }
        Ok(pins)
    }

    /// What agents with this data directory left behind.
    pub fn predecessors(&self) -> Vec<Predecessor> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        let mut found: Vec<Predecessor> =
            entries.filter_map(|entry| self.predecessor(&entry.ok()?.path())).collect();
        found.sort_by_key(|it| it.pid);
        found
    }

    fn predecessor(&self, dir: &Path) -> Option<Predecessor> {
        let mut parts = dir.file_name()?.to_str()?.split('-');
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let (agent, object) = (number()?, number()?);
        let pid = parts.next()?.parse().ok()?;
        let is_its = agent == self.agent && pid != self.pid && parts.next().is_none();
        is_its.then(|| Predecessor {
            dir: dir.to_owned(),
            pid,
            is_alike: object == stable_hash(PACKED_OBJECT),
        })
    }
}

impl Pins {
    /// Pins the programs where they are attached, so that they stay there when the agent ends.
    ///
    /// # Errors
    /// When the file system refuses: then nothing stays.
    pub fn keep(mut self, loaded: &mut Loaded) -> anyhow::Result<()> {
        loaded.pin(&self.dir)?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if !self.is_kept {
            remove(&self.dir);
        }
    }
}

impl Predecessor {
    /// What it left on its rings; `None` where other programs wrote them.
    ///
    /// # Errors
    /// When a pin is missing or is something else.
    pub fn left(&self) -> anyhow::Result<Option<Left>> {
        if !self.is_alike {
            return Ok(None);
        }
        let open = |name: &str| {
            MapData::from_pin(self.dir.join(name)).with_context(|| format!("opening {name}"))
        };
        let knocked = Array::<_, u64>::try_from(Map::Array(open("KNOCKED")?))?;
        Ok(Some(Left {
            priority: Map::RingBuf(open("PRIORITY")?).try_into()?,
            bulk: Map::RingBuf(open("BULK")?).try_into()?,
            lost: Map::HashMap(open("LOST")?).try_into()?,
            knocked_ns: knocked.get(&knocked::AT_NS, 0)?,
        }))
    }

    /// Lets go of its programs: what nobody else holds is detached.
    ///
    /// # Errors
    /// When something is left.
    pub fn release(self) -> io::Result<()> {
        clear(&self.dir)
    }
}

impl Left {
    /// Hands out what is on the rings, in their order, one after the other.
    pub fn read(&mut self, mut each: impl FnMut(&[u8])) {
        for ring in [&mut self.priority, &mut self.bulk] {
            for _ in 0..MOST_RECORDS {
                let Some(entry) = ring.next() else { break };
                each(&entry);
            }
        }
    }

    /// What found no room there since the agent ended. Where some was lost before, that is counted
    /// again.
    pub fn losses(&self) -> Vec<KernelLoss> {
        let lost = self.lost.iter().filter_map(Result::ok);
        let lost = lost.filter(|(_, Plain(lost))| lost.last_ns > self.knocked_ns);
        lost.map(|(Plain(key), Plain(Lost { count, last_ns }))| KernelLoss { key, count, last_ns })
            .collect()
    }
}

/// A directory that only root may enter.
fn make_private(dir: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("making {}", dir.display()))?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("closing {} to others", dir.display()))
}

fn remove(dir: &Path) {
    if let Err(error) = clear(dir)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, dir = %dir.display(), "pins are left behind");
    }
}

fn clear(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        fs::remove_file(entry?.path())?;
    }
    fs::remove_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_earlier_agent_of_the_same_data_directory_left_is_found() {
        let root = tempfile::tempdir().expect("makes a directory");
        let place = Place::new(root.path(), Path::new("/var/lib/plimsoll"), 7);
        let (own, object) = (place.agent, stable_hash(PACKED_OBJECT));
        for name in [
            format!("{own:016x}-{object:016x}-5"),
            format!("{own:016x}-{:016x}-6", object ^ 1),
            format!("{own:016x}-{object:016x}-7"),
            format!("{:016x}-{object:016x}-8", own ^ 1),
            format!("{own:016x}-{object:016x}-9-x"),
            "something".to_owned(),
        ] {
            fs::create_dir(root.path().join(name)).expect("is made");
        }
        let found: Vec<(u32, bool)> =
            place.predecessors().iter().map(|it| (it.pid, it.is_alike)).collect();
        assert_eq!(found, [(5, true), (6, false)]);
        for it in place.predecessors() {
            it.release().expect("is removed");
        }
        assert_eq!(fs::read_dir(root.path()).expect("reads").count(), 4);
    }

    #[test]
    fn an_ordinary_directory_takes_no_pins() {
        let root = tempfile::tempdir().expect("makes a directory");
        let place = Place::new(&root.path().join("below"), Path::new("/x"), 1);
        let error = place.check().expect_err("is no BPF file system").to_string();
        assert!(error.contains("mount -t bpf bpf /sys/fs/bpf"), "{error}");
    }
}
