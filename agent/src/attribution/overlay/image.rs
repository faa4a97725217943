//! What an image holds, whatever a container made of it: which programs, whether a file is there, and
//! what it says.
//!
//! Directories that were renamed in a layer count as new ones: builders of images leave none.

use std::{
    collections::{BTreeSet, VecDeque},
    io::{self, Read as _},
    os::fd::OwnedFd,
};

use rustix::{
    fs::{CWD, Dir, FileType, Mode, OFlags, openat, openat2, readlinkat},
    io::Errno,
};

use super::{
    Layers,
    file::{look, reopen},
    lookup::{OPAQUE, WITHIN, attribute, enter},
};

/// Names that are looked at in one image at most.
const MOST_NAMES: usize = 400_000;
/// Directories within one another that are entered.
const MOST_DEPTH: usize = 40;
/// Links that are followed for one path, as the kernel does.
const MOST_LINKS: usize = 40;
/// `include/uapi/linux/stat.h`
const EXECUTABLE: u16 = 0o111;

/// The layers of an image, as one tree.
pub struct Image {
    root: Directory,
}

/// The directories of one name in the layers that have it, the topmost first.
struct Directory(Vec<OwnedFd>);

/// What a directory has under a name.
enum Member {
    File { is_executable: bool, place: OwnedFd },
    Directory(Directory),
    Link(Vec<u8>),
    Other,
}

impl Image {
    /// The image below a container.
    ///
    /// # Errors
    /// When a layer cannot be opened.
    pub fn open(layers: &Layers) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |layer| openat(CWD, layer, flags, Mode::empty());
        let roots = layers.lowers.iter().map(open).collect::<Result<Vec<_>, Errno>>()?;
        Ok(Self { root: Directory(roots) })
    }

    /// Whether it has a regular file at a path, be it by way of links.
    ///
    /// # Errors
    /// When a layer cannot be read.
    pub fn has_file(&self, path: &[u8]) -> io::Result<bool> {
        Ok(matches!(self.find(path)?, Some(Member::File { .. })))
    }

    /// What a regular file says, up to so many bytes; `None` where there is none.
    ///
    /// # Errors
    /// When a layer cannot be read.
    pub fn read(&self, path: &[u8], most: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(Member::File { place, .. }) = self.find(path)? else { return Ok(None) };
        let mut content = Vec::new();
        reopen(&place)?.take(most).read_to_end(&mut content)?;
        Ok(Some(content))
    }

    /// The names in a directory; none where there is none.
    ///
    /// # Errors
    /// When a layer cannot be read.
    pub fn names_in(&self, path: &[u8]) -> io::Result<BTreeSet<Vec<u8>>> {
        let Some(Member::Directory(directory)) = self.find(path)? else {
            return Ok(BTreeSet::new());
        };
        directory.names()
    }

    /// What lies at a path, be it by way of links.
    fn find(&self, path: &[u8]) -> io::Result<Option<Member>> {
        let mut names: VecDeque<Vec<u8>> = names(path).collect();
        let mut entered: Vec<Directory> = Vec::new();
        let mut links = 0;
        while let Some(name) = names.pop_front() {
            if name == b".." {
                entered.pop();
                continue;
            }
            match entered.last().unwrap_or(&self.root).member(&name)? {
                Some(Member::Directory(inner)) => entered.push(inner),
                Some(file @ Member::File { .. }) => return Ok(names.is_empty().then_some(file)),
                Some(Member::Link(target)) if links < MOST_LINKS => {
                    links += 1;
                    if target.starts_with(b"/") {
                        entered.clear();
                    }
                    self::names(&target).rev().for_each(|name| names.push_front(name));
                }
                Some(Member::Link(_) | Member::Other) | None => return Ok(None),
            }
        }
        Ok(entered.pop().map(Member::Directory))
    }

    /// Hands the path of each executable file to `take`; returns whether that were all.
    ///
    /// # Errors
    /// When a layer cannot be read.
    pub fn executables(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        let mut left = MOST_NAMES;
        walk(&self.root, &mut Vec::new(), MOST_DEPTH, &mut left, take)
    }
}

fn walk(
    directory: &Directory,
    path: &mut Vec<u8>,
    depth: usize,
    left: &mut usize,
    take: &mut dyn FnMut(&[u8]),
) -> io::Result<bool> {
    let mut is_all = true;
    for name in directory.names()? {
        if *left == 0 {
            return Ok(false);
        }
        *left -= 1;
        let length = path.len();
        path.push(b'/');
        path.extend_from_slice(&name);
        match directory.member(&name)? {
            Some(Member::File { is_executable: true, .. }) => take(path),
            Some(Member::Directory(_)) if depth == 0 => is_all = false,
            Some(Member::Directory(inner)) => is_all &= walk(&inner, path, depth - 1, left, take)?,
            Some(Member::File { .. } | Member::Link(_) | Member::Other) | None => {}
        }
        path.truncate(length);
    }
    Ok(is_all)
}

