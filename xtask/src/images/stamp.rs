//! Remembers from what an image was built, so that it is built again only when that changes.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use anyhow::{Context, Result};

/// What an image was made from, and the image that came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) inputs: u64,
    /// The image's own identity: another Docker may hold another image of this name, or none.
    pub(super) image: String,
}

impl Stamp {
    /// The stamp of the last build, if it can be read.
    pub(super) fn read(path: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(path).ok()?)
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, format!("{:016x} {}\n", self.inputs, self.image))
            .with_context(|| format!("writing {}", path.display()))
    }

    fn parse(text: &str) -> Option<Self> {
        let (inputs, image) = text.trim_end().split_once(' ')?;
        Some(Self { inputs: u64::from_str_radix(inputs, 16).ok()?, image: image.to_owned() })
    }
}

/// One number for a directory's files, by name, mode and content, and for the texts.
pub(super) fn hash(directory: &Path, texts: &[&str]) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    for path in super::rootfs::files(directory)? {
        let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        path.file_name().hash(&mut hasher);
        fs::metadata(&path)?.permissions().mode().hash(&mut hasher);
        content.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_its_file() {
        let stamp = Stamp { inputs: 7, image: "sha256:ab".to_owned() };
        let path = std::env::temp_dir().join(format!("xtask-stamp-{}", std::process::id()));
        stamp.write(&path).expect("the directory is writable");
        assert_eq!(Stamp::read(&path), Some(stamp));
        fs::remove_file(&path).expect("it was just written");
        assert_eq!(Stamp::read(&path), None);
    }

    #[test]
    fn a_broken_stamp_is_none() {
        assert_eq!(Stamp::parse(""), None);
        assert_eq!(Stamp::parse("xyz sha256:ab"), None);
    }

    #[test]
    fn a_changed_file_or_text_changes_the_hash() {
        let directory = std::env::temp_dir().join(format!("xtask-hash-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for the test");
        let of = |texts: &[&str]| hash(&directory, texts).expect("the files are readable");
        fs::write(directory.join("a"), "one").expect("a file");
        let first = of(&["x"]);
        assert_eq!(of(&["x"]), first);
        assert_ne!(of(&["y"]), first);
        fs::write(directory.join("a"), "two").expect("a file");
        assert_ne!(of(&["x"]), first);
        fs::remove_dir_all(&directory).expect("the test's directory is its own");
    }
}
