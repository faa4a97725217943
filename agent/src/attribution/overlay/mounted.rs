//! The layers of an overlay as its mount tells them: Docker itself tells none where containerd keeps
//! its images, as it does in new installations from version 29 on.

use std::{
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use super::{
    Layers,
    filesystem::{Kind, mounts},
};

/// The overlay that is mounted at a directory with the name of the container, of a table of mounts
/// (`proc_pid_mountinfo(5)`).
fn in_table(table: &[u8], id: &str) -> Option<Layers> {
    // The first one is Docker's: where containers' mounts come to the host, one may call another so.
    table.split(|&byte| byte == b'\n').find_map(|line| {
        let mut words = line.split(|&byte| byte == b' ');
        let merged = path(words.nth(4)?);
        if merged.file_name()? != id {
            return None;
        }
        words.find(|&word| word == b"-")?;
        let is_overlay = Kind::by_name(words.next()?) == Kind::Overlay;
        let options = words.nth(1).filter(|_| is_overlay)?;
        of_options(options, merged)
    })
}

fn of_options(options: &[u8], merged: PathBuf) -> Option<Layers> {
    let mut layers = Layers { merged, ..Layers::default() };
    for option in options.split(|&byte| byte == b',') {
        let mut halves = option.splitn(2, |&byte| byte == b'=');
        match (halves.next()?, halves.next()) {
            (b"upperdir", Some(value)) => layers.upper = path(value),
            (b"lowerdir", Some(value)) => {
                let all = value.split(|&byte| byte == b':').filter(|it| !it.is_empty());
                layers.lowers = all.map(path).collect();
            }
            // As the kernel tells them where each was added by a call of its own.
            (b"lowerdir+", Some(value)) => layers.lowers.push(path(value)),
            _ => {}
        }
    }
    (!layers.upper.as_os_str().is_empty() && !layers.lowers.is_empty()).then_some(layers)
}

/// A path of the table, in which some bytes are written as three octal digits.
fn path(written: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|it| it.iter().all(|it| matches!(it, b'0'..=b'7')));
        if let (b'\\', Some(digits)) = (first, octal) {
            let value = digits.iter().fold(0, |value: u8, it| value.wrapping_mul(8) + (it - b'0'));
            bytes.push(value);
            rest = &after[3..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

impl Layers {
    /// The layers of the container with this id, while its root is mounted on the host. `procfs` is
    /// the host's process file system: what this process does not see, the host's first one may.
    pub fn mounted(procfs: &Path, id: &str) -> Option<Self> {
        let first = procfs.join("1");
        [Path::new("/proc/self"), &first].into_iter().find_map(|process| {
            let layers = in_table(&mounts(process).ok()?, id)?;
            let elsewhere = layers.below(&first.join("root"));
            [layers, elsewhere].into_iter().find_map(Self::resolved)
        })
    }

    /// The same, of a file system whose root is mounted here.
    fn below(&self, root: &Path) -> Self {
        let moved = |path: &PathBuf| match path.strip_prefix("/") {
            Ok(rest) => root.join(rest),
            Err(_) => path.clone(),
        };
        Self {
            upper: moved(&self.upper),
            lowers: self.lowers.iter().map(moved).collect(),
            merged: moved(&self.merged),
        }
    }

    /// The same with absolute paths, if each layer is there. Who mounts many layers names them from
    /// a directory above all of them, since the options have one page.
    fn resolved(self) -> Option<Self> {
        let upper = self.upper.clone();
        upper.ancestors().skip(1).map(|above| self.from(above)).find(|it| it.check().is_ok())
    }

    fn from(&self, directory: &Path) -> Self {
        // An absolute path stays what it is.
        let lowers = self.lowers.iter().map(|it| directory.join(it)).collect();
        Self { lowers, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ID: &str = "f108eb7365ca";

    fn line(place: &str, options: &str) -> String {
        format!("74 64 0:40 / {place} rw,relatime shared:3 - overlay overlay rw,{options}\n")
    }

    #[test]
    fn the_layers_are_those_of_the_overlay_with_the_containers_name() {
        let place = format!("/var/lib/docker/rootfs/overlayfs/{ID}");
        let table = [
            line("/var/lib/other", "lowerdir=/x,upperdir=/y,workdir=/z"),
            format!("75 64 0:41 / /elsewhere/{ID} rw - fuse.x x rw,lowerdir=/x,upperdir=/y\n"),
            line(&place, "lowerdir=/s/19/fs:/s/4/fs,upperdir=/s/412/fs,workdir=/s/412/work"),
        ];
        let layers = in_table(table.concat().as_bytes(), ID).expect("is there");
        assert_eq!(layers.merged, Path::new(&place));
        assert_eq!(layers.upper, Path::new("/s/412/fs"));
        assert_eq!(layers.lowers, ["/s/19/fs", "/s/4/fs"].map(PathBuf::from));
        let later = line(&format!("/shared/{ID}"), "lowerdir=/evil,upperdir=/more,workdir=/w");
        assert_eq!(in_table((table.concat() + &later).as_bytes(), ID), Some(layers));
        assert_eq!(in_table(table[..2].concat().as_bytes(), ID), None);
        assert_eq!(in_table(table.concat().as_bytes(), ""), None);
    }

    #[test]
    fn layers_that_were_added_one_by_one_and_strange_names_are_read() {
        let table = line(
            &format!("/with\\040space/{ID}"),
            "lowerdir+=/a\\054b/fs,lowerdir+=/back\\134slash,upperdir=/u,workdir=/w,uuid=on",
        );
        let layers = in_table(table.as_bytes(), ID).expect("is there");
        assert_eq!(layers.merged, Path::new(&format!("/with space/{ID}")));
        assert_eq!(layers.lowers, ["/a,b/fs", "/back\\slash"].map(PathBuf::from));
        assert_eq!(in_table(b"\\777 \\7 \\ - overlay", ID), None, "and hostile ones do no harm");
    }

    #[test]
    fn layers_are_found_from_the_directory_above_them_and_below_another_root() {
        let root = tempfile::tempdir().expect("a directory");
        for layer in ["s/4/fs", "s/19/fs", "s/412/fs"] {
            fs::create_dir_all(root.path().join(layer)).expect("is made");
        }
        let table = line(&format!("/m/{ID}"), "lowerdir=19/fs:4/fs,upperdir=/s/412/fs");
        let told = in_table(table.as_bytes(), ID).expect("is there");
        assert_eq!(told.clone().resolved(), None, "this host has no such layers");
        let layers = told.below(root.path()).resolved().expect("the other has");
        assert_eq!(layers.lowers, ["s/19/fs", "s/4/fs"].map(|it| root.path().join(it)));
        assert_eq!(layers.merged, root.path().join("m").join(ID));
        fs::remove_dir(root.path().join("s/4/fs")).expect("is removed");
        assert_eq!(told.below(root.path()).resolved(), None, "one is missing");
    }
}