impl Directory {
    /// Every name that some layer has here, those that hide others among them.
    fn names(&self) -> io::Result<BTreeSet<Vec<u8>>> {
        let mut names = BTreeSet::new();
        for layer in &self.0 {
            for entry in Dir::read_from(layer)? {
                let name = entry?.file_name().to_bytes().to_vec();
                if name != b"." && name != b".." && names.len() < MOST_NAMES {
                    names.insert(name);
                }
            }
        }
        Ok(names)
    }

    /// What is under a name; `None` where no layer has it.
    fn member(&self, name: &[u8]) -> io::Result<Option<Member>> {
        let mut directories = Vec::new();
        for layer in &self.0 {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let place = match openat2(layer, name, flags, Mode::empty(), WITHIN) {
                Ok(place) => place,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let mode = look(&place)?.stx_mode;
            let kind = FileType::from_raw_mode(mode.into());
            if kind == FileType::Directory {
                let inner = enter(layer, name)?;
                let is_opaque = attribute(&inner, OPAQUE)?.is_some_and(|it| it == b"y");
                directories.push(inner);
                if is_opaque {
                    break;
                }
            } else if directories.is_empty() {
                let member = if kind == FileType::RegularFile {
                    Member::File { is_executable: mode & EXECUTABLE != 0, place }
                } else if kind == FileType::Symlink {
                    Member::Link(readlinkat(&place, "", Vec::new())?.into_bytes())
                } else {
                    // A whiteout among them: what lies below is hidden.
                    Member::Other
                };
                return Ok(Some(member));
            } else {
                // A directory above hides what is none.
                break;
            }
        }
        Ok((!directories.is_empty()).then(|| Member::Directory(Directory(directories))))
    }
}

fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    let names = path.split(|byte| *byte == b'/').filter(|it| !matches!(*it, b"" | b"."));
    names.map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, symlink},
        path::PathBuf,
    };

    use rustix::fs::mknodat;

    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn path(&self, layer: &str, path: &str) -> PathBuf {
            self.0.path().join(layer).join(path)
        }

        fn write(&self, layer: &str, path: &str, mode: u32) {
            let path = self.path(layer, path);
            fs::create_dir_all(path.parent().expect("lies in a layer")).expect("is made");
            fs::write(&path, "x").expect("is written");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("is set");
        }

        fn image(&self) -> Image {
            let lowers = vec![self.path("top", ""), self.path("bottom", "")];
            Image::open(&Layers { lowers, ..Layers::default() }).expect("opens")
        }
    }

    fn tree() -> Tree {
        let tree = Tree(tempfile::tempdir().expect("a directory"));
        tree.write("bottom", "usr/bin/kept", 0o755);
        tree.write("bottom", "usr/bin/gone", 0o755);
        tree.write("bottom", "usr/bin/plain", 0o755);
        tree.write("bottom", "opt/data.txt", 0o644);
        tree.write("top", "usr/bin/new", 0o755);
        tree.write("top", "usr/bin/plain", 0o644);
        symlink("usr/bin", tree.path("top", "bin")).expect("is made");
        symlink("/bin/../bin/kept", tree.path("top", "usr/bin/alias")).expect("is made");
        symlink("loop", tree.path("top", "loop")).expect("is made");
        let whiteout = tree.path("top", "usr/bin/gone");
        mknodat(CWD, whiteout, FileType::CharacterDevice, Mode::empty(), 0).expect("is made");
        tree
    }

    #[test]
    fn executables_are_those_that_no_layer_above_hides() {
        let mut found = Vec::new();
        let mut take = |path: &[u8]| found.push(String::from_utf8_lossy(path).into_owned());
        assert!(tree().image().executables(&mut take).expect("reads"));
        assert_eq!(found, ["/usr/bin/kept", "/usr/bin/new"]);
    }

    #[test]
    fn a_file_is_found_by_way_of_links_and_never_out_of_the_image() {
        let tree = tree();
        let has = |path: &str| tree.image().has_file(path.as_bytes()).expect("reads");
        for path in ["/usr/bin/kept", "/bin/kept", "/bin/alias", "/opt/./data.txt", "/../bin/new"] {
            assert!(has(path), "{path}");
        }
        for path in ["/usr/bin/gone", "/bin", "/loop", "/opt/data.txt/x", "/etc/passwd", ""] {
            assert!(!has(path), "{path}");
        }
    }

    #[test]
    fn files_are_read_and_directories_listed_as_far_as_no_layer_hides_them() {
        let tree = tree();
        let read = |path: &str, most| tree.image().read(path.as_bytes(), most).expect("reads");
        assert_eq!(read("/bin/alias", 9).as_deref(), Some(b"x".as_slice()));
        assert_eq!(read("/bin/alias", 0).as_deref(), Some(b"".as_slice()));
        assert_eq!(read("/usr/bin/gone", 9), None);
        assert_eq!(read("/usr/bin", 9), None);
        let names = |path: &str| tree.image().names_in(path.as_bytes()).expect("reads");
        assert_eq!(names("/opt"), [b"data.txt".to_vec()].into());
        assert!(names("/opt/data.txt").is_empty() && names("/none").is_empty());
    }
}
